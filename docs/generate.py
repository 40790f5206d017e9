"""Pages of the documentation made of what is installed and committed, so that none goes stale."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Iterable
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import yaml
from studies import (
    link_to_catalogue,
    move_readme,
    readmes,
    write_atlas,
    write_evidence,
    write_gallery,
    write_shapes,
    write_table,
)
from twin_pages import write_twins

import lossbench
from lossbench import api, comparison, contract, registry
from lossbench.cli import COMMANDS
from lossbench.commands.installed import describe_plugin
from lossbench.registry import Plugin
from lossbench.registry.kinds import KINDS
from lossbench.tasks import Task
from lossbench.testing import loss_checks

ROOT = Path(__file__).parent.parent


def write_pages(folder: Path) -> None:
    """Write every page; the folder is created where there is none."""
    pages = {
        "commands.md": _commands(),
        "plugins.md": _plugins(),
        "api.md": _api(),
        "gallery.md": write_gallery(),
        "twins.md": write_twins(),
        "parts/atlas.md": write_atlas(),
        "parts/evidence.md": write_evidence(),
        "parts/shapes.md": write_shapes(),
        "parts/citation.md": _citation(),
        "parts/quickstart.md": _quickstart(),
        **{f"experiments/{name}.md": move_readme(name, text) for name, text in readmes().items()},
    }
    pages["extra/llms.txt"] = _llms(pages)
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.rstrip() + "\n", encoding="utf-8")


# ---- commands ----------------------------------------------------------------------------------
def _commands() -> str:
    parts = ["# Commands\n", "What `--help` prints. [Exit codes](../programs.md#exit-codes).\n"]
    for command in COMMANDS:
        context = click.Context(command, info_name=f"lossbench {command.name}", terminal_width=88)
        parts.append(f"## {command.name}\n\n{_verbatim(command.get_help(context))}")
    return "\n".join(parts)


# ---- plugins -----------------------------------------------------------------------------------
def _plugins() -> str:
    parts = ["# Everything with a name\n", PLUGINS]
    for kind, role in KINDS.items():
        same = [p for p in registry.installed(kind) if p.package == "lossbench"]
        if not same:
            continue
        heading = ["name", *(["tasks"] if role.by_task else []), "what it is"]
        rows = [
            [_named(kind, name), *([", ".join(tasks)] if role.by_task else []), line]
            for name, tasks, line in _by_name(same)
        ]
        parts += [f"## {role.plural.capitalize()}\n", write_table(heading, rows)]
    parts += ["## In packages of their own\n", write_table(["package", "adds"], _packages())]
    return "\n".join(parts)


PLUGINS = """Made from the entry points of this version. `lossbench list KIND` prints the same for
your installation, and `lossbench show NAME` the parameters of anything listed.
"""


def _by_name(plugins: Iterable[Plugin]) -> list[tuple[str, list[str], str]]:
    ordered = sorted(plugins, key=lambda p: p.name)
    groups = [list(same) for _, same in groupby(ordered, key=lambda p: p.name)]
    return [
        (g[0].name, [p.task or "every task" for p in g], _escaped(describe_plugin(g[0])))
        for g in groups
    ]


def _escaped(text: str) -> str:
    return re.sub(r"([*_<\[|])", r"\\\1", text)


def _named(kind: str, name: str) -> str:
    """A name, of a loss with a link to its page in the catalogue."""
    prefix = {"loss": "", "regularizer": "regularizer-"}.get(kind)
    return f"`{name}`" if prefix is None else link_to_catalogue(prefix + name, "../")


def _packages() -> list[tuple[str, str]]:
    rows = []
    for file in sorted(ROOT.glob("plugins/*/pyproject.toml")):
        project = tomllib.loads(file.read_text())["project"]
        adds = [
            f"{group.removeprefix('lossbench.')}: {', '.join(f'`{name}`' for name in names)}"
            for group, names in project["entry-points"].items()
        ]
        rows.append((f"`{project['name']}`", f"{project['description']}. {'; '.join(adds)}"))
    return rows


# ---- Python ------------------------------------------------------------------------------------
def _api() -> str:
    given = [("lossbench", name) for name in lossbench.__all__]
    parts = ["# From Python\n", API, "## lossbench\n"]
    parts += [_described(f"{place}.{name}", getattr(lossbench, name)) for place, name in given]
    parts += [_described("lossbench.api.Result", api.Result)]
    parts += [
        _described("lossbench.api.Model", api.Model),
        _described("lossbench.api.Model.predict", api.Model.predict),
    ]
    parts += [_described("lossbench.comparison.Comparison", comparison.Comparison)]
    parts += ["## lossbench.contract\n", _verbatim(inspect.getdoc(contract) or "")]
    parts += [
        _described(f"lossbench.contract.{name}", value)
        for name in contract.__all__
        if inspect.isfunction(value := getattr(contract, name)) or type(value) is type
    ]
    parts += ["## lossbench.tasks\n", _described("lossbench.tasks.Task", Task)]
    parts += ["## lossbench.testing\n", _described("lossbench.testing.loss_checks", loss_checks)]
    return "\n".join(parts)


API = """A plugin may import `lossbench.contract`, `lossbench.tasks` and `lossbench.testing`;
`run`, `compare`, `get_loss` and `get_models` are for scripts and notebooks. All else may change
without notice.
"""


def _described(name: str, value: Callable[..., Any]) -> str:
    kind = "class" if isinstance(value, type) else "function"
    text = inspect.getdoc(value) or ""
    called = inspect.isfunction(value) or name.startswith("lossbench.contract")
    called = called and not (isinstance(value, type) and issubclass(value, Exception))
    signature = str(inspect.signature(value, follow_wrapped=False)) if called else ""
    shown = re.sub(r"(: |-> )'([^']*)'", r"\1\2", signature)
    first, _, rest = text.partition("\n\n")
    body = f"{_escaped(first)}\n\n{_verbatim(rest) if rest else ''}"
    return f"````{{py:{kind}}} {name}{shown}\n\n{body}\n````\n"


def _verbatim(text: str) -> str:
    return f"```{'pycon' if text.startswith('>>>') else 'text'}\n{text}\n```\n"


# ---- for programs ------------------------------------------------------------------------------
def _llms(generated: dict[str, str]) -> str:
    """Every page with its title and first sentence, for a reader that is a program."""
    here = Path(__file__).parent
    written = {str(f.relative_to(here)): f.read_text() for f in sorted(here.rglob("*.md"))}
    shown = {n: t for n, t in written.items() if not n.startswith(("generated/", "_build/"))}
    shown |= {f"generated/{n}": t for n, t in generated.items() if not n.startswith("parts/")}
    lines = [_line(name, text) for name, text in shown.items() if text.startswith("# ")]
    return LLMS + "\n".join(lines)


LLMS = """# lossbench

