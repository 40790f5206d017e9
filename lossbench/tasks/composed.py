"""Losses that are made of others, as functions or modules that keep the contract."""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from torch import Tensor, nn

from lossbench import registry
from lossbench.contract import Declaration, UserError, declaration_of
from lossbench.registry import Plugin, Term
from lossbench.registry.parts import complete, is_made_of_losses, with_parts
from lossbench.registry.schema import REQUIRED
from lossbench.registry.signatures import call_facts
from lossbench.tasks import Task
from lossbench.tasks.foreign import fit_form

USUAL = ("cross_entropy", "squared_error")  # what others are tried with
RATIO = 10.0  # a term's weight is searched from the configured one / this to it * this


def loss_for(plugin: Plugin, loss: Any, task: Task, /, **given: Any) -> Callable[..., Any]:
    """The loss as the task calls it: as `fit_form` has it, or made of its parts."""
    if not plugin.parts:
        return fit_form(plugin, loss, task, **given)
    functions = {}
    for part in plugin.parts:
        asked = {n: given[n] for n in registry.facts(part.plugin) if n in given}
        values = {**part.values, **asked}
        functions[part.path] = loss_for(part.plugin, registry.load(part.plugin), task, **values)
    declared = [declaration_of(function) for function in functions.values()]
    composed = Composed(loss, plugin, functions, _combined(plugin, loss, declared, task))
    has_weights = any(inspect.isclass(function) for function in functions.values())
    return _module_class(composed) if has_weights else composed


def forms_said(name: str, loss: Any) -> Iterator[str]:
    """How the losses of no contract are given a batch, this one or those that it is made of."""
    if words := getattr(loss, "words", ""):
        yield f"loss={name} is given {words}."
    composed = getattr(loss, "composed", loss)
    for part in composed.plugin.parts if isinstance(composed, Composed) else ():
        yield from forms_said(part.plugin.name, composed.functions[part.path])


def declaration_for(plugin: Plugin, task: Task) -> Declaration:
    """What a loss declares, of one made of others what these declare together."""
    loss = registry.load(plugin)
    if not plugin.parts:
        return declaration_of(loss)
    declared = [declaration_for(part.plugin, task) for part in plugin.parts]
    return _combined(plugin, loss, declared, task)


def with_samples(plugin: Plugin, task: Task) -> Plugin:
    """The plugin, one made of others by some of the task's that fit each other, to try it on."""
    if not is_made_of_losses(plugin):
        return plugin
    packages = {"lossbench", registry.find("task", task.name)[0].package}
    losses = [
        p
        for p in registry.installed("loss")
        if p.task == task.name and p.package in packages and _is_plain(p)
    ]
    losses.sort(key=lambda p: (p.name not in USUAL, len(registry.facts(p, needed=True)), p.name))
    names = [p.name for p in losses]
    asked = [p for p in registry.parameters(plugin) if p.kind.loss and p.default is REQUIRED]
    pairs = [(names[0], second) for second in (*names[1:], names[0])] if names else []
    for first, second in pairs:
        each = itertools.cycle((first, second))
        named = {"named": {first: 1.0, second: 0.5}, "one": ""}
        values = {p.name: named[p.kind.loss] or next(each) for p in asked}
        bound = with_parts(plugin, complete(plugin, values, "loss"), task.name)
        try:
            declaration_for(bound, task)
        except UserError:
            continue
        return bound
    raise UserError(f"loss={plugin.name}: the task {task.name} has no losses to make it of.")


def _is_plain(plugin: Plugin) -> bool:
    """Whether a loss is a function, and not made of others."""
    return not is_made_of_losses(plugin) and not inspect.isclass(registry.load(plugin))


