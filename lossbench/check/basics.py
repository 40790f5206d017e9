"""Checks that all others stand on: it runs, the shape is right, the gradient arrives."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.check.findings import Failed
from lossbench.check.subject import Subject, one_line


def runs(subject: Subject) -> None:
    """It takes the task's example batch in float32 and returns a tensor of floats."""
    prediction, target = subject.example
    try:
        values = subject(prediction.float(), target)
    except Exception as error:
        shapes = f"prediction {tuple(prediction.shape)}, target {tuple(target.shape)}"
        raise Failed(f"it fails on {shapes}: {one_line(error)}") from error
    if not isinstance(values, Tensor):
        raise Failed(f"it returned {type(values).__name__}; return a tensor.")
    if not values.is_floating_point():
        raise Failed(f"it returned {values.dtype}; return floats.")


def shape(subject: Subject) -> None:
    """One number per example, (B,), or one for the whole batch, ()."""
    prediction, target = subject.example
    for count in (len(target), len(target) - 1):
        try:
            got = tuple(subject(prediction[:count], target[:count]).shape)
        except Exception as error:
            if subject.may_couple:
                continue  # the batch may have to be whole: so many of every identity
            raise Failed(f"it fails on a batch of {count}: {one_line(error)}") from error
        if got not in ((count,), ()):
            raise Failed(f"a batch of {count} gave shape {got}; expected ({count},) or ().")


def gradient_reaches_prediction(subject: Subject) -> None:
    """The value depends on the prediction by a gradient that is not cut off or zero."""
    prediction, target = subject.example
    leaf = prediction.clone().requires_grad_()
    if not subject(leaf, target).requires_grad:
        raise Failed("the value is cut off from the prediction (detach, item, no_grad, argmax).")
    batches = [
        subject.example,
        *((subject.batch(seed, scale)) for seed, scale in enumerate((1, 5))),
    ]
    gradients = [subject.differentiate(*batch)[1] for batch in batches]
    if not any(gradient.any() for gradient in gradients):
        raise Failed("the gradient is zero everywhere on three batches.")
    if subject.is_module:
        _reaches_weights(subject)


def _reaches_weights(subject: Subject) -> None:
    """Every weight of the loss's own gets a gradient."""
    module = subject.made()
    values = module(*subject.example)
    weights = dict(module.named_parameters())  # type: ignore[attr-defined]
    trained = [name for name, weight in weights.items() if weight.requires_grad]
    if not trained:
        return
    gradients = torch.autograd.grad(values.sum(), [weights[n] for n in trained], allow_unused=True)
    for name, gradient in zip(trained, gradients, strict=True):
        if gradient is None:
            raise Failed(f"its own weight {name} gets no gradient.")


def no_reduction_inside(subject: Subject) -> None:
    """A value that exists for each example is not averaged, summed or otherwise reduced."""
    reduction = reduction_of(subject) if subject.whole else ""
    if reduction:
        raise Failed(
            f"the value of a batch is {reduction} of its examples' own values; return those, (B,)."
        )


def reduction_of(subject: Subject) -> str:
    """What one number for a batch is of its examples' own, "3 times the mean", or nothing."""
    wholes, singles = [], []
    for seed in range(4):
        prediction, target = subject.batch(seed, scale=2.0)
        wholes.append(subject(prediction, target))
        rows = zip(prediction.split(1), target.split(1), strict=True)
        try:
            singles.append(torch.stack([subject(*row) for row in rows]))
        except Exception:
            return ""  # one example has no value of its own
    pairs = list(zip(wholes, singles, strict=True))
    for name in ("mean", "amax", "amin", "median"):
        ratios = torch.stack([whole / getattr(alone, name)() for whole, alone in pairs])
        if ratios.isfinite().all() and (ratios - ratios[0]).abs().max() < 1e-9 * ratios[0].abs():
            return f"{ratios[0]:.4g} times the {name.removeprefix('a')}"
    return ""
