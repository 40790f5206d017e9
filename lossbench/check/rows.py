"""Checks of a batch: its order, its rows, its labels."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.check.findings import Failed, Skipped
from lossbench.check.subject import COUPLED, Batch, Subject, as_dtype, close, one_line

MARK = "couples the batch"  # what a docstring says where that is meant
FAR = 3.0  # a confident prediction
ODD_LABEL = -1.0
ZERO_ONE = ("binary", "multilabel", "segmentation", "ranking")  # tasks with such labels


def batch_order(subject: Subject) -> None:
    """Another order of the examples gives the same values in that order."""
    for seed in range(2):
        prediction, target = subject.batch(seed)
        generator = torch.Generator().manual_seed(seed + 10)
        order = torch.randperm(len(target), generator=generator)
        values = subject(prediction, target)
        again = subject(prediction[order], target[order])
        expected = values if subject.whole else values[order]
        if not close(again, expected, 1e-7, 1e-9):
            raise Failed(f"{_where(again, expected)} in another order of the batch.")


def rows_independent(subject: Subject) -> None:
    """An example alone, or in part of a batch, has the value that it has in the whole."""
    if subject.whole:
        raise Skipped("it gives one number for the whole batch.")
    if subject.task.name in COUPLED and subject.couples:
        raise Skipped(f"it {MARK}, as losses for {subject.task.name} may.")
    if MARK in (subject.loss.__doc__ or ""):
        raise Skipped(f"its docstring says that it {MARK}.")
    for seed, scale in enumerate((3.0, 20.0)):
        prediction, target = subject.batch(seed, scale)
        together = subject(prediction, target)
        half = len(target) // 2
        for parts in ((half, len(target) - half), [1] * len(target)):
            pairs = zip(prediction.split(parts), target.split(parts), strict=True)
            try:
                apart = torch.cat([subject(*pair) for pair in pairs])
            except Exception as error:
                raise Failed(f"it fails on a batch of {parts[0]}: {one_line(error)}") from error
            if not close(apart, together, 1e-7, 1e-9):
                raise Failed(
                    f"{_where(apart, together)} where the batch has {parts[0]} of its "
                    f"{len(target)} rows: rows of the batch are mixed. (A loss that means it says "
                    f'"{MARK}" in its docstring.)'
                )


def _where(actual: Tensor, expected: Tensor) -> str:
    """Two numbers that should be one."""
    if actual.shape != expected.shape:
        return f"the shape becomes {tuple(actual.shape)}"
    gaps = (actual - expected).abs().nan_to_num(torch.inf).flatten()
    row = int(gaps.argmax())
    a, b = actual.flatten()[row].item(), expected.flatten()[row].item()
    return f"the value of row {row} is {a:.6g} instead of {b:.6g}"


def labels_not_guessed(subject: Subject) -> None:
    """What a label or a prediction means does not depend on which others are in the batch."""
    if subject.couples:
        raise Skipped("it couples the batch.")
    prediction, target = subject.batch(2, count=48)
    shares = prediction.softmax(-1) if prediction.ndim > 1 else prediction.sigmoid() / 2
    prediction = subject.into_domain(torch.cat([prediction, prediction.sigmoid(), shares]))
    target = target.repeat(3, *[1] * (target.ndim - 1))
    together = subject(prediction, target)
    for words, rows in _special_rows((prediction, target)):
        apart = subject(prediction[rows], target[rows])
        if not close(apart, together[rows], 1e-7, 1e-9):
            raise Failed(f"{_where(apart, together[rows])} where the batch has only {words}.")
    if subject.task.name in ZERO_ONE:
        _no_guess_of_signs(subject)
    if subject.task.name == "multiclass":
        _no_guess_of_the_first(subject)
    _no_jump(subject)


def _special_rows(batch: Batch) -> list[tuple[str, Tensor]]:
    """Rows that could make a loss guess: one label, some labels, predictions of one kind."""
    prediction, target = batch
    rows = prediction.flatten(1) if prediction.ndim > 1 else prediction.unsqueeze(1)
    found = [("predictions in [0, 1]", ((rows >= 0) & (rows <= 1)).all(1))]
    found += [("positive predictions", (rows > 0).all(1)), ("negative ones", (rows < 0).all(1))]
    found += [("predictions that sum to 1", (rows.sum(1) - 1).abs() < 1e-6)]
    if target.ndim == 1:
        labels = target.unique()
        found += [(f"the label {label:g}", target == label) for label in labels.tolist()]
        found += [(f"labels from {labels[1]:g}", target >= labels[1])] if len(labels) > 2 else []
    return [(words, chosen) for words, chosen in found if chosen.any() and not chosen.all()]


def _no_guess_of_signs(subject: Subject) -> None:
    """A -1 or 2 among labels 0 and 1 neither changes other rows nor is quietly taken for a 0."""
    prediction, lawful = subject.batch(11)
    has_zero = (lawful == 0).reshape(len(lawful), -1).any(1)
    others = torch.arange(len(lawful)) != int(has_zero.long().argmax())
    values = subject(prediction, lawful)
    for odd in (ODD_LABEL, 2.0):
        in_one_row = torch.where((lawful == 0) & ~_like(others, lawful), odd, lawful)
        try:
            strange = subject(prediction, in_one_row)
            everywhere = subject(prediction, torch.where(lawful == 0, odd, lawful))
        except Exception:
            continue  # refused, which is right
        whole = (lawful == 1).reshape(len(lawful), -1).all(1)
        pairs = ((strange, others), (everywhere, whole))
        for found, rows in pairs:
            if not close(found[rows], values[rows], 1e-9, 1e-12):
                raise Failed(f"a label of {odd:g} changes the values of the other rows.")
        if odd == ODD_LABEL and close(everywhere, values, 1e-9, 1e-12):
            _not_a_threshold(subject, (prediction, lawful))


def _like(rows: Tensor, target: Tensor) -> Tensor:
    """A mask of rows in the shape of the targets."""
    return rows.reshape(-1, *[1] * (target.ndim - 1)).expand_as(target)


def _not_a_threshold(subject: Subject, batch: Batch) -> None:
    """-1 counts as 0: fails where a label near 0 does not count as 0 or 1 as well."""
    prediction, target = batch
    near, at_one = (
        subject(prediction, torch.where(target == 0, label, target)) for label in (0.01, 1.0)
    )
    at_zero = subject(prediction, target)
    if not close(near, at_zero, 1e-9, 1e-12) and not close(near, at_one, 1e-9, 1e-12):
        raise Failed("a label of -1 is taken for 0; only 0 and 1 are lawful, none is guessed.")


def _no_guess_of_the_first(subject: Subject) -> None:
    """Classes that are counted from 1 are not quietly counted from 0."""
    prediction, target = subject.batch(11)
    try:
        shifted = subject(prediction, target + 1)
    except Exception:
        return  # refused, which is right
    if close(shifted, subject(prediction, target), 1e-9, 1e-12):
        raise Failed("classes that are counted from 1 are taken for classes counted from 0.")


def _no_jump(subject: Subject) -> None:
    """The value is continuous where predictions start to look like probabilities."""
    if subject.bounded:
        return
    prediction, target = subject.batch(9)
    for place in (0.0, 1.0) if prediction.ndim == 1 else (1.0,):  # directions have none at 0
        below, above = (
            subject(torch.full_like(prediction, place + side), target) for side in (-1e-9, 1e-9)
        )
        if ((below - above).abs() > 1e-4 * (1 + above.abs())).any():
            raise Failed(f"the value jumps where predictions pass {place:g}: it guesses.")


def target_used(subject: Subject) -> None:
    """The value depends on the target, and every label teaches something."""
    if subject.task.name == "pairs":
        raise Skipped("where the pairs of a batch are told apart by place, it need not be read.")
    differs = False
    for seed in range(3):
        prediction, target = subject.batch(seed)
        rolled = target.roll(1, 0)
        differs |= not close(subject(prediction, rolled), subject(prediction, target), 1e-9, 1e-12)
    if not differs:
        raise Failed("other targets give the same values.")
    if subject.task.name not in ("binary", "multiclass") or subject.couples:
        return
    gradients = [(subject.differentiate(*batch)[1], batch[1]) for batch in subject.batches]
    for label in subject.example[1].unique():
        if not any(gradient[target == label].any() for gradient, target in gradients):
            raise Failed(f"examples of the label {label:g} have no gradient anywhere.")


def right_costs_less(subject: Subject) -> None:
    """A prediction that is right costs less than one that is wrong."""
    known = ("binary", "multiclass", "regression")
    if subject.task.name not in known or subject.couples or subject.is_module:
        raise Skipped(f"right and wrong have no simple form for {subject.task.name}.")
    prediction, target = subject.example
    if subject.task.name == "binary":
        right = FAR * (2 * target.double() - 1)
        wrong = [-right]
    elif subject.task.name == "multiclass":
        if prediction.shape[-1] != len(target.unique()):
            raise Skipped("its predictions are not one per class.")
        ways = torch.eye(prediction.shape[-1], dtype=torch.float64) * FAR
        right, others = ways[target], range(1, prediction.shape[-1])
        wrong = [ways[(target + k) % prediction.shape[-1]] for k in others]
    else:
        if subject.declaration.outputs != 1 or subject.bounded:
            raise Skipped("its predictions are not in units of the target.")
        right = target.double()
        wrong = [right + 5, right - 5]
    if prediction.shape != right.shape:
        raise Skipped("its predictions are not one per label.")
    costs = torch.stack([subject(each, target) for each in wrong]).mean(0)
    worse = subject(right, target) > costs
    if worse.any():
        raise Failed(
            f"the right prediction costs {subject(right, target)[worse][0]:.4g}, a wrong one "
            f"{costs[worse][0]:.4g}, for the target {target[worse][0]:g}."
        )


def inputs_unchanged(subject: Subject) -> None:
    """Neither the prediction nor the target is written to."""
    for dtype in (torch.float64, torch.float32):
        for batch in (*subject.batches, subject.batch(0)):
            prediction, target = batch[0].to(dtype), as_dtype(batch[1], dtype)
            given, labels = prediction.clone(), target.clone()
            with torch.no_grad():
                subject.made(dtype)(given, labels)
            for words, before, after in (
                ("prediction", prediction, given),
                ("target", target, labels),
            ):
                if after._version or not torch.equal(before, after):
                    raise Failed(f"the {words} is edited in place.")


def any_memory_layout(subject: Subject) -> None:
    """A batch that does not lie in one piece gives the same values."""
    prediction, target = subject.batch(3)
    spread = torch.stack([prediction, torch.zeros_like(prediction)], -1)[..., 0]
    labels = as_dtype(target, prediction.dtype)
    labels = torch.stack([labels, torch.zeros_like(labels)], -1)[..., 0]
    try:
        values = subject.made()(spread, labels)
    except Exception as error:
        raise Skipped(f"it needs the batch in one piece: {one_line(error)}") from error
    if not close(values, subject(prediction, target), 1e-9, 1e-12):
        raise Failed(f"{_where(values, subject(prediction, target))} for a strided batch.")


CHECKS = (
    batch_order,
    rows_independent,
    labels_not_guessed,
    target_used,
    right_costs_less,
    any_memory_layout,
)
