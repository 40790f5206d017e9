"""What `run` prints and writes at its end: the page's name, the index, what to do next."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import pytest
from made_results import BASE, SAME, on, result

from lossbench.commands.closing import Outcome, Request, next_steps, page_name
from lossbench.commands.stores import as_records
from lossbench.commands.terminal import complain, divert_notes, fitting
from lossbench.comparison import compare, tell_apart
from lossbench.configuration import Configuration
from lossbench.publish import write_index, write_report
from lossbench.report.notices import list_notices
from lossbench.sweep.plan import Job


def outcome(tmp_path, *results, words=(), uri=None, decisions=(), lost=0):
    """What became of a request for these results and some that were lost."""
    comparisons = compare(results)
    places = {"tracking": {"uri": uri, "experiment": "x"}, "results": {"dir": "results"}}
    configs = [Configuration.read(r.config.mapping | places) for r in results]
    jobs = [Job(c, c.key, "", tmp_path, []) for c in configs + configs[:lost]]
    request = Request(tuple(words), multirun=True, config_dir=None)
    return Outcome(request, jobs, list(results), comparisons, None, list(decisions))


def test_what_is_open_is_proposed_with_the_seeds_that_settle_it(tmp_path):
    found = outcome(
        tmp_path,
        result("cross_entropy", BASE),
        result("focal", SAME),
        words=("loss=cross_entropy,focal", "seeds=20", "trainer.max_epochs=3"),
    )
    settled_by = found.comparisons[0].row("focal").settled_by
    assert settled_by > 20
    first, command = next_steps(found)
    assert first.startswith(f"{settled_by} seeds would settle focal 4 times in 5")
    words = f"run -m loss=cross_entropy,focal trainer.max_epochs=3 seeds={settled_by}"
    assert command.strip() == f"lossbench {words}"


def test_so_few_seeds_that_nothing_can_be_shown_are_raised_to_what_can(tmp_path):
    values = [0.8, 0.9, 0.7]
    found = outcome(
        tmp_path,
        result("cross_entropy", values),
        result("focal", [v + 0.1 + v / 100 for v in values]),
    )
    assert next_steps(found)[0] == "6 seeds are the fewest that can show anything about focal:"


def test_where_nothing_is_open_only_the_store_is_named(tmp_path):
    losses = result("cross_entropy", BASE), result("focal", BASE + 0.1)
    assert next_steps(outcome(tmp_path, *losses)) == []
    assert next_steps(outcome(tmp_path, *losses, uri="sqlite:///a.db")) == ["lossbench ui"]


def test_a_lone_loss_is_to_be_compared_with_a_yardstick(tmp_path):
    found = outcome(tmp_path, result("focal", BASE), words=("loss=focal", "loss.gamma=1"))
    _, run, compare_line = map(str.strip, next_steps(found))
    assert run == "lossbench run -m loss=cross_entropy"
    assert compare_line == "lossbench compare"


def test_runs_without_result_are_trained_by_the_same_command(tmp_path):
    losses = result("cross_entropy", BASE), result("focal", BASE + 0.1)
    (line,) = next_steps(outcome(tmp_path, *losses, words=("a=b c",), lost=1))
    assert line.endswith("the same command: lossbench run -m 'a=b c'")


def test_an_own_folder_of_configurations_stays_in_the_proposed_command():
    request = Request(("loss=mine", "seeds=3"), multirun=False, config_dir="my conf")
    assert request.command(seeds=9) == "lossbench run --config-dir 'my conf' loss=mine seeds=9"


def test_no_password_stands_in_the_proposed_command():
    words = ("tracking.uri=postgresql://ann:sesame@host/runs",)
    assert "sesame" not in Request(words, multirun=False, config_dir=None).command()


def test_a_page_is_named_after_its_runs_whatever_their_seeds():
    many = [result(loss, BASE, sections=on("wine")) for loss in ("cross_entropy", "focal")]
    few = [result(loss, BASE[:3], sections=on("wine")) for loss in ("cross_entropy", "focal")]
    noisy = [result(loss, BASE, sections=on("wine", 0.1)) for loss in ("cross_entropy", "focal")]
    many, few, noisy = ([replace(r, key=r.config.key) for r in rs] for rs in (many, few, noisy))
    name = page_name(None, many)
    assert name.startswith("cross_entropy-focal-on-wine-")
    assert page_name(None, few) == page_name(None, list(reversed(many))) == name
    assert page_name(None, noisy) != name


def test_the_index_lists_every_page_with_its_conclusion_the_newest_first(tmp_path):
    for time, loss in enumerate(("focal", "hinge<b>")):
        found = compare([result("cross_entropy", BASE), result(loss, BASE + 0.1)])
        page = write_report(tmp_path / f"{loss[:5]}.html", found, None, [])
        os.utime(page, (time, time))
    text = write_index(tmp_path).read_text()
    assert write_index(tmp_path).read_text() == text
    assert text.index("hinge.html") < text.index("focal.html")
    assert "focal wins: +0.1 in accuracy over cross_entropy" in text
    assert "hinge&lt;b&gt; wins" in text
    assert "<b>" not in text


def test_every_reason_for_running_replica_by_replica_is_printed_once():
    first, second = (result("focal", BASE, sections=on(data)) for data in ("wine", "digits"))
    for each in (first, second):
        each.summary.update(mapped=False, unmapped_because="a branch; a mask")
    assert list_notices([first, second]) == ["focal was run replica by replica: a branch; a mask"]


@pytest.mark.parametrize("loss", ["/x/mine.py:my loss", "a" * 90])
def test_a_page_can_be_named_after_any_loss(loss, tmp_path):
    name = page_name(None, [result(loss, BASE)])
    (tmp_path / f"{name}.html").touch()


# ---- what is printed ---------------------------------------------------------------------------
def test_an_error_is_wrapped_to_the_terminal_with_commands_whole(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    text = f"error: {'word ' * 20}\nlossbench run --config-dir /a/{'b-' * 40}c"
    complain(text)
    lines = capsys.readouterr().err.splitlines()
    assert max(len(line) for line in lines if "/a/" not in line) <= 60
    assert any(line.strip() == f"/a/{'b-' * 40}c" for line in lines)


def test_what_a_loss_and_its_worker_print_is_kept_out_of_an_answer(capfd):
    with divert_notes():
        print("a loss's note")
        subprocess.run(["echo", "a worker's note"], check=True)
    print("{}")
    assert capfd.readouterr() == ("{}\n", "a loss's note\na worker's note\n")


def test_a_line_is_wrapped_to_a_terminal_and_whole_for_a_program(monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    line = "NOT BETTER: " + "word " * 30
    assert fitting(line) == line
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert max(map(len, fitting(line).splitlines())) <= 60


def test_what_doctor_says_has_a_record_for_each_thing_it_is_about():
    lines = [
        "ray       not installed; pip install it",
        "plugins   2 found, 1 broken",
        "  broken: x",
    ]
    ray, plugins = as_records(lines)
    assert ray == {"about": "ray", "text": "not installed; pip install it", "more": []}
    assert plugins["more"] == ["broken: x"]


def test_settings_are_told_apart_by_what_one_has_and_not_by_what_one_lacks():
    settings = [{"dataset": {"name": "x"}, "task": {"unit": unit}} for unit in (None, "target")]
    found = [SimpleNamespace(setting=setting) for setting in settings]
    assert [tell_apart(each, found) for each in found] == ["x", "x · unit target"]
