"""A signature is the schema: parameters read from source text, values checked against them.

Reading the text instead of importing keeps torch out of `--help`, completion and validation.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import inspect
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lossbench.contract import UserError
from lossbench.registry.hints import choices, meant

REQUIRED: Any = inspect.Parameter.empty
BASES = {"float": float, "int": int, "bool": bool, "str": str}
PLACES = {"File": "file", "Folder": "folder"}
IDLE = "decides no numbers"
SHOWN = 12  # faults in one message
# Of a note on numbers for each class (C,), or for each pair of classes (C, C): axes, range, rule.
TABLE = re.compile(r"\((C,|C, C)\) in ([\[(].+?[\])])(?:, (not all 0|0 on the diagonal))?")
LARGEST = 2**63  # whole numbers are below it, so that every library can hold them
LOSS_WORDS = {
    "one": "the name of a loss",
    "named": "losses by name with weights, such as {cross_entropy: 1, focal: 0.5}",
}
TERM_NAME = re.compile(r"\w[\w-]*")
NOUNS = {float: "a number", int: "a whole number", bool: "true or false", str: "a string"}


@dataclass(frozen=True)
class Kind:
    """What a value may be. base None accepts anything; item is the kind of a list's elements.

    single: whether one such element may stand for the list.
    choices are all that is allowed, or next to a base what is allowed as well. Of a place
    ("file", "folder" or "file or folder") the content counts: it is each string in the value.
    table is the note of numbers for each class, such as "(C,) in [0, inf), not all 0"; number is
    what one may be that stands for both of two classes.
    loss: "one" where it names another loss, "named" where it names several by keys.
    idle: whether it decides nothing about a result, and so is no part of its key.
    tensor: whether it is annotated as a tensor, which no configuration holds.
    """

    base: type | None = None
    optional: bool = False
    interval: str = ""
    choices: tuple[Any, ...] = ()
    item: Kind | None = None
    single: bool = False
    place: str = ""
    table: str = ""
    idle: bool = False
    tensor: bool = False
    number: Kind | None = None
    loss: str = ""

    @property
    def names(self) -> str:
        """The place that the value, or each item of it, names; empty where it names none."""
        return self.item.names if self.item else self.place

    def __str__(self) -> str:
        if self.choices and (self.base or self.item):
            return ", ".join(map(str, self.choices)) + f", or {replace(self, choices=())}"
        elif self.choices:
            words = "one of " + ", ".join(map(str, self.choices))
        elif self.loss:
            words = LOSS_WORDS[self.loss]
        elif self.table:
            words = _table_in_words(self.table)
        elif self.item:
            words = (
                f"{self.item}, or a list of such" if self.single else f"a list, each {self.item}"
            )
        elif self.place:
            words = f"the path of a {self.place}"
        else:
            words = NOUNS.get(self.base, "a value") if self.base else "a value"
        if self.number:
            words = f"{self.number} for two classes, or {words}"
        if self.interval:
            words += f" in {self.interval}"
        return words + (", or null" if self.optional else "")


@dataclass(frozen=True)
class Parameter:
    """One keyword of a signature."""

    name: str
    kind: Kind
    default: Any = REQUIRED


def kind_of(annotation: ast.expr | None) -> Kind:
    """The kind that an annotation means; what cannot be read accepts anything."""
    match annotation:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            if name in PLACES:
                return Kind(str, place=PLACES[name])
            if name == "Loss":
                return Kind(loss="one")
            return Kind(BASES.get(name), tensor=name == "Tensor")
        case ast.Constant(value=str(text)):
            return kind_of(ast.parse(text, mode="eval").body)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return _either(left, right)
        case ast.Subscript(value=ast.Name(id=name) | ast.Attribute(attr=name), slice=inner):
            return _subscripted(name, inner)
    return Kind()


def _either(left: ast.expr, right: ast.expr) -> Kind:
    for one, other in ((left, right), (right, left)):
        if isinstance(other, ast.Constant) and other.value is None:
            return replace(kind_of(one), optional=True)
    kind = kind_of(left)
    if kind.choices:
        number = replace(kind, choices=()) if kind.base else None
        return replace(kind_of(right), choices=kind.choices, number=number)
    several = kind_of(right)
    if several.item and several.item == kind:
        return replace(several, single=True)
    places = {kind.names, several.names} - {""}
    return Kind(place=" or ".join(sorted(places)))


def _subscripted(name: str, inner: ast.expr) -> Kind:
    first, *rest = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Annotated" and rest:
        return _annotated(kind_of(first), rest[0])
    if name == "Literal":
        choices = ast.literal_eval(inner)
        return Kind(choices=choices if isinstance(choices, tuple) else (choices,))
    if name in ("list", "tuple", "Sequence"):
        return Kind(list, item=kind_of(first))
    if name == "Optional":
        return replace(kind_of(first), optional=True)
    if name == "dict" and rest:
        value = kind_of(rest[0])
        return Kind(place=value.names, loss="named" if value.loss else "")
    return Kind()


def _annotated(kind: Kind, note: ast.expr) -> Kind:
    """The kind, narrowed by a note that says an interval or a place."""
    text = note.value if isinstance(note, ast.Constant) else None
    if not isinstance(text, str):
        return kind
    if text in PLACES.values():
        return replace(kind, place=text)
    if text == "loss":
        return replace(kind, loss="one")
    if TABLE.fullmatch(text):
        return replace(kind, table=text)
    if text == IDLE:
        return replace(kind, idle=True)
    if text[:1] not in ("[", "("):
        return kind
    if not _is_interval(text):
        raise ValueError(f"{text!r} is not an interval such as '[0, inf)'")
    return replace(kind, interval=text)


@functools.cache
def parameters_of_object(target: Callable[..., Any]) -> tuple[Parameter, ...]:
    """The keywords of something imported."""
    return keywords_of(inspect.signature(target).parameters.values(), inspect.isclass(target))


def keywords_of(
    parameters: Iterable[inspect.Parameter], is_class: bool = False
) -> tuple[Parameter, ...]:
    """Those of a signature that a configuration may set; of a class all, however they are given."""
    return tuple(
        Parameter(p.name, _kind(p), p.default)
        for p in parameters
        if is_class or p.kind is p.KEYWORD_ONLY
    )


def _kind(parameter: inspect.Parameter) -> Kind:
    """The kind of its annotation; libraries write `int` where the default is None."""
    kind = kind_of(ast.parse(_text(parameter.annotation), mode="eval").body)
    return replace(kind, optional=True) if parameter.default is None else kind


def _text(annotation: Any) -> str:
    if isinstance(annotation, str):
        return annotation
    return inspect.formatannotation(annotation).replace("typing.", "")


def reason_of(error: BaseException) -> str:
    """The first line of what an exception says, or its type where it says nothing.

    >>> reason_of(ValueError("no such file\\n  at line 1")), reason_of(KeyError())
    ('no such file', 'KeyError')
    """
    return (str(error).splitlines() or [type(error).__name__])[0]


class Faults:
    """What is wrong, gathered so that it is reported at once, a line for each."""

    def __init__(self) -> None:
        self.errors: dict[str, UserError] = {}

    def add(self, error: UserError) -> None:
        """One more; what is there already is not repeated."""
        for line in str(error).splitlines():
            self.errors.setdefault(line, error)

    @contextlib.contextmanager
    def gathered(self) -> Iterator[None]:
        """A block whose fault is added, and does not end what follows."""
        try:
            yield
        except UserError as error:
            self.add(error)

    def tell(self) -> None:
        """Raise them all as one, where there are any."""
        if self.errors:
            lines, more = list(self.errors), len(self.errors) - SHOWN
            lines[SHOWN:] = [f"… and {more} more faults."] if more > 0 else []
            kind = type(next(iter(self.errors.values())))
            raise kind("\n".join(lines))


def validate(
    parameters: Iterable[Parameter], values: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The values with valid types, in the signature's order; UserError names every fault."""
    known = {p.name: p for p in parameters}
    faults, checked = Faults(), {}
    for key in values:
        if key not in known:
            faults.add(unknown_key(f"{where}.{key}", key, known))
    for name, parameter in known.items():
        value = values.get(name, parameter.default)
        with faults.gathered():
            if value is REQUIRED or value == "???":
                given = f"{where}.{name}={parameter.kind}"
                raise UserError(f"{where}.{name} is required: give {given}.")
            checked[name] = convert(parameter.kind, value, f"{where}.{name}")
    faults.tell()
    return checked


