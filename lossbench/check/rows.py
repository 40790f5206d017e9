"""Checks of a batch: its order, its rows, its labels."""

from __future__ import annotations

import torch
from torch import Tensor

from lossbench.check.findings import Failed, Hint, Skipped
from lossbench.check.subject import Batch, Subject, as_dtype, close, one_line
from lossbench.contract import UserError
from lossbench.metrics import metrics_of, score
from lossbench.registry.signatures import call_facts
from lossbench.tasks import Answers, counts_ignored, mixes_parts
from lossbench.tasks.scores import average

FAR = 3.0  # a confident prediction
CERTAIN = (1e2, 1e3)  # predictions of which the larger cannot be surer
NOTABLE = 1e-3  # a cost


def batch_order(subject: Subject) -> None:
    """Another order of the examples gives the same values in that order."""
    for seed in range(2):
        prediction, target = subject.batch(seed)
        generator = torch.Generator().manual_seed(seed + 10)
        order = torch.randperm(len(target), generator=generator)
        values = subject(prediction, target)
        again = subject(prediction[order], target[order])
        expected = values if subject.whole else values[order]
        if not close(again, expected, *subject.rounding):
            raise Failed(f"{_where(again, expected)} in another order of the batch.")


def rows_independent(subject: Subject) -> None:
    """An example alone, or in part of a batch, has the value that it has in the whole."""
    if subject.may_couple and subject.couples:
        raise Skipped("it compares the examples of a batch, as it may.")
    if subject.declaration.couples:
        raise Failed("it declares couples=True, and no example's value depends on the others.")
    if subject.whole:
        raise Failed(
            "it gives one number for the whole batch, () instead of (B,). If it exists only for a "
            "whole batch, @declare(couples=True)."
        )
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
            if not close(apart, together, *subject.rounding):
                advice = "" if subject.is_foreign else " If that is meant, @declare(couples=True)."
                raise subject.lapse(  # a library may mean it
                    f"{_where(apart, together)} where the batch has {parts[0]} of its "
                    f"{len(target)} rows: rows of the batch are mixed.{advice}"
                )


def _where(actual: Tensor, expected: Tensor) -> str:
    """Two numbers that should be one."""
    if actual.shape != expected.shape:
        return f"the shape becomes {tuple(actual.shape)}"
    gaps = (actual - expected).abs().nan_to_num(torch.inf).flatten()
    row = int(gaps.argmax())
    a, b = actual.flatten()[row].item(), expected.flatten()[row].item()
    digits = 6 if f"{a:.6g}" != f"{b:.6g}" else 12
    return f"the value of row {row} is {a:.{digits}g} instead of {b:.{digits}g}"


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
        if not close(apart, together[rows], *subject.rounding):
            raise Failed(f"{_where(apart, together[rows])} where the batch has only {words}.")
    if subject.example[1].is_floating_point():
        _no_guess_of_signs(subject)
    else:
        _no_guess_of_the_first(subject)
    _no_jump(subject)


def _is_refused(subject: Subject, target: Tensor) -> bool:
    """Whether the task itself refuses such targets."""
    try:
        subject.task.check(subject.task.example()[0], target)
    except UserError:
        return True
    return False


def _special_rows(batch: Batch) -> list[tuple[str, Tensor]]:
    """Rows that could make a loss guess: one label, some labels, predictions of one kind."""
    prediction, target = batch
    rows = prediction.flatten(1) if prediction.ndim > 1 else prediction.unsqueeze(1)
    readings = [("predictions in [0, 1]", ((rows >= 0) & (rows <= 1)).all(1))]
    readings += [("positive predictions", (rows > 0).all(1)), ("negative ones", (rows < 0).all(1))]
    readings += [("predictions that sum to 1", (rows.sum(1) - 1).abs() < 1e-6)]
    if target.ndim == 1:
        labels = target.unique()
        readings += [(f"the label {label:g}", target == label) for label in labels.tolist()]
        readings += [(f"labels from {labels[1]:g}", target >= labels[1])] if len(labels) > 2 else []
    return [(words, chosen) for words, chosen in readings if chosen.any() and not chosen.all()]


def _no_guess_of_signs(subject: Subject) -> None:
    """A -1 or 2 among labels 0 and 1 neither changes other rows nor is quietly taken for one."""
    prediction, valid = subject.batch(11)
    has_zero = (valid == 0).reshape(len(valid), -1).any(1)
    if not has_zero.any():
        return
    others = torch.arange(len(valid)) != int(has_zero.long().argmax())
    values = subject(prediction, valid)
    for odd in (-1.0, 2.0):
        everywhere = torch.where(valid == 0, odd, valid)
        if not _is_refused(subject, everywhere):
            continue
        in_one_row = torch.where(_like(others, valid), valid, everywhere)
        try:
            strange, all_strange = (subject(prediction, t) for t in (in_one_row, everywhere))
        except Exception:
            continue  # refused, which is right
        whole = (valid == 1).reshape(len(valid), -1).all(1)
        for obtained, rows in ((strange, others), (all_strange, whole)):
            if not close(obtained[rows], values[rows], 1e-9, 1e-12):
                raise Failed(f"a label of {odd:g} changes the values of the other rows.")
        if odd < 0:
            _no_sign_for_a_label(subject, (prediction, valid), all_strange)


