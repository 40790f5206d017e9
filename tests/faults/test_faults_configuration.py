"""Faults of a configuration: misspelt, mistyped, changed by YAML without a word, out of range."""

from __future__ import annotations

import string
import time

import pytest
import yaml
from support import sampled

ROWS = [
    ("F01", "lrr=0.1", "Did you mean optimizer.lr?"),
    ("F03", "loss=foccal", "Did you mean focal? Allowed: absolute_error"),
    (
        "F05-target",
        "+loss._target_=torch.nn.CrosEntropyLoss",
        "loss._target_: there is no such key",
    ),
    ("F05-key", "loss=label_smoothing loss.epsilom=.1", "Did you mean epsilon? Allowed: epsilon"),
    ("F10", "loss=focal loss.gamma=NaN", "loss.gamma=nan: expected a number in [0, inf)"),
    ("F11-text", "loss=focal loss.gamma=abc", "loss.gamma=abc: expected a number"),
    ("F11-empty", "optimizer.lr=", "optimizer.lr=: expected a number"),
    ("F12-octal", "seeds=012", "seeds=012: expected a count of at least 1"),
    ("F12-time", "optimizer.lr=1:30", "optimizer.lr=1:30: expected a number"),
    ("F12-on", "optimizer.lr=on", "optimizer.lr=on: expected a number"),
    ("F15-smoothing", "loss=label_smoothing loss.epsilon=1.5", "expected a number in [0, 1"),
    ("F15-delta", "loss=huber loss.delta=-1", "expected a number in (0, inf)"),
    ("F15-gamma", "loss=focal loss.gamma=-2", "expected a number in [0, inf)"),
    ("F15-quantile", "loss=quantile loss.q=0", "loss.q=0.0: expected a number in (0, 1)"),
    ("F18", "-m optimizer.lr=range(1,100001) seeds=1,2", "200000 runs or more"),
    ("F22", "tracking.experiment=" + "x" * 300, "at most 200 letters"),
    ("F21", "optimizer.beta3=1", "Did you mean beta2?"),
    ("seeds-many", "seeds=100000000", "at most 100000"),
    ("seeds-beyond", "seeds=99999999999999999999", "at most 100000"),
    ("seed-beyond", "seeds=[99999999999999999999]", "whole numbers from 0 to 9223372036854775807"),
    ("tune", "tune.seeds=100000000", "tune.seeds=100000000: expected a whole number in [1, 10000]"),
    ("number-for-list", "loss=poly loss.epsilon=2", "Write loss.epsilon=[2]."),
    ("number-quoted", "loss=focal loss.gamma='2'", "loss.gamma='2': expected a number"),
    ("text-bare", "dataset=csv dataset.path=a.csv dataset.target=3", "\"dataset.target='3'\""),
    ("removed", "loss=focal ~loss.gamma", "~loss.gamma: nothing can be removed"),
    ("removed-choice", "~loss", "~loss: nothing can be removed"),
    ("added-choice", "+loss=focal", "every run has a loss already: write loss=focal"),
    ("renamed", "loss.name=poly", "loss.name=poly: choose with loss=poly"),
    ("interval", "-m optimizer.lr=interval(0,1)", "optimizer.lr=interval(0,1): give the values"),
    ("step-zero", "-m optimizer.lr=range(1,2,0)", "optimizer.lr=range(1,2,0): give the values"),
    ("glob-nothing", "-m loss=glob(zzz*)", "loss=glob(zzz*) stands for no value"),
    (
        "one-loss-unknown",
        "loss=focal,poly -m loss.focl.gamma=1",
        "Did you mean focal? Allowed: focal",
    ),
    (
        "one-loss-absent",
        "-m loss=poly,brier loss.focal.gamma=1",
        "focal.gamma: loss=focal is not chosen.",
    ),
    ("one-loss-default", "loss.focal.gamma=1", "not chosen. Allowed: cross_entropy."),
    (
        "one-loss-key",
        "loss=focal loss.focal.gama=1",
        "loss.focal.gama: there is no such key. Did you mean gamma?",
    ),
    ("one-loss-value", "loss=focal loss.focal.gamma=-1", "expected a number in [0, inf)"),
    ("one-loss-sweep", "loss=focal loss.focal.gamma=1,2", "names several runs: add -m"),
    ("one-loss-many", "-m loss=focal,poly loss.focal.gamma=range(0,3000)", "3001 runs or more"),
    (
        "all-losses",
        "-m loss=focal,poly loss.gamma=1,2",
        "For one loss alone: loss.focal.gamma=1,2.",
    ),
    ("group", "+hydra/launcher=joblib", "hydra/launcher: there is no such key"),
    ("info", "--info loss=foccal", "Did you mean focal?"),
    ("info-sweep", "--info loss=focal,poly", "names several runs"),
    ("info-many", "--info experiment=quickstart", "--info is of one run"),
    ("uri-scheme", "tracking.uri=carrier-pigeon://loft", "not the address of an MLflow store"),
    ("uri-none", "tracking.uri=mlflow.db", "Expected sqlite:///FILE, postgresql://"),
    ("uri-file", "tracking.uri=sqlite://mlflow.db", "not the address of an MLflow store"),
    ("uri-empty", "tracking.uri=", "tracking.uri is empty"),
    ("folder-empty", "results.dir=", "results.dir is empty"),
]


