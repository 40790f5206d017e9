"""Pages made of the committed studies: their tables, figures and claims."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from lossbench import atlas, registry
from lossbench.commands.suggesting import describe_score
from lossbench.comparison import YARDSTICKS
from lossbench.configuration.experiments import Experiment, read_experiment
from lossbench.show.studied import (
    count_verdicts,
    group_by_setting,
    read_rows,
    read_study,
    task_of_dataset,
)
from lossbench.tasks import task_class

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "experiments"
SHAPES = {  # task -> what a user's data look like
    "binary": "a row, an image or a text, and one of two classes",
    "multiclass": "the same, and one of several classes",
    "ordinal": "the same, and a grade of several in order",
    "regression": "the same, and one or more numbers",
    "counts": "the same, and a number that is counted, or an amount",
    "distributional": "the same, and a number whose spread is asked for too",
    "survival": "the same, and a time to an event that may not have come yet",
    "multilabel": "the same, and any number of tags",
    "distribution": "the same, and a probability for each class",
    "embedding": "examples with an identity, to be found again among others",
    "pairs": "two views of one thing that belong together",
    "ranking": "two items, of which one was preferred",
    "list_ranking": "lists of items with grades, to be put in order",
    "segmentation": "images with a mask",
    "semantic_segmentation": "images with a mask of several classes",
    "sequence": "a sequence in, a shorter sequence of labels out",
    "generative": "examples without a target, to be reconstructed",
}


def readmes() -> dict[str, str]:
    """The text of each study, by its name."""
    return {f.parent.name: f.read_text() for f in sorted(EXPERIMENTS.glob("*/README.md"))}


def write_table(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    cells = [[str(cell).replace("|", r"\|") for cell in line] for line in lines]
    return "\n".join(f"| {' | '.join(line)} |" for line in cells) + "\n"


def link_to_catalogue(name: str, up: str = "") -> str:
    """A loss or regularizer with a link to its page; up: from the page to the site's root."""
    return (
        f'<a href="{up}catalogue/{name}.html"><code>{name.removeprefix("regularizer-")}</code></a>'
    )


def move_readme(name: str, text: str) -> str:
    """A README with its links to neighbours as they are from its page, and what it rests on."""
    up = os.path.relpath(EXPERIMENTS / name, ROOT / "docs/generated/experiments")
    text = re.sub(r"\]\(\.\./([\w-]+)/README\.md\)", r"](\1.md)", text)
    text = re.sub(r"\]\((?!\w+:|#|[\w-]+\.md\))([^)]+)\)", rf"]({up}/\1)", text)
    return f"{text.rstrip()}\n\n{_measured(name)}" if read_rows(name) else text


def write_gallery() -> str:
    """Each study with its question, figures and table."""
    parts = ["# Gallery\n", GALLERY]
    for name, text in readmes().items():
        title = text.partition("\n")[0].lstrip("# ")
        parts.append(f"## {title}\n\n{_summary(name)}[The whole study](experiments/{name}.md)\n")
        for picture in sorted((EXPERIMENTS / name).glob("*.png")):
            parts.append(f"![{title}](../../experiments/{name}/{picture.name})\n")
        parts.append(_measured(name, level=3))
    return "\n".join(parts)


GALLERY = """Every committed study, made from the tables and figures in `experiments/`. Each is run
again by one command, which its page names.
"""


def _summary(name: str) -> str:
    experiment = read_study(name)
    if not experiment:
        return ""
    counted = count_verdicts(experiment.claims)
    return f"{experiment.question} {f'Claims: {counted}. ' if counted else ''}"


def _number(text: str) -> str:
    return f"{float(text):.3g}" if text else ""


def _measured(name: str, level: int = 2) -> str:
    """Each loss of each setting, as the committed table has it."""
    groups = group_by_setting(name)
    if not groups:
        return ""
    metrics = {row["metric"] for group in groups for row in group}
    metric = metrics.pop() if len(metrics) == 1 else "the metric of its task"
    rows = [
        (
            row["setting"] if number == 0 else "",
            f"`{row['loss']}`",
            f"{_number(row['mean'])} ({_number(row['low'])} to {_number(row['high'])})",
            _number(row["difference_mean"]),
            row["verdict"],
        )
        for group in groups
        for number, row in enumerate(group)
    ]
    heading = ["setting", "loss", f"{metric} (95 %)", "difference", "verdict"]
    return f"{'#' * level} Every loss in {metric}\n\n{write_table(heading, rows)}"


