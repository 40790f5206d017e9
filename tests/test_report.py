"""The page: its numbers are the comparison's, names cannot break out, and it stands alone."""

from __future__ import annotations

import itertools
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from made_results import BASE, BETTER, SAME, on, result
from scipy import stats
from support import sampled

from lossbench import results
from lossbench.api import run
from lossbench.comparison import PLACES, compare
from lossbench.configuration import Choice
from lossbench.configuration.claims import Claim, Difference
from lossbench.configuration.experiments import configurations
from lossbench.drawing import Plane
from lossbench.report.figures.kept import read_details
from lossbench.report.html import Words, render_description, render_page
from lossbench.report.screen import list_numbers
from lossbench.statistics import Interval
from lossbench.training.details import EDGE, GRID, POINTS
from lossbench.verdicts import Decision, Finding

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
HOSTILE = '<script>alert(1)</script>"&'


class Tables(HTMLParser):
    """The texts of the cells of each table row, and every tag that was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.tags: list[str] = []
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag == "td":
            self.inside = True
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        self.inside = self.inside and tag != "td"

    def handle_data(self, data):
        if self.inside:
            self.rows[-1][-1] += data.strip()


def drawn(made: results.Result, epochs: int = 100) -> results.Result:
    """The result with a curve for each seed, and with details of a plane."""
    seeds = made.seeds.seed.tolist()
    epoch = np.tile(np.arange(epochs), len(seeds))
    noise = np.random.default_rng(len(made.key)).random(len(epoch)) / 20
    curves = pd.DataFrame({"seed": np.repeat(seeds, epochs), "epoch": epoch})
    curves = curves.assign(metric="val/accuracy", value=0.9 - 0.5 / (1 + epoch) + noise)
    rng = np.random.default_rng(1)
    line = np.linspace(-EDGE, EDGE, GRID)
    wave = np.add.outer(np.sin(3 * line), line).ravel()
    values = {
        "reliability.confidence": np.linspace(0.5, 1, 15),
        "reliability.accuracy": np.linspace(0.4, 0.9, 15),
        "reliability.count": np.r_[np.full(9, 20.0), 0.0, np.full(5, 20.0)],
        "residuals.level": np.linspace(0.1, 0.9, 9),
        "residuals.quantile": np.linspace(-1, 1, 9),
        "plane.class": (wave > 0).astype(float),
        "plane.confidence": 0.5 + 0.5 * np.tanh(np.abs(wave)),
        "plane.extent": np.array([-EDGE, EDGE]),
        "points.x": rng.normal(size=POINTS),
        "points.y": rng.normal(size=POINTS),
        "points.class": rng.integers(0, 2, POINTS).astype(float),
    }
    rows = [(seed, name, each) for seed in seeds for name, each in values.items()]
    table = pd.DataFrame(rows, columns=["seed", "name", "values"])
    epochs_lost = made.seeds.assign(diverged_epoch=7)
    return replace(made, seeds=epochs_lost, curves=curves, details=table)


def three(**others) -> list[results.Result]:
    made = [result("cross_entropy", BASE, **others), result("focal", BETTER, **others)]
    return [drawn(each) for each in (*made, result("poly", SAME, diverged=(3,), **others))]


def test_every_number_of_the_table_is_the_one_of_the_comparison():
    (comparison,) = compare(three())
    text = render_page([comparison], Words("title"))
    assert "<details><summary>P(better) for every pair</summary>" in text
    cells = {row[0]: row for row in Tables(text).rows if len(row) > 5}
    assert set(cells) == set(comparison.results)
    for row in comparison.rows:
        interval, found = row.metrics["accuracy"], cells[row.label]
        assert float(found[1].rstrip("*")) == pytest.approx(interval.estimate, abs=5e-5)
        ends = [float(end) for end in found[2].split()]
        assert ends == pytest.approx([interval.low, interval.high], abs=5e-5)
        if row.difference:
            star = "" if np.isfinite(row.differences).all() else "*"
            assert f"{row.difference.estimate:+.4f}{star}" in found
    short = [row for row in Tables(text).rows if len(row) == 2 and "±" in row[1]]
    for loss, cell in short:
        interval = comparison.row(loss).metrics["log_loss"]
        assert float(cell.split()[0]) == pytest.approx(interval.estimate, abs=5e-4)
    for line in comparison.conclusion:
        assert line in text.replace("&#39;", "'")
    assert "<summary>For a paper: methods and references</summary>" in text
    assert "@article{holm1979" in text


def test_a_page_that_is_served_has_its_icon_in_it():
    assert '<link rel="icon" href="data:,">' in render_page(compare(three()), Words("title"))


def test_a_caption_explains_what_the_page_has_and_no_columns_of_other_tables():
    made = [
        replace(
            each, summary={**each.summary, "examples": {"drawn": "split", "learnt": 80, "test": 20}}
        )
        for each in three()
    ]
    (caption,) = re.findall(
        r'class="soft caption">(.*?)</p>', render_page(compare(made), Words("t"))
    )
    assert "p here" not in caption
    assert "verdicts are on new data like these 100 examples" in caption


def test_the_signs_of_a_matrix_that_it_has_are_explained():
    made = [result(n, v, sections=on(d)) for d in "abc" for n, v in (("x", BASE), ("y", BETTER))]
    text = render_page(compare(made, baseline="x"), Words("t"))
    assert "▲ better, 0 baseline; the number is the difference" in text


def test_what_diverged_is_lost_or_was_tuned_is_said():
    lost = ["lossbench run loss=hinge"]
    made = [*three(trials=16)]
    text = render_page(
        compare(made), Words("title", command="lossbench run experiment=x", missing=lost)
    )
    for said in (
        "poly: 1 of 20 seeds diverged (seed 3 in epoch 7)",
        "1 runs have no result",
        "<li>lossbench run loss=hinge</li>",
        "<pre>lossbench run experiment=x</pre>",
        "optimizer.lr 0.002",
        "16 x 3",
    ):
        assert said in text
    assert "untuned" in render_page(compare(three()), Words("title"))


def test_names_are_text_whatever_they_hold():
    made = [drawn(result(HOSTILE, BASE)), drawn(result("focal", BETTER, sections=None))]
    made = [replace(r, config=replace(r.config, dataset=Choice(HOSTILE, {}))) for r in made]
    text = render_page(
        compare(made), Words(HOSTILE, HOSTILE, HOSTILE, [HOSTILE]), [decided(HOSTILE)]
    )
    assert HOSTILE not in text
    assert Tables(text).tags.count("script") == 1, "the page's own"
    assert "&lt;script&gt;" in text
    assert "\\<script" in render_description(compare(made), HOSTILE)


def decided(text: str, verdict: str = "REFUTED") -> Decision:
    """The decision on a claim of this text that the record calls supported."""
    sides = ({"loss": "focal"}, {"loss": "poly"})
    tests = (Difference("better", *sides, metric="accuracy"),) * 2
    found = Finding(f"accuracy: {text} better", verdict, Interval(-0.1, -0.2, -0.05), 0.01, 20)
    claim = Claim("rare", text, "a paper", tests, verdict="SUPPORTED")
    return Decision(claim, verdict, (), (found, found))


def test_claims_come_first_each_with_its_verdict_and_what_it_rests_on():
    decisions = [decided("it is sparse"), decided("it is smooth", "SUPPORTED")]
    text = render_page(compare(three()), Words("title"), decisions)
    assert "<h1>2 claims: 1 REFUTED, 1 SUPPORTED</h1>" in text
    claims = [row for row in Tables(text).rows if len(row) == 3]
    assert [row[0] for row in claims if row] == ["▼refutedon record: SUPPORTED", "●supported"]
    assert "it is sparse better; difference -0.1" in claims[0][2]
    assert 'data-loss="rare (2)"' in text, "a row of the picture has the test's number"


def test_a_number_of_a_loss_is_an_axis_and_not_a_row_of_names():
    made = [drawn(result("focal", BASE + g / 100, gamma=g)) for g in (0.5, 1.0, 2.0)]
    text = render_page(compare([drawn(result("cross_entropy", BASE)), *made]), Words("title"))
    assert ">Sensitivity to gamma</h3>" in text
    assert "Sensitivity" not in render_page(compare(three()), Words("title"))


@pytest.mark.parametrize(
    ("losses", "datasets"), [(4, "abc"), pytest.param(20, "abcde", marks=pytest.mark.slow)]
)
def test_many_losses_on_many_datasets_are_one_file_of_40_kilobytes_for_each_run(losses, datasets):
    made = [
        drawn(result(f"loss_{k}", BASE + k / 1000, sections=on(dataset)))
        for dataset in datasets
        for k in range(losses)
    ]
    text = render_page(compare(made), Words("title"))
    assert len(text.encode()) < 40_000 * losses * len(datasets)
    cited = ("http://www.w3.org", "https://github.com/lossbench/lossbench")
    assert "http" not in text.replace(cited[0], "").replace(cited[1], "")
    graphs = -(-losses // 8)  # of curves (two), reliability (two), residuals and costs
    assert text.count("<figure>") == len(datasets) * (1 + 6 * graphs + 2 * losses) + 1
    assert f"Ranks over {len(datasets)} datasets" in text


def test_a_corruption_s_strengths_are_drawn_as_a_curve_for_each_loss():
    made = [each for rate in (0.1, 0.2) for each in three(sections=on("wine", rate))]
    for each in made:
        each.summary["bounds"] = {"accuracy": (0, 1)}
    text = render_page(compare(made), Words("title"))
    assert "accuracy % by corruption.rate · wine" in text
    assert "<h3>Robustness</h3>" in text
    assert "Test accuracy % by corruption.rate, mean over seeds with its 95 % interval." in text
    ends = 100 * np.array(stats.t.interval(0.95, 19, BETTER.mean(), stats.sem(BETTER)))
    said = f"{100 * BETTER.mean():.4g} ({ends[0]:.4g} to {ends[1]:.4g})"
    assert f"focal: {said} at 0.1; {said} at 0.2" in text


def test_a_plane_is_told_in_words_too():
    plane = Plane("focal", (-1, 1), np.array([0, 1, 0, 0]), np.ones(4), np.empty((3, 0)))
    assert list_numbers(plane) == [("focal", "class 0 on 75%; class 1 on 25%")]


def test_the_words_that_repeat_a_run_compose_its_configuration():
    words = [
        *("loss=focal", "loss.gamma=1.5", "seeds=[3,7]"),
        *("dataset=csv", 'dataset.path="a b,c.csv"', 'dataset.target="it\'s \\\\ é"'),
    ]
    (config,), _ = configurations([*words, "corruption=imbalance", "trainer.device=cpu"])
    (again,), _ = configurations(config.words)
    assert again == config


def test_training_keeps_what_figures_show(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = run("dataset=moons", "trainer=short", "seeds=3")
    found = read_details(made)
    assert found["plane.class"].shape == (3, GRID * GRID)
    count = found["reliability.count"]
    gap = np.nan_to_num(found["reliability.accuracy"] - found["reliability.confidence"])
    ece = np.abs(gap * count).sum(1) / count.sum(1)
    assert ece == pytest.approx(made.seeds["test/ece"].to_numpy(), abs=1e-6)
    assert len(results.of_seeds(made, [1]).details) == len(found)


def test_a_regression_keeps_its_residuals(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made = run("dataset=diabetes", "loss=squared_error", "trainer=short", "seeds=2")
    found = read_details(made)["residuals.quantile"]
    assert (np.diff(found, axis=1) >= 0).all()
    assert "Residual quantiles" in render_page(compare([made]), Words("title"))


def test_compare_writes_the_page_and_names_a_file_that_cannot_be_written(command, tmp_path):
    words = ("run", "-m", "loss=focal,hinge", "dataset=moons", "trainer=short", "seeds=2")
    assert command(*words, "tracking=none").code == 0
    done = command("compare", "--html", "page.html")
    assert done.code == 0, done.err
    assert "Decision boundaries" in (tmp_path / "page.html").read_text()
    refused = command("compare", "--html", "/proc/page.html")
    assert refused.code == 4
    assert "/proc/page.html cannot be written" in refused.err


@pytest.fixture(scope="module")
def browser():
    """A real one, for all windows."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=options)
        yield opened
        opened.close()