@pytest.mark.parametrize(("words", "said"), [pytest.param(w, s, id=i) for i, w, s in ROWS])
def test_a_word_of_the_command_line_is_refused(words, said, refused):
    assert said in refused("run", "--cfg", *words.split())


def test_a_pattern_stands_for_every_choice_that_it_fits(command):
    said = command("run", "--cfg", "-m", "loss=glob(squared_*, exclude=[squared_c*])")
    assert said.code == 0, said
    assert [c["loss"]["name"] for c in yaml.safe_load_all(said.out)] == [
        "squared_error",
        "squared_hinge",
        "squared_log_error",
    ]


FILES = [
    (
        "F02",
        "name: focal\ngama: 2\n",
        "x.yaml:2: loss.gama: there is no such key. Did you mean",
    ),
    ("F05", "_target_: torch.nn.CrosEntropyLoss\n", "loss.name is missing"),
    ("F06", "name: focal\nname: poly\n", "x.yaml:2: the key name stands twice, first in line 1"),
    ("F07-tab", "name: focal\n\tgamma: 1\n", "x.yaml:2:1: "),
    ("F07-bracket", "name: [focal\n", "x.yaml:2:1: "),
    ("F07-bytes", b"name: \xff\n", "x.yaml: byte 6 is not UTF-8"),
    ("F08-missing", "name: focal\ngamma: ${missing.key}\n", "x.yaml:2: loss.gamma: "),
    ("F08-cycle", "name: focal\ngamma: ${loss.gamma}\n", "x.yaml:2: loss.gamma: "),
    ("F08-environment", "name: focal\ngamma: ${oc.env:NOPE}\n", "x.yaml:2: loss.gamma: "),
    ("F09", "name: focal\ngamma: ???\n", "x.yaml:2: loss.gamma is required: give loss.gamma="),
    ("F10-text", "name: focal\ngamma: NaN\n", "x.yaml:2: NaN is not a finite number"),
    ("F10-float", "name: focal\ngamma: .nan\n", "x.yaml:2: .nan is not a finite number"),
    ("F10-infinite", "name: focal\ngamma: -.inf\n", "x.yaml:2: -.inf is not a finite number"),
    ("F11-unit", "name: focal\ngamma: 0.1x\n", "x.yaml:2: loss.gamma=0.1x: expected a number"),
    ("F11-empty", "name: focal\ngamma:\n", "x.yaml:2: loss.gamma=None: expected a number"),
    ("F12-octal", "name: focal\ngamma: 012\n", "x.yaml:2: 012 would be read as another number"),
    ("F12-time", "name: focal\ngamma: 1:30\n", "x.yaml:2: 1:30 would be read as another number"),
    ("F12-underscore", "name: focal\ngamma: 1_0\n", "1_0 would be read as another number"),
    ("F12-key", "name: focal\nno: 1\n", "x.yaml:2: the key no is not text for YAML"),
    ("F12-value", "name: focal\ngamma: on\n", "x.yaml:2: on would be read as true or false"),
    ("F12-date", "name: focal\ngamma: 2026-11-21\n", "would be read as a date"),
    ("F13-empty", "", "x.yaml: it is empty; expected a mapping such as 'name: focal'"),
    ("F13-list", "- a\n- b\n", "x.yaml: it is a list; expected a mapping"),
    ("default-missing", "defaults: [nowhere]\n", "In 'loss/x': Could not load 'loss/nowhere'.\n"),
    ("default-circle", "defaults: [x]\n", "loss=x: its defaults lead back to itself"),
    ("default-text", "defaults: focal\n", "'loss/x', defaults must be a list"),
    ("default-number", "defaults: [focal: 3]\n", "Unsupported item value in defaults"),
    ("elsewhere", "# @package _global_\nname: focal\n", "loss.name is missing"),
    ("F16-nested", "a: " + "[" * 2000 + "]" * 2000, "nested more than 50 deep"),
    ("F16-large", "name: " + "x" * 2**20, "larger than 1 MiB"),
    ("F16-cycle", "name: &a [*a]\n", "nested more than 50 deep"),
]


@pytest.mark.parametrize(("text", "said"), sampled(FILES, 2, named=True))
def test_a_file_is_refused_with_its_place(text, said, refused):
    for ask in ("--cfg", "--info"):
        words = ("run", ask, "--config-dir", "mine", "loss=x")
        assert said in refused(*words, files={"mine/loss/x.yaml": text})


