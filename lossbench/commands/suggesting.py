"""`suggest`: which losses the atlas has something to say for, on data of this shape."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lossbench.commands import completion
from lossbench.commands.options import command, config_dir_option, format_option
from lossbench.commands.terminal import say, width
from lossbench.contract import UserError

if TYPE_CHECKING:
    import pandas as pd

    from lossbench.atlas import Suggestion
    from lossbench.configuration import Configuration

MOST = 5  # losses of a kind that are printed with their differences


@command()
@completion.words_argument("words")
@click.option("--score", is_flag=True, help="Print how good such suggestions are, instead.")
@format_option
@config_dir_option
def suggest(words: tuple[str, ...], score: bool, form: str, config_dir: str | None) -> int:
    """Say which losses are worth trying on a dataset, by what was measured on data like it.

    KEY=VALUE names the data as it does for `run`: dataset=csv dataset.path=my.csv. Nothing is
    trained: the differences are those of experiment=atlas, on the nearest data sets of the same
    task.
    """
    from lossbench import atlas

    table = atlas.read_atlas()
    if score and form == "json":
        say(atlas.score(table).to_json(orient="records", indent=1))
        return 0
    if score:
        say(*_score_lines(table))
        return 0
    if not any(word.startswith("dataset=") for word in words):
        raise UserError("suggest: name the data, such as dataset=digits, or dataset=csv with more.")
    config, task = _posed(words, config_dir, set(table.task))
    shape = atlas.shape_of(config)
    suggestion = atlas.suggest(table, task, shape)
    if form == "json":
        say(_as_json(config, task, shape, suggestion))
        return 0
    say(*_lines(config, task, shape, suggestion), "")
    measure = "Measure on your data: lossbench judge LOSS --on …"
    say(*_wrapped(f"How good is that? {describe_score(table)} {measure}"))
    return 0


def _posed(
    words: tuple[str, ...], config_dir: str | None, tasks: set[str]
) -> tuple[Configuration, str]:
    """The configuration that draws the data, with a loss of the task that they pose."""
    from lossbench import registry
    from lossbench.configuration.experiments import configurations
    from lossbench.verdicts import task_of_dataset

    keys = {word.partition("=")[0].partition(".")[0] for word in words}
    if others := keys - {"dataset", "corruption", "seeds"}:
        raise UserError(
            f"{min(others)}: suggest looks at data alone; give keys of dataset and corruption."
        )
    (config,), _ = configurations(words, config_dir=config_dir)
    task = task_of_dataset(config.dataset)
    losses = [plugin.name for plugin in registry.installed("loss") if plugin.task == task]
    (config,), _ = configurations([*words, f"loss={losses[0]}"], config_dir=config_dir)
    return config, task


def _as_json(
    config: Configuration, task: str, shape: dict[str, float], suggestion: Suggestion
) -> str:
    """The answer and the rows of the atlas that it rests on."""
    told = {
        "dataset": config.dataset.mapping,
        "task": task,
        "shape": shape,
        "usual": suggestion.usual,
        "worth_trying": suggestion.worth,
        "shown_worse": suggestion.poor,
        "nearest": json.loads(suggestion.near.to_json(orient="records")),
    }
    return json.dumps(told, indent=1)


def _lines(
    config: Configuration, task: str, shape: dict[str, float], suggestion: Suggestion
) -> Iterator[str]:
    """The answer, what it rests on, and the differences."""
    usual, worth, count = suggestion.usual, suggestion.worth, suggestion.near.data.nunique()
    answer = (
        f"worth trying next to {usual}: {', '.join(worth[:MOST])}."
        if worth
        else f"nothing to suggest but {usual}, the usual loss. On none of the {count} nearest "
        "data sets was another shown better without being shown worse on another of them."
    )
    yield from _wrapped(f"{config.dataset.name}: {answer}")
    yield ""
    yield from _wrapped(f"These data: {task}, {_describe(shape)}.")
    yield from _wrapped("Nearest in the atlas, the nearest first:")
    for number, (name, rows) in enumerate(suggestion.near.groupby("data", sort=False), 1):
        yield from _wrapped(f"{number}. {name}: {_describe(rows.iloc[0])}", "  ")
    for heading, losses in (("Worth trying", worth), ("Shown worse", suggestion.poor)):
        if losses:
            yield ""
            yield from _wrapped(f"{heading}, difference from {usual} on each of them:")
        for loss in losses[:MOST]:
            yield from _differences(suggestion.near, loss)
        if losses[MOST:]:
            yield from _wrapped(f"and {', '.join(losses[MOST:])}", "  ")


def _differences(near: pd.DataFrame, loss: str) -> Iterator[str]:
    yield f"  {loss}"
    for number, (_, rows) in enumerate(near.groupby("data", sort=False), 1):
        for row in rows[rows.loss == loss].itertuples():
            ends = f"({row.difference_low:+.3g} to {row.difference_high:+.3g})"
            yield from _wrapped(
                f"{number}. {row.difference_mean:+.3g} {ends} in {row.metric}: {row.verdict}",
                "    ",
            )


def _describe(shape: pd.Series | dict[str, float]) -> str:
    """The numbers of a shape that say something, in words."""
    parts = [f"{shape['rows']:,.0f} rows to train on", f"{shape['inputs']:,.0f} inputs"]
    if shape["outputs"] > 1:
        parts.append(f"{shape['outputs']:,.0f} outputs")
    if shape["rarest"] < 0.9:
        parts.append(f"rarest {shape['rarest']:.2g} of the commonest")
    if not 1.5 < shape["tails"] < 6:
        parts.append(f"kurtosis {shape['tails']:.2g}")
    if shape["zeros"]:
        parts.append(f"{shape['zeros']:.0%} zero or censored")
    if shape["wrong_labels"]:
        parts.append(f"{shape['wrong_labels']:.0%} of labels wrong")
    return ", ".join(parts)


def _wrapped(text: str, indent: str = "") -> list[str]:
    return textwrap.wrap(text, width(), initial_indent=indent, subsequent_indent=f"{indent}  ")


# ---- how good it is ----------------------------------------------------------------------------
def describe_score(table: pd.DataFrame) -> str:
    """Whether such suggestions were of use on the atlas's own data, each left out in turn."""
    from lossbench import atlas

    saved = atlas.advantage(atlas.score(table), "usual")
    word = "more" if saved.estimate < 0 else "less"
    shown = "shown to be" if saved.low > 0 or saved.high < 0 else "not shown to be"
    return (
        f"On data sets left out of the atlas in turn, the first suggestion had "
        f"{100 * abs(saved.estimate):.1f} points {word} regret than the usual loss "
        f"({100 * saved.low:+.1f} to {100 * saved.high:+.1f}): {shown} different from it. Regret "
        "is the error beyond that of the best loss there, in per cent of the usual loss's error."
    )


