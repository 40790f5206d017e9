"""Files and names made to harm: refused, and the canary lives."""

from __future__ import annotations

import csv
import io
import os
import pickle
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from made_results import BASE, result
from packaging.requirements import Requirement
from support import QUICK, put

from lossbench import registry
from lossbench.configuration import Configuration
from lossbench.registry import entry_points
from lossbench.results import write

ROOT = Path(__file__).parent.parent.parent
CANARY = "touch canary"


class Payload:
    """Unpickled, it runs a command."""

    def __reduce__(self):
        return os.system, (CANARY,)


PICKLE = pickle.dumps(Payload())
YAML = f"!!python/object/apply:os.system ['{CANARY}']\n"
TARGET = f"name: focal\n_target_: os.system\ncommand: {CANARY}\n"

HOSTILE = [
    ("S1-file", {"mine/loss/x.yaml": TARGET}, "run --cfg --config-dir mine loss=x"),
    ("S1-word", {}, "run --cfg +loss._target_=os.system"),
    ("S1-tag", {"mine/loss/x.yaml": f"name: {YAML}"}, "run --cfg --config-dir mine loss=x"),
    ("S1-resolver", {}, "run --cfg results.dir=${eval:1}"),
    ("S1-result", {"results/a/seeds.parquet": b"", "results/a/config.yaml": YAML}, "compare"),
    ("S1-experiment", {"experiments/a/experiment.yaml": YAML}, "run --cfg experiment=a"),
    ("S2-data", {"d.csv": PICKLE}, "run dataset=csv dataset.path=d.csv dataset.target=x"),
    ("S2-parquet", {"d.pq": PICKLE}, "run dataset=csv dataset.path=d.pq dataset.target=x"),
    ("S2-pickle", {"d.pkl": PICKLE}, "run dataset=csv dataset.path=d.pkl dataset.target=x"),
    ("S2-result", {"results/a/seeds.parquet": PICKLE, "results/a/config.yaml": "a: 1"}, "compare"),
    ("S3-experiment", {}, "run --cfg tracking.experiment=../evil"),
    ("S3-hidden", {}, "run --cfg tracking.experiment=.."),
    ("S3-loss", {}, "run --cfg loss=../../evil"),
    (
        "S3-defaults",
        {"mine/loss/x.yaml": "defaults: [../../evil]\n"},
        "run --config-dir mine loss=x",
    ),
    ("S3-study", {}, "compare ../../evil"),
    ("S3-package", {}, "new ../evil"),
    ("S6-value", {}, "run --cfg dataset=csv dataset.path=${oc.env:HOME} dataset.target=x"),
]


@pytest.mark.parametrize(("files", "words"), [pytest.param(f, w, id=i) for i, f, w in HOSTILE])
def test_what_is_hostile_is_refused_and_runs_nothing(files, words, command, here):
    put(here.parent, {"evil.yaml": "name: focal\n"})
    (here / "results").mkdir()
    said = command(*words.split(), files=files)
    assert said.code == 2, said
    assert "Traceback" not in said.err
    assert not (here / "canary").exists()
    assert not list(here.parent.glob("evil/*"))


def test_s2_nothing_of_ours_unpickles():
    """torch.load, where it is used, takes weights only; pandas and numpy never pickle."""
    for file in (ROOT / "lossbench").rglob("*.py"):
        text = file.read_text()
        assert "pickle.load(" not in text, file
        assert "allow_pickle=True" not in text, file
        assert "read_pickle(" not in text, file
        assert text.count("torch.load(") == text.count("weights_only=True"), file
    bomb = io.BytesIO()
    torch.save({"a": Payload()}, bomb)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(io.BytesIO(bomb.getvalue()), weights_only=True)
    assert not Path("canary").exists()


def test_s3_s4_s7_a_plugin_with_a_name_that_harms_is_not_offered(tmp_path, monkeypatch):
    """A name is a word: it becomes a file, a cell, a line of a page. Each says whose it is."""
    bad = ("../../evil", "=cmd()", "<script>", "a b", "")
    for number, name in enumerate((*bad, "good-1.loss")):
        text = f"[lossbench.losses.binary]\n{name} = x:y\n"
        place = tmp_path / f"p{number}-1.0.dist-info"
        put(place, {"METADATA": f"Name: p{number}\nVersion: 1.0\n", "entry_points.txt": text})
    monkeypatch.syspath_prepend(tmp_path)
    for cached in (entry_points.entry_points, registry.installed):
        cached.cache_clear()
    try:
        offered = registry.names("loss")
        assert "good-1.loss" in offered
        assert not set(bad) & set(offered)
        (plugin,) = registry.find("loss", "good-1.loss")
        assert plugin.origin == "p5 1.0 (x:y)"
        assert sum(line.startswith("p") for line in entry_points.malformed()) >= 4
    finally:
        monkeypatch.undo()
        for cached in (entry_points.entry_points, registry.installed):
            cached.cache_clear()


FLOORS = [
    ("torch", "2.9.1"),  # CVE-2025-32434, CVE-2026-24747
    ("hydra-core", "1.3.6"),  # CVE-2026-68508, CVE-2026-106439
    ("mlflow", "3.10.9"),  # CVE-2025-11201, CVE-2026-4137
    ("pyarrow", "14.0.0"),  # CVE-2023-47248
    ("pyyaml", "5.3.1"),  # CVE-2020-14343
    ("jinja2", "3.0.3"),  # CVE-2024-22195
]


