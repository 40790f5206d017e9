"""Losses that were written for nobody's contract, in the form that serves on a task.

Which form of predictions and targets such a loss takes, and which of its switches say that it is
given raw predictions, is found by trying it on the task's answers: each right answer must cost less
than a wrong one, and an ever surer right one not ever less.
"""

from __future__ import annotations

import copy
import inspect
import itertools
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

from torch import Tensor, nn

from lossbench import registry
from lossbench.registry import Plugin
from lossbench.registry.schema import REQUIRED
from lossbench.registry.signatures import (
    OTHER_WORDS,
    REDUCTIONS,
    SIZES,
    arguments_of,
    call_facts,
    parameters_of,
)
from lossbench.tasks import Task
from lossbench.tasks.adapter import ForeignLoss
from lossbench.tasks.calls import given_outside
from lossbench.tasks.forms import forms_of, is_target_first
from lossbench.tasks.trying import IDLE, NEGATIVE, SHAPE, fault_of

UNREDUCED: tuple[dict[str, Any], ...] = (
    {"reduction": "none"},
    {"reduction": None},
    {"reduce": False},
    {},
)
AXIS = re.compile(r"(^|_)(axis|dims?)$")
READS_RAW = re.compile(r"sigmoid|softmax|logit", re.IGNORECASE)  # switches of libraries
ACTIVATES = re.compile(r"activation|nonlin", re.IGNORECASE)  # what they apply themselves, by name


def fit_form(plugin: Plugin, loss: Any, task: Task, /, **given: Any) -> Callable[..., Any]:
    """A loss that keeps the contract by calling this one, or this one where it does so itself.

    given: values of its parameters; the form is the same whatever numbers stand in place of others.
    The words of the form are in its `words`. UserError where no form of the task's batches serves,
    but for what is written as a loss of ours is.
    """
    is_kept = not is_adapted(plugin, loss)
    if is_kept and (not plugin.foreign or _takes_batches(plugin, loss, task, given)):
        return cast(Callable[..., Any], loss)
    if isinstance(loss, nn.Module) and "reduction" in vars(loss):
        loss = copy.copy(loss)
        loss.reduction = "none"
    given = {**_facts_of(plugin, task), **given}
    missing = [p.name for p in registry.signature(plugin) if p.default is REQUIRED]
    if missing := [name for name in missing if name not in given]:
        raise plugin.refused(
            f"{' and '.join(missing)} must be given. Where no key can, name in a file what has it: "
            f"f = {plugin.attribute}({missing[0]}=...), loss=mine.py:f."
        )
    parameters = parameters_of(loss)
    decisive = {n: v for n, v in given.items() if is_decisive(n, parameters[n].default)}
    again = _fit_again, (plugin, task, given)
    faults, reserve = [], None
    candidates = [*_candidates(loss, task, given)]
    for last, each, foreign in itertools.product((False, True), (True, False), candidates):
        if foreign.form.is_last != last or (foreign.unreduced and not each) or (last and reserve):
            continue
        if not (fault := fault_of(foreign, task, decisive, per_example=each)):
            return foreign.refined(task, decisive).as_contract(plugin, task, given, again)
        reserve = reserve or (foreign if fault in (NEGATIVE, IDLE) else None)
        faults.append((fault, foreign.words))
    if reserve:
        return reserve.refined(task, decisive).as_contract(plugin, task, given, again)
    if is_kept:
        return cast(Callable[..., Any], loss)
    raise plugin.refused(_reason(task, faults))


def _fit_again(plugin: Plugin, task: Task, given: dict[str, Any]) -> Callable[..., Any]:
    """The same in another process: forms cannot be pickled."""
    return fit_form(plugin, registry.load(plugin), task, **given)


def _facts_of(plugin: Plugin, task: Task) -> dict[str, Any]:
    """What the task supplies to a loss that asks for it, as of its example."""
    target = task.example()[1]
    known = {**task.facts(target), "num_examples": len(target)}
    return registry.given(registry.facts(plugin), known)


def _candidates(loss: Any, task: Task, given: dict[str, Any]) -> Iterator[ForeignLoss]:
    """The ways to call it: with raw predictions as it is, as its switches have it, and others."""
    parameters = parameters_of(loss)
    known = _known_sizes(task, parameters, given)
    switches = [{**known, **each} for each in _switches(task, parameters, given)]
    forms = [*forms_of(task, arguments_of(loss))]
    named = [*itertools.takewhile(lambda form: form.in_parts, forms)]
    forms = forms[len(named) :]
    raw = [form for form in forms if form.is_raw]
    others = [form for form in forms if not form.is_raw]
    ways = [
        *itertools.product([known], [*named, *raw]),
        *itertools.product(switches, raw),
        *itertools.product([known], others),
    ]
    for unreduced in UNREDUCED:
        if unreduced.keys() <= parameters.keys():
            yield from (ForeignLoss(loss, unreduced, *way) for way in ways)


