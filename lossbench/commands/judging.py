"""`judge`: one question, one answer: is this loss better than the yardstick here?"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from lossbench.commands import completion
from lossbench.commands.closing import own_name
from lossbench.commands.options import OneOf, command, config_dir_option
from lossbench.commands.terminal import a_console, divert_notes, fitting, say
from lossbench.configuration.settings import masked
from lossbench.contract import UserError

if TYPE_CHECKING:
    from lossbench.comparison import Comparison, Row
    from lossbench.configuration import Configuration

CAMPAIGN = re.compile(r"\w[\w.-]{0,99}")
VERSIONS = ("lossbench", "torch", "numpy", "python")


@command()
@click.argument("loss", shell_complete=completion.losses)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[KEY=VALUE]...")
@click.option("--against", metavar="LOSS", help="The yardstick. Default: the task's usual loss.")
@click.option("--on", metavar="DATASET,…", help="The datasets: better on all of them is better.")
@click.option(
    "--campaign",
    metavar="NAME",
    help="Correct for every loss that is judged under this name.",
)
@click.option(
    "--format",
    "form",
    type=OneOf("format", ["line", "json", "markdown"]),
    default="line",
    metavar="FORMAT",
    help="line (default), json, or markdown for a pull request.",
)
@config_dir_option
def judge(
    loss: str,
    words: tuple[str, ...],
    against: str | None,
    on: str | None,
    campaign: str | None,
    form: str,
    config_dir: str | None,
) -> int:
    """Say whether LOSS is better than a yardstick; exit 0 if it is, 3 if that is not shown.

    KEY=VALUE configures the runs as it does for `run`; loss.gamma=1 is of LOSS alone. Seeds are
    added until the question is settled, or settle.most_seeds are trained.
    """
    from lossbench.commands.running import exit_code
    from lossbench.comparison import compare
    from lossbench.configuration.experiments import configurations
    from lossbench.sweep.settling import settle

    if _names(words, "seeds"):
        raise UserError("judge adds seeds until it is settled: leave seeds out.")
    overrides = [*_overrides(loss, words, on), "seeds=auto"]
    yardstick = against or _yardstick(overrides, loss, config_dir)
    if yardstick == loss:
        raise UserError(f"{loss} is the yardstick here: name another one with --against LOSS.")
    overrides = [f"loss={yardstick},{loss}", *overrides]
    configs, _ = configurations(overrides, sweep=True, config_dir=config_dir)
    number = _number(configs, campaign) if campaign else 1
    tried = correction_of(number) if campaign else 1
    with divert_notes():
        console = a_console()
        jobs, results = settle(configs, yardstick, console, tried=tried)
        if len(results) < len(configs):
            return exit_code(jobs, results, console) or 3
    comparisons = compare(results, baseline=yardstick, tried=tried)
    better = all(row.verdict == "better" for row, _ in _judged(comparisons))
    line = _line(comparisons, better)
    if campaign:
        line += f" Proposal {number} of campaign {campaign}: p is multiplied by {tried} for it."
    options = {"--against": against, "--on": on, "--campaign": campaign, "--config-dir": config_dir}
    given = [word for key, value in options.items() if value for word in (key, value)]
    again = masked(shlex.join([own_name(), "judge", loss, *words, *given]))
    text = FORMS[form](line, comparisons, better, again)
    say(fitting(text) if form == "line" else text)
    return 0 if better else 3


def _overrides(loss: str, words: Sequence[str], on: str | None) -> list[str]:
    """The words for `run`, with the loss's own parameters under its name."""
    name = loss.rpartition(":")[2]
    own = f"loss.{name}."
    moved = [
        own + word.removeprefix("loss.")
        if word.startswith("loss.") and not word.startswith(own)
        else word
        for word in words
    ]
    if _names(words, "loss"):
        raise UserError("judge LOSS names the loss, and --against LOSS the one it is held against.")
    return [*moved, *([f"dataset={on}"] if on else [])]


def _names(words: Sequence[str], key: str) -> bool:
    return any(word.partition("=")[0].strip("+") == key for word in words)


