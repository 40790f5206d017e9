"""What `show` says and draws of a loss."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from types import SimpleNamespace

import matplotlib.image
import pandas as pd
import pytest
import sklearn.metrics
import torch
from support import sampled

from lossbench import registry
from lossbench.contract import UserError
from lossbench.paths import packaged
from lossbench.registry import Plugin
from lossbench.show import describe, draw, others, text, write_catalogue
from lossbench.show.advice import advise
from lossbench.show.anatomy import find_entries, list_properties, split_docstring
from lossbench.show.canvas import plot
from lossbench.show.curves import build_loss, draw_panels
from lossbench.show.elsewhere import SCIKIT_LEARN, list_counterparts
from lossbench.show.families import draw_families
from lossbench.show.formulas import typeset, typeset_words
from lossbench.show.slider import make_slider
from lossbench.show.studied import Studied, find_refuted_calibration
from lossbench.show.traps import measure_traps
from lossbench.tasks.ranking import Ranking

OURS = [p for p in registry.installed("loss") if p.package == "lossbench"]
SHOWN = [
    find_entries(name, task)[0].plugin
    for name, tasks in (
        ("focal", ("binary", "multiclass")),
        ("squared_error", ("binary", "regression")),
        ("center", ("embedding",)),
        ("elbo", ("generative",)),
    )
    for task in tasks
]
LOSSES = [(p.name, p.task) for p in OURS]
ENTRIES = LOSSES + [(name, None) for name in registry.names("regularizer")]

# loss, task, hyper-parameters of the curve, x, value, gradient
POINTS = [
    ("focal", "binary", "gamma = 2", 0.0, 0.25 * 0.693147, -0.5 * (0.25 + 0.5 * 0.693147)),
    ("focal", "binary", "gamma = 0", 0.0, 0.693147, -0.5),
    ("hinge", "binary", "margin = 1", -1.0, 2.0, -1.0),
    ("cross_entropy", "binary", "y = 0.75", 0.0, 0.693147, -0.25),
    ("cross_entropy", "multiclass", "", 0.0, 1.098612, -2 / 3),
    ("squared_error", "regression", "", 2.0, 4.0, -4.0),
    ("quantile", "regression", "q = 0.9", 2.0, 1.8, -0.9),
    ("quantile", "regression", "q = 0.9", -2.0, 0.2, 0.1),
    ("huber", "regression", "delta = 1", 3.0, 2.5, -1.0),
    ("squared_log_error", "regression", "", 0.0, 0.0, 0.0),
    ("gaussian_nll", "regression", "second output -2", 0.0, -1.0, 0.0),
    ("one_vs_all_hinge", "multilabel", "", 0.0, 1.0, -1.0),
    ("margin_ranking", "ranking", "margin = 1", -1.0, 2.0, -1.0),
    ("dice_linear", "segmentation", "50 % foreground", 0.5, 1 - 51 / 76, None),
    ("contrastive", "embedding", "margin = 1", 90.0, 2 / 3, None),
    ("info_nce", "pairs", "temperature = 1", 90.0, 1.098612, None),
    ("arcface", "embedding", "margin = 0.5", 0.0, 0.0, None),
    ("elbo", "generative", "pixel 0.5", 0.0, 0.693147, 0.0),
    ("l21", None, "in the same column", 0.0, 1.0, 0.0),
]


@pytest.mark.parametrize(("name", "task"), sampled(ENTRIES, 6))
def test_every_loss_is_described_within_the_terminal(name, task):
    lines = describe(name, task=task, columns=60).splitlines()
    assert lines[0] == name
    assert max(map(len, lines)) <= 60
    said = "\n".join(lines)
    for heading in ("Formula", "Arguments and result", "Parameters", "Properties", "Source"):
        assert f"\n{heading}" in said
    for parameter in find_entries(name, task)[0].parameters:
        assert f"\n  {parameter.name} " in said


@pytest.mark.parametrize("plugin", SHOWN, ids=lambda plugin: plugin.name)
def test_a_wide_terminal_is_used_up_to_100_columns(plugin):
    widest = max(map(len, describe(plugin.name, task=plugin.task).splitlines()))
    assert 80 < widest <= 100


@pytest.mark.parametrize(("name", "task"), sampled(ENTRIES, 6))
def test_every_loss_has_pictures_with_finite_values_and_gradients(name, task):
    found = draw_panels(find_entries(name, task)[0])
    assert not found.reason
    for panel in found.panels:
        for each in panel.curves:
            assert each.value.isfinite().all()
            assert each.gradient.isfinite().all()


@pytest.mark.parametrize(("name", "task", "label", "x", "value", "gradient"), POINTS)
def test_curves_go_through_points_worked_out_by_hand(name, task, label, x, value, gradient):
    panels = draw_panels(find_entries(name, task)[0]).panels
    each = next(c for p in panels for c in p.curves if label in c.label)
    place = int((each.x - x).abs().argmin())
    assert each.value[place].item() == pytest.approx(value, abs=1e-5)
    if gradient is not None:
        assert each.gradient[place].item() == pytest.approx(gradient, abs=1e-5)


@pytest.mark.parametrize(("name", "task"), [("poly", "binary"), ("ctc", "sequence")])
def test_the_gradient_is_the_slope_of_the_value(name, task):
    each = draw_panels(find_entries(name, task)[0]).panels[0].curves[0]
    slope = (each.value[2:] - each.value[:-2]) / (each.x[2:] - each.x[:-2])
    torch.testing.assert_close(each.gradient[1:-1], slope, rtol=0, atol=1e-3)


def test_parameters_come_with_type_range_default_and_tuning_range():
    assert re.search(r"gamma +a number +\[0, inf\) +2 +0\.1 \.\. 5", describe("focal"))
    assert "supplied by the task: num_classes, embedding_dim" in describe("arcface")


def test_a_long_list_of_choices_is_wrapped(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from typing import Literal\n"
        f"def mine(prediction, target, /, *, way: Literal{[c * 20 for c in 'abcdef']} = 'a'):\n"
        "    return (prediction - target).abs()\n"
    )
    said = describe(f"{tmp_path / 'mine.py'}:mine", task="regression")
    assert "f" * 20 in said
    assert max(map(len, said.splitlines()[3:])) <= 100


def test_other_tasks_are_named_with_their_formulas():
    said = describe("focal", task="multiclass")
    assert "for multiclass (shown here), binary" in said
    assert re.search(r"\n  binary +L = -alpha_t \(1 - p_t\)\^gamma log p_t", said)


def test_an_output_of_ascii_gets_ascii(monkeypatch):
    monkeypatch.setattr(text.sys, "stdout", SimpleNamespace(encoding="ascii"))
    said = describe("gaussian_nll")
    assert said.isascii()
    assert "L = 1/2 (s + r^2 e^-s)" in said
    assert "****" in said


def test_a_text_picture_has_every_curve_that_is_in_sight():
    panel = draw_panels(find_entries("focal", "binary")[0]).panels[0]
    drawing = "\n".join(plot(panel, 100, braille=False))
    for mark, label in (("*", "gamma = 2"), ("o", "gamma = 0"), ("+", "gamma = 5")):
        assert f"{mark * 4} {label}" in drawing
        assert drawing.count(mark) > 20


def test_traps_are_measured():
    def of(name, task):
        entry = find_entries(name, task)[0]
        return " ".join(measure_traps(entry, draw_panels(entry)))

    assert "hardly teaches" in of("squared_error", "binary")
    assert "outweighs" in of("squared_error", "regression")
    assert "whole batch" in of("root_mean_squared_error", "regression")
    assert "can be negative" in of("gaussian_nll", "regression")
    assert of("logistic", "binary") == ""


def test_a_loss_from_a_file_is_shown(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "def cauchy(prediction, target, /, *, c: float = 1.0):\n"
        '    """Punishes the residual. L = log(1 + r^2/c^2)"""\n'
        "    return ((prediction - target) / c).square().log1p()\n"
        "def broken(prediction, target, /):\n    raise ValueError('by design')\n"
    )
    assert "c = 0.5" in describe(f"{file}:cauchy")
    assert draw(f"{file}:cauchy", tmp_path / "cauchy.png").exists()
    assert "It fails on its section: ValueError: by design" in describe(f"{file}:broken")
    with pytest.raises(UserError, match="nothing is drawn"):
        draw(f"{file}:broken", tmp_path / "broken.png")
    assert not (tmp_path / "broken.png").exists()


def test_what_cannot_be_shown_is_refused_in_words(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="Did you mean focal"):
        describe("foccal")
    with pytest.raises(UserError, match=r"ends in \.svg or \.png"):
        draw("focal", tmp_path / "focal.gif")
    monkeypatch.setattr(Ranking, "studies", lambda task, declaration: ())
    with pytest.raises(UserError, match="No one-dimensional section"):
        draw("margin_ranking", tmp_path / "picture.png")
    assert "No one-dimensional section" in describe("margin_ranking")


def test_pictures_are_written_by_their_suffix_and_the_same_each_time(tmp_path):
    first = draw("focal", tmp_path / "new" / "focal.svg", task="binary").read_bytes()
    assert ElementTree.fromstring(first).tag.endswith("svg")
    assert draw("focal", tmp_path / "again.svg", task="binary").read_bytes() == first
    pixels = matplotlib.image.imread(draw("hinge", tmp_path / "hinge.png", task="binary"))
    assert pixels.shape[1] > 500
    assert pixels[..., :3].std() > 0.05


def test_the_articles_comparisons_are_drawn():
    found = {c.title: c.panel for c in draw_families()}
    assert len(found) == 5
    zero_one, *others = found["Margin losses and the 0/1 loss"].curves
    above = [c.label for c in others if (c.value >= zero_one.value - 1e-9).all()]
    assert sorted({c.label for c in others} - set(above)) == ["smooth_hinge", "squared_error of p"]
    assert len(found["The focal family"].curves) == 5


class Page(HTMLParser):
    """Links, element names and open elements of a page."""

    def __init__(self):
        super().__init__()
        self.links, self.tags, self.ids = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.links += [v for k, v in attributes if k in ("href", "src", "xlink:href")]
        self.ids += [v for k, v in attributes if k == "id"]


BROKEN = [
    *(("broken", package, task) for package, task in (("acme", "binary"), ("other", "regression"))),
    *(("twice", package, "binary") for package in ("acme", "other")),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The catalogue of some losses, of a hostile plugin, and of broken ones that share names."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "hostile.py").write_text(
        'def evil(logits, target, /):\n    """<script>alert(1)</script> & more."""\n'
        "    return (1 - logits).relu()\n"
    )
    real = registry.installed

    def installed(kind):
        broken = (
            Plugin("loss", name, "no_such_module", "x", package, "1.0", task)
            for name, package, task in BROKEN
        )
        evil = Plugin("loss", "<evil>", str(folder / "hostile.py"), "evil", "acme", "1.0", "binary")
        return (*SHOWN, *broken, evil) if kind == "loss" else real(kind)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(registry, "installed", installed)
        count = write_catalogue(folder / "pages")
    return folder / "pages", count


def test_the_catalogue_has_a_page_for_every_loss(site):
    folder, count = site
    assert count == len({p.name for p in SHOWN}) + 4
    index = (folder / "index.html").read_text()
    for plugin in SHOWN:
        assert f'href="{plugin.name}.html#{plugin.task}"' in index
        assert f'<h2 id="{plugin.task}">' in (folder / f"{plugin.name}.html").read_text()
    for name in registry.names("regularizer"):
        assert (folder / f"regularizer-{name}.html").exists()


def test_the_catalogue_needs_no_network_and_its_links_lead_somewhere(site):
    folder, _ = site
    for file in folder.glob("*.html"):
        page = Page()
        page.feed(file.read_text())
        assert not {"img", "iframe"} & set(page.tags)
        assert len(page.ids) == len(set(page.ids)), f"{file.name}: an id occurs twice"
        assert page.tags.count("main") == 1, f"{file.name}: what is its main part?"
        for link in page.links:
            if not link.startswith(("https://arxiv.org/abs/", "data:")):
                target, _, place = link.partition("#")
                assert not target or (folder / target).exists(), f"{file.name}: {link}"
                assert target or place in page.ids, f"{file.name}: {link}"


def test_the_catalogue_survives_broken_plugins_and_escapes_what_they_say(site):
    folder, _ = site
    index = (folder / "index.html").read_text()
    assert "cannot be used: ModuleNotFoundError" in index
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more." in index


def test_packages_that_share_a_name_share_its_page_but_where_it_is_of_one_task(site):
    pages = {file.name: file.read_text().count("cannot be used") for file in site[0].iterdir()}
    assert [pages[name] for name in ("broken.html", "acme-twice.html", "other-twice.html")] == [
        2,
        1,
        1,
    ]
    assert "twice.html" not in pages


def test_the_catalogue_says_what_was_measured_and_where(site):
    page, index = ((site[0] / name).read_text() for name in ("focal.html", "index.html"))
    table = pd.read_csv(packaged("experiments") / "imbalance" / "table.csv")
    rows = table[(table.loss == "focal") & (table.dataset == "rare_blobs") & table.verdict.notna()]
    assert set(rows.verdict) == {"open"}
    assert f"neither better nor worse in any of {len(rows)} settings, against cross_entropy" in page
    assert "The focal loss addresses class imbalance." in page
    assert 'href="focal.html#measured-binary"' in index
    assert index.count('class="thumbnail"') == index.count("<tr data-facts=") - len(BROKEN)


def test_tasks_of_a_name_repeat_nothing(site):
    page = (site[0] / "focal.html").read_text()
    assert re.search("As for binary: .*parameters", page)
    assert page.count("<h3>Parameters</h3>") < page.count("<h2 ") - 1
    assert page.count('class="formula"') == len([p for p in SHOWN if p.name == "focal"])


def test_a_slider_has_a_curve_for_each_value():
    slider = make_slider(find_entries("focal", "binary")[0])
    gamma = [float(value) for value in slider.values]
    assert gamma == sorted({*gamma, 2.0})
    assert gamma[slider.start] == 2.0
    for frame in slider.frames:
        assert len({*frame.paths}) == len(gamma)
    assert make_slider(find_entries("quantile")[0]).name == "q"  # is not tuned
    assert make_slider(find_entries("brier")[0]) is None


@pytest.mark.parametrize(
    ("name", "task", "use", "avoid"),
    [
        ("huber", "regression", "no example has a slope of more than 1", ""),
        ("squared_error", "regression", "the mean is what", "one of them outweighs many"),
        ("hinge", "binary", "the side of the boundary", "cannot be calibrated"),
        ("smooth_ap", "binary", "", "batches are small"),
    ],
)
def test_advice_is_made_of_what_a_loss_declares_and_what_was_measured(name, task, use, avoid):
    entry = find_entries(name, task)[0]
    finding = Studied("mine", "?", ("digits",), ("wine", "blobs"), (), ("other",))
    found = advise(entry, measure_traps(entry, draw_panels(entry)), [finding])
    assert use in "; ".join(found[0])
    assert avoid in "; ".join(found[1])
    assert found[0][-1] == "data are like digits, where it was shown better than other (mine)"
    assert found[1][-1] == "data are like wine; blobs, where it was shown worse than other (mine)"


def test_probabilities_that_a_study_refuted_are_not_advised():
    """The squared error of raw outputs declares a probability, and square-loss measured them."""
    (multiclass,) = find_refuted_calibration("squared_error", "multiclass")
    assert multiclass[0] == "square-loss"
    assert find_refuted_calibration("squared_error", "binary") == []
    entry = find_entries("squared_error", "multiclass")[0]
    assert "the probabilities themselves" in " ".join(advise(entry, [], [])[0])
    use, avoid = advise(entry, [], [], [multiclass])
    assert use == []
    assert avoid[0].startswith("probabilities are needed as they are. Refuted (square-loss): ")


def test_factors_that_hold_for_some_classes_say_how_many():
    assert "torch.nn:MSELoss is 0.25 * brier, with 4 classes" in str(
        list_counterparts("brier", "multiclass")
    )
    assert ", with 4 labels" in str(list_counterparts("cross_entropy", "multilabel"))
    assert "classes" not in str(list_counterparts("huber", "regression"))


def test_a_librarys_docstring_is_shown_without_the_marks_of_sphinx():
    entry = find_entries("torch.nn:HuberLoss")[0]
    shown = describe("torch.nn:HuberLoss", columns=80)
    assert not re.search(r"`|:\w+:|\.\. |\\text", shown)
    assert "both L1Loss and MSELoss; the" in entry.docstring.summary
    assert entry.docstring.arguments.startswith("delta (float, optional): Specifies")
    assert re.search(r"The documentation of torch: https://\S+\.", shown)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("edl_log", "charge = strength min(1, progress/ramp) KL("),
        ("triplet", "P the positives of an anchor"),
        ("lambdarank", "ideal the sum"),
        ("center", "c_k centre"),
        ("cox_efron", "E events"),
        ("interval_score", "y target"),
    ],
)
def test_what_stands_in_a_formula_is_among_its_symbols(name, words):
    assert words in find_entries(name)[0].symbols


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("logistic_hazard", "an output for each interval"),
        ("gaussian_nll", "2 per target"),
        ("cross_entropy", "as the task has them"),
    ],
)
def test_outputs_are_what_a_loss_takes_and_not_what_was_tried(name, words):
    assert ("outputs", words) in list_properties(find_entries(name)[0])


def test_a_paragraph_is_one_line_however_the_source_folds_it():
    text = "Punishes.\n\nNeighbours: a,\n-inf and b.\n\nTwo:\n- x\n- y\n\nSource: c\nand d."
    assert split_docstring(text).notes == "Neighbours: a, -inf and b.\nTwo:\n- x\n- y"
    assert split_docstring(text).source == "c and d."


@pytest.mark.parametrize(("task", "name"), SCIKIT_LEARN)
def test_scikit_learn_has_the_losses_that_the_catalogue_says(task, name):
    """Up to a term of the target: differences between two sets of predictions are the same."""
    entry = find_entries(name, task)[0]
    call, factor = SCIKIT_LEARN[task, name]
    function, _, given = call.partition("(")
    hyper = {p.name: p.default for p in entry.parameters}
    extra = {key: hyper[value] for key, value in re.findall(r"(\w+)=(\w+)", given)}
    prediction, target = entry.task.example()
    if name in ("squared_log_error", "gamma"):
        prediction, target = prediction.abs(), target.abs() + 0.5
    if task == "multiclass":
        extra["labels"] = range(entry.task.num_classes)
    link = (lambda scores: scores) if "hinge" in function else entry.declaration.link
    differences = []
    for raw in (prediction.double(), prediction.double().flip(0)):
        ours = factor * build_loss(entry)(raw, target).mean().item()
        scored = (link or entry.task.link)(raw).squeeze(-1)
        differences.append(getattr(sklearn.metrics, function)(target, scored, **extra) - ours)
    assert differences[0] == pytest.approx(differences[1], rel=1e-6, abs=1e-6)
    assert "scikit-learn" in list_counterparts(name, task)


def test_torch_has_the_losses_that_the_catalogue_says():
    assert "torch.nn:HuberLoss" in list_counterparts("huber", "regression")["PyTorch"]
    assert re.search(r"PyTorch: .*torch\.nn:HuberLoss", describe("huber"))
    assert "entmax" in list_counterparts("modified_huber", "binary")


def test_where_alone_two_losses_are_one_is_said():
    assert list_counterparts("cox", "survival")["lossbench"] == [
        "cox_efron, where no times are equal"
    ]
    assert "lossbench: energy_score is crps_ensemble, of one target" in describe("energy_score")


def test_where_scikit_learns_losses_differ_is_as_the_catalogue_says():
    assert sklearn.metrics.hinge_loss([1, 1], [2.0, 2.0]) == 3
    assert sklearn.metrics.root_mean_squared_error([[0, 0]] * 2, [[1, 3]] * 2) == 2
    assert "but where class 1 is there alone" in describe("hinge").replace("\n  ", " ")
    assert "whose roots" in str(list_counterparts("root_mean_squared_error", "regression"))


def test_the_catalogue_follows_light_and_dark(site):
    page = (site[0] / "focal.html").read_text()
    assert "prefers-color-scheme: dark" in page
    assert "currentColor" in page
    entries = [find_entries("focal", plugin.task)[0] for plugin in SHOWN if plugin.name == "focal"]
    panels = [panel for entry in entries for panel in draw_panels(entry).panels]
    assert page.count("data-frame=") == 2 * len(panels)


# --- what is no loss -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", others.SHOWN)
def test_every_plugin_of_every_kind_is_shown(kind):
    """With its docstring and, where it has some, its parameters as they are typed."""
    for name in registry.names(kind):
        shown = others.describe_others(f"{kind}={name}", 100)
        assert shown.startswith(f"{name}\n  {kind}={name}\n"), shown
        assert "no docstring" not in shown
        for parameter in (
            registry.parameters(registry.find(kind, name)[0]) if kind != "task" else ()
        ):
            assert f"\n  {kind}.{parameter.name} " in shown


def test_a_metric_names_the_loss_that_it_is():
    assert "\n  as a loss: loss=quantile\n" in others.describe_others("pinball", 100)
    assert "as a loss" not in others.describe_others("crps", 100)


def test_all_that_a_name_means_is_shown(command):
    """A dataset and a model of one name; a loss comes first, and kind=name chooses."""
    said = command("show", "linear").out
    assert "dataset=linear" in said
    assert "model=linear" in said
    assert "model=linear" not in command("show", "dataset=linear").out
    assert "Formula" in command("show", "loss=focal").out
    assert "nats" in command("show", "log_loss").out
    assert re.search(r"optimizer.lr +a number +\(0, inf\) +0.001", command("show", "adam").out)
    assert "Licence: CC BY-SA 3.0" in command("show", "mnist5k").out
    refused = command("show", "foccal")
    assert refused.code == 2
    assert "Did you mean focal" in refused.err


def test_a_dataset_from_a_file_is_shown(command):
    source = 'def points(rng, /, *, n: int = 5):\n    """Points of mine."""\n'
    said = command("show", "dataset=mine.py:points", files={"mine.py": source}).out
    assert "Points of mine." in said
    assert re.search(r"dataset.n +a whole number +5", said)


# --- formulas ------------------------------------------------------------------------------------
MATH = [  # as docstrings write it -> the names of elements and texts, in order
    ("e^s_ij", "msup e msub s mrow i j"),
    ("a_i^2 / (2 n)", "mfrac mrow msubsup a i 2 mrow 2 n"),
    ("r^2/2 a", "mfrac mrow msup r 2 mrow 2 a"),
    ("sum_{j != y} p_j", "munder ∑ mrow j ≠ y msub p j"),
    ("(1 - alpha) ||x||_2", "mrow ( 1 − α ) msub mrow ‖ x ‖ 2"),
    ("-½ log2(|r|)", "− mfrac 1 2 msub log 2 mrow ( mrow | r | )"),
    ("sqrt(mean r^2)", "msqrt mean msup r 2"),
    ("soft_dice scale", "soft_dice scale"),
]


def parts_of(element):
    """The names of elements that hold others, and the texts, in order."""
    if element.tag != "math" and (len(element) or element.tag == "mrow"):
        yield element.tag
    yield from filter(None, [(element.text or "").strip()])
    for child in element:
        yield from parts_of(child)


@pytest.mark.parametrize(("formula", "expected"), MATH)
def test_formulas_are_typeset(formula, expected):
    (line,) = typeset(formula, ["soft_dice", "scale"])
    found = " ".join(
        w for p in str(line).split("</math>") if p.strip() for w in parts_of(math_of(p))
    )
    assert found == expected.replace("‖", "∥")


def math_of(part):
    return ElementTree.fromstring(f"{part}</math>")


def test_words_stand_between_formulas_and_lines_break_there():
    lines = typeset("L = r^2 if |r| <= delta, else 0, mean over features\npsi = 1", ["delta"])
    assert len(lines) == 2
    words = re.sub(r"<math.*?</math>", "#", lines[0]).split()
    assert " ".join(words) == "# # if # #, else #, mean over features"


def test_every_formula_and_legend_is_valid_markup_without_signs_of_its_source():
    for name, task in ENTRIES:
        entry = find_entries(name, task)[0]
        assert entry.symbols, name
        names = [*(p.name for p in entry.parameters), *(p.name for p in OURS)]
        lines = [*typeset(entry.docstring.formula, names), typeset_words(entry.symbols)]
        page = ElementTree.fromstring(f"<p>{' '.join(lines)}</p>")
        texts = {part.text for part in page.iter() if part.text} - {*names}
        assert not [text for text in texts if re.search(r"[_^{}]", text)], name
        assert lines[:-1], name


# --- for programs --------------------------------------------------------------------------------


def test_json_has_all_that_the_text_says(command):
    records = json.loads(command("show", "focal", "--format", "json").out)
    assert {record["task"] for record in records} == {e.place for e in find_entries("focal")}
    first = records[0]
    expected = {"name": "gamma", "range": "[0, inf)", "default": "2", "tuned_in": "0.1 .. 5"}
    assert first["parameters"][0] == expected | {"type": "a number"}
    assert first["properties"]["convex"] == "no, in the prediction"
    assert [f["study"] for f in first["findings"]] == ["atlas", "imbalance"]


@pytest.mark.parametrize("name", ["accuracy", "dataset=digits", "task=binary", "model=mlp"])
def test_json_of_what_is_no_loss(name, command):
    record = json.loads(command("show", name, "--format", "json").out)[0]
    assert record["name"] == name.rpartition("=")[2]
    assert record["summary"]
    assert ("direction" in record) == (record["kind"] == "metric")


def test_json_of_a_catalogue_is_refused(command):
    assert command("show", "--all", "site", "--format", "json").code == 2
