"""Whether a machine of a cluster has room for one job, asked before it is waited for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lossbench.contract import UserError

UNITS = {"memory": "M"}
SHOWN = 3  # kinds of machines


@dataclass(frozen=True)
class Machine:
    """A machine of a cluster, and what it has by the key of `launcher.` that asks for it."""

    name: str
    has: Mapping[str, float]


def refuse_too_large(
    needs: Mapping[str, float], nodes: Sequence[Machine], cluster: str, instead: str
) -> None:
    """UserError where there are machines, and none has all that one job needs.

    >>> nodes = [Machine("a", {"cpus": 1, "gpus": 4}), Machine("b", {"cpus": 8})]
    >>> refuse_too_large({"cpus": 8}, nodes, "the cluster", "add a larger node")
    >>> refuse_too_large({"cpus": 9}, nodes, "the cluster", "add a larger node")
    Traceback (most recent call last):
    lossbench.contract.UserError: launcher.cpus=9: the largest node of the cluster, b, has 8.
    Ask for less, or add a larger node.
    >>> refuse_too_large({"cpus": 8, "gpus": 1}, nodes, "the cluster", "add a larger node")
    Traceback (most recent call last):
    lossbench.contract.UserError: launcher.cpus=8 launcher.gpus=1: no node of the cluster has all \
        of it; a has cpus=1 gpus=4, b has cpus=8 gpus=0.
    Ask for less, or add a larger node.
    """
    if nodes and not any(fits(needs, node) for node in nodes):
        alone = list(_each_too_large(needs, nodes, cluster))
        lines = alone or [_together(needs, nodes, cluster)]
        raise UserError("\n".join([*lines, f"Ask for less, or {instead}."]))


def fits(needs: Mapping[str, float], node: Machine) -> int:
    """How many jobs with these needs a machine has room for."""
    return min(int(node.has.get(key, 0) / amount) for key, amount in needs.items() if amount)


def _each_too_large(
    needs: Mapping[str, float], nodes: Sequence[Machine], cluster: str
) -> Iterator[str]:
    for key, amount in needs.items():
        largest = max(nodes, key=lambda node: node.has.get(key, 0))
        if (most := largest.has.get(key, 0)) < amount:
            there = f"the largest node of {cluster}, {largest.name}, has {_shown(key, most)}"
            there = there if most else f"no node of {cluster} has any"
            yield f"{_given(key, amount)}: {there}."


def _together(needs: Mapping[str, float], nodes: Sequence[Machine], cluster: str) -> str:
    kinds: dict[str, str] = {}
    for node in nodes:
        has = " ".join(_given(key, node.has.get(key, 0), "") for key in needs)
        kinds.setdefault(has, node.name)
    shown = [f"{name} has {has}" for has, name in kinds.items()][:SHOWN]
    more = [f"{len(kinds) - SHOWN} more kinds"] if len(kinds) > SHOWN else []
    given = " ".join(_given(key, amount) for key, amount in needs.items())
    return f"{given}: no node of {cluster} has all of it; {', '.join([*shown, *more])}."


def _given(key: str, amount: float, prefix: str = "launcher.") -> str:
    return f"{prefix}{key}={_shown(key, amount)}"


def _shown(key: str, amount: float) -> str:
    return f"{amount:.10g}{UNITS.get(key, '')}"
