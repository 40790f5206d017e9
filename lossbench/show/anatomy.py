"""What there is to say of a loss: its docstring in parts, its parameters, what it declares."""

from __future__ import annotations

import inspect
import math
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from lossbench import registry
from lossbench.check import describe_unit
from lossbench.check.find import in_form, plugins_of, task_of
from lossbench.contract import Declaration, UserError, declaration_of
from lossbench.registry import Plugin
from lossbench.registry.offers import without_marks
from lossbench.registry.schema import REQUIRED, Parameter
from lossbench.tasks import Task
from lossbench.tasks.composed import with_samples

SECTIONS = {"Args:": "", "Returns:": "Result: "}  # of a docstring -> what its entries begin with
LISTED = (" ", "- ", "* ")  # what a line of a list begins with


@dataclass(frozen=True)
class Docstring:
    """A loss's docstring, which has its parts in a fixed order; a part may be empty."""

    summary: str = ""
    formula: str = ""
    arguments: str = ""
    notes: str = ""
    source: str = ""
    example: str = ""


@dataclass(frozen=True)
class Entry:
    """A loss for one task, or a regularizer, whose task is None."""

    plugin: Plugin
    loss: Callable[..., Any]
    task: Task | None

    @property
    def place(self) -> str:
        """The task's name, or what stands for it."""
        return self.task.name if self.task else "regularizer"

    @property
    def declaration(self) -> Declaration:
        return declaration_of(self.loss)

    @property
    def docstring(self) -> Docstring:
        docstring = split_docstring(inspect.getdoc(self.loss) or "")
        return self._of_library(docstring) if self.plugin.library else docstring

    def _of_library(self, docstring: Docstring) -> Docstring:
        """What can be read of a library's docstring without Sphinx, and where the rest is."""
        names = {parameter.name for parameter in self.parameters}
        entries = docstring.arguments.splitlines()
        known = [without_marks(e) for e in entries if re.split(r"\W", e, maxsplit=1)[0] in names]
        plugin = self.plugin
        return Docstring(
            without_marks(docstring.summary.partition("\n.. ")[0]),
            arguments="\n".join(known),
            source=f"The documentation of {plugin.package}{_address(plugin.package)}.",
        )

    @property
    def symbols(self) -> str:
        """What the letters of the formula stand for, as the loss's module says."""
        module = inspect.getdoc(inspect.getmodule(self.loss)) or ""
        found = re.search(r"Symbols: (.*?)((?<!\.)\.\s|\.?\Z)", module, re.DOTALL)
        return " ".join(found[1].split()) if found else ""

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        """The hyper-parameters."""
        return registry.parameters(self.plugin)


def _address(package: str) -> str:
    """Where a package says that its documentation is, or it is itself."""
    known = metadata.metadata(package)
    named = dict(each.split(", ", 1) for each in known.get_all("Project-URL") or ())
    by_name = {name.lower(): url for name, url in named.items()}
    names = ("documentation", "docs", "homepage", "home")
    urls = [by_name[n] for n in names if n in by_name] + (known.get_all("Home-page") or [])
    return f": {urls[0]}" if urls else ""


def find_entries(name: str, task: str | None = None) -> list[Entry]:
    """What a name means, for one task or for all: a loss, else a regularizer; else UserError."""
    if task or registry.known_as("loss", name) or name not in registry.names("regularizer"):
        plugins = plugins_of(name, task)
    else:
        plugins = list(registry.find("regularizer", name))
    return [load_entry(plugin, task) for plugin in plugins]


def load_entry(plugin: Plugin, task: str | None = None) -> Entry:
    """The loss itself, and the task that it is for; UserError where it cannot be loaded."""
    loss = registry.load(plugin)
    if plugin.kind == "regularizer":
        return Entry(plugin, loss, None)
    posed = task_of(plugin, loss, task)
    plugin = with_samples(plugin, posed)
    try:
        return Entry(plugin, in_form(plugin, loss, posed), posed)
    except UserError:
        if not plugin.library:
            raise
    return Entry(plugin, loss, posed)  # what no task can call as it stands


def split_docstring(text: str) -> Docstring:
    """A docstring cut into its parts, its sections "Args:" and "Returns:" one line an entry.

    >>> split_docstring("Punishes.\\n\\nL = r^2\\n\\nArgs:\\n    r: any\\n        real.").arguments
    'r: any real.'
    """
    text, _, example = text.partition("\n>>> ")
    summary, _, body = text.strip().partition("\n\n")
    parts: dict[str, list[str]] = {"formula": [], "arguments": [], "notes": [], "source": []}
    part = "formula" if re.match(r"[\w|]+(\(.*?\))? = ", body) else "notes"
    for paragraph in body.strip().split("\n\n"):
        heading, _, rest = paragraph.partition("\n")
        if heading in SECTIONS:
            parts["arguments"] += _entries(rest, SECTIONS[heading])
            part = "notes"
        elif paragraph.startswith("Source: "):
            parts["source"].append(" ".join(paragraph.removeprefix("Source: ").splitlines()))
        else:
            lines = paragraph.splitlines()
            is_text = part == "notes" and not any(line.startswith(LISTED) for line in lines)
            parts[part] += [" ".join(lines)] if is_text else lines
    joined = {name: "\n".join(lines).strip() for name, lines in parts.items()}
    return Docstring(summary.strip(), **joined, example=">>> " * bool(example) + example.strip())


