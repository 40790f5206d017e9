"""The forms in which a loss of another library may take the batches of a task."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from lossbench.contract import Declaration, declaration_of
from lossbench.losses.evidential import edl_log
from lossbench.registry.offers import TARGET
from lossbench.tasks import Task

DIRICHLET = {  # arguments, what they are, and their least value
    "evidence": ("evidence", 0),
    "alpha": ("parameters of a Dirichlet distribution", 1),
}
Turn = Callable[[Tensor], Tensor]
TargetTurn = Callable[[Tensor, Tensor], Tensor]  # of a target and the raw prediction


class Form(NamedTuple):
    """What a loss is given of a batch, in the order of its arguments, and how that is called.

    is_raw: whether it has the task's raw predictions.
    in_parts: whether these are the task's parts, whose names say what they mean.
    declaration: outputs and link that go with it, where they are not the task's.
    target_first: whether the two change places.
    is_last: whether it is for what no other form serves: losses of images take it for another.
    """

    words: str
    arguments: Callable[[Tensor, Tensor], tuple[Tensor, ...]]
    is_raw: bool = False
    in_parts: bool = False
    declaration: Declaration | None = None
    target_first: bool = False
    is_last: bool = False

    def called(self, prediction: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """The arguments as the loss takes them, in one piece each, targets as copies."""
        first, *others = self.arguments(prediction, target)
        copies = (part.clone(memory_format=torch.contiguous_format) for part in others)
        arguments = (first.contiguous(), *copies)
        return arguments[::-1] if self.target_first else arguments


def forms_of(task: Task, names: list[str]) -> Iterator[Form]:
    """What a batch of the task can be given as, the nearest first.

    names: of the arguments, which may say that the parts of a batch are meant.
    """
    if len(names) == 1 and task.in_target_unit:
        yield Form("residuals", lambda p, t: (p - t,), is_raw=True)
    elif is_target_first(names):
        for form in _in_usual_order(task, [*names[1::-1], *names[2:]]):
            words = form.words if form.in_parts else f"{form.words}, the target first"
            yield form._replace(words=words, target_first=not form.in_parts)
    elif names[0] in DIRICHLET and _class_axis(task, *task.example()) and task.sums_to_one:
        yield from _of_dirichlet(task, names[0])
    else:
        yield from _in_usual_order(task, names)


def _of_dirichlet(task: Task, name: str) -> Iterator[Form]:
    """Of evidence of each class, which is at least 0, or of the parameters, which are 1 more."""
    noun, least = DIRICHLET[name]
    declared = Declaration(link=declaration_of(edl_log).link)
    for words, to_target in _targets(task, *task.example())[0].items():
        pair = _pair(f"{noun} and {words}", lambda p: functional.softplus(p) + least, to_target)
        yield pair._replace(declaration=declared)


def is_target_first(names: list[str]) -> bool:
    """Whether the names of the arguments say so."""
    return [bool(TARGET.search(name)) for name in names[:2]] == [True, False]


def _in_usual_order(task: Task, names: list[str]) -> Iterator[Form]:
    prediction, target = task.example()
    orders = [_parts_in_order(task, names, declared) for declared in task.parts_declarations]
    parts = [
        form
        for (order, _), declared in zip(orders, task.parts_declarations, strict=True)
        for form in _parts(task, order, declared)
    ]
    if orders[0][1]:
        yield from parts
    targets, signed = _targets(task, prediction, target)
    raw, *others = _predictions(task, prediction, target).items()
    with_signs = itertools.product([raw], signed.items())
    as_labels = itertools.product(others, targets.items())
    later = (with_signs, as_labels) if task.sums_to_one else (as_labels, with_signs)
    pairs = itertools.chain(itertools.product([raw], targets.items()), *later)
    forms = [
        _pair(f"{p} and {t}", to_p, to_t, is_raw=p == raw[0]) for (p, to_p), (t, to_t) in pairs
    ]
    flat: list[Form] = []
    if prediction.shape == target.shape:
        channelled = [_reshaped(form, "with a channel axis", _with_channel) for form in forms]
        if target.ndim > 2:
            flat = [
                _reshaped(form, "flattened", _flattened)._replace(is_last=True) for form in forms
            ]
        forms = [*channelled, *forms] if target.ndim > 2 else [*forms, *channelled]
    yield from forms
    if _is_binary(target) and prediction.shape == target.shape and task.estimate_range == (0, 1):
        yield from _TWO_CLASSES
        yield _pair(
            "raw predictions with a channel axis and targets",
            partial(torch.unsqueeze, dim=1),
            lambda t, p: t,
        )
    yield from flat
    yield from parts
    for k, parts_of in enumerate(task.other_parts(prediction, target)):
        yield Form(_listed([*parts_of]), partial(_other_parts, task, k), in_parts=True)


def _is_binary(target: Tensor) -> bool:
    return target.is_floating_point() and bool(((target == 0) | (target == 1)).all())


def _class_axis(task: Task, prediction: Tensor, target: Tensor) -> bool:
    """Whether predictions have an axis of classes, the first of an example, and targets indices."""
    indices = not target.is_floating_point() and prediction.ndim == target.ndim + 1
    return indices and task.estimate_range == (0, 1)


def _predictions(task: Task, prediction: Tensor, target: Tensor) -> dict[str, Turn]:
    turns: dict[str, Turn] = {"raw predictions": lambda p: p}
    classes = _class_axis(task, prediction, target)
    if classes:
        turns["estimates"] = partial(torch.softmax, dim=1)
    elif task.estimate_range != (-math.inf, math.inf):
        turns["estimates"] = task.link
    if task.estimate_range == (0, 1):
        softmax = partial(functional.log_softmax, dim=1 if classes else -1)
        log = softmax if classes or task.sums_to_one else functional.logsigmoid
        turns["logarithms of the estimates"] = log
    return turns


def _targets(
    task: Task, prediction: Tensor, target: Tensor
) -> tuple[dict[str, TargetTurn], dict[str, TargetTurn]]:
    """Targets as they may be given; and signed ones, late, since probabilities take them too."""
    turns: dict[str, TargetTurn] = {"targets": lambda t, p: t}
    signed: dict[str, TargetTurn] = {}
    if _is_binary(target):
        turns["targets as integers"] = lambda t, p: t.long()
        if target.ndim < 3:
            signed["targets of -1 and 1"] = lambda t, p: 2 * t - 1
    elif not target.is_floating_point():
        turns["targets as floats"] = lambda t, p: t.float()
        if _class_axis(task, prediction, target):
            turns["one-hot targets"] = lambda t, p: _one_hot(t, p.shape[1])
            turns["targets with a channel axis"] = lambda t, p: t.unsqueeze(1)
            if task.sums_to_one:
                signed["one-hot targets of -1 and 1"] = lambda t, p: 2 * _one_hot(t, p.shape[1]) - 1
    return turns, signed


def _parts_in_order(
    task: Task, names: list[str], declared: Declaration | None
) -> tuple[list[str], bool]:
    """The parts of a batch by the names of the arguments, else as usual; and which of the two."""
    usual = [*task.parts(*example_of(task, declared))]
    named = [part for name in names[1:] for part in usual[1:] if part in name or name in part]
    are_named = len(names) >= len(usual) > 1 and sorted(named) == sorted(usual[1:])
    return ([usual[0], *named] if are_named else usual), are_named


def _parts(task: Task, order: list[str], declared: Declaration | None) -> Iterator[Form]:
    """The parts of a batch as arguments of their own, those of 0 and 1 also as true and false.

    Of a prediction with outputs of its own, and so with a target of its own, the task's as well.
    """

    def arguments(as_flags: bool, p: Tensor, t: Tensor) -> tuple[Tensor, ...]:
        parts = task.parts(p, t)
        return tuple(
            parts[name].bool() if as_flags and _is_binary(parts[name]) else parts[name]
            for name in order
        )

    for as_flags in (False, True) if order else ():
        yield Form(_listed(order), partial(arguments, as_flags), False, True, declared)
    if order and callable(declared and declared.outputs):
        yield Form(f"{order[0]} and targets", lambda p, t: (p, t), False, True, declared)


def _other_parts(task: Task, k: int, p: Tensor, t: Tensor) -> tuple[Tensor, ...]:
    return tuple(task.other_parts(p, t)[k].values())


def _listed(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} and {words[-1]}"


def example_of(task: Task, declared: Declaration | None) -> tuple[Tensor, Tensor]:
    """The task's example batch, of as many outputs as are declared."""
    return task.example(*([task.outputs_of(declared)] if declared else []))