def _known_sizes(
    task: Task, parameters: dict[str, inspect.Parameter], given: dict[str, Any]
) -> dict[str, int]:
    """Numbers of classes that a loss has another default for."""
    facts = task.facts(task.example()[1])
    sizes = {
        name: facts["num_classes"]
        for name, p in parameters.items()
        if "num_classes" in facts and OTHER_WORDS.get(name, name) == "num_classes"
        if type(p.default) is int and given.get(name, p.default) == p.default
    }
    return {name: size for name, size in sizes.items() if size != parameters[name].default}


def _switches(
    task: Task, parameters: dict[str, inspect.Parameter], given: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """What a loss may be told for it to take raw predictions, where nobody has told it yet."""
    of_classes = task.sums_to_one or task.example()[0].ndim > task.example()[1].ndim
    usual = [n for n, p in parameters.items() if n not in given or given[n] == p.default]
    flags = [n for n in usual if parameters[n].default is False and READS_RAW.search(n)]
    for name in sorted(flags, key=lambda n: ("softmax" in n) != of_classes):
        yield {name: True}
    for name in usual:
        if ACTIVATES.search(name) and isinstance(parameters[name].default, str | None):
            yield from ({name: each} for each in ("softmax", "sigmoid")[not of_classes :])


def _reason(task: Task, faults: list[tuple[str, str]]) -> str:
    """What to say where no form serves: of the one that came furthest why it does not."""

    def rank(each: tuple[str, str]) -> int:
        return 2 if re.match(r"\w+: ", each[0]) else int(each[0].startswith(SHAPE))

    fault, words = min(faults, key=rank)
    prediction, target = (str(("B", *part.shape[1:])).replace("'", "") for part in task.example())
    outputs = ", or more outputs by declare(outputs=..., link=...)" * any(task.parts_declarations)
    return (
        f"no form of a batch of the task {task.name} serves it. With {words}: {fault}.\n"
        "Another value of one of its keys may; or call it in a function of your own, "
        f"loss=mine.py:f, with prediction {prediction} and target {target}{outputs}."
    )


def is_adapted(plugin: Plugin, loss: Any) -> bool:
    """Whether it is of a file or a module, and not written as a loss of ours is."""
    return bool(plugin.foreign) and not _keeps_contract(plugin, loss)


def _keeps_contract(plugin: Plugin, loss: Any) -> bool:
    """Whether it is written as a loss of ours: two arguments, keywords, and no reduction.

    What a library has not declared may look so and mean probabilities, or targets that are one-hot.
    """
    if isinstance(loss, nn.Module) or (plugin.library and not hasattr(loss, "declaration")):
        return False
    parameters = parameters_of(loss)
    positional = [p.name for p in parameters.values() if p.kind is not p.KEYWORD_ONLY]
    expected = 0 if inspect.isclass(loss) else 2
    return len(positional) == expected and not parameters.keys() & set(REDUCTIONS)


def _takes_batches(plugin: Plugin, loss: Any, task: Task, given: dict[str, Any]) -> bool:
    """Whether what is written as a loss of ours takes a prediction and a target, in this order.

    Of what is declared or has a '/', and so is meant for us, that is not asked.
    """
    arguments = [p for p in parameters_of(loss).values() if p.kind is not p.KEYWORD_ONLY]
    if hasattr(loss, "declaration") or any(p.kind is p.POSITIONAL_ONLY for p in arguments):
        return True
    if is_target_first(arguments_of(loss)):
        return False
    known = {**_facts_of(plugin, task), **given}
    if any(p.default is REQUIRED and p.name not in known for p in registry.signature(plugin)):
        return True
    prediction, target = task.example()
    try:
        called: Any = loss(**known) if inspect.isclass(loss) else partial(loss, **known)
        values = called(prediction, target, **given_outside(call_facts(loss), target))
    except Exception:
        return False
    return not isinstance(values, Tensor) or values.shape in ((), target.shape[:1])


def is_decisive(name: str, default: Any) -> bool:
    """Whether a parameter decides the form: all but numbers with a default.

    Sizes and axes do, whatever their default.
    """
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    return not is_number or OTHER_WORDS.get(name, name) in SIZES or bool(AXIS.search(name))
