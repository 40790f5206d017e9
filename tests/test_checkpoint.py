"""A run that is cut off resumes from its checkpoint with the numbers of one that was not."""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
from support import sampled

from lossbench import results, training
from lossbench.configuration import Configuration
from lossbench.configuration.experiments import configurations
from lossbench.results import Result
from lossbench.sweep.launcher import launch
from lossbench.training import tuning

NOISY = """\
import torch

def noisy(logits, target, /, *, scale: float = 1.0):
    noise = 1 + scale * torch.rand(())
    return noise * torch.nn.functional.cross_entropy(logits, target, reduction="none")

def net(input_shape, output_shape, /):
    inner = torch.nn.Linear(*input_shape, 9), torch.nn.BatchNorm1d(9), torch.nn.Dropout()
    return torch.nn.Sequential(*inner, torch.nn.Linear(9, *output_shape))
"""
# Overrides, the epochs done when it is cut off, the first that the resumed run tells of.
SETTINGS = [
    (["dataset=wine", "seeds=3"], 3, 2),
    (["dataset=digits", "seeds=3"], 5, 4),
    (["dataset=wine", "seeds=5", "trainer.max_replicas=2", "optimizer=sgd"], 9, 6),
    (["dataset=wine", "loss=focal", "seeds=2", "trainer.precision=64-true"], 5, 4),
    (["dataset=wine", "loss=center", "seeds=2", "optimizer=adamw"], 3, 2),
    (["dataset=wine", "loss=noisy.py:noisy", "seeds=2", "trainer.peek=true"], 5, 4),
    (["dataset=wine", "loss=elr", "corruption=label_noise", "seeds=2"], 5, 4),
    (["dataset=wine", "loss=edl_log", "loss.ramp=1", "seeds=2"], 3, 2),
    (["dataset=diabetes", "loss=squared_error", "optimizer=sgd", "optimizer.lr=0.7"], 4, 2),
    (["dataset=digits", "model=noisy.py:net", "schedule=step", "seeds=2"], 5, 4),
]
DIVERGING = ["dataset=diabetes", "optimizer=sgd", "optimizer.lr=1e20", "loss=squared_error"]


class CutOffError(Exception):
    """Ends training from outside."""


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noisy.py").write_text(NOISY)


def configured(*words: str) -> Configuration:
    common = ["tracking=none", "trainer.device=cpu", "trainer.max_epochs=6", "trainer.checkpoint=2"]
    return configurations([*common, *words])[0][0]


def cut_off(config: Configuration, folder: Path, after: int) -> list[Path]:
    """Train until so many epochs are done; the checkpoints that are left, newest first."""

    def report(done: int, total: int, *_: object) -> None:
        if done == after:
            raise CutOffError

    with pytest.raises(CutOffError):
        training.train(config, list(config.seeds), report, folder)
    return sorted(folder.glob(".checkpoints/*/*.pt"), reverse=True)


def assert_same(one: Result, other: Result) -> None:
    pd.testing.assert_frame_equal(one.seeds, other.seeds, check_exact=True)
    pd.testing.assert_frame_equal(one.curves, other.curves, check_exact=True)
    pd.testing.assert_frame_equal(one.test_curves, other.test_curves, check_exact=True)


@pytest.mark.parametrize(("words", "after", "first"), sampled(SETTINGS, 3))
def test_a_run_goes_on_with_the_numbers_of_one_that_was_not_cut_off(words, after, first, tmp_path):
    config = configured(*words)
    whole = training.train(config, list(config.seeds))
    cut_off(config, tmp_path, after)
    epochs: list[int] = []
    resumed = training.train(config, list(config.seeds), lambda d, *_: epochs.append(d), tmp_path)
    assert epochs[:2] == [0, first]
    assert_same(resumed, whole)
    assert resumed.summary["unmapped_because"] == whole.summary["unmapped_because"]