def _score_lines(table: pd.DataFrame) -> Iterator[str]:
    """The regret of each rule, by task and over all data sets, and what the differences say."""
    from lossbench import atlas

    scored = atlas.score(table)
    by_set = scored.groupby(["task", "dataset"])[["usual", "overall", "rule"]].mean()
    yield from _wrapped(
        f"Regret on {len(by_set)} data sets, each left out of the atlas in turn: the error beyond "
        "that of its best loss, as a share of the usual loss's error."
    )
    yield f"{'task':16}{'sets':>5}{'usual':>9}{'overall':>9}{'rule':>9}"
    for task, rows in by_set.groupby("task"):
        yield f"{task:16}{len(rows):5}" + "".join(f"{mean:9.1%}" for mean in rows.mean())
    yield f"{'all':16}{len(by_set):5}" + "".join(f"{mean:9.1%}" for mean in by_set.mean())
    for over, words in (
        ("usual", "always the usual loss"),
        ("overall", "always the atlas's best loss"),
    ):
        saved = atlas.advantage(scored, over)
        verdict = "better" if saved.low > 0 else "worse" if saved.high < 0 else "not told apart"
        yield from _wrapped(
            f"The rule has {100 * saved.estimate:+.1f} points ({100 * saved.low:+.1f} to "
            f"{100 * saved.high:+.1f}) less regret than {words}: {verdict}."
        )
