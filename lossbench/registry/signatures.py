"""How a plugin is called: read from its source text, or from the object where that is not enough.

Reading text instead of importing keeps torch out of `--help`, completion and validation.
"""

from __future__ import annotations

import ast
import copy
import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lossbench.registry.modules import Module, binding_in, definition_in
from lossbench.registry.schema import Parameter, keywords_of

TRANSPARENT = ("declare", "metric", "dataclass")  # decorators that leave a signature as it is
KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY
POSITIONAL = inspect.Parameter.POSITIONAL_OR_KEYWORD
POSITIONAL_ONLY = inspect.Parameter.POSITIONAL_ONLY
CALL_FACTS = ("progress", "index", "example_weight")
DEEPEST = 10  # names that stand for names
PLAIN = (type(None), bool, int, float, str, list, tuple, dict)
OTHER_WORDS = {  # for facts, in the constructors of libraries
    "classes": "num_classes",
    "n_classes": "num_classes",
    "num_class": "num_classes",
    "class_num": "num_classes",
    "embedding_size": "embedding_dim",
    "feat_dim": "embedding_dim",
    "in_features": "embedding_dim",
    "cls_num_list": "class_counts",
    "cls_count": "class_counts",
    "samples_per_class": "class_counts",
    "samples_per_cls": "class_counts",
}
SIZES = ("num_classes", "embedding_dim")
PARTS = (  # names of the third argument and more, where a batch is given in parts
    *("target", "targets", "label", "labels", "y", "event", "events", "time", "durations"),
    *("var", "variance", "input_lengths", "target_lengths"),
)
REDUCTIONS = ("reduction", "reduce", "size_average")  # how torch and others name what they do


@dataclass(frozen=True)
class Signature:
    """arguments: what must be given by position, None where the text does not say it.

    fault: why no configuration can call it, or nothing.
    """

    keywords: tuple[Parameter, ...]
    arguments: tuple[str, ...] | None = None
    fault: str = ""
    is_class: bool = False


def signature_in_text(module: str, attribute: str, foreign: str) -> Signature | None:
    """The signature of a function or class as it is written; None where that is not enough.

    foreign: as in `signature_of_object`.
    """
    definition = definition_in(module, attribute)
    if definition is None or not all(map(_is_transparent, definition.node.decorator_list)):
        return None
    node, home = definition.node, definition.module
    is_class = isinstance(node, ast.ClassDef)
    inits = [n for n in node.body if isinstance(n, ast.FunctionDef) and n.name == "__init__"]
    try:
        if is_class and not inits and foreign:
            return None
        if is_class and not inits:  # a dataclass
            parts = (part for part in node.body if isinstance(part, ast.AnnAssign))
            fields = [copy.deepcopy(part) for part in parts]  # its names will be spelled out
            rows = [(ast.unparse(f.target), f.annotation, f.value) for f in fields]
            keywords = keywords_of(_parameter(*row, KEYWORD_ONLY, home) for row in rows)
            return Signature(keywords, is_class=True)
        args = copy.deepcopy(inits[0].args if is_class else node.args)  # type: ignore[union-attr]
        parameters = by_name([*_parameters(args, home)][int(is_class) :])
        parameters = contract_form(foreign, parameters, is_class)
        return Signature(keywords_of(parameters), *_shape(parameters), is_class)
    except (ValueError, SyntaxError):  # a default that is computed
        return None


def signature_of_object(target: Callable[..., Any], foreign: str = "") -> Signature:
    """The signature of something imported.

    foreign: the kind of what may be written for nobody's contract, read in the form that ours has.
    """
    is_class, parameters = inspect.isclass(target), by_name(parameters_of(target).values())
    parameters = contract_form(foreign, parameters, is_class)
    return Signature(keywords_of(parameters, is_class), *_shape(parameters), is_class)