class Composed:
    """A loss made of others, called with their facts, and with values in place of configured ones.

    Such a value is called `start` where it is the loss's own, `terms.dice.smooth` where it is not.
    """

    def __init__(
        self,
        loss: Callable[..., Tensor],
        plugin: Plugin,
        functions: Mapping[str, Callable[..., Any]],
        declaration: Declaration,
    ) -> None:
        functools.update_wrapper(self, loss)
        self.loss, self.plugin, self.functions = loss, plugin, functions
        self.declaration = declaration
        parameters = list(inspect.signature(loss).parameters.values())
        asked = {*registry.facts(plugin), *(n for f in functions.values() for n in call_facts(f))}
        others = asked - {p.name for p in parameters}
        keyword = inspect.Parameter.KEYWORD_ONLY
        facts = [inspect.Parameter(n, keyword, annotation="Tensor") for n in sorted(others)]
        self.__signature__ = inspect.Signature([*parameters, *facts])
        made_of = {p.name for p in registry.parameters(plugin) if p.kind.loss}
        self.own = {p.name for p in parameters} - made_of

    def __call__(self, prediction: Tensor, target: Tensor, /, **given: Any) -> Tensor:
        return self.call(self.functions, prediction, target, given)

    def call(
        self,
        functions: Mapping[str, Callable[..., Any]],
        prediction: Tensor,
        target: Tensor,
        given: dict[str, Any],
    ) -> Tensor:
        """The value, by these functions or modules of the parts."""
        losses: dict[str, Any] = {}
        for part in self.plugin.parts:
            function = functools.partial(_weighted, part, functions[part.path], given)
            name, _, key = part.path.partition(".")
            if key:
                losses.setdefault(name, {})[key] = function
            else:
                losses[name] = function
        own = {name: value for name, value in given.items() if name in self.own}
        return self.loss(prediction, target, **losses, **own)


def _weighted(
    part: Term,
    function: Callable[..., Tensor],
    given: dict[str, Any],
    prediction: Tensor,
    target: Tensor,
) -> Tensor:
    """The value of a part, whose weight and hyper-parameters may be among what is given."""
    start = f"{part.path}."
    own = {n.removeprefix(start): v for n, v in given.items() if n.startswith(start)}
    weight = own.pop("weight", part.weight)
    if isinstance(function, nn.Module):  # made with all but what each call brings
        values = {n: given[n] for n in call_facts(function)}
    else:
        facts = {n: given[n] for n in registry.facts(part.plugin) if n in given}
        values = {**part.values, **facts, **own}
    return weight * function(prediction, target, **values)


class ComposedModule(nn.Module):
    """The same where a part has weights or a memory: with modules, and with each replica's facts.

    composed: the loss, given by `_module_class`.
    """

    composed: Composed

    def __init__(self, **given: Any) -> None:
        super().__init__()
        facts = {n: v for n, v in given.items() if isinstance(v, Tensor)}
        self.given = {n: v for n, v in given.items() if n not in facts}
        self.facts = [*facts]
        for name, value in facts.items():
            self.register_buffer(f"fact_{name}", value)
        self.made = nn.ModuleList()
        self.functions = dict(self.composed.functions)
        for part in self.composed.plugin.parts:
            loss = self.functions[part.path]
            if inspect.isclass(loss):
                asked = {n: given[n] for n in registry.facts(part.plugin) if n in given}
                made = cast(nn.Module, loss(**part.values, **asked))
                self.made.append(made)
                self.functions[part.path] = made

    def value(self, prediction: Tensor, target: Tensor, called: dict[str, Any]) -> Tensor:
        """The value with what a call brings."""
        facts = {name: getattr(self, f"fact_{name}") for name in self.facts}
        given = {**self.given, **facts, **called}
        return self.composed.call(self.functions, prediction, target, given)

    def scores(self, embedding: Tensor) -> Tensor:
        """The logits of the part whose link counts."""
        parts = self.composed.plugin.parts
        leader: Any = self.functions[next((p for p in parts if p.leads), parts[0]).path]
        return cast(Tensor, leader.logits(embedding))


def _module_class(composed: Composed) -> type[nn.Module]:
    """What makes modules of this loss, called with what the parts ask for at each call."""

    def forward(self: Any, prediction: Tensor, target: Tensor, /, **called: Any) -> Tensor:
        return cast(Tensor, self.value(prediction, target, called))

    batch = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in ("self", "p", "t")]
    facts = [inspect.Parameter(n, inspect.Parameter.KEYWORD_ONLY) for n in call_facts(composed)]
    forward.__signature__ = inspect.Signature([*batch, *facts])  # type: ignore[attr-defined]
    members = {"composed": composed, "declaration": composed.declaration, "forward": forward}
    if any(hasattr(function, "logits") for function in composed.functions.values()):
        members["logits"] = ComposedModule.scores
    return type("ComposedLoss", (ComposedModule,), {**members, "__doc__": composed.__doc__})