@pytest.mark.parametrize("words", [["dataset=wine"], DIVERGING], ids=["finished", "diverged"])
def test_a_run_cut_off_before_its_result_is_written_trains_no_epoch_again(words, tmp_path):
    config = configured(*words, "seeds=2")
    whole = training.train(config, [0, 1], lambda d, *_: time.sleep(0.1 * (d == 1)), tmp_path)
    epochs: list[int] = []
    again = training.train(config, [0, 1], lambda d, *_: epochs.append(d), tmp_path)
    assert epochs == [0, 6]
    assert_same(again, whole)
    assert_same(again, training.train(config, [0, 1]))
    assert again.summary["seconds"] > 0.1, "the time of both together"


@pytest.mark.slow
def test_a_process_killed_in_training_goes_on_with_the_same_numbers(tmp_path, capsys):
    words = ("run", "dataset=wine", "seeds=3", "trainer.max_epochs=250", "tracking=none")
    asked = (*words, "trainer.checkpoint=10")
    process = subprocess.Popen(
        [sys.executable, "-m", "lossbench.cli", *asked], stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("results/.checkpoints/*/*-0000000[2-9]*.pt")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    psutil.wait_procs(children, 20)
    assert not list(tmp_path.glob("results/*/seeds.parquet"))
    resumed = configurations(asked[1:])[0][0]
    place = tuning.train_and_write(resumed, [0, 1, 2], tmp_path / "results")
    assert "cross_entropy on wine resumes from epoch" in capsys.readouterr().err
    config = configurations(words[1:])[0][0]
    assert place.name == config.key, "the key does not depend on checkpoints"
    assert_same(results.read(place), training.train(config, [0, 1, 2]))
    assert not (tmp_path / "results" / ".checkpoints").exists()


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flipped(content: bytes) -> bytes:
    """One bit in the middle, where the numbers are: torch itself reads this without a word."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGES = [truncated, flipped, lambda content: b"", lambda content: b"no checkpoint"]


@pytest.mark.parametrize("damage", DAMAGES, ids=["truncated", "flipped", "empty", "text"])
def test_a_damaged_checkpoint_is_reported_once_and_the_one_before_is_used(damage, tmp_path, capsys):
    config = configured("dataset=wine", "seeds=2")
    newest, _ = cut_off(config, tmp_path, 5)
    newest.write_bytes(damage(newest.read_bytes()))
    whole = training.train(config, [0, 1])
    assert capsys.readouterr().err == ""
    resumed = training.train(config, [0, 1], folder=tmp_path)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert f"{newest} is damaged" in said[0]
    assert "resumes from epoch 2 of 6" in said[1]
    assert_same(resumed, whole)


def test_training_starts_again_where_every_checkpoint_is_damaged(tmp_path, capsys):
    config = configured("dataset=wine", "seeds=2")
    for file in cut_off(config, tmp_path, 5):
        file.write_bytes(b"")
    assert_same(training.train(config, [0, 1], folder=tmp_path), training.train(config, [0, 1]))
    said = capsys.readouterr().err
    assert said.count("is damaged") == 2
    assert "resumes" not in said


class Bomb:
    """A pickle that creates a file when it is loaded."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.canary,))


def test_a_pickle_bomb_in_the_place_of_a_checkpoint_does_not_go_off(tmp_path, capsys):
    canary = tmp_path / "canary"
    content = pickle.dumps(Bomb(canary), protocol=2)
    pickle.loads(content)
    assert canary.exists(), "it would go off"
    canary.unlink()
    config = configured("dataset=wine", "seeds=2")
    newest, _ = cut_off(config, tmp_path, 5)
    name = newest.stem.rpartition("-")[0]
    digest = hashlib.sha256(content).hexdigest()
    newest.unlink()
    newest.with_name(f"{name}-{digest}.pt").write_bytes(content)
    resumed = training.train(config, [0, 1], folder=tmp_path)
    assert not canary.exists()
    said = capsys.readouterr().err
    assert "Weights only load failed" in said
    assert "resumes from epoch 2 of 6" in said
    assert_same(resumed, training.train(config, [0, 1]))


OTHERS = [["seeds=[1,2]"], ["optimizer.lr=0.002"], ["trainer.batch_size=32"], ["loss=brier"]]


@pytest.mark.parametrize("words", sampled(OTHERS, 2), ids=lambda words: words[0])
def test_a_checkpoint_is_not_used_for_another_run_even_when_it_lies_there(words, tmp_path, capsys):
    config = configured("dataset=wine", "seeds=2")
    other = configured("dataset=wine", "seeds=2", *words)
    own, *_ = cut_off(config, tmp_path, 5)
    epochs: list[int] = []
    training.train(other, list(other.seeds), lambda d, *_: epochs.append(d), tmp_path)
    assert epochs == [0, 1, 2, 3, 4, 5, 6]
    assert capsys.readouterr().err == ""
    (foreign,) = {f.parent for f in tmp_path.glob(".checkpoints/*/*.pt")} - {own.parent}
    for file in foreign.iterdir():
        file.unlink()
    (foreign / own.name).write_bytes(own.read_bytes())
    result = training.train(other, list(other.seeds), folder=tmp_path)
    assert "it is of another run" in capsys.readouterr().err
    assert_same(result, training.train(other, list(other.seeds)))


def test_a_checkpoint_is_not_used_when_the_code_of_the_loss_has_changed(tmp_path):
    words = ("dataset=wine", "loss=noisy.py:noisy", "seeds=2")
    cut_off(configured(*words), tmp_path, 5)
    (tmp_path / "noisy.py").write_text(NOISY.replace("1 + scale", "2 + scale"))
    (event,) = launch(train_in_worker, [(words, tmp_path)], workers=1)
    assert event.what == "finished", event
    assert len(list(tmp_path.glob(".checkpoints/*"))) == 2


def train_in_worker(words: tuple[str, ...], folder: Path, report: object) -> None:
    """In a process that has not read the code of the loss yet."""
    os.chdir(folder)
    training.train(configured(*words), [0, 1], folder=folder)


def test_two_checkpoints_are_kept_and_none_when_the_result_is_written(tmp_path):
    config = configured("dataset=wine", "seeds=2", "trainer.checkpoint=1")
    kept = cut_off(config, tmp_path, 5)
    assert [int(file.stem.split("-")[2]) for file in kept] == [4, 3]
    foreign, abandoned = (tmp_path / ".checkpoints" / name for name in ("foreign", "abandoned"))
    for place in (foreign, abandoned):
        place.mkdir()
    os.utime(abandoned, (0, 0))
    tuning.train_and_write(config, [0, 1], tmp_path)
    assert list((tmp_path / ".checkpoints").iterdir()) == [foreign]


def test_a_tuned_run_goes_on_and_clears_up_too(tmp_path):
    config = configured("dataset=wine", "seeds=2", "tune.trials=2")

    def report(done: int, total: int, *_: object) -> None:
        if done == total - 1:
            raise CutOffError

    with pytest.raises(CutOffError):
        tuning.train(config, [0, 1], report, folder=tmp_path)
    assert list(tmp_path.glob(".checkpoints/*/*.pt"))
    place = tuning.train_and_write(config, [0, 1], tmp_path)
    assert_same(results.read(place), tuning.train(config, [0, 1]))
    assert not list(tmp_path.glob(".checkpoints"))


def test_none_is_written_unless_asked_for(tmp_path):
    config = configured("dataset=wine", "seeds=2", "trainer.checkpoint=null")
    assert not cut_off(config, tmp_path, 5)
    assert not list(tmp_path.glob(".checkpoints"))


def test_a_checkpoint_that_cannot_be_written_is_reported_once_and_the_result_is_whole(
    tmp_path, capsys
):
    (tmp_path / ".checkpoints").write_text("in the way")
    config = configured("dataset=wine", "seeds=2")
    place = tuning.train_and_write(config, [0, 1], tmp_path)
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert "no checkpoint in" in said[0]
    assert_same(results.read(place), training.train(config, [0, 1]))
