"""An experiment's claims as its YAML holds them: names and numbers, never code.

A claim has tests, all of which must hold. A side of a test is a loss or what singles out one run:
    {better: absolute_error, than: squared_error, metric: mean_absolute_error, by: 0.1}
    {less: {loss: focal, loss.gamma: 5}, than: 0.05, metric: ece}     (or `more`)
    {equal: {corruption: none}, to: {corruption: outliers}, metric: r2, within: 0.02}
    {loss: huber, task: regression, prediction: 0, target: 30, of: gradient, expect: -1}
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal

from lossbench.contract import UserError
from lossbench.nested import value_under
from lossbench.registry.hints import choices
from lossbench.registry.schema import parameters_of_object, validate

Filters = dict[str, Any]


@dataclass(frozen=True)
class Difference:
    """The first side is better, less or more than the second, or than a number, by at least `by`.

    better is by the metric's own direction; less and more also serve where it has none. at: after
    the last epoch, or at the one that was best on validation data.
    """

    how: Literal["better", "less", "more"]
    first: Filters
    than: Any
    metric: str
    by: Annotated[float, "[0, inf)"] = 0.0
    at: Literal["last", "best"] = "last"


@dataclass(frozen=True)
class Equivalence:
    """Both sides are the same in the mean, to within a margin in the metric's own unit."""

    first: Filters
    to: Filters
    metric: str
    within: Annotated[float, "(0, inf)"]
    at: Literal["last", "best"] = "last"


@dataclass(frozen=True)
class Identity:
    """A loss's value, or its gradient in the prediction, is (or is not) what is expected.

    loss: a name, or a mapping of name and hyper-parameters. expect, differs_from: numbers, or
    times * another loss + plus, a mapping of the keys loss, prediction, target, times, plus, of
    which those left out are this test's own. facts: what the loss asks of a data set, by name.
    """

    loss: Any
    task: str
    prediction: Any
    target: Any
    of: Literal["value", "gradient"] = "value"
    expect: Any = None
    differs_from: Any = None
    facts: Any = None
    tolerance: Annotated[float, "[0, inf)"] = 1e-12


@dataclass(frozen=True)
class Requirement:
    """What must have been measured on one side for the claim to say anything."""

    of: Filters
    metric: str
    at_least: float | None = None
    at_most: float | None = None


Test = Difference | Equivalence | Identity


@dataclass(frozen=True)
class Claim:
    """A statement of a source, the regime in which it is tested, and the verdict on record.

    looks: how often it was decided on growing numbers of seeds; p values are multiplied by it.
    """

    id: str
    text: str
    source: str
    tests: tuple[Test, ...]
    requires: tuple[Requirement, ...] = ()
    regime: str = ""
    verdict: str | None = None
    looks: int = 1


@dataclass(frozen=True)
class _Written:
    """A claim's keys in YAML; where, metric and at are shared by its tests."""

    id: str
    text: str
    source: str
    tests: list[Any]
    requires: list[Any] = ()  # type: ignore[assignment]
    regime: str = ""
    where: Any = None
    metric: str | None = None
    at: Literal["last", "best"] | None = None
    looks: Annotated[int, "[1, inf)"] = 1
    verdict: Literal["SUPPORTED", "REFUTED", "OPEN", "NOT APPLICABLE"] | None = None


def read_claims(content: Any, file: str) -> tuple[Claim, ...]:
    """The claims of an experiment's file; UserError names the claim and the key."""
    if not isinstance(content, list):
        raise UserError(f"{file}: claims: expected a list of claims.")
    claims = tuple(_claim(item, number, file) for number, item in enumerate(content))
    ids = [claim.id for claim in claims]
    for name in ids:
        if ids.count(name) > 1:
            raise UserError(f"{file}: claim {name}: two claims have this id.")
    return claims