@pytest.mark.parametrize(("name", "hole"), FLOORS, ids=[f"S-floor-{name}" for name, _ in FLOORS])
def test_versions_with_a_known_hole_are_not_installed(name, hole):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (asked,) = [r for r in map(Requirement, project["dependencies"]) if r.name == name]
    assert hole not in asked.specifier


def test_s6_no_secret_reaches_a_result_or_the_screen(command, here, monkeypatch):
    """Neither from the environment nor from the address of a store."""
    monkeypatch.setenv("MY_STORE", "http://ann:sesame-1@127.0.0.1:1")
    uri = "postgresql://ann:sesame-2@127.0.0.1:1/runs?sslpassword=sesame-3"
    said = command("run", *QUICK[:-2], "launcher.workers=1", f"tracking.uri='{uri}'", "--cfg")
    assert "sesame" not in said.out + said.err
    said = command("run", "--cfg", *QUICK[:-2], "tracking.uri='${oc.env:MY_STORE}'")
    assert "://***@" in said.out
    assert "sesame" not in said.out + said.err
    monkeypatch.setenv("MY_TOKEN", "sesame-4")
    said = command("run", *QUICK)
    for file in [f for f in here.rglob("*") if f.is_file()]:
        assert b"sesame" not in file.read_bytes(), file
    assert "sesame" not in said.out + said.err


NAMED = "=cmd()|[red]<script>alert(1)<.py"
LOSS = "def f(p, t, /, *, a: float = 1.0):\n    return (p - t) ** 2\n"


def test_s7_no_markup_changes_what_a_terminal_shows(command):
    """A loss from a file may bear any name."""
    said = command("run", *QUICK, f"loss='{NAMED}:f'", files={NAMED: LOSS})
    assert said.code == 0, said
    assert "[red]<script>" in said.out


def test_s7_no_formula_and_no_script_leaves_a_report(command, here):
    assert command("run", *QUICK, f"loss='{NAMED}:f'", files={NAMED: LOSS}).code == 0
    said = command("compare", "--format", "csv")
    cells = [cell for row in csv.reader(io.StringIO(said.out)) for cell in row]
    assert any("cmd()" in cell for cell in cells)
    assert not [cell for cell in cells if cell.startswith(("=", "+", "@", "\t"))]
    assert command("compare", "--html", "report.html").code == 0
    assert "<script>alert(1)" not in (here / "report.html").read_text()


EVIL = "open('canary', 'w')\n\n\ndef wrapped(f):\n    return f\n\n\n@wrapped\n"
EVIL += "def f(p, t=0, /, *, a: float = 1.0):\n    return p\n"
ESCAPE = "\x1b]0;evil\x07[bold]:smile:\u202e"


@pytest.fixture
def strangers_results(here):
    """Results from elsewhere, which name code in a file, a store in a folder, and what disturbs."""
    (here / "results").mkdir()
    code = {kind: {"name": "evil.py:f"} for kind in ("dataset", "corruption", "model", "optimizer")}
    for number, loss in enumerate(("cross_entropy", "evil.py:f", f"focal{ESCAPE}")):
        made = result("placeholder", BASE + number)
        store = {"uri": "sqlite:///elsewhere/mlflow.db", "experiment": "x"}
        named = {
            **code,
            "loss": {"name": loss},
            "metric": "evil.py:f",
            "metrics": ["evil.py:f"],
            "tracking": store,
        }
        key, notes = f"key{number}", {"sources": {}, "notes": [ESCAPE], "unmapped_because": ESCAPE}
        made.summary.update(key=key, mapped=False, **notes)
        config = Configuration.read(made.config.mapping | named)
        write(replace(made, key=key, config=config), here / "results")
    put(here, {"evil.py": EVIL})
    return here


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        ("compare", 0, ""),
        ("compare --format csv", 0, ""),
        ("compare --html page.html", 0, ""),
        ("compare --where loss.a=1", 2, "there is no such key"),
        ("compare --by model", 0, ""),
        ("sync", 2, "To deliver there, add --trust; to deliver elsewhere, add --uri"),
        ("reproduce key1", 2, "names code in a file, evil.py:f, which would be run"),
        ("reproduce key0", 2, "where this result comes from, add --trust"),
    ],
)
def test_s8_results_from_elsewhere_are_data(words, code, error, command, strangers_results):
    """Their code is not run, their places are not written to, their text is shown as text."""
    before = {file.name for file in strangers_results.iterdir()}
    said = command(*words.split())
    assert said.code == code, said
    assert error in said.err
    assert {f.name for f in strangers_results.iterdir()} - {"page.html"} == before
    assert "canary" not in before
    assert not set("\x1b\x07\u202e") & set(said.out + said.err)
    if words == "compare":
        shown = "".join(said.out.split())
        assert r"focal\x1b]0;evil" in shown
        assert r"[bold]:smile:\u202e" in shown


def test_s8_what_disturbs_a_terminal_is_written_out_in_errors_as_well(command):
    said = command("run", f"loss=x{ESCAPE}")
    assert said.code == 2
    assert r"x\x1b]0;evil\x07[bold]:smile:\u202e" in said.err
