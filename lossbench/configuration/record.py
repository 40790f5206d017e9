"""One run as a record, and its identities: nothing else lists its sections or hashes them.

`numbers` is what decides a seed's numbers, and the key of its result is their digest. `setting` is
what runs must share to be compared, `data` what they must share to use the same data; both are
parts of `numbers`, so they can never disagree with it.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from lossbench import registry
from lossbench.configuration.settings import (
    SECTIONS,
    Dealing,
    Results,
    Settle,
    TaskChoices,
    Tracking,
    Trainer,
    Tune,
    store_address,
)
from lossbench.contract import UserError
from lossbench.nested import leaves
from lossbench.registry.identity import identity
from lossbench.registry.kinds import CHOICES, LATER
from lossbench.registry.parts import complete, losses_in, values_of
from lossbench.registry.posed import taken_if_null
from lossbench.registry.schema import (
    Faults,
    Kind,
    convert,
    parameters_of_object,
    unknown_key,
    validate,
)

NUMERIC_VERSION = 2  # raised when a change to training changes the numbers of every task
KEY_DIGITS = 16  # hexadecimal; the keys of 0.1 had 12
AUTO = "auto"  # as many seeds as settle the comparison
MOST_SEEDS = 100_000
LARGEST_SEED = 2**63 - 1
EXPERIMENT_NAME = re.compile(r"\w[\w .,=+@-]{0,199}")  # a folder is named after it
ALLOWED = ("seeds", *CHOICES, "metric", "metrics", *SECTIONS)
# What decides where, how fast and in what company a seed is trained, but none of its numbers.
PLACE_SECTIONS = ("tracking", "results", "launcher", "settle")
PLACE_FIELDS = ("device", "max_replicas", "checkpoint", "peek")  # of the trainer
PLAIN_WORD = re.compile(r"[A-Za-z_][\w./:-]*")


@dataclass(frozen=True)
class Choice:
    """A plugin by name, and the values of its parameters in the order of its signature.

    The launcher of this machine has no name.
    """

    name: str
    values: dict[str, Any]

    @property
    def mapping(self) -> dict[str, Any]:
        """The section as YAML holds it."""
        return {**({"name": self.name} if self.name else {}), **self.values}

    @property
    def all(self) -> Iterator[Choice]:
        """Itself, and the losses that it is made of."""
        yield self
        for _, given in losses_in(self.values):
            yield from Choice(given.get("name", ""), values_of(given)).all


@dataclass(frozen=True)
class Configuration:
    """A dataset, its corruption, a model and a loss, trained from each of the seeds.

    seeds: none with seeds=auto, which `sweep.settling` finds out.
    metric: the primary one, null for the task's; it chooses epochs and orders tables.
    metrics: those that are computed next to the task's.
    """

    seeds: tuple[int, ...]
    dataset: Choice
    corruption: Choice
    model: Choice
    loss: Choice
    regularizer: Choice
    optimizer: Choice
    schedule: Choice
    augmentation: Choice
    metric: str | None
    metrics: tuple[str, ...]
    task: TaskChoices
    trainer: Trainer
    tune: Tune
    tracking: Tracking
    results: Results
    launcher: Choice
    settle: Settle

    @classmethod
    def read(cls, mapping: Mapping[str, Any]) -> Configuration:
        """What `mapping` gave, such as a result's; not validated, what is absent is None."""
        parts: dict[str, Any] = {
            "seeds": () if mapping["seeds"] == AUTO else tuple(mapping["seeds"]),
            "metric": mapping.get("metric"),
            "metrics": tuple(mapping.get("metrics") or ()),
        }
        for kind in CHOICES:
            values = dict({**LATER, **mapping}[kind])
            parts[kind] = Choice(values.pop("name"), values)
        for name, record in SECTIONS.items():
            given = dict(mapping.get(name) or {})
            if name == "launcher":
                parts[name] = Choice(given.pop("name", ""), given)
                continue
            parts[name] = record(**{each.name: given.get(each.name) for each in fields(record)})
        return cls(**parts)

    def choice(self, kind: str) -> Choice:
        """The plugin that was chosen for a kind."""
        chosen: Choice = getattr(self, kind)
        return chosen

    @property
    def has_files(self) -> bool:
        """Whether code in a file is chosen, whose content is then a part of the key."""
        names = [each.name for kind in CHOICES for each in self.choice(kind).all]
        return any(name.partition(":")[0].endswith(".py") for name in names)

    def named(self, kind: str) -> str:
        """What was chosen for a kind of plugin, in words, also where it is not a section."""
        chosen = {"metric": self.metric, **{k: self.choice(k).name for k in CHOICES}}
        return f"{kind}={chosen[kind]}" if kind in chosen else f"the {kind}"

    @cached_property
    def mapping(self) -> dict[str, Any]:
        """Names and values by section, as YAML holds them; to be copied before it is changed."""
        return {
            **{kind: self.choice(kind).mapping for kind in CHOICES},
            "seeds": list(self.seeds) or AUTO,
            "metric": self.metric,
            "metrics": list(self.metrics),
            **{name: self.section(name) for name in SECTIONS},
        }

    def section(self, name: str) -> dict[str, Any]:
        """A section that is not a kind of plugin which decides numbers, as YAML holds it."""
        values = getattr(self, name)
        return values.mapping if isinstance(values, Choice) else asdict(values)

    # ---- identities ----------------------------------------------------------------------------
    @property
    def decisive_kinds(self) -> list[str]:
        """The kinds of plugin that have a say: not those at the default of a kind added later."""
        return [kind for kind in CHOICES if self.choice(kind).mapping != LATER.get(kind)]

    @cached_property
    def numbers(self) -> dict[str, Any]:
        """What decides a seed's numbers; files by their content, nulls left out.

        So a parameter or kind that is added later, with null or a default for what was before,
        changes no key; nor does what null stands for, where the text of the data's task tells it.
        The code of plugins is kept with a result instead: what changed there is reported.
        """
        chosen = {kind: self.choice(kind) for kind in self.decisive_kinds}
        choices = {"metric": self.metric, **asdict(self.task)}
        null = taken_if_null(self.dataset.name) if any(choices.values()) else {}
        choices = {k: v for k, v in choices.items() if v not in (None, null.get(k))}
        metric = choices.pop("metric", None)
        parts = {
            "version": NUMERIC_VERSION,
            **self._decisive,
            **dict.fromkeys(CHOICES),
            **{k: identity(k, choice.name, choice.values) for k, choice in chosen.items()},
            "task": choices or None,
            "metric": metric and _placeless(metric),
        }
        return _without_nulls(parts)

    @property
    def _decisive(self) -> dict[str, Any]:
        """The sections that decide numbers, as they were configured."""
        trainer = {k: v for k, v in asdict(self.trainer).items() if k not in PLACE_FIELDS}
        return {
            **{kind: self.choice(kind).mapping for kind in CHOICES},
            "task": asdict(self.task) if self.task != TaskChoices() else None,
            "trainer": trainer,
            "metric": self.metric,
            "tune": asdict(self.tune) if self.tune.trials else None,
        }

    @property
    def key(self) -> str:
        """The name of the results of these numbers."""
        return digest(self.numbers, KEY_DIGITS)

    @property
    def setting(self) -> dict[str, Any]:
        """What runs must share to be compared: `setting_of` its numbers."""
        return setting_of(self.numbers)

    @property
    def data(self) -> dict[str, Any]:
        """What runs must share to use the same data."""
        return {kind: self.numbers[kind] for kind in ("dataset", "corruption")}

    @property
    def shown_setting(self) -> dict[str, Any]:
        """The setting as it was configured, with files by their paths; reads no file or plugin."""
        return {k: value for k, value in setting_of(self._decisive).items() if value is not None}

    # ---- words ---------------------------------------------------------------------------------
    @property
    def words(self) -> list[str]:
        """The overrides that configure it again, but for places and machines."""
        return [*self._words(), f"seeds={_count_or_list(self.seeds)}"]

    @property
    def command(self) -> str:
        """The line for a shell that trains it."""
        return f"lossbench run {shlex.join(self.words)}"

    def _words(self) -> Iterator[str]:
        """Sections in order; a section of plugins begins with the choice."""
        for section, values in self.mapping.items():
            if section in PLACE_SECTIONS or section == "seeds" or not values:
                continue
            if not isinstance(values, dict):
                yield f"{section}={_word(values)}"
                continue
            if "name" in values:
                yield f"{section}={_word(values['name'])}"
            plain = {key: value for key, value in values.items() if key != "name"}
            if section == "loss":
                plain = dict(leaves(plain))
            yield from (f"{section}.{key}={_word(value)}" for key, value in plain.items())


