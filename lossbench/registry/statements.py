"""The statements at the top of a module: the names that each binds, changes and mentions."""

from __future__ import annotations

import ast
import functools
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lossbench.registry.modules import tree_of

Chain = tuple[str, ...]  # helpers.table.get is ("helpers", "table", "get")

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
IMPORTS = (ast.Import, ast.ImportFrom)
IMMUTABLE = (ast.Constant, ast.Tuple, ast.UnaryOp, ast.BinOp, ast.operator, ast.unaryop, ast.Load)
EVERYTHING = "*"
# Methods that change what they belong to, next to torch's, whose names end with an underscore.
MUTATORS = {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem"}
MUTATORS |= {"register", "remove", "reverse", "setdefault", "sort", "update"}


@dataclass(frozen=True)
class Alias:
    """A name that an import binds: a module, or with `name` something in it."""

    local: str
    module: str
    level: int
    name: str | None
    top: bool  # whether `import a.b` binds a alone

    def __str__(self) -> str:
        return f"{'.' * self.level}{self.module}:{self.name or ''} as {self.local}"


@dataclass(frozen=True, eq=False)
class Statement:
    """A statement at the top of a module, and the names of the module that it

    binds, changes the values of, passes to calls or calls while the module is imported, and changes
    later, when one of its functions is called. shares: those whose value it gives another name.
    chains: those that it mentions, with the attributes that it takes of them. effect: whether it is
    run for what it does elsewhere.
    """

    node: ast.stmt
    binds: frozenset[str]
    changes: frozenset[str]
    later: frozenset[str]
    passes: frozenset[str]
    shares: frozenset[str]
    calls: frozenset[Chain]
    chains: frozenset[Chain]
    aliases: tuple[Alias, ...]
    effect: bool


@dataclass(frozen=True, eq=False)
class Source:
    """A module's statements, and the modules of which it imports every name."""

    statements: tuple[Statement, ...]
    stars: tuple[Alias, ...]
    fixed: frozenset[str]  # names that hold what cannot be changed in place, or code


@functools.cache
def source_of(file: Path) -> Source | None:
    """The statements of a file; None where it is not Python text."""
    tree = tree_of(file)
    return _source_in(tree) if tree else None


@functools.cache
def _source_in(tree: ast.Module) -> Source:
    imported = {a.local for node in tree.body for a in _aliases(node)}
    statements = tuple(_statement(node, imported) for node in tree.body)
    stars = tuple(a for s in statements for a in s.aliases if a.name == EVERYTHING)
    mutable = {n for s in statements if not _is_fixed(s.node) for n in s.binds}
    names = {n for s in statements for n in s.binds}
    return Source(statements, stars, frozenset(names - mutable))


def _statement(node: ast.stmt, imported: set[str]) -> Statement:
    binds, globally, mentioned = _names(node)
    aliases = tuple(_aliases(node))
    local = {alias.local for alias in aliases} - binds
    now = list(_run_at_import(node))
    calls = [n for n in now if isinstance(n, ast.Call)]
    called = [_root_chain(n) for n in (*(call.func for call in calls), *_applied(node))]
    passed = [_root(n) for c in calls for n in (*c.args, *(k.value for k in c.keywords))]
    return Statement(
        node,
        binds=frozenset(binds),
        changes=frozenset(_changed(now) & mentioned),
        later=frozenset(_changed(ast.walk(node)) & mentioned | globally),
        passes=frozenset(filter(None, passed)),
        shares=frozenset(filter(None, _shared(node))),
        calls=frozenset(filter(None, called)),
        chains=frozenset(c for c in _chains(node) if c[0] in mentioned | local),
        aliases=aliases,
        effect=_has_effect(node, imported),
    )


def _names(node: ast.stmt) -> tuple[set[str], set[str], set[str]]:
    """Names of the module: those that a statement binds, by `global` in a function, mentions."""
    top = symtable.symtable(ast.unparse(node), "", "exec")
    binds, globally, mentioned = set[str](), set[str](), set[str]()
    tables = [top]
    while tables:
        table = tables.pop()
        tables += table.get_children()
        for symbol in table.get_symbols():
            bound = symbol.is_assigned() or symbol.is_imported() or symbol.is_namespace()
            if table is top or symbol.is_global():
                mentioned.add(symbol.get_name())
                if bound:
                    (binds if table is top else globally).add(symbol.get_name())
    return binds, globally, mentioned


def _aliases(node: ast.stmt) -> Iterator[Alias]:
    """What the imports in a statement bind, wherever they are."""
    for each in ast.walk(node):
        if isinstance(each, ast.Import):
            for alias in each.names:
                local = alias.asname or alias.name.partition(".")[0]
                yield Alias(local, alias.name, 0, None, top=alias.asname is None)
        elif isinstance(each, ast.ImportFrom):
            for alias in each.names:
                local = alias.asname or alias.name
                yield Alias(local, each.module or "", each.level, alias.name, top=False)


def _chains(node: ast.AST) -> Iterator[Chain]:
    """Every name, with the attributes that are taken of it."""
    if isinstance(node, ast.Attribute | ast.Name):
        attributes, root = [], node
        while isinstance(root, ast.Attribute):
            attributes.append(root.attr)
            root = root.value  # type: ignore[assignment]
        if isinstance(root, ast.Name):
            yield (root.id, *reversed(attributes))
            return
        node = root
    for child in ast.iter_child_nodes(node):
        yield from _chains(child)


def _root(node: ast.expr) -> str | None:
    """The name at the left of `name.attribute[index].method(…)`."""
    return (_root_chain(node) or (None,))[0]


def _root_chain(node: ast.expr) -> Chain:
    """The name at the left of `name.attribute[index].method(…)`, and all attributes."""
    attributes: Chain = ()
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        attributes = (node.attr, *attributes) if isinstance(node, ast.Attribute) else attributes
        node = node.func if isinstance(node, ast.Call) else node.value
    return (node.id, *attributes) if isinstance(node, ast.Name) else ()


def _changed(nodes: Iterable[ast.AST]) -> set[str]:
    """Names into whose value something is stored, or a method of which is called that does so."""
    changed = set()
    for node in nodes:
        match node:
            case ast.Attribute(ctx=context) | ast.Subscript(ctx=context):
                stores = not isinstance(context, ast.Load)
            case ast.Call(func=ast.Attribute(attr=method)):
                stores = method in MUTATORS or (method.endswith("_") and method[0] != "_")
            case _:
                stores = False
        if stores and (root := _root(node)):  # type: ignore[arg-type]
            changed.add(root)
    return changed


def _shared(node: ast.stmt) -> Iterator[str | None]:
    """The name whose value, or a part of it, an assignment gives another name."""
    if isinstance(node, ast.Assign | ast.AnnAssign) and not isinstance(node.value, ast.Call):
        yield _root(node.value) if node.value else None


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What is run while the module is imported: all but the bodies of functions."""
    yield node
    for name, value in ast.iter_fields(node):
        if not (isinstance(node, FUNCTIONS) and name == "body"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from _run_at_import(child)


def _applied(node: ast.stmt) -> list[ast.expr]:
    """The decorators and base classes of a definition, which are called though no call shows it."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return node.decorator_list
    if isinstance(node, ast.ClassDef):
        return [*node.decorator_list, *node.bases, *(k.value for k in node.keywords)]
    return []


def _has_effect(node: ast.stmt, imported: set[str]) -> bool:
    """Whether a statement is run for what it does to others' values."""
    match node:
        case ast.Expr(value=value):
            return not isinstance(value, ast.Constant)
        case ast.Assign(targets=targets) | ast.Delete(targets=targets):
            return any(_is_foreign(target, imported) for target in targets)
        case ast.AugAssign(target=ast.Name(id=name)):
            return name in imported
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            return _is_foreign(target, imported)
        case ast.If(test=test) if _root_names(test) & {"__name__", "TYPE_CHECKING"}:
            return any(_has_effect(each, imported) for each in node.orelse)
        case ast.If() | ast.For() | ast.While() | ast.With() | ast.Try() | ast.Match():
            inner = (n for n in _run_at_import(node) if isinstance(n, ast.stmt) and n is not node)
            return any(_has_effect(each, imported) for each in inner)
    return False


def _is_foreign(target: ast.expr, imported: set[str]) -> bool:
    stores = isinstance(target, ast.Attribute | ast.Subscript)
    return stores and _root(target) in (imported | {None, "globals"})


def _root_names(node: ast.expr) -> set[str]:
    return {part for chain in _chains(node) for part in chain}


def _is_fixed(node: ast.stmt) -> bool:
    """Whether what a statement binds can only be bound again: code, modules, numbers, strings."""
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        parts = ast.walk(node.value) if node.value else ()
        return all(isinstance(part, IMMUTABLE) for part in parts)
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, *IMPORTS))