@functools.cache
def parameters_of(target: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """What it is called with, by name; of a module that is already made, what its forward is."""
    called = target if inspect.isclass(target) else getattr(target, "forward", target)
    parameters = dict(inspect.signature(called).parameters)
    if inspect.isclass(target) and parameters.keys() <= {"args", "kwargs"}:  # a decorator's
        _, *own = inspect.signature(target.__init__).parameters.values()
        return {p.name: p for p in own}
    if parameters.keys() <= {"args", "kwargs"} and not inspect.isroutine(target):  # a wrapper's
        called = inspect.signature(type(target).__call__, follow_wrapped=False)
        return dict([*called.parameters.items()][1:])
    return parameters


def by_name(parameters: Iterable[inspect.Parameter]) -> list[inspect.Parameter]:
    """The parameters, those with a default given by keyword where they can be."""
    return [
        p.replace(kind=p.KEYWORD_ONLY)
        if p.kind is p.POSITIONAL_OR_KEYWORD and p.default is not p.empty
        else p
        for p in parameters
    ]


def arguments_of(target: Callable[..., Any]) -> list[str]:
    """The names of what it is called with by position, of a class its instances."""
    if inspect.isclass(target):
        called = getattr(target, "forward", target.__call__)
        return list(inspect.signature(called).parameters)[1:]
    return [name for name, p in parameters_of(target).items() if p.kind is not p.KEYWORD_ONLY]


def contract_form(
    kind: str, parameters: list[inspect.Parameter], is_class: bool
) -> list[inspect.Parameter]:
    """The parameters of what may be foreign as ours has them; as they are, if kind is empty.

    Of a loss prediction, target and keywords; how it reduces is not for the user to say, and of
    more than two parts of a batch the rest is found by trying. Of a model two shapes and keywords,
    or keywords alone.
    """
    if not kind or (kind == "model" and _takes_shapes(parameters)):
        return parameters
    free = is_class or kind == "model"
    return [
        p.replace(kind=p.KEYWORD_ONLY) if free or i > 1 or p.default is not p.empty else p
        for i, p in enumerate(parameters)
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name not in REDUCTIONS
        and not (not free and i > 1 and p.default is p.empty and p.name in PARTS)
    ]


def _takes_shapes(parameters: Iterable[inspect.Parameter]) -> bool:
    """Whether a model means to keep the contract: no other has an argument of such a name."""
    return any(p.kind is POSITIONAL_ONLY or "shape" in p.name for p in parameters)


def call_facts(loss: Callable[..., Any]) -> tuple[str, ...]:
    """What a loss asks for at each call that the call before had not, of a module its forward."""
    called = getattr(loss, "forward", loss)
    return tuple(n for n in CALL_FACTS if n in inspect.signature(called).parameters)


def given(names: Iterable[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of these names, or of other words for them, that are known."""
    words = {name: OTHER_WORDS.get(name, name) for name in names}
    return {name: known[word] for name, word in words.items() if word in known}


def is_plain(value: Any) -> bool:
    """Whether a configuration can hold it."""
    return isinstance(value, PLAIN)


def facts_in_text(module: str, attribute: str) -> tuple[set[str], set[str]]:
    """What a task supplies, the keys of what its `facts` gives, and its attributes."""
    definition = definition_in(module, attribute)
    facts, attributes = set[str](), set[str]()
    for part in definition.node.body if definition else ():
        match part:
            case ast.FunctionDef(name="facts"):
                keys = [k for d in ast.walk(part) if isinstance(d, ast.Dict) for k in d.keys]
                facts |= {str(key.value) for key in keys if isinstance(key, ast.Constant)}
            case ast.FunctionDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                attributes.add(name)
    return facts, attributes


def _shape(parameters: Iterable[inspect.Parameter]) -> tuple[tuple[str, ...], str]:
    """The positional arguments that a call must give, and what no configuration can."""
    arguments: list[str] = []
    for p in parameters:
        if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            return tuple(arguments), f"its signature has {p}; name each hyper-parameter"
        if p.kind is not p.KEYWORD_ONLY and p.default is not p.empty:
            return tuple(arguments), f"{p.name} is positional only; put the '/' before it"
        if p.kind is not p.KEYWORD_ONLY:
            arguments.append(p.name)
    return tuple(arguments), ""


def _parameters(args: ast.arguments, home: Module) -> Iterator[inspect.Parameter]:
    """The parameters of a definition; ValueError where a default is computed."""
    positional = [*args.posonlyargs, *args.args]
    required = [None] * (len(positional) - len(args.defaults))
    for arg, default in zip(positional, [*required, *args.defaults], strict=True):
        kind = POSITIONAL_ONLY if arg in args.posonlyargs else POSITIONAL
        yield _parameter(arg.arg, arg.annotation, default, kind, home)
    if args.vararg:
        yield _parameter(args.vararg.arg, None, None, inspect.Parameter.VAR_POSITIONAL, home)
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        yield _parameter(arg.arg, arg.annotation, default, KEYWORD_ONLY, home)
    if args.kwarg:
        yield _parameter(args.kwarg.arg, None, None, inspect.Parameter.VAR_KEYWORD, home)


def _parameter(
    name: str, annotation: ast.expr | None, default: ast.expr | None, kind: Any, home: Module
) -> inspect.Parameter:
    text = ast.unparse(_spelled_out(annotation, home)) if annotation else inspect.Parameter.empty
    value = inspect.Parameter.empty if default is None else ast.literal_eval(default)
    value = list(value) if isinstance(value, tuple) else value
    return inspect.Parameter(name, kind, default=value, annotation=text)


def _is_transparent(decorator: ast.expr) -> bool:
    called = decorator.func if isinstance(decorator, ast.Call) else decorator
    return ast.unparse(called).rpartition(".")[2] in TRANSPARENT


def _spelled_out(annotation: ast.expr, module: Module) -> ast.expr:
    """An annotation with what its names stand for, such as `Source = File`, in their place."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        annotation = ast.parse(annotation.value, mode="eval").body
    return _Aliases(module).visit(annotation)


class _Aliases(ast.NodeTransformer):
    def __init__(self, module: Module, depth: int = 0) -> None:
        self.module, self.depth = module, depth

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """What the name was assigned, in its module or in lossbench.contract."""
        binding = binding_in(self.module, node.id) if self.depth < DEEPEST else None
        value = getattr(binding.node, "value", None) if binding else None
        if not binding or not isinstance(value, ast.expr):
            return node
        return _Aliases(binding.module, self.depth + 1).visit(copy.deepcopy(value))