def setting_of(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """What runs must share to be compared: all that decides numbers but the loss and its tuning.

    The unit of the loss's hyper-parameters is the loss's.
    """
    setting = {n: value for n, value in numbers.items() if n not in ("loss", "tune", "task")}
    task = {n: value for n, value in (numbers.get("task") or {}).items() if n != "unit"}
    return {**setting, "task": task} if any(task.values()) else setting


def digest(content: Any, digits: int = 12) -> str:
    """Hexadecimal digits of a string, or of JSON of anything else."""
    text = content if isinstance(content, str) else json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


def _placeless(name: str) -> str:
    """A plugin's name; one in a file without the file's folder, since places decide nothing."""
    path, colon, attribute = name.rpartition(":")
    return f"{Path(path).name}:{attribute}" if colon and path.endswith(".py") else name


def _without_nulls(node: dict[str, Any]) -> dict[str, Any]:
    return {
        key: _without_nulls(value) if isinstance(value, dict) else value
        for key, value in node.items()
        if value is not None
    }


# ---- validation --------------------------------------------------------------------------------
def validated(mapping: Mapping[str, Any]) -> Configuration:
    """The configuration with every key known, every value typed and in its range."""
    faults, checked = Faults(), dict[str, Any]()
    for key in mapping:
        if key not in ALLOWED:
            faults.add(unknown_key(key, key, ALLOWED))
    with faults.gathered():
        checked["seeds"] = _seeds(mapping.get("seeds"))
    with faults.gathered():
        checked["metric"] = convert(Kind(str, optional=True), mapping.get("metric"), "metric")
    with faults.gathered():
        names = Kind(list, item=Kind(str))
        checked["metrics"] = convert(names, mapping.get("metrics", []), "metrics")
    for kind in CHOICES:
        with faults.gathered():
            checked[kind] = _validated_choice(kind, mapping.get(kind))
    for section, record in SECTIONS.items():
        with faults.gathered():
            values = mapping.get(section, {})
            if section == "launcher" and "name" in values:
                checked[section] = _validated_choice(section, values)
                continue
            checked[section] = validate(parameters_of_object(record), values, section)
    for section, key, instead in (("results", "dir", "a folder"), ("tracking", "uri", "null")):
        if checked.get(section, {}).get(key) == "":
            faults.add(UserError(f"{section}.{key} is empty: give {instead}, or leave it out."))
    with faults.gathered():
        if uri := checked.get("tracking", {}).get("uri"):
            store_address(uri)
    name = checked.get("tracking", {}).get("experiment", "it")
    if not EXPERIMENT_NAME.fullmatch(name):
        faults.add(
            UserError(
                f"tracking.experiment={name[:60]}: expected a name of at most 200 letters, digits, "
                "blanks and . , = + @ - _ that begins with a letter or digit."
            )
        )
    faults.tell()
    return Configuration.read(checked)


def _validated_choice(kind: str, given: Any) -> dict[str, Any]:
    """The values of a plugin, checked against its signature."""
    values = dict(given if isinstance(given, dict) else LATER.get(kind, {}))
    name = values.pop("name", None)
    if not isinstance(name, str):
        raise UserError(f"{kind}.name is missing: expected the name of a {kind}.")
    plugin = registry.find(kind, name)[0]
    if kind == "launcher":
        parameters = (*registry.parameters(plugin), *parameters_of_object(Dealing))
        return {"name": name, **validate(parameters, values, kind)}
    return {"name": name, **complete(plugin, values, kind)}


def _seeds(value: Any) -> list[int] | str:
    if value == AUTO:
        return AUTO
    if type(value) is int and 1 <= value <= MOST_SEEDS:
        return list(range(value))
    whole = isinstance(value, list) and all(
        type(v) is int and 0 <= v <= LARGEST_SEED for v in value
    )
    if whole and 1 <= len(value) <= MOST_SEEDS and len(set(value)) == len(value):
        return list(value)
    raise UserError(
        f"seeds={str(value)[:60]}: expected a count of at least 1 and at most {MOST_SEEDS}, or a "
        f"list of different whole numbers from 0 to {LARGEST_SEED}, such as seeds=20 or "
        "seeds=[3,7]; or seeds=auto, as many as settle the comparison."
    )


# ---- Hydra's grammar ---------------------------------------------------------------------------
def _count_or_list(seeds: Sequence[int]) -> str:
    if not seeds:
        return AUTO
    return f"{len(seeds)}" if list(seeds) == list(range(len(seeds))) else _word(list(seeds))


def _word(value: Any) -> str:
    """A value in Hydra's grammar, where a string that is not a plain word is quoted."""
    if isinstance(value, list):
        return f"[{','.join(map(_word, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    if PLAIN_WORD.fullmatch(value) and value not in ("null", "true", "false", "nan", "inf"):
        return value
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    closed = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f"'{closed}'"
