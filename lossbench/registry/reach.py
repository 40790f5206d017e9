"""What a definition can reach in its own file, folder and package, read from source text.

Reached are the statements that bind or change a name that is wanted, those that a module runs for
their effect, and then whatever these mention; nothing is imported. What only a run could show is
listed instead.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lossbench.registry.modules import Module, Territory
from lossbench.registry.statements import EVERYTHING, IMPORTS, Alias, Chain, Source, source_of

# Calls that run or read what the text does not name.
DYNAMIC = {"exec", "eval", "__import__", "import_module", "spec_from_file_location", "run_path"}
DYNAMIC |= {"run_module", "CDLL", "load_library"}
READERS = {"open", "load", "loadtxt", "genfromtxt", "fromfile", "read_csv", "read_parquet"}
READERS |= {"read_json", "read_pickle", "read_excel", "read_table", "load_file", "imread", "Path"}
READERS |= {"files", "get_data", "open_text", "open_binary", "getenv"}
UNSEEN = {
    "sys.path": "sys.path is changed, and what that finds not looked at",
    "sys.modules": "what sys.modules holds is not looked at",
    "os.environ": "the environment is read, and not looked at",
    "inspect.getsource": "the text of code is read, whose comments and layout are not looked at",
}
DOCSTRINGS = ("__doc__", "getdoc")  # what reads them
OF_FILES = "only files next to it that a string names are looked at"
BESIDE = "files next to it are read; only those that a string names are looked at"
LONGEST_NAME = 200  # of a file next to the code


@dataclass(eq=False)
class Reach:
    """The statements and imports that a name of a module can reach, by module.

    opaque: files that are not Python text. unseen: what only a run could show, a line each.
    reads_docstrings: whether the text of a docstring can be used.
    """

    territory: Territory
    statements: dict[Module, set[int]] = field(default_factory=dict)
    imports: dict[Module, set[str]] = field(default_factory=dict)
    opaque: set[Path] = field(default_factory=set)
    unseen: list[str] = field(default_factory=list)
    reads_docstrings: bool = False

    def __post_init__(self) -> None:
        self._todo: list[tuple[Module, str, Chain]] = []
        self._wanted: set[tuple[Module, str, Chain]] = set()
        self._writers: set[tuple[Module, int]] = set()

    def follow(self, module: Module, name: str) -> None:
        """Reach a name, and all that this needs."""
        self._want(module, name)
        while self._todo or self._registered():
            while self._todo:
                self._reach(*self._todo.pop())
        self.unseen = sorted(set(self.unseen))

    def _want(self, module: Module, name: str, rest: Chain = ()) -> None:
        if (module, name, rest) not in self._wanted:
            self._wanted.add((module, name, rest))
            self._todo.append((module, name, rest))

    def _reach(self, module: Module, name: str, rest: Chain) -> None:
        """Include what binds or changes a name of a module; rest are the attributes taken of it."""
        source = self._visit(module)
        if source is None:
            return
        numbered = list(enumerate(source.statements))
        binding = [(n, s) for n, s in numbered if name in s.binds or name == EVERYTHING]
        followed = [
            self._import(module, alias, rest)
            for _, statement in binding
            for alias in statement.aliases
            if alias.local == name or (name == EVERYTHING and alias.local in statement.binds)
        ]
        for number, statement in binding:
            if not isinstance(statement.node, IMPORTS):
                self._include(module, number)
        # What another package brings is its own affair.
        defined_here = any(followed) or not all(isinstance(s.node, IMPORTS) for _, s in binding)
        for number, statement in numbered if defined_here or source.stars else ():
            passed = name in statement.passes and name not in source.fixed
            if name in statement.changes or passed:
                self._include(module, number)
            if name in statement.later:
                self._writers.add((module, number))
            for other in statement.binds if name in statement.shares else ():
                if any(other in each.changes for each in source.statements):
                    self._want(module, other)
        for star in source.stars:
            for wanted in (name, "__all__"):
                self._import(module, star, (wanted, *rest), named=wanted)
        if not binding:
            self._want_unbound(module, source, name, rest)

    def _want_unbound(self, module: Module, source: Source, name: str, rest: Chain) -> None:
        """A name that no statement binds: made by the module's __getattr__, or a submodule."""
        if any("__getattr__" in statement.binds for statement in source.statements):
            self._want(module, "__getattr__")
        self._use_module(f"{module.name}.{name}", rest)

    def _import(self, module: Module, alias: Alias, rest: Chain, named: str | None = None) -> bool:
        """Follow an import of a name; whether it leads into the territory."""
        name = named or alias.name
        self.imports.setdefault(module, set()).add(str(alias))
        target = module.absolute(alias.module, alias.level)
        if name is None:
            return self._use_module(target.partition(".")[0] if alias.top else target, rest)
        within = self.territory.find(target)
        if within:
            self._want(within, name, rest[1:] if named else rest)
        return self._use_module(f"{target}.{name}", rest) or within is not None

    def _use_module(self, name: str, rest: Chain) -> bool:
        """Follow attributes of a module; a module that is used otherwise is wanted whole."""
        module = self.territory.find(name)
        inner = bool(rest) and self._use_module(f"{name}.{rest[0]}", rest[1:])
        if module:
            self._want(module, rest[0] if rest else EVERYTHING, rest[1:])
        return inner or module is not None

    def _visit(self, module: Module) -> Source | None:
        """A module's source; at first what it runs for an effect, and what its import imports."""
        source = source_of(module.file)
        if module in self.statements:
            return source
        self.statements[module] = set()
        if source is None:
            self.opaque.add(module.file)
            return None
        for parent in module.parents:
            if package := self.territory.find(parent):
                self._visit(package)
        for number, statement in enumerate(source.statements):
            if statement.effect:
                self._include(module, number)
            for alias in statement.aliases:
                if alias.local in statement.binds or alias.name == EVERYTHING:
                    target = module.absolute(alias.module, alias.level)
                    for name in (target, f"{target}.{alias.name}"):
                        if imported := self.territory.find(name):
                            self._visit(imported)
        return source

    def _include(self, module: Module, number: int) -> None:
        """Reach a statement, and what it mentions."""
        if number in self.statements[module]:
            return
        self.statements[module].add(number)
        source = source_of(module.file)
        assert source
        statement = source.statements[number]
        for name, *rest in statement.chains:
            self._want(module, name, tuple(rest))
        for alias in statement.aliases:
            if alias.local not in statement.binds:
                uses = [c[1:] for c in statement.chains if c[0] == alias.local]
                for used in uses or [()]:
                    self._import(module, alias, used)
        self._look_for_dynamic(module, statement.node)

    def _registered(self) -> bool:
        """Include what calls, while it is imported, something that changes what is wanted."""
        before = len(self._todo)
        for module in list(self.statements):
            source = source_of(module.file)
            for number, statement in enumerate(source.statements if source else ()):
                if number not in self.statements[module] and any(
                    self._is_writer(module, *called) for called in statement.calls
                ):
                    self._include(module, number)
        return len(self._todo) > before

    def _is_writer(
        self, module: Module, name: str, *rest: str, asked: tuple[Module, ...] = ()
    ) -> bool:
        """Whether a call of a name of a module, or of an attribute, changes what is wanted."""
        source = source_of(module.file)
        if module in asked or module not in self.statements or source is None:
            return False
        asked = (*asked, module)
        for number, statement in enumerate(source.statements):
            if name not in statement.binds:
                continue
            node, included = statement.node, number in self.statements[module]
            if (module, number) in self._writers or (included and _registers_subclasses(node)):
                return True
            # a table or registry that is called, or a method of it
            if included and (name not in source.fixed or (rest and _has_methods(node))):
                return True
            for alias in statement.aliases:
                if alias.local == name and self._imports_writer(module, alias, rest, asked):
                    return True
        return any(
            self._imports_writer(module, star, (name, *rest), asked) for star in source.stars
        )

    def _imports_writer(
        self, module: Module, alias: Alias, rest: Sequence[str], asked: tuple[Module, ...]
    ) -> bool:
        """The same of what an import binds."""
        target = module.absolute(alias.module, alias.level)
        if alias.name not in (None, EVERYTHING):
            found = self.territory.find(target)
            if found and self._is_writer(found, str(alias.name), *rest, asked=asked):
                return True
            target = f"{target}.{alias.name}"
        elif alias.top:
            target = target.partition(".")[0]
        while len(rest) > 1 and self.territory.find(f"{target}.{rest[0]}"):
            target, rest = f"{target}.{rest[0]}", rest[1:]
        found = self.territory.find(target)
        return found is not None and bool(rest) and self._is_writer(found, *rest, asked=asked)

    def _look_for_dynamic(self, module: Module, node: ast.stmt) -> None:
        """List what a statement reaches by means that only a run shows."""
        for each in ast.walk(node):
            match each:
                case ast.Name(id="__file__" | "__path__"):
                    self._list(module, each, BESIDE)
                case ast.Name(id=name) | ast.Attribute(attr=name) | ast.Constant(value=name) if (
                    name in DOCSTRINGS
                ):
                    self.reads_docstrings = True
                case ast.Attribute(value=ast.Name(id=owner), attr=attribute) if (
                    reason := UNSEEN.get(f"{owner}.{attribute}")
                ):
                    self._list(module, each, reason)
                case ast.Attribute(attr="__subclasses__"):
                    self._list(module, each, "what __subclasses__() finds is not looked at")
                case ast.Constant(value=str(text)):
                    self._look_for_file(module, text)
                case ast.Call():
                    self._look_at_call(module, each)

    def _look_for_file(self, module: Module, text: str) -> bool:
        """Include a file next to a module's own that a string names; whether there is one."""
        if self.territory.is_ours or not text or not text.isprintable() or len(text) > LONGEST_NAME:
            return False
        file = module.file.parent / text
        if file.suffix == ".py" or not file.is_file():
            return False
        self.opaque.add(file)
        return True

    def _look_at_call(self, module: Module, call: ast.Call) -> None:
        name = ast.unparse(call.func).rpartition(".")[2]
        argument = call.args[0] if call.args else None
        text = argument.value if isinstance(argument, ast.Constant) else None
        if name in ("globals", "vars", "locals", "exec", "eval"):
            self._want(module, EVERYTHING)
        if name in ("import_module", "__import__") and isinstance(text, str):
            level = len(text) - len(text.lstrip("."))
            self._use_module(module.absolute(text.lstrip("."), level), ())
        elif name in DYNAMIC:
            self._list(module, call, f"what {name}() runs is not looked at")
        elif name in READERS and isinstance(text, str) and not self._look_for_file(module, text):
            self._list(module, call, f"{text} is read, and not looked at")
        elif name in READERS and argument and self._is_of_module(module, argument):
            self._list(module, call, f"what {ast.unparse(argument)} names is read; {OF_FILES}")

    def _is_of_module(self, module: Module, value: ast.expr) -> bool:
        """Whether a value that is no constant is made of constants and names of a module alone."""
        source = source_of(module.file)
        bound = {
            name for statement in (source.statements if source else ()) for name in statement.binds
        }
        names = {each.id for each in ast.walk(value) if isinstance(each, ast.Name)}
        return not isinstance(value, ast.Constant) and names <= bound

    def _list(self, module: Module, node: ast.expr, reason: str) -> None:
        self.unseen.append(f"{module.file.name}:{node.lineno}: {reason}")


def _has_methods(node: ast.stmt) -> bool:
    """Whether a definition is a class, or a function that a decorator made an object of."""
    return isinstance(node, ast.ClassDef) or bool(getattr(node, "decorator_list", ()))


def _registers_subclasses(node: ast.stmt) -> bool:
    return isinstance(node, ast.ClassDef) and any(
        isinstance(each, ast.FunctionDef) and each.name in ("__init_subclass__", "__new__")
        for each in node.body
    )
