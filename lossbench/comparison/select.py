"""Which results are compared, and which comparisons stand in one table."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

from lossbench.comparison.sentences import WORDS
from lossbench.comparison.structure import Comparison
from lossbench.configuration import digest
from lossbench.contract import UserError
from lossbench.nested import dotted_keys, value_under
from lossbench.registry.hints import choices
from lossbench.results import Result

DECIDED = {
    "better": "better than the baseline",
    "worse": "worse than the baseline",
    **{word: words for word, words in WORDS.items() if word not in ("open", "undefined")},
}
ABSENT = "-"  # shown for a setting that does not have the key


def where(results: Sequence[Result], conditions: Sequence[str]) -> list[Result]:
    """The results that meet every condition KEY=VALUE or KEY=VALUE,VALUE.

    A key is one of the configuration (`dataset`, `corruption.ratio`), or `task` or `tuning`.
    UserError names a key that no result has, or a value that leaves none.
    """
    kept = list(results)
    for condition in conditions:
        key, _, text = condition.partition("=")
        if not key or not text:
            raise UserError(
                f"--where {condition}: expected KEY=VALUE, as in --where dataset=digits."
            )
        values = [value_at(_facts(result), key) for result in kept]
        if all(value == ABSENT for value in values):
            raise _unknown(f"--where {condition}", key, [_facts(result) for result in kept])
        wanted = {_normal(word) for word in (text, *text.split(","))}
        held = {value for value in values if value != ABSENT}
        kept = [r for r, value in zip(kept, values, strict=True) if _normal(value) in wanted]
        if not kept:
            raise UserError(f"--where {condition}: no result has it. {choices(text, held)}")
    return kept


def count_comparisons(results: Sequence[Result], *, any_baseline: bool) -> int:
    """How many comparisons the results allow, with one baseline in a setting or with any."""
    alike = Counter((digest(result.setting), result.config.tune.budget) for result in results)
    return sum(n * (n - 1) // 2 if any_baseline else n - 1 for n in alike.values())


def _facts(result: Result) -> dict[str, Any]:
    config = result.config
    task = {"name": result.summary["task"], **config.section("task")}
    return {**config.mapping, "task": task, "tuning": config.tune.budget}


def value_at(facts: dict[str, Any], key: str) -> str:
    """What stands under a dotted key, as text; a section is known by its plugin's name."""
    value = value_under(facts, key, ABSENT)
    return value if isinstance(value, str) else json.dumps(value)


def _normal(text: str) -> str:
    """Texts of one number, truth value or list are the same: 0.20 and 2e-1."""
    try:
        return repr(float(text))
    except ValueError:
        return text.replace(" ", "").lower()


def _unknown(option: str, key: str, facts: Sequence[dict[str, Any]]) -> UserError:
    known = {path for each in facts for path in dotted_keys(each)}
    return UserError(f"{option}: there is no such key here. {choices(key, known)}")


@dataclass(frozen=True)
class Group:
    """Comparisons whose settings differ in one key only.

    key: such as `dataset` or `corruption.ratio`. fixed: the setting that they share, without it.
    comparisons: by the text of the key's value, numbers ascending.
    """

    key: str
    fixed: dict[str, Any]
    comparisons: dict[str, Comparison]

    @property
    def is_of_numbers(self) -> bool:
        """Whether its values have an axis to be drawn over."""
        return all(_number(value) < inf for value in self.comparisons)

    @property
    def labels(self) -> list[str]:
        """Every loss, in order of its mean place, rank 1 the best."""
        places: dict[str, list[int]] = {}
        for comparison in self.comparisons.values():
            for place, row in enumerate(comparison.rows):
                places.setdefault(row.label, []).append(place)
        return sorted(places, key=lambda label: sum(places[label]) / len(places[label]))

    @property
    def conclusion(self) -> list[str]:
        """For each loss that was judged more than once: where it was better, where worse."""
        sentences = []
        for label in self.labels:
            verdicts = self._verdicts(label)
            if verdicts:
                where = [_where(word, verdicts) for word in DECIDED]
                known = " and ".join(filter(None, where)) or "not settled anywhere"
                sentences.append(f"{label}: {known}, of {len(verdicts)} compared.")
        return sentences

    def _verdicts(self, label: str) -> dict[str, str]:
        verdicts = {
            v: c.row(label).verdict for v, c in self.comparisons.items() if label in c.results
        }
        return {value: verdict for value, verdict in verdicts.items() if verdict != "baseline"}