# ---- what the parts declare together -----------------------------------------------------------
def _combined(
    plugin: Plugin, loss: Callable[..., Any], declared: Sequence[Declaration], task: Task
) -> Declaration:
    """The declaration of a loss made of others; UserError where they need different models."""
    own, pairs = declaration_of(loss), list(zip(plugin.parts, declared, strict=True))
    leader = next((pair for pair in pairs if pair[0].leads), pairs[0])
    for other in pairs:
        _refuse_other_outputs(plugin.name, leader, other, task)
        if not leader[0].leads:
            _refuse_other_link(plugin.name, leader, other, task)
    return replace(
        own,
        link=_bound_link(*leader),
        outputs=leader[1].outputs,
        head=leader[1].head,
        start=leader[1].start,
        tune=(*own.tune, *(axis for pair in pairs for axis in _searched(*pair, len(pairs)))),
        target=_shared_target([d.target for d in declared], task),
        couples=own.couples or any(d.couples for d in declared),
        unit=(*own.unit, *(f"{part.path}.{n}" for part, d in pairs for n in d.unit)),
        stops_gradient=own.stops_gradient or any(d.stops_gradient for d in declared),
    )


Declared = tuple[Term, Declaration]


def _refuse_other_outputs(name: str, leader: Declared, other: Declared, task: Task) -> None:
    """UserError where two parts need other outputs of the model."""

    one, two = (
        (task.outputs_of(declared), declared.head, _has_logits(part, task))
        for part, declared in (leader, other)
    )
    if one != two:
        differ = (
            f"{one[0]} and {two[0]} outputs per target" if one[0] != two[0] else "different outputs"
        )
        raise UserError(
            f"loss={name}: {leader[0].plugin.name} and {other[0].plugin.name} need {differ} of the "
            "model. Name losses that need the same."
        )


def _has_logits(part: Term, task: Task) -> bool:
    """Whether a part takes embeddings, and scores the classes itself."""
    return task.scores_classes and "embedding_dim" in registry.facts(part.plugin)


def _refuse_other_link(name: str, leader: Declared, other: Declared, task: Task) -> None:
    """UserError where two parts read predictions in different ways."""
    one, two = ((d.link, _link_values(part, d)) for part, d in (leader, other))
    if one != two or (leader is not other and _has_logits(leader[0], task)):
        keys = [part.path.rpartition(".")[2] for part, _ in (leader, other)]
        raise UserError(
            f"loss={name}: {leader[0].plugin.name} and {other[0].plugin.name} have different "
            f"links. Say whose estimates are scored: loss.link={keys[0]} or loss.link={keys[1]}."
        )


def _link_values(part: Term, declared: Declaration) -> dict[str, Any]:
    """What a part's link asks for of its hyper-parameters."""
    return {n: part.values[n] for n in declared.link_keywords if n in part.values}


def _bound_link(part: Term, declared: Declaration) -> Callable[..., Tensor] | None:
    """The part's link with its hyper-parameters, which asks for facts alone."""
    link, values = declared.link, _link_values(part, declared)
    if link is None or not values:
        return link

    def with_values(prediction: Tensor, **facts: Tensor) -> Tensor:
        return link(prediction, **values, **facts)

    functools.update_wrapper(with_values, link)
    asked = [p for n, p in inspect.signature(link).parameters.items() if n not in values]
    with_values.__signature__ = inspect.Signature(asked)  # type: ignore[attr-defined]
    return with_values


def _searched(part: Term, declared: Declaration, count: int) -> list[tuple[str, float, float]]:
    """The ranges of a part's hyper-parameters but for those of its link, and of its weight."""
    fixed, weight = _link_values(part, declared), part.weight
    axes = [(f"{part.path}.{n}", low, high) for n, low, high in declared.tune if n not in fixed]
    weighed = count > 1 and weight > 0 and "." in part.path
    return [*([(f"{part.path}.weight", weight / RATIO, weight * RATIO)] if weighed else []), *axes]


def _shared_target(intervals: Sequence[str | None], task: Task) -> str | None:
    """The targets that are valid for all parts, where that is not the task's own."""
    given = [interval for interval in intervals if interval]
    if not given or (task.soft_targets and None in intervals):
        return None
    low = max(given, key=lambda each: (float(each[1:].split(",")[0]), each[0] == "("))
    high = min(given, key=lambda each: (float(each[:-1].split(",")[1]), each[-1] == "]"))
    return f"{low.partition(',')[0]},{high.partition(',')[2]}"