> A benchmark of loss functions with honest statistics: name a dataset, a model and losses; it
> trains many seeds and says which loss is better, by how much, and whether that holds on new data.

Begin with _sources/programs.md.txt: machine-readable output, exit codes and keys.

## Pages

"""


def _line(name: str, text: str) -> str:
    title, _, rest = text.partition("\n")
    words = " ".join(re.split(r"\n\n|```", rest.strip())[0].split())
    sentence = re.sub(r"\[([^\]]*)\]\([^)]*\)|`|</?a\b[^>]*>", r"\1", words).partition(". ")[0]
    return f"- [{title.lstrip('# ')}](_sources/{name}.txt): {sentence.rstrip('.')}"


# ---- from single files -------------------------------------------------------------------------
def _citation() -> str:
    """What CITATION.cff says, for BibTeX."""
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    fields = {
        "title": f"{{{cited['title']}}}",
        "author": " and ".join(f"{{{author['name']}}}" for author in cited["authors"]),
        "version": cited["version"],
        "url": cited["repository-code"],
    }
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join(["```bibtex", "@software{lossbench,", *lines, "}", "```"])


def _quickstart() -> str:
    """What README says that the quickstart prints, and how that was obtained."""
    text = (ROOT / "README.md").read_text()
    blocks = re.findall(r"^```\n(.*?)\n```$\n(.*?\n\n)", text, re.DOTALL | re.MULTILINE)
    block, origin = next((b, o) for b, o in blocks if b.count("\n") > 10)
    origin = re.sub(r"[(]experiments/(.*?)/README.md[)]", r"(generated/experiments/\1.md)", origin)
    return f"```text\n{block}\n```\n\n{origin.strip()}\n"