EXPERIMENTS = [
    ("F06", "question: a\nquestion: b\n", "experiment.yaml:2: the key question stands twice"),
    ("F12", "overrides: {seeds: 012}\n", "experiment.yaml:1: 012 would be read as another number"),
    ("F13", "overrides: [loss]\n", "overrides: expected a mapping"),
    ("F01", "qestion: why\n", "Did you mean question?"),
    ("F07", b"\xff", "byte 0 is not UTF-8"),
    ("question", "question: 5\n", "experiment.yaml: question=5: expected a string"),
    ("baseline", "baseline: [focal]\n", "baseline=['focal']: expected a string, or null"),
    ("no-value", "overrides: {loss: []}\n", "experiment.yaml: loss: []: expected a value"),
    ("nested", "overrides: {trainer: {max_epochs: 3}}\n", "written with a dot, such as trainer."),
    ("commas", "overrides: {loss: 'focal,poly'}\n", "loss: focal,poly: write several values as a"),
    (
        "one-loss",
        "overrides: {loss: poly, loss.focal.gamma: 1}\n",
        "experiment.yaml: loss.focal.gamma: loss=focal is not",
    ),
    ("range", "sweeps: [{seeds: 'range(1,3)'}]\n", "seeds: range(1,3): write several values as a"),
]


@pytest.mark.parametrize(("text", "said"), [pytest.param(t, s, id=i) for i, t, s in EXPERIMENTS])
def test_an_experiment_is_held_to_the_same(text, said, refused):
    words = ("run", "--cfg", "experiment=mine")
    assert said in refused(*words, files={"experiments/mine/experiment.yaml": text})


def test_a_text_of_an_experiment_needs_no_second_quotes(command):
    text = "overrides: {dataset: csv, dataset.path: 'a, ü.csv', dataset.target: z}\n"
    words = ("run", "--cfg", "experiment=mine")
    said = command(*words, files={"experiments/mine/experiment.yaml": text})
    assert yaml.safe_load(said.out)["dataset"]["path"] == "a, ü.csv", said


def test_one_broken_experiment_hides_no_other(command):
    said = command("list", "experiments", files={"experiments/mine/experiment.yaml": "a: [\n"})
    assert said.code == 0
    assert "quickstart" in said.out
    assert "mine" in said.out
    assert "broken: experiments/mine/experiment.yaml:2:1" in said.out


def test_f04_every_bad_run_of_a_sweep_is_named_at_once(refused):
    """Faults of other configurations, and several of one, stand a line each."""
    words = ("-m", "loss=cross_entropy,foccal,polly", "trainer.max_epochs=0", "lrr=1")
    said = refused("run", "--cfg", *words, lines=4)
    for part in ("Did you mean focal?", "Did you mean poly?"):
        assert part in said
    said = refused("run", "--cfg", "trainer.max_epochs=0", "lrr=1", "seeds=0", lines=3)
    for part in ("trainer.max_epochs=0: expected", "Did you mean optimizer.lr?", "seeds=0"):
        assert part in said


def test_f07_what_windows_writes_is_read(command):
    """A byte-order mark and CRLF are no fault."""
    text = "\ufeffname: focal\r\ngamma: 2\r\n"
    words = ("run", "--cfg", "--config-dir", "mine", "loss=x")
    said = command(*words, files={"mine/loss/x.yaml": text})
    assert yaml.safe_load(said.out)["loss"] == {"name": "focal", "gamma": 2.0, "alpha": None}


def test_f14_a_file_with_the_other_suffix_is_found(refused):
    words = ("run", "--cfg", "--config-dir", "mine", "loss=x")
    said = refused(*words, files={"mine/loss/x.yml": "name: focal\n"})
    assert "rename" in said
    assert "x.yml to x.yaml" in said


def test_f16_an_alias_bomb_is_refused_before_it_goes_off(refused):
    """Nine to the seventh leaves in 300 bytes."""
    lines = ["a: &a [x,x,x,x,x,x,x,x,x]"]
    for before, name in zip(string.ascii_lowercase[:6], string.ascii_lowercase[1:7], strict=True):
        lines.append(f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]")
    began = time.process_time()
    words = ("run", "--cfg", "--config-dir", "mine", "loss=x")
    said = refused(*words, files={"mine/loss/x.yaml": "\n".join(lines)})
    assert "aliases stand for more than 10000 values" in said
    assert time.process_time() - began < 5  # ten seconds and more where it goes off


def test_f17_a_tag_that_would_run_code_is_refused(refused, here):
    text = "name: focal\ngamma: !!python/object/apply:os.system ['touch canary']\n"
    said = refused(
        "run", "--cfg", "--config-dir", "mine", "loss=x", files={"mine/loss/x.yaml": text}
    )
    assert "x.yaml:2: the tag !!python/object/apply:os.system is refused" in said
    assert not (here / "canary").exists()


def test_f18_what_was_meant_goes_on_with_yes(command):
    said = command("run", "--cfg", "-m", "optimizer.lr=range(1,1003)", "seeds=1", "--yes")
    assert said.code == 0
    assert len(list(yaml.load_all(said.out, yaml.CSafeLoader))) == 1002


def test_f19_runs_that_are_the_same_are_one(command):
    said = command("run", "--cfg", "-m", "optimizer.lr=0.1,1e-1")
    assert len(list(yaml.safe_load_all(said.out))) == 1
