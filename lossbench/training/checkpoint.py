"""What a run in training needs to go on with the same numbers, on disk whole or not at all.

`.checkpoints/<key>-<digest>/` in the results folder is of one run: the digest is of all else that
its bits depend on, so that a checkpoint of other code, seeds or versions is never found. A file's
name ends with the digest of its content, and the last two of each stack are kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import shutil
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossbench.configuration import Configuration, digest
from lossbench.results.sources import code_of_run
from lossbench.training.recipe import History
from lossbench.training.stack import Stack

KEPT = 2
WIDTH = "width"  # the file with the most replicas of a stack
ABANDONED_SECONDS = 30 * 24 * 3600.0
Snapshot = dict[str, Any]


def place_of(
    folder: Path | None,
    config: Configuration,
    seeds: list[int],
    task: str,
    versions: dict[str, Any],
) -> Path | None:
    """Where the checkpoints of a run are in the results folder, if it wants any."""
    if folder is None or config.trainer.checkpoint is None:
        return None
    trainer = [config.trainer.device, bool(config.trainer.peek)]
    rest = [seeds, code_of_run(config, task), versions, *trainer]
    return folder / ".checkpoints" / f"{config.key}-{digest(rest)}"


def kept_width(place: Path | None, width: int) -> int:
    """The width of stacks that a run's checkpoints have, or this one, kept for later.

    It is found from the memory that is free, and stacks are found by their ends.
    """
    if place is None:
        return width
    file = place / WIDTH
    with contextlib.suppress(OSError, ValueError):
        return int(file.read_text())
    with contextlib.suppress(OSError):  # reported where the first checkpoint is written
        place.mkdir(parents=True, exist_ok=True)
        temporary = place / f".writing-{uuid.uuid4().hex}"
        temporary.write_text(str(width))
        os.replace(temporary, file)
    return width


def clear(place: Path | None) -> None:
    """Delete the checkpoints of a run whose result is written."""
    if place:
        shutil.rmtree(place, ignore_errors=True)
        with contextlib.suppress(OSError):
            place.parent.rmdir()  # fails where another run still has some


def _clear_abandoned(own: Path) -> None:
    """Delete what no run has touched for long: its command, code or versions never came back."""
    for place in own.parent.glob("*"):
        with contextlib.suppress(OSError):
            age = time.time() - place.stat().st_mtime
            if place != own and age > ABANDONED_SECONDS:
                shutil.rmtree(place, ignore_errors=True)


class Checkpoint:
    """The checkpoints of one stack of a run.

    seconds: what the processes before this one spent on the stack.
    """

    def __init__(self, place: Path, stack: str, config: Configuration) -> None:
        self.place, self.stack, self.config = place, stack, config
        self.identity = f"{place.name}/{stack}"
        self.epochs = config.trainer.max_epochs
        self.snapshot: Snapshot | None = None
        self.began, self.seconds, self.told = time.monotonic(), 0.0, False

    def load(self) -> int:
        """Find the newest snapshot that is whole, and give the epochs that need no training."""
        _clear_abandoned(self.place)
        for file in self._files():
            try:
                self.snapshot = self._read(file)
                break
            except Exception as error:  # whatever foreign bytes make of the reader
                reason = " ".join(str(error).split())[:80] or type(error).__name__
                _say(f"{file} is damaged ({reason}) and deleted.")
                file.unlink(missing_ok=True)
        if not self.snapshot:
            return 0
        self.seconds, done = self.snapshot["seconds"], int(self.snapshot["epochs"])
        if (self.snapshot["history"]["diverged_epoch"] >= 0).all():
            return int(self.epochs)
        if done < self.epochs:
            names = f"{self.config.loss.name} on {self.config.dataset.name}"
            _say(f"{names} resumes from epoch {done} of {self.epochs}.")
        return done

    def restore(self, stack: Stack) -> None:
        """Put a stack that is on its device where the snapshot was taken."""
        if self.snapshot:
            _restore(stack, self.snapshot)
            self.snapshot = None  # as large as the stack

    def after_epoch(self, stack: Stack, stopped: bool) -> None:
        """Write a snapshot where one is due."""
        done = stack.epoch + 1
        if stopped or done == self.epochs or done % (self.config.trainer.checkpoint or 1) == 0:
            self._write(done, _snapshot(stack))

    def _files(self) -> list[Path]:
        """Newest first."""
        return sorted(self.place.glob(f"{self.stack}-*.pt"), reverse=True)

    def _read(self, file: Path) -> Snapshot:
        content = file.read_bytes()
        if file.stem.rpartition("-")[2] != hashlib.sha256(content).hexdigest():
            raise ValueError("its content is not what its name says")
        snapshot: Snapshot = torch.load(io.BytesIO(content), "cpu", weights_only=True)
        if snapshot["identity"] != self.identity:
            raise ValueError("it is of another run")
        return snapshot

    def _write(self, done: int, snapshot: Snapshot) -> None:
        """Write under a temporary name and rename it; report the first failure, and train on."""
        seconds = self.seconds + time.monotonic() - self.began
        buffer = io.BytesIO()
        torch.save({**snapshot, "identity": self.identity, "seconds": seconds}, buffer)
        content = buffer.getvalue()
        name = f"{self.stack}-{done:09d}-{hashlib.sha256(content).hexdigest()}.pt"
        temporary = self.place / f".writing-{uuid.uuid4().hex}"
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.place / name)
            for old in self._files()[KEPT:]:
                old.unlink(missing_ok=True)
        except OSError as error:
            if not self.told:
                _say(f"no checkpoint in {self.place} ({error.strerror}); training continues.")
            self.told = True
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def _say(words: str) -> None:
    print(f"lossbench: {words}", file=sys.stderr, flush=True)


def _snapshot(stack: Stack) -> Snapshot:
    """Tensors and plain values, which need no code of ours to be loaded."""
    curves = [*stack.history.curves, *stack.history.test_curves]
    return {
        "epochs": stack.epoch + 1,
        "steps_done": stack.steps_done,
        "unmapped": stack.unmapped,
        "folded": stack.folded,
        "notes": stack.history.notes,
        "draws": stack.draws,
        "state": {name: value.detach() for name, value in stack.state.items()},
        "best": stack.best,
        "optimizer": stack.optimizer.state_dict(),
        "history": {n: v for n, v in vars(stack.history).items() if isinstance(v, Tensor)},
        "curves": len(stack.history.curves),
        "places": [(epoch, name) for epoch, name, _ in curves],
        "values": torch.stack([values.double() for *_, values in curves]),  # many small: as one
    }


@torch.no_grad()
def _restore(stack: Stack, snapshot: Snapshot) -> None:
    stack.epochs_before = snapshot["epochs"]
    stack.steps_done = snapshot["steps_done"]
    stack.unmapped, stack.folded = snapshot["unmapped"], snapshot["folded"]
    stack.draws = snapshot["draws"]
    for name, value in stack.state.items():
        value.copy_(snapshot["state"][name])
    stack.best = {name: value.to(stack.device) for name, value in snapshot["best"].items()}
    stack.optimizer.load_state_dict(snapshot["optimizer"])
    places = zip(snapshot["places"], snapshot["values"], strict=True)
    curves = [(epoch, name, value) for (epoch, name), value in places]
    stack.history = History(
        **snapshot["history"],
        notes=snapshot["notes"],
        curves=curves[: snapshot["curves"]],
        test_curves=curves[snapshot["curves"] :],
        earlier=snapshot["seconds"],
    )