def _entries(section: str, label: str) -> list[str]:
    """The entries of a section, one a line: what is indented further continues an entry."""
    entries: list[str] = []
    for line in textwrap.dedent(section).splitlines():
        if line.startswith(" ") or (label and entries):
            entries[-1] += " " + line.strip()
        else:
            entries.append(label + line)
    return entries


def list_parameters(entry: Entry) -> list[tuple[str, str, str, str, str]]:
    """Name, type, range, default and tuning range of each hyper-parameter."""
    tuned = {name: f"{low:g} .. {high:g}" for name, low, high in entry.declaration.tune}
    return [
        (
            p.name,
            describe_kind(p),
            p.kind.interval or p.kind.table or "any",
            write_value(p.default),
            tuned.get(p.name, ""),
        )
        for p in entry.parameters
    ]


def describe_kind(parameter: Parameter) -> str:
    """The type without the interval, which has a column of its own."""
    if parameter.kind.table:
        kind = parameter.kind
        each = [*kind.choices, *([str(kind.number)] if kind.number else [])]
        each += ["a table of numbers" if "C, C" in (kind.table or "") else "a number per class"]
        each += ["null"] * kind.optional
        return ", ".join(each[:-1]) + ", or " * bool(each[1:]) + each[-1]
    words = str(parameter.kind).replace(f" in {parameter.kind.interval}", "")
    return words if parameter.kind.interval else str(parameter.kind)


def write_value(value: Any) -> str:
    """A default or a setting as it would be typed."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(write_value, value)) + "]"
    if isinstance(value, float):
        return f"{value:g}" if value != int(value) or abs(value) > 1e6 else f"{value:.0f}"
    if value is REQUIRED:
        return "required"
    return {None: "null", True: "true", False: "false"}.get(value, str(value))


def list_properties(entry: Entry) -> list[tuple[str, str]]:
    """What the loss declares, in words; the check verifies it."""
    declared = entry.declaration
    convex = {None: "not declared", True: "yes", False: "no"}[declared.convex]
    if entry.task is None:
        return [("convex", f"{convex}, in the weights")]
    return [
        ("convex", f"{convex}, in the prediction" if declared.convex is not None else convex),
        ("Lipschitz", _lipschitz(declared.lipschitz)),
        ("estimates", declared.minimiser or "nothing simple is declared"),
        *([("is given", words)] if (words := getattr(entry.loss, "words", "")) else []),
        ("link", _link(entry.task, entry.loss)),
        ("outputs", _outputs(declared)),
        ("targets", _targets(entry.task, declared.target)),
        *([("units", describe_unit(declared.unit))] if declared.unit else []),
    ]


def _lipschitz(constant: float | None) -> str:
    if constant is None:
        return "no constant is declared"
    if constant and math.isclose(constant**2, round(constant**2)) and constant != int(constant):
        return f"{constant:.4g} = sqrt({round(constant**2)}), in the 2-norm of the prediction"
    return f"{constant:.4g}, in the 2-norm of the prediction"


def _outputs(declared: Declaration) -> str:
    """How many a loss takes, which may depend on the data."""
    if callable(declared.outputs):
        return _first_words(declared.outputs)
    return "as the task has them" if declared.outputs == 1 else f"{declared.outputs} per target"


def _first_words(function: Callable[..., Any]) -> str:
    """The first sentence of a docstring within another one."""
    words = (inspect.getdoc(function) or "as many as it says").splitlines()[0].rstrip(".")
    return f"{words[0].lower()}{words[1:]}"


def _link(task: Task, loss: Callable[..., Any]) -> str:
    link = declaration_of(loss).link
    if link is None and task.scores_classes and hasattr(loss, "logits"):
        return "its own scores of the classes, then the task's link"
    if link is None:
        return f"the task's own: {_first_words(task.link)}"
    return f"its own: {(inspect.getdoc(link) or link.__name__).splitlines()[0]}"


def _targets(task: Task, interval: str | None) -> str:
    if task.soft_targets:
        return f"{interval}, soft labels too" if interval else "0 and 1 only"
    return f"in {interval}" if interval else "all that the task allows"
