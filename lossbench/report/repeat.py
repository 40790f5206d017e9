"""What was configured, as the words that configure it again."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from typing import Any

from lossbench.results import Config

ELSEWHERE = ("seeds", "tracking", "results", "launcher")  # sections that change no number
BARE = re.compile(r"[A-Za-z_][\w./:-]*")


def overrides(config: Config) -> list[str]:
    """Every choice and value of a configuration as an override, and its seeds."""
    return [*_set(config), f"seeds={_seeds(config['seeds'])}"]


def command(config: Config) -> str:
    """The line for a shell that trains it."""
    return f"lossbench run {shlex.join(overrides(config))}"


def _set(config: Config) -> Iterator[str]:
    for section, values in config.items():
        if section in ELSEWHERE:
            continue
        if "name" in values:
            yield f"{section}={values['name']}"
        yield from (f"{section}.{k}={_text(v)}" for k, v in values.items() if k != "name")


def _seeds(seeds: list[int]) -> str:
    return f"{len(seeds)}" if seeds == list(range(len(seeds))) else _text(seeds)


def _text(value: Any) -> str:
    """A value in Hydra's grammar, where text that is not a plain word is quoted."""
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if not isinstance(value, str):
        return json.dumps(value)
    if BARE.fullmatch(value) and value not in ("null", "true", "false", "nan", "inf"):
        return value
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", value)
    closed = re.sub(r"(\\+)$", r"\1\1", escaped)
    return f"'{closed}'"
