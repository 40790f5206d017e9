"""Checks of what can be read: signature, docstring, declaration."""

from __future__ import annotations

import doctest
import inspect
import math
import re
import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from lossbench.check.findings import Failed, Hint, Skipped
from lossbench.check.subject import Subject
from lossbench.contract import UserError
from lossbench.registry.schema import convert, within
from lossbench.registry.signatures import CALL_FACTS

REDUCTIONS = ("reduction", "reduce", "size_average", "average", "mean", "sum_batch")
TARGETS = ("target", "targets", "label", "labels", "y_true", "truth", "ground_truth")
PREDICTIONS = ("prediction", "predictions", "pred", "logits", "scores", "output", "y_pred")
LITERALS = (type(None), bool, int, float, str)


def signature(subject: Subject) -> None:
    """Two positional arguments, prediction then target; all else keyword-only, typed, default."""
    call, keywords = _signatures(subject)
    kinds = inspect.Parameter
    starred = [p for p in [*call, *keywords] if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    if starred:
        raise Failed(f"it takes *{starred[0].name}, which hides its hyper-parameters; name them.")
    if asked := [p.name for p in call if p.kind is kinds.KEYWORD_ONLY]:
        raise Failed(
            f"a call is not given {', '.join(asked)}, but {', '.join(CALL_FACTS)}; what else there "
            "is, __init__ may ask for."
        )
    if len(call) != 2:
        extra = f": {', '.join(p.name for p in call[2:])} must be keyword-only" if call[2:] else ""
        raise Failed(f"it takes {len(call)} positional arguments, expected 2{extra}.")
    if any(p.default is not kinds.empty for p in call):
        raise Failed("prediction and target must have no default.")
    if call[0].name in TARGETS and call[1].name in PREDICTIONS:
        raise Failed(f"the order is ({call[0].name}, {call[1].name}); give the prediction first.")
    for keyword in keywords:
        _check_keyword(subject, keyword)


def _signatures(subject: Subject) -> tuple[list[inspect.Parameter], list[inspect.Parameter]]:
    """Positional arguments of the call, and the keywords of the function or of the module."""
    everything = list(inspect.signature(subject.loss).parameters.values())
    if not subject.is_module:
        named = [p for p in everything if p.kind is not p.KEYWORD_ONLY]
        return named, [p for p in everything if p.kind is p.KEYWORD_ONLY]
    if not (inspect.isclass(subject.loss) and issubclass(subject.loss, nn.Module)):
        raise Failed("it is a class; a loss is a function, or an nn.Module with its own weights.")
    positional = [p.name for p in everything if p.kind is not p.KEYWORD_ONLY]
    if positional:
        raise Failed(f"__init__ must take keywords only: put * before {positional[0]}.")
    called = inspect.signature(subject.loss.forward).parameters.values()
    return [p for p in called if p.name not in ("self", *CALL_FACTS)], everything


def _check_keyword(subject: Subject, keyword: inspect.Parameter) -> None:
    name, default = keyword.name, keyword.default
    if any(p.name == name and p.kind.loss for p in subject.keywords):
        return
    if name in REDUCTIONS:
        raise Failed(f"{name}: a loss does not reduce; return one number per example.")
    if keyword.annotation is keyword.empty:
        raise Failed(f"{name} has no type; annotate it.")
    if default is keyword.empty:
        if name not in subject.known_facts and name not in CALL_FACTS:
            known = ", ".join([*subject.known_facts, *CALL_FACTS])
            raise Failed(
                f"{name} has no default, and is no fact that the task {subject.task.name} "
                f"supplies ({known}); give it a default."
            )
        return
    if not _is_literal(default):
        raise Failed(f"{name} has the default {default!r}, which is no literal.")
    kind = next(p.kind for p in subject.keywords if p.name == name)
    try:
        convert(kind, list(default) if isinstance(default, tuple) else default, name)
    except UserError as error:
        raise Failed(f"the default does not fit its own annotation: {error}") from error


def _is_literal(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_literal, value))
    return isinstance(value, LITERALS) and not (isinstance(value, float) and math.isnan(value))


def docstring(subject: Subject) -> None:
    """The docstring says what the loss is, and better names every hyper-parameter."""
    text = text_of(subject.loss)
    if not text:
        raise Failed("there is no docstring that says what the loss rewards or punishes.")
    missing = [p.name for p in subject.parameters if not re.search(rf"\b{p.name}\b", text)]
    if missing:
        raise Hint(f"it does not say what {', '.join(missing)} means.")


def text_of(loss: Callable[..., Any]) -> str:
    """The docstring, of a module those of its constructor and call as well; spaces are single."""
    parts = [loss.__doc__]
    if inspect.isclass(loss):
        parts += [loss.__init__.__doc__, loss.forward.__doc__]  # type: ignore[attr-defined]
        parts = [part for part in parts if part not in (nn.Module.__doc__, object.__init__.__doc__)]
    return " ".join(" ".join(part or "" for part in parts).split())


def docstring_example(subject: Subject) -> None:
    """The examples in the docstring give what they print."""
    module = sys.modules.get(subject.loss.__module__)
    finder = doctest.DocTestFinder(recurse=False)
    tests = finder.find(subject.loss, subject.plugin.attribute, module)
    tests = [test for test in tests if test.examples]
    if not tests:
        raise Skipped("there is no example.")
    for test in tests:
        printed: list[str] = []
        runner = doctest.DocTestRunner(
            verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
        )
        if runner.run(test, out=printed.append).failed:
            output = " ".join("".join(printed).partition("Failed example:")[2].split())
            raise Failed(f"the example fails: {output}"[:300])


def declaration(subject: Subject) -> None:
    """What is declared names real hyper-parameters, within their intervals, and valid numbers."""
    declared = subject.declaration
    intervals = {p.name: p.kind.interval for p in subject.parameters}
    for name, low, high in (axis for axis in declared.tune if "." not in axis[0]):
        if name not in intervals:
            raise Failed(f"tune names {name}, which is no hyper-parameter.")
        if not low < high:
            raise Failed(f"tune of {name} is ({low:g}, {high:g}); the first must be less.")
        interval = intervals[name]
        if interval and not (within(interval, low) and within(interval, high)):
            raise Failed(f"tune of {name}, ({low:g}, {high:g}), leaves its interval {interval}.")
    if unknown := [n for n in declared.unit if "." not in n and n not in intervals]:
        raise Failed(f"unit names {unknown[0]}, which is no hyper-parameter.")
    if declared.lipschitz is not None and not 0 <= declared.lipschitz < math.inf:
        raise Failed(f"lipschitz={declared.lipschitz} is no bound.")


def own_weights(subject: Subject) -> None:
    """Weights of its own are parameters of a module, so that they are trained and kept."""
    if not subject.is_module:
        names = getattr(getattr(subject.loss, "__code__", None), "co_names", ())
        known = getattr(subject.loss, "__globals__", {})
        for name in names:
            held = known.get(name)
            if isinstance(held, nn.Module) or (isinstance(held, Tensor) and held.requires_grad):
                raise Failed(f"{name} is trained, yet lies outside the loss; make it an nn.Module.")
        raise Skipped("it has none.")
    module = subject.made()
    loose = [name for name, value in vars(module).items() if isinstance(value, Tensor)]
    if loose:
        raise Failed(f"{loose[0]} is a plain tensor; make it an nn.Parameter or a buffer.")


CHECKS = (signature, docstring, docstring_example, declaration, own_weights)
