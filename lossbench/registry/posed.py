"""What the text of a dataset and of its tasks tells before anything is loaded or drawn."""

from __future__ import annotations

import ast
import functools

from lossbench.registry.lookup import Plugin, find, known_as
from lossbench.registry.modules import definition_in


def posed_tasks(dataset: Plugin) -> list[str]:
    """The tasks that a dataset may pose, read from the samples it returns; empty if not known.

    The task of `Sample(inputs, labels, "binary" if classes == 2 else "multiclass")` is one of two.
    """
    definition = definition_in(dataset.module, dataset.attribute)
    return list(_tasks_named(definition.node)) if definition else []


@functools.cache  # a sweep asks for each run; an edited file has another node
def _tasks_named(function: ast.AST) -> tuple[str, ...]:
    tasks = set[str]()
    for node in ast.walk(function):
        if isinstance(node, ast.Return) and node.value:
            match node.value:
                case ast.Call(func=ast.Name("Sample"), args=[_, _, task, *_]):
                    named = [task.body, task.orelse] if isinstance(task, ast.IfExp) else [task]
                case _:
                    return ()
            if not all(isinstance(each, ast.Constant) for each in named):
                return ()
            tasks.update(str(each.value) for each in named if isinstance(each, ast.Constant))
    return tuple(sorted(tasks))


def metrics_of(task: Plugin) -> list[str]:
    """The names of a task's own metrics, read from its class; empty if not known."""
    parts = getattr(_assigned(task, "metrics"), "elts", ())
    names = [part.id for part in parts if isinstance(part, ast.Name)]
    return names if len(names) == len(parts) else []


def taken_if_null(dataset: str) -> dict[str, object]:
    """The primary metric and the length of embeddings that null is, for each that is known."""
    known = known_as("dataset", dataset)
    tasks = [find("task", task)[0] for task in (posed_tasks(known[0]) if known else ())]
    taken = {}
    for key, attribute in (("metric", "primary"), ("embedding_dim", "embedding_dim")):
        found = {getattr(_assigned(task, attribute), "value", None) for task in tasks}
        if len(found) == 1:
            taken[key] = found.pop()
    return {key: value for key, value in taken.items() if value is not None}


def _assigned(plugin: Plugin, name: str) -> ast.expr | None:
    """What the body of a class gives a name."""
    definition = definition_in(plugin.module, plugin.attribute)
    for node in definition.node.body if definition else ():
        match node:
            case ast.Assign(targets=[ast.Name(bound)], value=value) if bound == name:
                return value
            case ast.AnnAssign(target=ast.Name(bound), value=value) if bound == name:
                return value
    return None