def _where(word: str, verdicts: dict[str, str]) -> str:
    values = [value for value, verdict in verdicts.items() if verdict == word]
    return f"{DECIDED[word]} at {', '.join(values)}" if values else ""


def grouped(comparisons: Sequence[Comparison], key: str) -> list[Group]:
    """The comparisons apart by all but one key; UserError where no setting has the key."""
    if all(value_at(c.setting, key) == ABSENT for c in comparisons):
        raise _unknown(f"--by {key}", key, [c.setting for c in comparisons])
    groups: dict[str, list[Comparison]] = {}
    for comparison in comparisons:
        fixed = json.dumps(_without(comparison.setting, key), sort_keys=True)
        groups.setdefault(fixed, []).append(comparison)
    return [
        Group(key, json.loads(fixed), _by_value(alike, key))
        for fixed, alike in sorted(groups.items())
    ]


def _by_value(comparisons: list[Comparison], key: str) -> dict[str, Comparison]:
    """By the value's text, numbers ascending; settings of one plugin by what differs in them."""
    named = dict[str, Comparison]()
    for comparison in comparisons:
        words = [value_at(comparison.setting, key)]
        same = [c.setting for c in comparisons if value_at(c.setting, key) == words[0]]
        section = comparison.setting.get(key)
        for name, value in section.items() if isinstance(section, dict) else ():
            if len({str(setting[key].get(name)) for setting in same}) > 1:
                words.append(f"{name}={value}")
        known = " ".join(words)
        named[known if known not in named else f"{known} #{len(named) + 1}"] = comparison
    return dict(sorted(named.items(), key=_ascending))


def _without(setting: dict[str, Any], key: str) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    if first not in setting:
        return setting
    others = {name: value for name, value in setting.items() if name != first}
    if rest and isinstance(setting[first], dict):
        others[first] = _without(setting[first], rest)
    return others


def _ascending(item: tuple[str, Comparison]) -> tuple[float, list[str | float]]:
    return _number(item[0]), split_numbers(item[0])


def _number(value: str) -> float:
    """What the text says, infinite where that is no number."""
    try:
        return float(value)
    except ValueError:
        return inf


def split_numbers(name: str) -> list[str | float]:
    """By which names are sorted so that the numbers in them ascend.

    >>> sorted(["samples 1000", "samples 300", "rate 1e-05"], key=split_numbers)
    ['rate 1e-05', 'samples 300', 'samples 1000']
    """
    parts = re.split(r"(\d+(?:\.\d+)?(?:e-?\d+)?)", name)
    return [float(part) if place % 2 else part for place, part in enumerate(parts)]


def datasets(comparisons: Sequence[Comparison]) -> list[Group]:
    """The groups in which only the dataset differs."""
    return _several(comparisons, ["dataset"])


def budgets(comparisons: Sequence[Comparison]) -> list[Group]:
    """The groups in which only the tuning budget differs: defaults next to tuned."""
    return _several(comparisons, ["tuning"])


def doses(comparisons: Sequence[Comparison]) -> list[Group]:
    """The groups in which only a number differs: a corruption's strength, a count of examples."""
    keys = {key for comparison in comparisons for key in dotted_keys(comparison.setting)}
    several = [k for k in sorted(keys) if len({value_at(c.setting, k) for c in comparisons}) > 1]
    return [group for group in _several(comparisons, several) if group.is_of_numbers]


def _several(comparisons: Sequence[Comparison], keys: Sequence[str]) -> list[Group]:
    groups = [group for key in keys for group in grouped(comparisons, key)]
    return [group for group in groups if len(group.comparisons) > 1]


def tell_apart(comparison: Comparison, among: Sequence[Comparison]) -> str:
    """The dataset, and what else tells a comparison from the others."""
    setting = comparison.setting
    words = [value_at(setting, "dataset")]
    for key in dotted_keys(setting):
        section, _, name = key.partition(".")
        if key == "dataset" or (not name and _has_no_name(setting[section])):
            continue
        alike = [c for c in among if not name or _of_one_plugin(c.setting, setting, section)]
        value = value_at(setting, key)
        if value != "null" and len({value_at(c.setting, key) for c in alike}) > 1:
            words.append(f"{name} {value}" if name else f"no {key}" if value == "none" else value)
    return " · ".join(words)


def _has_no_name(section: Any) -> bool:
    """Whether a section is no plugin, so that it is known by what is in it alone."""
    return isinstance(section, dict) and "name" not in section


def _of_one_plugin(first: dict[str, Any], second: dict[str, Any], section: str) -> bool:
    return _has_no_name(second[section]) or value_at(first, section) == value_at(second, section)
