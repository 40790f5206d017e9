"""An experiment's claims as its YAML holds them: names and numbers, never code.

A claim has tests, all of which must hold. A side of a test is a loss or what singles out one run,
and may have a metric or an epoch (`at`) of its own:
    {better: absolute_error, than: squared_error, metric: mean_absolute_error, by: 0.1}
    {less: {loss: focal, loss.gamma: 5}, than: 0.05, metric: ece}     (or `more`)
    {not_worse: focal, than: cross_entropy, metric: log_loss, by: 0.01}
    {better: ldam, than: focal, where: {corruption.ratio: 0.01}, beyond: {corruption.ratio: 0.1}}
    {equal: {corruption: none}, to: {corruption: outliers}, metric: r2, within: 0.02}
    {ratio: huber, to: squared_error, metric: mean_squared_error, at_most: 0.9}
    {ratio: squared_error, to: cross_entropy, metric: train/accuracy, reaches: 0.95, at_least: 1.5}
    {trend: falling, over: loss.gamma, where: {loss: focal}, metric: ece}
    {correlation: negative, metric: accuracy, to: ece, where: {dataset: digits}}
    {loss: huber, task: regression, prediction: 0, target: 30, of: gradient, expect: -1}
    {loss: hinge, task: binary, prediction: 0, target: [1, 0], weights: [0.8, 0.2],
     of: minimiser, expect: 1}
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
At = Literal["last", "best"]


@dataclass(frozen=True)
class Side:
    """What singles out a run, the epoch whose parameters are scored, and the metric."""

    filters: Filters
    metric: str
    at: At


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What tests of trained runs share: which number each seed has.

    metric: of the test split; `val/NAME` and `train/NAME` are of the others, the training split as
    it was trained on, which needs trainer.peek=true. at: after the last epoch, or at the one that
    was best on validation data. spread: the distance of each seed from the median takes the place
    of the value. reaches: epochs until a `val/` or `train/` metric reaches this number do.
    over: a key, such as dataset; each of its values counts once, by the mean over seeds.
    """

    metric: str
    at: At = "last"
    spread: bool = False
    reaches: float | None = None
    over: str | None = None


@dataclass(frozen=True)
class Difference(Measured):
    """The first side is better, less or more than the second, or than a number, by at least `by`.

    better is by the metric's own direction; less and more also serve where it has none. not_worse:
    worse by less than `by`. beyond: the difference is larger, by `by`, than where these filters
    take the place of both sides' own.
    """

    how: Literal["better", "less", "more", "not_worse"]
    first: Side
    than: Any
    by: Annotated[float, "[0, inf)"] = 0.0
    beyond: Filters | None = None


@dataclass(frozen=True)
class Equivalence(Measured):
    """Both sides are the same in the mean, to within a margin in the metric's own unit."""

    first: Side
    to: Side
    within: Annotated[float, "(0, inf)"]


@dataclass(frozen=True)
class Ratio(Measured):
    """The first side's mean over the second's is at least or at most a number, or between two."""

    first: Side
    to: Side
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True)
class Trend(Measured):
    """Over ascending numbers of the key `over` the metric rises or falls, by the slope on ranks.

    by: from each number to the next, in the mean.
    """

    trend: Literal["rising", "falling"]
    first: Side
    by: Annotated[float, "[0, inf)"] = 0.0


@dataclass(frozen=True)
class Correlation(Measured):
    """Over the runs of a side two metrics have a rank correlation of this sign, seed by seed."""

    correlation: Literal["positive", "negative"]
    first: Side
    to: str
    by: Annotated[float, "[0, 1)"] = 0.0


@dataclass(frozen=True)
class Identity:
    """A loss's value, or what else it has at given numbers, is (or is not) what is expected.

    loss: a name, or a mapping of name and hyper-parameters. expect, differs_from: numbers, or
    times * another loss + plus, a mapping of the keys loss, prediction, target, times, plus, of
    which those left out are this test's own. facts: what the loss asks of a data set, by name.
    weights: of the targets, and then it is the sum over all of them that each prediction has.
    of: gradient is in the prediction; minimiser is the prediction of the least sum, searched from
    those given; estimate is what the loss's link makes of it, and choice the share of each class
    among those with the largest estimate, to within the tolerance.
    """

    loss: Any
    task: str
    prediction: Any
    target: Any
    weights: Any = None
    of: Literal["value", "gradient", "minimiser", "estimate", "choice"] = "value"
    expect: Any = None
    differs_from: Any = None
    facts: Any = None
    tolerance: Annotated[float, "[0, inf)"] = 1e-12


@dataclass(frozen=True)
class Requirement:
    """What must have been measured on one side for the claim to say anything."""

    of: Side
    at_least: float | None = None
    at_most: float | None = None


Test = Difference | Equivalence | Ratio | Trend | Correlation | Identity


@dataclass(frozen=True)
class Claim:
    """A statement of a source, the regime in which it is tested, and the verdict on record.

    requires: what must hold for the claim to say anything, each by itself at level .05.
    looks: how often it was decided on growing numbers of seeds; p values are multiplied by it.
    """

    id: str
    text: str
    source: str
    tests: tuple[Test, ...]
    requires: tuple[Requirement | Test, ...] = ()
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
    at: At | None = None
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
        _requirement(item, shared, defaults, f"{place}.requires[{i}]")
        for i, item in enumerate(values["requires"])
    ]
    words = {name: " ".join(values[name].split()) for name in ("id", "text", "source", "regime")}
    verdict, looks = values["verdict"], values["looks"]
    return Claim(
        **words, tests=tuple(tests), requires=tuple(requires), verdict=verdict, looks=looks
    )