def unknown_key(path: str, key: str, allowed: Iterable[str]) -> UserError:
    """What to say of a key that nothing has."""
    return UserError(f"{path}: there is no such key. {choices(key, allowed)}")


def convert(kind: Kind, value: Any, where: str, classes: int | None = None) -> Any:
    """The value as its kind (1 becomes 1.0 for a float); UserError where it cannot be.

    classes: how many there are, where that is known; a table of numbers is held against it.
    """
    value = _plain(value)
    if kind.optional and value is None:
        return value
    if kind.loss:
        return _as_losses(kind, value, where)
    for choice in kind.choices:
        if value == choice and isinstance(value, bool) == isinstance(choice, bool):
            return choice
    if kind.number and classes in (None, 2) and isinstance(value, int | float):
        return convert(kind.number, value, where)
    if kind.item:
        if not isinstance(value, list | tuple):
            if kind.single:
                return convert(kind.item, value, where)
            raise _refused(kind, value, where)
        values = [convert(kind.item, v, f"{where}[{i}]") for i, v in enumerate(value)]
        if kind.table and classes:
            _refuse_other_table(kind.table, values, where, classes)
        return values
    if type(value) is int and abs(value) >= LARGEST:
        raise UserError(f"{where}: the number is too large; expected {kind}.")
    if kind.base is float and type(value) is int:
        value = float(value)
    if type(value) is not kind.base if kind.base else kind.choices:
        raise _refused(kind, value, where)
    if kind.interval and not within(kind.interval, value):
        raise _refused(kind, value, where)
    if isinstance(value, float) and not math.isfinite(value) and not kind.interval:
        raise _refused(kind, value, where)
    return value