def _yardstick(overrides: Sequence[str], loss: str, config_dir: str | None) -> str:
    """The usual loss of the task that the first dataset poses."""
    from lossbench import registry
    from lossbench.comparison import YARDSTICKS
    from lossbench.configuration.experiments import configurations
    from lossbench.verdicts import task_of_dataset

    words = [word for word in overrides if not word.startswith(("loss.", "seeds="))]
    configs, _ = configurations([f"loss={loss}", *words], sweep=True, config_dir=config_dir)
    task = task_of_dataset(configs[0].dataset)
    known = {plugin.name for plugin in registry.installed("loss") if plugin.task == task}
    usual = [name for name in YARDSTICKS if name in known]
    if not usual:
        raise UserError(f"the task {task} has no usual loss: name one with --against LOSS.")
    return usual[0]


def _number(configs: Sequence[Configuration], campaign: str) -> int:
    """Which proposal of the campaign this is; the same one again keeps its number."""
    from filelock import FileLock

    from lossbench import results
    from lossbench.configuration import digest

    if not CAMPAIGN.fullmatch(campaign):
        raise UserError(f"--campaign {campaign[:60]}: expected letters, digits and . _ -.")
    folder = results.open_folder(configs[0].results.dir)
    file = folder / f".campaign-{campaign}.json"
    proposal = digest(sorted(config.key for config in configs))
    with FileLock(f"{file}.lock"):
        known: list[str] = json.loads(file.read_text()) if file.exists() else []
        if proposal not in known:
            known.append(proposal)
            temporary = file.with_suffix(".new")
            temporary.write_text(json.dumps(known))
            temporary.replace(file)
    return known.index(proposal) + 1


def correction_of(number: int) -> int:
    """What p of a campaign's proposal is multiplied by, so that all of them share the level.

    By the union bound, however many follow: 1/2 + 1/6 + 1/12 + … = 1.
    """
    return number * (number + 1)


def _judged(comparisons: Sequence[Comparison]) -> list[tuple[Row, Comparison]]:
    return [(row, c) for c in comparisons for row in c.rows if row.verdict != "baseline"]


def _line(comparisons: Sequence[Comparison], better: bool) -> str:
    """The verdict, then what each dataset says."""
    from lossbench.comparison import value_at
    from lossbench.comparison.sentences import describe_row

    said = []
    for row, comparison in _judged(comparisons):
        where = f"{value_at(comparison.setting, 'dataset')}: " if len(comparisons) > 1 else ""
        said.append(f"{where}{describe_row(comparison, row)}")
    looks = max(row.looks for row, _ in _judged(comparisons))
    if looks > 1:
        said.append(f"Counted in p are {looks} looks at growing numbers of seeds.")
    return f"{'BETTER' if better else 'NOT BETTER'}: {' '.join(said)}"


def _as_json(line: str, comparisons: Sequence[Comparison], better: bool, command: str) -> str:
    from lossbench.report.export import as_content

    head = {"better": better, "line": line, "command": command, "versions": _versions(comparisons)}
    return json.dumps({**head, **as_content(comparisons)}, indent=2, allow_nan=False)


def _as_markdown(line: str, comparisons: Sequence[Comparison], better: bool, command: str) -> str:
    from lossbench.report import sheets
    from lossbench.report.tables import describe_setting

    tables = [
        f"{sheets.escape_markdown(describe_setting(each.setting))}: {each.metric}\n\n"
        f"{sheets.render_markdown(sheets.build_primary(each))}"
        for each in comparisons
    ]
    versions = ", ".join(f"{name} {value}" for name, value in _versions(comparisons).items())
    seeds = ", ".join(str(row.seeds) for row, _ in _judged(comparisons))
    foot = f"Seeds: {seeds}. Versions: {versions}.\n\n    {command}"
    return "\n".join([f"**{sheets.escape_markdown(line)}**\n", *tables, foot])


def _versions(comparisons: Sequence[Comparison]) -> dict[str, str]:
    result = next(iter(comparisons[0].results.values()))
    return {name: str(result.versions.get(name)) for name in VERSIONS}


FORMS = {
    "line": lambda line, *_: line,
    "json": _as_json,
    "markdown": _as_markdown,
}