def _no_sign_for_a_label(subject: Subject, batch: Batch, of_minus_one: Tensor) -> None:
    """-1 counts neither as 0 nor as 1, but where a label is cut at a place between 0 and 1."""
    prediction, valid = batch
    at_zero, near_zero, at_one = (
        subject(prediction, torch.where(valid == 0, label, valid)) for label in (0.0, 0.01, 1.0)
    )
    if close(near_zero, at_zero, 1e-9, 1e-12):
        return
    for label, values in ((0, at_zero), (1, at_one)):
        if close(of_minus_one, values, 1e-9, 1e-12):
            raise Failed(
                f"a label of -1 is taken for {label}; only 0 and 1 are valid. Cut labels at 0.5, "
                "as in target > 0.5, or not at all."
            )


def _like(rows: Tensor, target: Tensor) -> Tensor:
    """A mask of rows in the shape of the targets."""
    return rows.reshape(-1, *[1] * (target.ndim - 1)).expand_as(target)


def _no_guess_of_the_first(subject: Subject) -> None:
    """Classes that are counted from 1 are not quietly counted from 0."""
    prediction, target = subject.batch(11)
    if not _is_refused(subject, target + 1):
        return
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
    if not subject.task.needs_target:
        raise Skipped("where the pairs of a batch are known by their place, it need not be read.")
    differs = False
    for seed in range(3):
        prediction, target = subject.batch(seed)
        rolled = target.roll(1, 0)
        differs |= not close(subject(prediction, rolled), subject(prediction, target), 1e-9, 1e-12)
    if not differs:
        raise Failed("other targets give the same values.")
    labels = subject.example[1]
    if subject.couples or labels.ndim > 1 or len(labels.unique()) == len(labels):
        return
    gradients = [(subject.differentiate(*batch)[1], batch[1]) for batch in subject.batches]
    for label in labels.unique():
        if not any(gradient[target == label].any() for gradient, target in gradients):
            raise Failed(f"examples of the label {label:g} have no gradient anywhere.")


def ignored_left_out(subject: Subject) -> None:
    """An example of which nothing is known costs nothing and teaches nothing."""
    task = subject.task
    if task.stand_ins and subject.example[1].ndim > 1:
        if mixes_parts(subject, *subject.example, task):
            raise Hint("it compares the parts of a target; data where some are NaN are refused.")
        return
    if task.ignore is None:
        raise Skipped("every part of a target is known.")
    if counts_ignored(subject, *subject.example, subject.task):
        raise Hint(
            f"targets of {subject.task.ignore} are unknown in {subject.task.name}, and it counts "
            "them; data that have some are refused."
        )


def right_costs_less(subject: Subject) -> None:
    """A prediction that is right costs less than one that is wrong."""
    answers = _answers(subject, FAR)
    target = answers.target
    right, wrong = (subject(each, target) for each in (answers.right, answers.wrong))
    if subject.couples:
        right, wrong = right.sum().reshape(1), wrong.sum().reshape(1)
    worse = right > wrong
    if worse.any():
        place = (
            "" if subject.couples or target.ndim > 1 else f", for the target {target[worse][0]:g}"
        )
        raise Failed(
            f"the right prediction costs {right[worse][0]:.4g}, a wrong one "
            f"{wrong[worse][0]:.4g}{place}."
        )


def certainty_costs_nothing(subject: Subject) -> None:
    """A certain, right answer costs next to nothing, or less the more certain it is."""
    if subject.task.estimate_range != (0, 1):
        raise Skipped("nothing is certain but a probability.")
    answers = [_answers(subject, size) for size in CERTAIN]
    costs = [subject(each.right, each.target) for each in answers]
    if close(costs[0], costs[1], 1e-6, 1e-9) and costs[1].max() > NOTABLE:
        raise Hint(
            f"a certain, right answer still costs {costs[1].max():.2g}: are predictions made "
            "probabilities, by a softmax or sigmoid, before a loss that takes logits?"
        )


def _answers(subject: Subject, size: float) -> Answers:
    """The task's right and wrong predictions, as this loss understands them."""
    task, link = subject.task, subject.link()
    answers = task.answers(size)
    if answers is None or subject.is_module:
        raise Skipped(f"right and wrong have no simple form for {task.name}.")
    if subject.bounded or (link is not None and task.in_target_unit):
        raise Skipped("its predictions are not in units of the target.")
    if answers.right.shape[1:] != subject.example[0].shape[1:]:
        raise Skipped("its predictions are not those of the task.")
    right, wrong, target = answers.right.double(), answers.wrong.double(), answers.target
    primary = metrics_of(task)[task.primary]
    worth = [
        score({primary.name: primary}, task.estimate(each, link), target)[primary.name]
        for each in (right, wrong)
    ]
    if link and not (worth[0] - worth[1]) * primary.direction > 0:
        raise Skipped("by its link other predictions are right.")
    return Answers(right, wrong, as_dtype(target, right.dtype))


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


def weights_as_rows(subject: Subject) -> None:
    """Where it takes example_weight, an example that weighs 2 counts as one that is there twice."""
    if "example_weight" not in call_facts(subject.loss):
        raise Skipped("the mean over the batch weighs what it gives for each example.")
    if subject.couples and not subject.whole:
        raise Skipped("an example that is there twice is compared with itself.")
    prediction, target = subject.batch(4)
    weights = 1.0 + torch.arange(len(target)) % 3
    rows = torch.arange(len(target)).repeat_interleave(weights.long())
    loss, one = subject.made(), torch.ones(len(rows))
    weighed = average(loss(prediction, target, example_weight=weights), weights)
    repeated = average(loss(prediction[rows], target[rows], example_weight=one), one)
    if not close(weighed, repeated, 1e-6, 1e-9):
        raise Failed(f"it is {weighed:.6g}, and {repeated:.6g} where the examples are repeated.")


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
    ignored_left_out,
    right_costs_less,
    certainty_costs_nothing,
    any_memory_layout,
    weights_as_rows,
)
