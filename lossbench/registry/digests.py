"""Digests of what decides numbers: a plugin's code, and the files that its parameters name."""

from __future__ import annotations

import ast
import functools
import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from lossbench.contract import UserError
from lossbench.paths import expanded
from lossbench.registry.modules import Module, Territory, tree_of
from lossbench.registry.reach import Reach
from lossbench.registry.schema import Parameter
from lossbench.registry.statements import EVERYTHING, IMPORTS, Statement, source_of

CONTENT = "content"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
CODE_DIGITS = 12  # hexadecimal


# ---- code --------------------------------------------------------------------------------------
@functools.cache
def reach_of(module: str, attribute: str, package: str) -> Reach:
    """All of its own file, folder and package that an object can reach; imports nothing.

    module is a dotted name or the path of a file, package the distribution that it comes with.
    """
    territory = Territory(module, package)
    reach = Reach(territory)
    if territory.start:
        reach.follow(territory.start, attribute.partition(".")[0])
        if not any(reach.statements.values()) and not any(reach.imports.values()):
            reach.follow(territory.start, EVERYTHING)
    return reach


@functools.cache
def code_digest(reach: Reach) -> str:
    """Hexadecimal digits of the code; comments, layout and places count for nothing.

    Nor do docstrings, unless code that is reached reads some.
    """
    start = reach.territory.start
    code = {module: _code_of(reach, module) for module in reach.statements}
    neighbours = [(m.name, text) for m, text in code.items() if text and m != start]
    data = [(f.name, _file_digest(f)) for f in reach.opaque]
    texts = sorted([*code.values(), *(text for _, text in data)])
    if not reach.territory.is_ours:
        # a name counts where several could have changed places
        places = [texts.index(text) for _, text in (*sorted(neighbours), *sorted(data))]
        texts += [str(places)] if places != sorted(places) else []
    return hashlib.sha256("\n\n".join(texts).encode()).hexdigest()[:CODE_DIGITS]


def _code_of(reach: Reach, module: Module) -> str:
    """What is reached of a module, in its order; imports by what they mean."""
    source = source_of(module.file)
    statements = source.statements if source else ()
    text_of = _canonical if reach.territory.is_ours else _documented  # all of ours have docstrings
    lines = [text_of(statements[n].node) for n in sorted(reach.statements[module])]
    hiding = _imports_that_hide(reach, module, statements)
    documents = _docstrings_in(reach, module) if reach.reads_docstrings else ()
    return "\n".join([*sorted(reach.imports.get(module, ())), *lines, *hiding, *documents])