def _plain(value: Any) -> Any:
    """The value, as a number of Python where it is one of NumPy or torch."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _as_losses(kind: Kind, value: Any, where: str) -> dict[str, Any]:
    """A loss, or losses by name, each with its name and weight, however short they are written."""
    if kind.loss == "one":
        return _as_loss(value, where)
    if not isinstance(value, dict) or not value:
        given = f"={value}" if value and not isinstance(value, list) else ""
        raise UserError(f"{where}{given}: expected {kind}.")
    for key in value:
        if not TERM_NAME.fullmatch(str(key)) or key in ("name", "weight"):
            raise UserError(
                f"{where}.{key}: a term is called by a word of letters, digits, - and _, other "
                f"than name and weight. Write {where}.WORD.name={key}."
            )
    return {key: _as_loss(value[key], f"{where}.{key}", key) for key in sorted(value)}


def _as_loss(value: Any, where: str, key: str = "") -> dict[str, Any]:
    """A loss as its name, its weight and its hyper-parameters; key: its name by default."""
    match value := _plain(value):
        case str():
            given: dict[str, Any] = {"name": value}
        case int() | float() if key and not isinstance(value, bool):
            given = {"weight": value}
        case dict():
            given = value
        case _:
            raise UserError(f"{where}={value}: expected {Kind(loss='one')}.")
    given = {**({"name": key} if key else {}), "weight": 1.0, **given}
    if not isinstance(given.get("name"), str):
        raise UserError(f"{where}.name is missing: expected the name of a loss.")
    weight = convert(Kind(float), given.pop("weight"), f"{where}.weight")
    return {"name": given.pop("name"), "weight": weight, **given}


def _refuse_other_table(table: str, values: list[Any], where: str, classes: int) -> None:
    axes, interval, rule = TABLE.fullmatch(table).groups()  # type: ignore[union-attr]
    rows = values if axes == "C, C" else [values]
    numbers = [number for row in rows for number in row]
    fits = len(values) == classes and {len(row) for row in rows} == {classes}
    fits = fits and all(within(interval, number) for number in numbers)
    if rule == "not all 0":
        fits = fits and any(numbers)
    elif rule == "0 on the diagonal":
        fits = fits and not any(row[i] for i, row in enumerate(rows))
    if not fits:
        raise UserError(f"{where}={values}: expected {_table_in_words(table, str(classes))}.")


def _table_in_words(table: str, classes: str = "C") -> str:
    axes, interval, rule = TABLE.fullmatch(table).groups()  # type: ignore[union-attr]
    words = f"{classes} numbers in {interval}, one for each class"
    if axes == "C, C":
        words = f"{classes} rows of {classes} numbers in {interval}, a row for each true class"
    return words + (f", {rule}" if rule else "")


def ends_of(interval: str) -> tuple[float, float]:
    """Where an interval such as "[0, inf)" begins and ends, whether or not it holds its ends."""
    low, high = map(float, interval[1:-1].split(","))
    return low, high


def within(interval: str, value: float) -> bool:
    """Whether an interval such as "[0, inf)" holds a number.

    >>> within("(0, 1]", 1), within("(0, 1]", 0)
    (True, False)
    """
    low, high = ends_of(interval)
    above = value >= low if interval[0] == "[" else value > low
    below = value <= high if interval[-1] == "]" else value < high
    return above and below


def _is_interval(text: str) -> bool:
    try:
        low, high = ends_of(text)
    except ValueError:
        return False
    return text[-1:] in ("]", ")") and low <= high


def _refused(kind: Kind, value: Any, where: str) -> UserError:
    likely = meant(value, kind.choices)
    question = f" Did you mean {likely[0]}?" if likely else ""
    if kind.base is str and not isinstance(value, list | dict | None):
        question = f" As a string it is \"{where}='{value}'\", with both quotes."
    if kind.item and isinstance(value, str | int | float) and not isinstance(value, bool):
        question = f" Write {where}=[{value}]."
    looks = isinstance(value, str) and value.replace(".", "", 1).isdigit()
    return UserError(f"{where}={repr(value) if looks else value}: expected {kind}.{question}")
