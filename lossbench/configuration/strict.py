"""A YAML file of the user's, held against what YAML changes silently and what is made to harm.

It is judged by its nodes, before anything is built from them; what was built is held against what
must not come from the environment.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from lossbench import registry
from lossbench.contract import UserError
from lossbench.nested import leaves
from lossbench.registry.schema import Faults

MOST_BYTES = 2**20
MOST_NODES = 10_000  # after aliases are written out
DEEPEST = 50
ENVIRONMENT = "${oc.env:"
FROM_ENVIRONMENT = ("tracking.uri", "results.dir")  # elsewhere a secret could reach a result
CORE = "tag:yaml.org,2002:"
PLAIN_TAGS = {CORE + name for name in ("null", "bool", "int", "float", "str", "seq", "map")}
ODD_NUMBER = re.compile(r"[-+]?(0[0-7_]+|\d[\d_]*(:[0-5]?\d)+(\.\d*)?|\d[\d.]*_[\d_.]*)")
NOT_FINITE = re.compile(r"[-+]?\.?(nan|inf|infinity)", re.IGNORECASE)
EXPONENT = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)?$")
BOOLEAN_WORD = re.compile(r"(yes|no|on|off)", re.IGNORECASE)


class FastLoader(Composer, yaml.CSafeLoader):
    """yaml.SafeLoader with the parser of libyaml, which PyYAML's wheels bring: ten times faster.

    CSafeLoader also composes in C, where a file that is nested deep ends the process.
    """

    def __init__(self, stream: Any) -> None:
        yaml.CSafeLoader.__init__(self, stream)
        Composer.__init__(self)


# As for OmegaConf, 1e-3 is a number without a point, too.
FastLoader.add_implicit_resolver(CORE + "float", EXPONENT, list("-+0123456789."))


def lines_of(file: Path) -> dict[str, int]:
    """The line of every key, `a.b` for a nested one; UserError where the file is not valid."""
    root = _root(file)
    if _size(root, file, {}) > MOST_NODES:
        raise UserError(
            f"{file}: its aliases stand for more than {MOST_NODES} values; write out what is meant."
        )
    faults, lines = Faults(), dict[str, int]()
    for place, reason in _invalid(root, "", lines):
        faults.add(UserError(f"{file}:{place.start_mark.line + 1}: {reason}"))
    faults.tell()
    return lines


def _root(file: Path) -> MappingNode:
    """The file's top node, a mapping; UserError names the place where it cannot be read."""
    try:
        if file.stat().st_size > MOST_BYTES:
            raise UserError(f"{file}: it is larger than 1 MiB; a configuration is short.")
        root = _compose(file.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: byte {error.start} is not UTF-8; save it as UTF-8.") from error
    except OSError as error:
        raise UserError(f"{file}: it cannot be read: {error.strerror}.") from error
    except RecursionError:
        raise UserError(f"{file}: it is nested more than {DEEPEST} deep.") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{file}:{mark.line + 1}:{mark.column + 1}" if mark else str(file)
        problem = ", ".join(part for part in (error.context, error.problem) if part)
        tab = " (indent with blanks, not tabs)" if "'\\t'" in problem else ""
        raise UserError(f"{place}: {problem}{tab}.") from error
    except yaml.YAMLError as error:
        raise UserError(f"{file}: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(root, MappingNode):
        what = "it is empty" if root is None else f"it is a {'list' if root.value else 'value'}"
        raise UserError(f"{file}: {what}; expected a mapping such as 'name: focal'.")
    return root


def _compose(text: str) -> Node | None:
    """The top node; errors are those of yaml.SafeLoader, whose words say more."""
    try:
        return yaml.compose(text, Loader=FastLoader)
    except yaml.YAMLError:
        return yaml.compose(text, Loader=yaml.SafeLoader)


def _size(node: Node, file: Path, known: dict[int, int], depth: int = 0) -> int:
    """How many nodes there are with every alias written out; known holds those counted."""
    if depth > DEEPEST:
        raise UserError(f"{file}: it is nested more than {DEEPEST} deep, or holds itself.")
    if id(node) not in known:
        count = sum(_size(child, file, known, depth + 1) for child in _children(node))
        known[id(node)] = 1 + count
    return known[id(node)]


def _children(node: Node) -> Iterator[Node]:
    if isinstance(node, MappingNode):
        for pair in node.value:
            yield from pair
    elif isinstance(node, SequenceNode):
        yield from node.value


def _invalid(node: Node, path: str, lines: dict[str, int]) -> Iterator[tuple[Node, str]]:
    """The nodes that mean another thing than they say, with the reason; fills the lines of keys."""
    if reason := _reason(node):
        yield node, reason
    if isinstance(node, SequenceNode):
        for child in node.value:
            yield from _invalid(child, path, lines)
    seen: dict[str, int] = {}
    for key, value in node.value if isinstance(node, MappingNode) else ():
        name = f"{path}{key.value}"
        line = lines[name] = key.start_mark.line + 1
        if key.tag == CORE + "merge":
            yield from _invalid(value, path, lines)
            continue
        if not isinstance(key, ScalarNode) or key.tag != CORE + "str":
            yield key, f"the key {key.value} is not text for YAML; quote it."
        elif key.value in seen:
            yield key, f"the key {key.value} stands twice, first in line {seen[key.value]}."
        seen[str(key.value)] = line
        yield from _invalid(value, f"{name}.", lines)


def _reason(node: Node) -> str:
    """Why a value is refused, or nothing."""
    value = str(node.value)[:40]
    if node.tag == CORE + "timestamp":
        return f"{value} would be read as a date; quote it."
    if node.tag not in PLAIN_TAGS:
        tag = node.tag.replace(CORE, "!!")
        return f"the tag {tag} is refused: a configuration holds names and values, never code."
    if not isinstance(node, ScalarNode) or node.style:
        return ""
    if ODD_NUMBER.fullmatch(value):
        return f"{value} would be read as another number; write it plainly, or quote a string."
    if NOT_FINITE.fullmatch(value):
        return f"{value} is not a finite number; give one, or quote a string."
    if BOOLEAN_WORD.fullmatch(value):
        return f"{value} would be read as true or false; write that, or quote a string."
    return ""


def refuse_two_files(group: str, name: Any) -> None:
    """UserError where two packages bring a file of this name; for one that no other goes before."""
    file = Path(group, f"{name}.yaml")
    providers = [f"{p} ({d / file})" for p, d in registry.config_folders() if (d / file).is_file()]
    if len(providers) > 1:
        raise UserError(
            f"{group}={name} is ambiguous: {' and '.join(providers)} both provide it.\n"
            "Copy one into a folder of your own and name that with --config-dir."
        )


def refuse_secrets(config: dict[str, Any]) -> None:
    """UserError where a value comes from the environment that a result would show."""
    for path, value in leaves(config):
        if ENVIRONMENT in str(value) and path not in FROM_ENVIRONMENT:
            raise UserError(
                f"{path}: only {' and '.join(FROM_ENVIRONMENT)} may come from the environment, so "
                "that no secret of it reaches a result. Give the value itself."
            )