FORMS: dict[str, type] = {  # by the key that says what a test is
    **dict.fromkeys(("better", "less", "more", "not_worse"), Difference),
    "equal": Equivalence,
    "ratio": Ratio,
    "trend": Trend,
    "correlation": Correlation,
    "loss": Identity,
}


def _test(content: Any, shared: Filters, defaults: Filters, place: str) -> Test:
    content = _mapping(content, place)
    forms = [form for form in FORMS if form in content]
    if len(forms) != 1:
        raise UserError(
            f"{place}: expected one of the keys better, less, more, not_worse (a difference), "
            "equal (an equivalence), ratio, trend, correlation, loss (an identity); given "
            f"{', '.join(content) or 'nothing'}."
        )
    (form,) = forms
    if form == "loss":
        return _identity(content, place)
    record = FORMS[form]
    shared = {**shared, **_mapping(content.pop("where", {}), f"{place}.where")}
    content = {**defaults, **content}
    first = {} if form in ("trend", "correlation") else content.pop(form)  # the runs of `where`
    if "metric" not in content:
        name = "such as metric: accuracy, in the test or in its claim"
        raise UserError(f"{place}.metric is required: name one, {name}.")
    values = _keys(record, content, place, "first", "how")
    if record is Difference:
        values["how"] = form
    _refuse_reading(values, place)
    values["first"] = _side(first, shared, values, f"{place}.{form}")
    for key in {"than", "to"} & values.keys():
        if record is not Correlation and (key == "to" or type(values[key]) not in (int, float)):
            values[key] = _side(values[key], shared, values, f"{place}.{key}")
    test: Test = record(**values)
    _refuse_form(test, place)
    return test


def _refuse_reading(values: Filters, place: str) -> None:
    """UserError where no seed has the number that is asked for."""
    split, _ = split_of(values["metric"])
    if values["reaches"] is not None and split == "test":
        name = values["metric"]
        raise UserError(
            f"{place}.reaches: test metrics are not read by epoch. Give metric: val/{name}, or "
            f"train/{name} with trainer.peek=true."
        )
    if values["spread"] and (values["over"] or values["reaches"] is not None):
        raise UserError(f"{place}.spread: not together with over or reaches.")


def _refuse_form(test: Test, place: str) -> None:
    """UserError where keys are missing or contradict each other."""
    if isinstance(test, Ratio):
        if test.at_least is None and test.at_most is None:
            raise UserError(f"{place}: expected at_least or at_most, with a number.")
        if test.over:
            raise UserError(f"{place}.over: not of a ratio. Claim each value by itself.")
    if isinstance(test, Trend) and not test.over:
        raise UserError(f"{place}.over is required: the key that rises, such as loss.gamma.")
    if isinstance(test, Correlation) and (test.over or test.reaches is not None or test.spread):
        raise UserError(f"{place}: a correlation is over all runs of `where`; give metric and to.")


def split_of(metric: str) -> tuple[str, str]:
    """The split that a claim's metric is of, and its name: train/accuracy, val/ece, accuracy."""
    split, _, name = metric.rpartition("/")
    return (split, name) if split in ("train", "val") else ("test", metric)


def _identity(content: Filters, place: str) -> Identity:
    values = _keys(Identity, content, place)
    if (values["expect"] is None) == (values["differs_from"] is None):
        raise UserError(f"{place}: expected one of the keys expect and differs_from.")
    if values["of"] not in ("value", "gradient") and values["weights"] is None:
        raise UserError(f"{place}.weights is required: the {values['of']} is of weighted targets.")
    return Identity(**values)


def _requirement(
    content: Any, shared: Filters, defaults: Filters, place: str
) -> Requirement | Test:
    content = _mapping(content, place)
    if "of" not in content and FORMS.keys() & content.keys():
        return _test(content, shared, {"at": defaults.get("at", "last")}, place)
    side = {"at": "last", **{k: content.pop(k) for k in ("metric", "at") if k in content}}
    if "metric" not in side:
        raise UserError(f"{place}.metric is required: give {place}.metric=str.")
    values = _keys(Requirement, content, place)
    values["of"] = _side(values["of"], shared, side, f"{place}.of")
    if values["at_least"] is None and values["at_most"] is None:
        raise UserError(f"{place}: expected at_least or at_most, with a number.")
    return Requirement(**values)


def _keys(record: type, content: Any, place: str, *given: str) -> dict[str, Any]:
    """The record's fields but for those given, as the YAML sets them."""
    wanted = [p for p in parameters_of_object(record) if p.name not in given]
    return validate(wanted, _mapping(content, place), place)


def _side(content: Any, shared: Filters, reading: Filters, place: str) -> Side:
    """A run by its loss's name, or by keys of its configuration; metric and at may be its own."""
    if isinstance(content, str):
        content = {"loss": content}
    filters = {**shared, **_mapping(content, place)}
    metric, at = (filters.pop(key, reading[key]) for key in ("metric", "at"))
    if at not in ("last", "best"):
        raise UserError(f"{place}.at={at}: expected one of last, best.")
    return Side(filters, str(metric), at)


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
