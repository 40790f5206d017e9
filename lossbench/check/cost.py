"""How the replicas of a loss are stacked in a run, and what it costs next to a usual one."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from contextlib import suppress

import torch

from lossbench import registry
from lossbench.check.effects import UNMAPPED, maps_over_replicas, road_unmapped
from lossbench.check.findings import CheckOutcome
from lossbench.check.subject import Subject, as_dtype
from lossbench.contract import UserError
from lossbench.tasks import Task

USUAL = ("cross_entropy", "squared_error")
COPIES, CALLS = 32, 5  # of the example batch


def describe_cost(subject: Subject, outcomes: Iterable[CheckOutcome]) -> str:
    """Both in a sentence, or nothing where the loss does not run."""
    (mapped,) = (o for o in outcomes if o.check == maps_over_replicas.__name__)
    is_unmapped = mapped.reason.startswith(UNMAPPED)
    if mapped.verdict != "passed" and not is_unmapped:
        return ""
    sentence = f"In a run it is {road_unmapped(subject) if is_unmapped else 'mapped over replicas'}"
    with suppress(Exception):  # what is no batch for it, or has no usual loss
        name, usual = _usual_seconds(subject.task)
        if name != subject.plugin.name:
            ratio = _seconds(subject) / usual
            sentence += f"; value and gradient take {ratio:.2g} times as long as those of {name}"
    return f"{sentence}."


@functools.cache
def _usual_seconds(task: Task) -> tuple[str, float]:
    """The usual loss of the task, and its time; LookupError where the task has none."""
    for name in USUAL:
        with suppress(UserError):
            plugin = registry.find_for_task(name, task.name)
            return name, _seconds(Subject(plugin, registry.load(plugin), task))
    raise LookupError(task.name)


def _seconds(subject: Subject) -> float:
    """The shortest of a few calls on copies of the example."""
    prediction, target = (torch.cat([part] * COPIES) for part in subject.example)
    leaf, target = prediction.float().requires_grad_(), as_dtype(target, torch.float32)
    loss, seconds = subject.made(torch.float32), []
    for _ in range(CALLS):
        before = time.perf_counter()
        torch.autograd.grad(loss(leaf, target).mean(), leaf)
        seconds.append(time.perf_counter() - before)
    return min(seconds)