# ---- which loss --------------------------------------------------------------------------------
def write_shapes() -> str:
    """What data look like, and the task and losses for it."""
    measured = _measured_tasks()
    rows = []
    names = registry.names("task")
    for task in sorted(names, key=[*SHAPES, *names].index):
        losses = sorted(p.name for p in registry.installed("loss") if p.task == task)
        usual = [name for name in YARDSTICKS if name in losses]
        others = f"{len(losses) - len(usual)} {'more' if usual else 'losses'}"
        named = f'<a href="catalogue/index.html#{task}"><code>{task}</code></a>, {others}'
        first = link_to_catalogue(usual[0]) if usual else "none"
        primary = task_class(task).primary
        counted = str(measured[task]) if measured[task] else "none"
        words = SHAPES.get(task, "see the task")
        rows.append((words, first, named, counted, f"`{primary}`"))
    heading = ["your data", "start with", "task and losses", "settings measured", "judged by"]
    return write_table(heading, rows)


def _measured_tasks() -> Counter[str]:
    """Settings with a committed table, by the task that their dataset poses."""
    count: Counter[str] = Counter()
    for name in readmes():
        for group in group_by_setting(name):
            count[task_of_dataset(group[0]["dataset"])] += 1
    return count


def write_evidence() -> str:
    """What each study with a table and claims shows, refuted claims first."""
    parts = [_counted()]
    for name in readmes():
        groups = group_by_setting(name)
        experiment = read_study(name)
        if not experiment or not groups or name == "atlas":
            continue  # the atlas has a section of its own, by task
        link = f"[All of it](generated/experiments/{name}.md)"
        parts.append(f"## {experiment.question}\n")
        rows = [_told(group) for group in groups]
        base, metric = groups[0][0]["baseline"], groups[0][0]["metric"]
        heading = ["data and model", "shown better", "shown worse", "not told apart"]
        tuned = {row["tuning"] for group in groups for row in group} != {"untuned"}
        how = "some losses tuned" if tuned else "no loss tuned"
        parts.append(f"In {metric}, against `{base}`, {how}. {link}.\n")
        parts += [_folded("Every loss in every setting", write_table(heading, rows))]
        parts += _claims(experiment)
    return "\n".join(parts)


def _folded(title: str, text: str) -> str:
    return f"<details><summary>{title}</summary>\n\n{text}\n</details>\n"


def write_atlas() -> str:
    """What the atlas shows by task, what its claims came to, and how good suggestions are."""
    rows = [
        (
            f"`{task}`",
            same.data.nunique(),
            same.dataset.nunique(),
            f"`{same.baseline.iloc[0]}`",
            *(_count_losses(same[same.verdict == verdict]) for verdict in ("better", "worse")),
        )
        for task, same in atlas.read_atlas().groupby("task", sort=False)
    ]
    heading = ["task", "settings", "data sets", "usual loss", "shown better", "shown worse"]
    claims = _claims(read_experiment("atlas"))
    return "\n".join([write_table(heading, rows), *claims, describe_score(atlas.read_atlas())])


def _count_losses(rows: pd.DataFrame) -> str:
    """Losses with the number of settings, those of the most first."""
    counts = rows.loss.value_counts()
    return ", ".join(f"`{loss}` {count}" for loss, count in counts.items()) or "none"


def _counted() -> str:
    groups = [group for name in readmes() for group in group_by_setting(name)]
    datasets, models = ({group[0][key] for group in groups} for key in ("dataset", "model"))
    return (
        f"Committed are {len(groups)} settings of {len(datasets)} datasets and {len(models)} "
        "models. A loss that is not in a table below was not measured; nothing here was measured "
        "on your data.\n"
    )


def _told(group: list[dict[str, str]]) -> tuple[str, ...]:
    """What one setting shows: its losses by verdict, with their differences."""
    clear = [[row for row in group if row["verdict"] == kind] for kind in ("better", "worse")]
    rest = [row for row in group if row["verdict"] not in ("better", "worse", "baseline")]
    lists = [", ".join(map(_loss, rows)) or "none" for rows in (*clear, rest)]
    return (group[0]["setting"], *lists)


def _loss(row: dict[str, str]) -> str:
    """A loss with its difference, and its verdict where the column does not say it."""
    words = {"better": "", "worse": "", "open": ""}.get(row["verdict"], f" ({row['verdict']})")
    return f"`{row['loss']}` {float(row['difference_mean'] or 'nan'):+.3g}{words}"


def _claims(experiment: Experiment) -> list[str]:
    if not experiment.claims:
        return []
    order = ("REFUTED", "SUPPORTED", "OPEN")
    claims = sorted(experiment.claims, key=lambda c: ((*order, c.verdict).index(c.verdict), c.id))
    rows = [(c.text, c.regime, f"**{c.verdict}**") for c in claims]
    table = write_table(["what is said", "where it was tested", "verdict"], rows)
    return [_folded(f"Claims: {count_verdicts(experiment.claims)}", table)]