def _claim(content: Any, number: int, file: str) -> Claim:
    name = content.get("id", f"number {number}") if isinstance(content, dict) else number
    place = f"{file}: claim {name}"
    values = _keys(_Written, content, place)
    shared = _mapping(values["where"] or {}, f"{place}.where")
    if not values["tests"]:
        raise UserError(f"{place}.tests: expected at least one test.")
    defaults = {key: values[key] for key in ("metric", "at") if values[key] is not None}
    tests = [
        _test(item, shared, defaults, f"{place}.tests[{i}]")
        for i, item in enumerate(values["tests"])
    ]
    requires = [
        _requirement(item, shared, f"{place}.requires[{i}]")
        for i, item in enumerate(values["requires"])
    ]
    words = {name: " ".join(values[name].split()) for name in ("id", "text", "source", "regime")}
    verdict, looks = values["verdict"], values["looks"]
    return Claim(
        **words, tests=tuple(tests), requires=tuple(requires), verdict=verdict, looks=looks
    )


def _test(content: Any, shared: Filters, defaults: Filters, place: str) -> Test:
    content = _mapping(content, place)
    forms = [form for form in ("better", "less", "more", "equal", "loss") if form in content]
    if len(forms) != 1:
        raise UserError(
            f"{place}: expected one of the keys better, less, more (a difference), equal (an "
            f"equivalence), loss (an identity); given {', '.join(content) or 'nothing'}."
        )
    if forms == ["loss"]:
        return _identity(content, place)
    shared = {**shared, **_mapping(content.pop("where", {}), f"{place}.where")}
    first = _side(content.pop(forms[0]), shared, f"{place}.{forms[0]}")
    content = {**defaults, **content}
    if forms == ["equal"]:
        values = _keys(Equivalence, content, place, "first")
        values["to"] = _side(values["to"], shared, f"{place}.to")
        return Equivalence(first, **values)
    values = _keys(Difference, content, place, "first", "how")
    if type(values["than"]) not in (int, float):
        values["than"] = _side(values["than"], shared, f"{place}.than")
    return Difference(forms[0], first, **values)  # type: ignore[arg-type]


def _identity(content: Filters, place: str) -> Identity:
    values = _keys(Identity, content, place)
    if (values["expect"] is None) == (values["differs_from"] is None):
        raise UserError(f"{place}: expected one of the keys expect and differs_from.")
    return Identity(**values)


def _requirement(content: Any, shared: Filters, place: str) -> Requirement:
    values = _keys(Requirement, content, place)
    values["of"] = _side(values["of"], shared, f"{place}.of")
    if values["at_least"] is None and values["at_most"] is None:
        raise UserError(f"{place}: expected at_least or at_most, with a number.")
    return Requirement(**values)


def _keys(record: type, content: Any, place: str, *given: str) -> dict[str, Any]:
    """The record's fields but for those given, as the YAML sets them."""
    wanted = [p for p in parameters_of_object(record) if p.name not in given]
    return validate(wanted, _mapping(content, place), place)


def _side(content: Any, shared: Filters, place: str) -> Filters:
    """The filters that single out a run: a loss by name, or keys of its configuration."""
    if isinstance(content, str):
        content = {"loss": content}
    return {**shared, **_mapping(content, place)}


def _mapping(content: Any, place: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise UserError(f"{place}={content}: expected a mapping of keys to values.")
    return {str(key): value for key, value in content.items()}


def term(identity: Identity, content: Any, place: str) -> tuple[Identity, float, float]:
    """An expected loss as an identity, what it is multiplied by, and what is added."""
    allowed = ("loss", "prediction", "target", "times", "plus")
    given = _mapping(content, place)
    for key in given:
        if key not in allowed:
            raise UserError(f"{place}.{key}: there is no such key. {choices(key, allowed)}")
    inherited = {field.name: getattr(identity, field.name) for field in fields(identity)}
    times, plus = (float(given.pop(key, default)) for key, default in (("times", 1), ("plus", 0)))
    return Identity(**{**inherited, **given}), times, plus


def matches(mapping: Mapping[str, Any], filters: Filters) -> bool:
    """Whether a configuration's mapping has each value; a section is known by its plugin's name."""
    return all(value_under(mapping, key, ...) == wanted for key, wanted in filters.items())