def scored(made: results.Result) -> results.Result:
    """The result with a metric that no other one gives."""
    columns = {
        f"{place}/brier": (1 - made.seeds[f"{place}/accuracy"]) / 3 for place in PLACES.values()
    }
    summary = {**made.summary, "directions": {**made.summary["directions"], "brier": -1}}
    return replace(made, seeds=made.seeds.assign(**columns), summary=summary)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The address of a page with a name that is too long for a line."""
    made = [each for data in ("wine", "w" * 60) for each in three(sections=on(data), trials=16)]
    made = [scored(each) for each in made]
    place = tmp_path_factory.mktemp("page") / "page.html"
    place.write_text(render_page(compare(made), Words("title", "Which?", "lossbench run x")))
    return place.as_uri()


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
@pytest.mark.parametrize(
    ("width", "scheme"),
    sampled(itertools.product([390, 640, 900, 1440], ["light", "dark"]), 7),  # two of eight
)
def test_the_page_fits_its_window_and_asks_for_nothing(width, scheme, page, browser):
    said, asked = [], []
    view = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    view.on("console", lambda message: said.append(message.text))
    view.on("pageerror", lambda error: said.append(str(error)))
    view.on("request", lambda request: asked.append(request.url))
    view.goto(page)
    view.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    room = view.evaluate("innerWidth - document.documentElement.scrollWidth")
    top = view.locator("#conclusion").bounding_box()["y"]
    over = view.evaluate(
        "[...document.querySelectorAll('.pictures table')].map(each => each.offsetWidth -"
        "each.parentElement.clientWidth)"
    )
    broken = view.evaluate(
        "[...document.querySelectorAll('.difference small')].filter(each =>"
        "getComputedStyle(each).whiteSpace !== 'nowrap').length"
    )
    text = view.evaluate(
        "[...document.querySelectorAll('svg text')].map(each =>"
        "parseFloat(getComputedStyle(each).fontSize) *"
        "each.ownerSVGElement.getBoundingClientRect().width /"
        "each.ownerSVGElement.viewBox.baseVal.width)"
    )
    inks = [
        view.evaluate(f"getComputedStyle(document.querySelector('{of}')).{what}")
        for of, what in (("svg text", "fill"), ("body", "backgroundColor"))
    ]
    view.close()
    assert (said, asked) == ([], [page])
    assert room >= 0
    assert max(over) <= 0, "no table covers the picture next to it"
    assert broken == 0, "an interval stands on one line"
    assert top < 400, "the answer is what is seen first"
    assert min(text) > 9.9, "text in pictures is large enough to read"
    light = [sum(map(int, ink[4:-1].split(","))) > 380 for ink in inks]
    assert light == [scheme == "dark", scheme == "light"]


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_on_paper_what_is_folded_is_there(page, browser):
    view = browser.new_page(viewport={"width": 720, "height": 1000})
    view.goto(page)
    folded = view.locator("details:not([open]) table").first
    assert not folded.is_visible()
    view.emulate_media(media="print")
    assert folded.is_visible()
    assert folded.bounding_box()["height"] > 20
    assert view.evaluate("innerWidth - document.documentElement.scrollWidth") >= 0
    view.close()


def test_a_comparison_shows_itself_in_a_notebook_and_gives_frame_and_figure():
    (comparison,) = compare([result("cross_entropy", BASE), result("a<b>", BETTER)])
    shown = comparison._repr_html_()
    assert shown.startswith("<div><h3>a&lt;b&gt; wins: +0.02")
    assert "<svg" in shown
    assert "<b>" not in shown
    assert repr(comparison).startswith("<Comparison: a<b> wins: +0.02")
    frame = comparison.frame().set_index(["loss", "metric"])
    assert frame.loc[("a<b>", "accuracy"), "mean"] == pytest.approx(BETTER.mean())
    assert [axes.get_title() for axes in comparison.plot().axes][:1] == [""]


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_a_loss_is_hidden_everywhere_rows_are_sorted_and_values_are_read(page, browser):
    view = browser.new_page()
    view.goto(page)
    chip = view.locator(".chip", has_text="focal")
    chip.click()
    assert view.locator("tr.off").all_inner_texts()
    assert (
        view.locator("svg .curve.off").count()
        == view.locator('svg .curve[data-loss="focal"]').count()
        > 0
    )
    chip.dblclick()
    assert {each.get_attribute("data-loss") for each in view.locator(".off").all()} >= {"poly"}
    assert not view.locator('.off[data-loss="focal"]').count()
    chip.dblclick()
    assert not view.locator(".off").count()
    table = view.locator(".verdicts").first
    orders = []
    for _ in range(2):
        table.get_by_role("button", name="difference").click()
        orders.append(table.locator("tbody tr").evaluate_all("all => all.map(x => x.dataset.loss)"))
    assert orders[0][0] == "focal"
    assert orders[1] == orders[0][::-1]
    graph = view.locator("figure svg:has(.curve)").first
    graph.focus()
    view.keyboard.press("ArrowRight")
    read = graph.locator("+ output").inner_text()
    view.close()
    curve = drawn(result("focal", BETTER)).curves
    epoch, _, values = read.removeprefix("at ").partition(": ")
    shown = curve[curve.epoch == round(float(epoch))].value.mean()
    assert float(dict(each.split() for each in values.split(", "))["focal"]) == pytest.approx(
        shown, abs=2e-3
    )


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_another_metric_is_shown_without_a_verdict_and_an_axis_by_its_logarithm(page, browser):
    view = browser.new_page()
    view.goto(page)
    table = view.locator(".verdicts").first
    before, picked = table.inner_text(), view.get_by_label("metric").first
    picked.select_option(label="brier")
    row = table.locator('tr[data-loss="focal"]').inner_text()
    assert "not judged" in row
    assert f"{(1 - BETTER).mean() / 3:.4g}" in row
    assert f"{(BASE - BETTER).mean() / 3:+.3g}" in row
    caption, heading = view.locator(".caption").first, view.locator("h3[data-of]").first
    assert caption.inner_text().startswith("brier on the test split, less is better; not judged")
    assert "compare --metric brier --html FILE judges and draws it" in caption.inner_text()
    of = heading.evaluate("(h) => getComputedStyle(h, '::after').content")
    assert "accuracy" in of
    picked.select_option("0")
    assert table.inner_text() == before
    assert "brier" not in caption.inner_text()
    figure = view.locator("figure:has(.curve)").first
    drawn = figure.locator("svg").inner_html()
    view.locator(".chip", has_text="poly").click()
    places = []
    for _ in range(2):
        path = figure.locator('.curve[data-loss="focal"] path').first.get_attribute("d")
        places.append(np.array(path.split()[1:], float).reshape(-1, 2))
        figure.get_by_role("button", name="log x").click()
    epochs = drawn_epochs(places[0][:, 0])
    first, last = places[1][[0, -1], 0]
    share = np.log(epochs / epochs[0]) / np.log(epochs[-1] / epochs[0])
    assert places[1][:, 0] == pytest.approx(first + share * (last - first), abs=0.4)
    assert places[1][:, 1] == pytest.approx(places[0][:, 1], abs=0.11)
    assert figure.locator(".off").count(), "what was hidden stays so"
    view.locator(".chip", has_text="poly").click()
    assert figure.locator("svg").inner_html() == drawn
    of_none = view.locator("figure", has_text="test examples, %").first
    assert of_none.get_by_role("button").all_inner_texts() == ["SVG", "PNG", "log x"]
    assert view.locator("details.paper .tools button").count() == 2
    view.close()


def drawn_epochs(places: np.ndarray) -> np.ndarray:
    """The epochs 10 to 99 of `drawn`, a tenth being left out, at places of an even axis."""
    share = (places - places[0]) / (places[-1] - places[0])
    return 10 + 89 * share


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM, reason="no chromium on this machine")
def test_without_script_the_page_is_whole(page, browser):
    context = browser.new_context(java_script_enabled=False)
    view = context.new_page()
    view.goto(page)
    shown = view.locator(".verdicts tbody tr").first.is_visible(), view.locator("button").count()
    context.close()
    assert shown == (True, 0)
