"""Checks of what a loss declares of itself: convexity, Lipschitz constant, link."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from itertools import product
from typing import Any

import torch
from torch import Tensor

from lossbench.check.findings import Failed, Skipped
from lossbench.check.hyper import settings, shown
from lossbench.check.subject import Subject, close
from lossbench.metrics import is_sound

SCALES = (0.3, 1.0, 3.0, 10.0, 100.0)
POINTS = 1000  # of a batch whose rows are independent
COUPLED_POINTS = 30
CLIMBS = 30
ROUNDING = 1e-8  # torch's softplus is 2e-9 off at its threshold


def convex(subject: Subject) -> None:
    """Where it declares to be convex, no segment of predictions lies below the loss."""
    if subject.declaration.convex is None:
        raise Skipped("nothing is declared.")
    counterexample = next(_above_the_chord(subject), None)
    if counterexample and subject.declaration.convex:
        raise Failed(f"it is not: {counterexample}.")
    if not counterexample and not subject.declaration.convex:
        raise Skipped("it declares not to be; no segment tried shows it.")


def _above_the_chord(subject: Subject) -> Iterator[str]:
    """Every kind of segment that lies below the loss by more than rounding."""
    for seed, scale in product(range(1 if subject.independent else COUPLED_POINTS), SCALES):
        for length, share in product((0.05, 0.5, 1.0), (0.5, 0.9)):
            a, target = subject.batch(1000 * seed, scale, count=POINTS)
            b = a + length * (subject.batch(1000 * seed + 500, scale, count=POINTS)[0] - a)
            ends = torch.stack([subject(a, target), subject(b, target)])
            middle = subject(share * a + (1 - share) * b, target)
            if subject.couples:
                ends, middle = ends.reshape(2, -1).sum(1), middle.sum()
            slack = ROUNDING * (1 + ends.abs().sum(0))
            excess = middle - share * ends[0] - (1 - share) * ends[1] - slack
            excess = torch.where(ends.isfinite().all(0), excess, -1.0).flatten()
            if excess.max() > 0:
                yield _segment(a, b, int(excess.argmax()), subject)


def _segment(a: Tensor, b: Tensor, row: int, subject: Subject) -> str:
    if subject.couples or a[row].numel() > 4:
        return "it rises above a segment between two predictions"
    ends = [", ".join(f"{x:.4g}" for x in end[row].flatten().tolist()) for end in (a, b)]
    return f"it rises above the segment from ({ends[0]}) to ({ends[1]})"


def lipschitz(subject: Subject) -> None:
    """No gradient, in the 2-norm of one prediction, is longer than the declared constant."""
    bound = subject.declaration.lipschitz
    if bound is None:
        raise Skipped("nothing is declared.")
    steepest = max(_steepest(subject, seed, scale) for seed, scale in enumerate(SCALES))
    if steepest > bound * (1 + 1e-6) + 1e-9:
        raise Failed(f"a gradient has the length {steepest:.6g}; {bound:.6g} is declared.")


def _steepest(subject: Subject, seed: int, scale: float) -> float:
    """The longest gradient found from random predictions, moved uphill at random."""
    generator = torch.Generator().manual_seed(seed)
    prediction, target = subject.batch(seed, scale, count=POINTS)
    lengths = _lengths(subject, prediction, target)
    if subject.couples:
        others = [subject.batch(seed + 100 * k, scale) for k in range(1, COUPLED_POINTS)]
        return max(float(lengths.max()), *(float(_lengths(subject, *b).max()) for b in others))
    best = lengths.argsort(descending=True)[:64]
    prediction, target, lengths = prediction[best], target[best], lengths[best]
    for climb in range(CLIMBS):
        move = torch.randn(prediction.shape, generator=generator, dtype=torch.float64)
        moved = prediction if subject.bounded else prediction + move * scale * 0.85**climb
        longer = _lengths(subject, moved, target)
        uphill = longer > lengths
        prediction[uphill], lengths[uphill] = moved[uphill], longer[uphill]
    return float(lengths.max())


def _lengths(subject: Subject, prediction: Tensor, target: Tensor) -> Tensor:
    """The 2-norm of each example's gradient; of a coupled loss, of each value's."""
    if subject.independent or subject.whole:
        gradient = subject.differentiate(prediction, target)[1]
        return gradient.reshape(1 if subject.whole else len(gradient), -1).norm(dim=1)
    leaf = prediction.clone().requires_grad_()
    values = subject(leaf, target)
    rows = [torch.autograd.grad(value, leaf, retain_graph=True)[0].norm() for value in values]
    return torch.stack(rows)


def link(subject: Subject) -> None:
    """The declared link turns any prediction into a valid estimate."""
    if subject.declaration.link is None:
        raise Skipped("nothing is declared.")
    known = {p.name for p in subject.parameters} | subject.link_facts.keys()
    if lacking := [k for k in subject.declaration.link_keywords if k not in known]:
        raise Failed(f"it asks for {lacking[0]}, which neither its loss nor its task has.")
    for hyper in settings(subject):
        with suppress(ValueError):  # no estimate of a loss at this setting can be scored
            _valid_estimates(subject, hyper)


def _valid_estimates(subject: Subject, hyper: dict[str, Any]) -> None:
    """Failed where an estimate is not finite, or not one of those that the targets allow."""
    function, task = subject.link(**hyper), subject.task
    assert function
    numbers = not math.isfinite(task.estimate_range[1])
    low, high = subject.interval if task.in_target_unit else task.estimate_range
    for seed, scale in enumerate((1.0, 10.0, 1e4)):
        prediction, _ = subject.batch(seed, scale)
        estimate = function(prediction)
        if not is_sound(estimate, 0) and (scale < 10 or not numbers):
            place = f"predictions of about {scale:g}{shown(hyper)}"
            raise Failed(f"an estimate is not finite at {place}.")
        outside = estimate[(estimate < low) | (estimate > high)]
        if outside.numel():
            raise Failed(f"an estimate is {outside[0]:.4g}, not in [{low:g}, {high:g}].")
        if task.sums_to_one and (estimate.sum(-1) - 1).abs().max() > 1e-6:
            raise Failed(f"the probabilities of one example sum to {estimate.sum(-1)[0]:.4g}.")
        stacked = function(torch.stack([prediction, prediction / 2]))[0]
        if not close(stacked, estimate, 1e-9, 1e-12):
            raise Failed("with replicas as a leading axis it gives other estimates.")


CHECKS = (convex, lipschitz, link)
