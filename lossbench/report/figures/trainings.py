"""How the compared metric comes about: over epochs, over a hyper-parameter, over a budget."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from lossbench.comparison import Comparison
from lossbench.comparison.scales import Scale, scale_of
from lossbench.drawing import Graph, Trace, cover
from lossbench.looks import Look, choose_look
from lossbench.registry.parts import in_words
from lossbench.report.figures.picture import (
    Looks,
    Picture,
    is_wide,
    list_finished,
    rescale,
    trace_through,
    write_unit,
)
from lossbench.report.ledger import expected_budgets
from lossbench.results import bands

EARLY = 0.1  # the share of a training in which curves move so far that the rest looks flat
EPOCHS = 60  # shown of a training, at most
FEWEST_DOSES = 3  # that make a curve


def draw_learning_curves(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """The compared metric on validation data over the epochs, and less the baseline's."""
    scale, name = scale_of(comparison), f"validation {comparison.metric}"
    finished = list_finished(comparison, looks)
    curves = {x: c for x in finished if (c := _seed_curves(comparison, x, scale)) is not None}
    base = curves.get(comparison.baseline)
    gaps = {
        x: curve - base for x, curve in curves.items() if base is not None and curve is not base
    }
    for title, tables, axis, words in (
        ("Learning curves", curves, f"{name}{scale.percent}", name),
        (
            f"The same, paired: less {comparison.baseline}",
            {label: gap for label, gap in gaps.items() if len(gap.dropna(how="all"))},
            f"difference{write_unit(scale)}",
            f"{name} less that of {comparison.baseline} on the same seed",
        ),
    ):
        lines = [_learning(label, table, looks[label]) for label, table in tables.items()]
        if lines:
            start = min(np.min(line.x) for line in lines)
            words = f"{words} from epoch {start:g}, mean over seeds with its 95 % interval."
            graph = Graph("", "epoch", axis, tuple(lines))
            yield Picture(title, words[0].upper() + words[1:], graph.split())


def _seed_curves(comparison: Comparison, label: str, scale: Scale) -> pd.DataFrame | None:
    """The compared metric on validation data, a row for each epoch and a column for each seed."""
    curves = comparison.results[label].curves
    chosen = curves[curves.metric == f"val/{comparison.metric}"]
    if not len(chosen):
        return None
    return scale.factor * chosen.pivot(index="epoch", columns="seed", values="value")


def _learning(label: str, table: pd.DataFrame, look: Look) -> Trace:
    """A curve without the first epochs, at some of the others where there are many."""
    epochs = table.index[int(EARLY * len(table)) :]
    places = np.linspace(0, len(epochs) - 1, min(EPOCHS, len(epochs)))
    shown = table.loc[epochs[np.unique(places.round().astype(int))]]
    long = shown.melt(ignore_index=False, value_name="value").reset_index().assign(metric="")
    band = bands(long.dropna())
    x, y, low, high = (band[n].to_numpy(float) for n in ("epoch", "mean", "low", "high"))
    return Trace(label, x, y, look, low, high)


def draw_doses(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """The compared metric over a number of a loss of which three values and more were trained."""
    measured = f"{comparison.metric}{scale_of(comparison).percent}"
    losses = {label: result.config.loss for label, result in comparison.results.items()}
    for name in dict.fromkeys(loss.name for loss in losses.values()):
        alike = {label: in_words(x.values) for label, x in losses.items() if x.name == name}
        if (key := _dose([*alike.values()])) is None:
            continue
        doses = {float(values[key]): label for label, values in alike.items()}
        lines = [_response(name, doses, comparison, choose_look(0))]
        log = is_wide(np.asarray(lines[0].x))
        if (base := comparison.baseline) not in alike:
            lines.append(_response(base, dict.fromkeys(doses, base), comparison, looks[base]))
        words = f"Test {measured} by {key} of {name}, mean over seeds with its 95 % interval."
        graph = Graph("", f"{name} {key}", f"test {measured}", tuple(lines), log=log)
        yield Picture(f"Sensitivity to {key}", words, (graph,))


def _dose(values: Sequence[dict[str, Any]]) -> str | None:
    """The one key in which losses differ, where it is a number with three values and more."""
    keys = [k for k in values[0] if len({str(each.get(k)) for each in values}) > 1]
    if len(values) < FEWEST_DOSES or len(keys) != 1:
        return None
    doses = {type(each.get(keys[0])) for each in values}
    return keys[0] if doses <= {int, float} else None


def _response(label: str, doses: dict[float, str], comparison: Comparison, look: Look) -> Trace:
    """The metric at each dose, of the loss that has it."""
    factor = scale_of(comparison).factor
    points = {
        dose: rescale(interval, factor)
        for dose, name in sorted(doses.items())
        if (interval := comparison.shown(comparison.row(name)).get(comparison.metric))
    }
    return trace_through(label, points, look)


def draw_budgets(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """The expected best of k trials of tuning, for each budget k."""
    budgets = expected_budgets(comparison)
    lines = [
        Trace(label, np.arange(1, len(curve) + 1), curve, looks[label], dots=len(curve) < EPOCHS)
        for label in looks
        if budgets and (curve := budgets.curves.get(label)) is not None and len(curve) > 1
    ]
    if budgets and lines:
        fewest = max(len(np.ravel(line.x)) for line in lines) // 5  # fewer would flatten the rest
        words = (
            f"The best validation {budgets.metric} that k of the trials of tuning can be expected "
            "to find: its mean over all choices of k of them. The best of many is flattered by "
            "having been chosen; the tables have the test split."
        )
        if fewest > 1:
            words += f" The frame holds what {fewest} trials and more find."
        room = cover(*(np.asarray(line.y)[max(0, fewest - 1) :] for line in lines))
        y = f"best {budgets.metric}"
        graph = Graph("", "trials of tuning", y, tuple(lines), y_range=room)
        yield Picture("Performance against tuning budget", words, graph.split())