def _pair(words: str, to_prediction: Turn, to_target: TargetTurn, is_raw: bool = False) -> Form:
    return Form(words, lambda p, t: (to_prediction(p), to_target(t, p)), is_raw)


def _reshaped(form: Form, words: str, turn: Turn) -> Form:
    return Form(
        f"{form.words}, {words}",
        lambda p, t: tuple(turn(part) for part in form.arguments(p, t)),
        form.is_raw,
    )


def _with_channel(part: Tensor) -> Tensor:
    return part.unsqueeze(1)


def _flattened(part: Tensor) -> Tensor:
    return part.flatten(1)


def _two_logits(prediction: Tensor) -> Tensor:
    return torch.stack([torch.zeros_like(prediction), prediction], 1)


_TWO_CLASSES = (
    _pair("logits of two classes and indices", _two_logits, lambda t, p: t.long()),
    _pair(
        "probabilities of two classes and indices",
        lambda p: _two_logits(p).softmax(1),
        lambda t, p: t.long(),
    ),
    _pair(
        "log-probabilities of two classes and indices",
        lambda p: functional.log_softmax(_two_logits(p), 1),
        lambda t, p: t.long(),
    ),
    _pair(
        "logits of two classes and one-hot targets",
        _two_logits,
        lambda t, p: torch.stack([1 - t, t], 1),
    ),
)


def _one_hot(target: Tensor, classes: int) -> Tensor:
    """(B, C, ...); all 0 where a target is no class, as ignored ones are not."""
    places = torch.arange(classes, device=target.device)
    return (target.unsqueeze(1) == places.reshape(-1, *[1] * (target.ndim - 1))).float()