def _docstrings_in(reach: Reach, module: Module) -> Iterator[str]:
    """The docstrings of a module and of what is reached of it."""
    tree = tree_of(module.file)
    reached = [tree.body[n] for n in sorted(reach.statements[module])] if tree else []
    for each in (tree, *(inner for node in reached for inner in ast.walk(node))):
        if isinstance(each, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield ast.get_docstring(each, clean=False) or ""


def _imports_that_hide(
    reach: Reach, module: Module, statements: Sequence[Statement]
) -> Iterator[str]:
    """What is bound in a module by an import and again, in its order; a * may bind any name."""
    bound = []
    for number, statement in enumerate(statements):
        for alias in statement.aliases:
            if isinstance(statement.node, IMPORTS) and str(alias) in reach.imports.get(module, ()):
                bound.append((alias.local, str(alias)))
        if number in reach.statements[module]:
            bound += [(name, name) for name in sorted(statement.binds)]
    names = [name for name, _ in bound]
    imported = {name for name, text in bound if name != text}
    for name, text in bound if len(bound) > 1 else ():
        if EVERYTHING in imported or (name in imported and names.count(name) > 1):
            yield text


def _documented(node: ast.stmt) -> str:
    """A statement as text that is the same whether its definitions have docstrings or not."""
    node = deepcopy(node)
    for each in ast.walk(node):
        if isinstance(each, DEFINITIONS) and ast.get_docstring(each) is None:
            each.body.insert(0, ast.Expr(ast.Constant("")))
    return _canonical(node)


def _canonical(node: Any) -> str:
    """Code as text that is the same for every version of Python, without its docstrings.

    >>> _canonical(ast.parse("x = 1  # one")) == _canonical(ast.parse("x=1"))
    True
    """
    if isinstance(node, list):
        return f"[{' '.join(map(_canonical, node))}]"
    if not isinstance(node, ast.AST):
        return repr(node)
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return ""
    fields = [(n, v) for n, v in ast.iter_fields(node) if n not in ("ctx", "kind", "type_comment")]
    inner = "".join(f" {n}={_canonical(v)}" for n, v in fields if v is not None and v != [])
    return f"({type(node).__name__}{inner})"


# ---- files that a parameter names --------------------------------------------------------------


def with_contents(
    parameters: Sequence[Parameter], values: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The values, for an identity: each path of a file or folder is `{"content": digest}`.

    What decides no numbers is left out.
    where is the section, such as "dataset". Relative paths are meant from the working directory.
    UserError where a file cannot be read.
    """
    places = {p.name: p.kind.names for p in parameters if p.kind.names}
    idle = {p.name for p in parameters if p.kind.idle}
    return {
        name: _content(value, places[name], f"{where}.{name}") if name in places else value
        for name, value in values.items()
        if name not in idle
    }


def places_in(parameters: Iterable[Parameter], values: Mapping[str, Any]) -> dict[str, list[str]]:
    """The paths that the values name, by parameter."""
    named = {p.name: strings_in(values.get(p.name)) for p in parameters if p.kind.names}
    return {name: paths for name, paths in named.items() if paths}


def strings_in(value: Any) -> list[str]:
    """Every string in a value, whatever it is made of."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in strings_in(part)]


def _content(value: Any, place: str, where: str) -> Any:
    """The value with the digest of the content in place of each path in it."""
    if isinstance(value, str):
        return {CONTENT: content_digest(value, place, where)}
    if isinstance(value, list):
        return [_content(part, place, where) for part in value]
    if isinstance(value, dict):
        return {key: _content(part, place, where) for key, part in value.items()}
    return value


def content_digest(path: str, place: str, where: str) -> str:
    """SHA-256 of a file, or of the names and contents of a folder's files; UserError if unreadable.

    place is "file", "folder" or "file or folder". Names that begin with a dot are left out.
    """
    file = expanded(path)
    try:
        if file.is_file() and "file" in place.split():
            return _file_digest(file)
        if file.is_dir() and "folder" in place:
            return _folder_digest(file)
    except OSError as error:
        raise UserError(
            f"{where}={path}: cannot be read: {error.strerror} ({error.filename})."
        ) from error
    if not file.exists():
        raise UserError(
            f"{where}={path}: there is no such {place} ({file.absolute()}). Relative paths are "
            "from the working directory."
        )
    kind = "a folder" if file.is_dir() else "a file" if file.is_file() else "a pipe or device"
    article = "a folder" if place == "folder" else "a regular file"
    raise UserError(f"{where}={path} is {kind}, not {article}.")


def _folder_digest(folder: Path) -> str:
    total = hashlib.sha256()
    for file in _files_below(folder):
        total.update(f"{file.relative_to(folder).as_posix()}\0{_file_digest(file)}\n".encode())
    return total.hexdigest()


def _files_below(folder: Path) -> list[Path]:
    """Every regular file, in one order whatever the system; links are followed."""
    files = []
    for parent, folders, names in os.walk(folder, onerror=_raise, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        files += [Path(parent, name) for name in names if not name.startswith(".")]
    return sorted((f for f in files if f.is_file()), key=lambda f: f.relative_to(folder).as_posix())


def _raise(error: OSError) -> None:
    raise error


def _file_digest(file: Path) -> str:
    status = file.stat()
    return _digest_of_version(file.resolve(), status.st_size, status.st_mtime_ns)


@functools.cache
def _digest_of_version(file: Path, size: int, changed_at: int) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
