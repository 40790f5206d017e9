"""Comparisons, and what several show together -> pictures of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lossbench.comparison import PLACES, Comparison, DatasetRanking, Group, Row
from lossbench.comparison.answers import Scale, scale_of
from lossbench.drawing import Drawing, Estimate, Forest, Graph, Plane, Trace, cover, save
from lossbench.looks import Look, choose_look, choose_looks
from lossbench.registry.parts import in_words
from lossbench.report.ledger import expected_budgets
from lossbench.report.tables import list_blocks
from lossbench.results import Result, bands
from lossbench.statistics import Interval

Array = NDArray[np.float64]
Looks = dict[str, Look]
EARLY = 0.1  # the share of a training in which curves move so far that the rest looks flat
EPOCHS = 60  # shown of a training, at most
FEWEST_DOSES = 3  # that make a curve
FEWEST = 10  # examples that make a bin's accuracy worth a dot
IN_FILES = 2  # pictures of a comparison; the page has all
KINDS = {Comparison: "", Group: "-robustness", DatasetRanking: "-ranks"}  # of files


@dataclass(frozen=True)
class Picture:
    """Drawings under one title, and how to read them."""

    title: str
    words: str
    drawings: tuple[Drawing, ...]


def assign_looks(comparisons: Sequence[Comparison]) -> Looks:
    """A look for each loss, the same in every figure; the baseline of all has the text's colour."""
    bases = {comparison.baseline for comparison in comparisons}
    labels = chain.from_iterable(comparison.results for comparison in comparisons)
    return choose_looks(sorted(labels), bases.pop() if len(bases) == 1 else None)


def draw_pictures(shown: Comparison | Group | DatasetRanking, looks: Looks) -> list[Picture]:
    """All that can be drawn of it."""
    if isinstance(shown, DatasetRanking):
        return [_ranks(shown, looks)]
    if isinstance(shown, Group):
        # only numbers have an axis to be drawn over, as a corruption's strength is one
        return list(_robustness(shown, looks)) if shown.key.startswith("corruption.") else []
    return [picture for draw in OF_COMPARISON for picture in draw(shown, looks)]


def write_figures(comparisons: Sequence[Comparison], folder: Path, name: str) -> list[Path]:
    """A file for each comparison, and for what several show together; those that were written."""
    folder.mkdir(parents=True, exist_ok=True)
    look, written, numbers = assign_looks(comparisons), list[Path](), Counter[str]()
    for block in list_blocks(comparisons):
        drawings = [
            replace(drawing, title=drawing.title or picture.title)
            for picture in draw_pictures(block.shown, look)[:IN_FILES]
            for drawing in picture.drawings
        ]
        if drawings:
            kind = KINDS[type(block.shown)]
            number = f"-{numbers[kind]}" if numbers[kind] else ""
            numbers[kind] += 1
            written.append(folder / f"{name}{kind}{number}.png")
            save(drawings, written[-1], title=f"{block.title}\n{block.subtitle}")
    return written


# --- a comparison ---------------------------------------------------------------------------


def _differences(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """Each seed's difference to the baseline, or its score where there is nothing to compare."""
    rows = [row for row in comparison.rows if np.isfinite(row.differences).any()]
    if not rows:
        yield from _scores(comparison, looks)
        return
    scale, base = scale_of(comparison), comparison.baseline
    margin = scale.factor * (comparison.margin or 0.0)
    zero = Estimate(f"{base} (baseline)", Interval(0, 0, 0), (), looks[base], margin)
    drawn = (_row(row, looks, margin, scale.factor) for row in rows)
    arrow = "better →" if comparison.direction > 0 else "← better"
    axis = f"{comparison.metric} less that of {base}{_in(scale)}; {arrow}"
    together = " for all losses at once" if comparison.family > 1 else ""
    words = f"A dot for each seed, with their mean and its 95 % interval{together}"
    words += "" if comparison.origin.get("drawn") == "anew" else " on new data"
    words += "; the line is no difference"
    shade = f", what lies in the shade does not matter (within {margin:g})" if margin else ""
    title = "Paired differences" if comparison.paired else "Differences"
    yield Picture(title, f"{words}{shade}.", (Forest("", axis, (*drawn, zero)),))


def _row(row: Row, looks: Looks, margin: float, factor: float) -> Estimate:
    interval = row.difference and _scaled(row.difference, factor)
    return Estimate(
        row.label, interval, factor * np.array(row.differences), looks[row.label], margin
    )


def _scaled(interval: Interval, factor: float) -> Interval:
    return Interval(factor * interval.estimate, factor * interval.low, factor * interval.high)


def _through(label: str, points: dict[float, Interval], look: Look) -> Trace:
    """A curve with a dot for each interval, which stands at a number."""
    ends = [(each.estimate, each.low, each.high) for each in points.values()]
    y, low, high = np.array(ends).reshape(-1, 3).T
    return Trace(label, np.array([*points]), y, look, low, high, dots=True)


def _in(scale: Scale) -> str:
    return f", percentage {scale.unit}" if scale.unit else ""


def _scores(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    column, rows = f"{PLACES[comparison.at]}/{comparison.metric}", []
    for row in comparison.rows:
        values = comparison.results[row.label].seeds[column].to_numpy(float)
        interval = comparison.shown(row)[comparison.metric]
        rows.append(Estimate(row.label, interval, values, looks[row.label]))
    words = "A dot for each seed, with their mean and its 95 % interval."
    title = f"{comparison.metric} on the test split"
    yield Picture(title, words, (Forest("", comparison.metric, tuple(rows), rule=None),))


def _learning_curves(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """The compared metric on validation data over the epochs, and less the baseline's."""
    scale, name = scale_of(comparison), f"validation {comparison.metric}"
    finished = _finished(comparison, looks)
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
            f"difference{_in(scale)}",
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


def _doses(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """The compared metric over a number of a loss of which three values and more were trained."""
    measured = f"{comparison.metric}{scale_of(comparison).percent}"
    losses = {label: result.config.loss for label, result in comparison.results.items()}
    for name in dict.fromkeys(loss.name for loss in losses.values()):
        alike = {label: in_words(x.values) for label, x in losses.items() if x.name == name}
        if (key := _dose([*alike.values()])) is None:
            continue
        doses = {float(values[key]): label for label, values in alike.items()}
        lines = [_response(name, doses, comparison, choose_look(0))]
        log = _wide(np.asarray(lines[0].x))
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
        dose: _scaled(interval, factor)
        for dose, name in sorted(doses.items())
        if (interval := comparison.shown(comparison.row(name)).get(comparison.metric))
    }
    return _through(label, points, look)


def _wide(values: Array) -> bool:
    """Whether an axis of these is better drawn by their logarithms."""
    return bool(len(values) and 0 < 20 * values.min() <= values.max())


def _reliability(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """Accuracy against confidence, in bins over all seeds."""
    lines = []
    for label, kept in _detailed(comparison, looks, "reliability.count"):
        count = kept["reliability.count"].sum(0)
        some = count >= FEWEST
        parts = ("reliability.confidence", "reliability.accuracy")
        x, y = (
            np.nansum(kept[p] * kept["reliability.count"], 0)[some] / count[some] for p in parts
        )
        lines.append(Trace(label, x, y, looks[label], dots=True))
    if lines:
        words = (
            "Accuracy against confidence on the test split, in bins of confidence over all seeds, "
            f"those of fewer than {FEWEST} examples left out. On the diagonal a model is right as "
            "often as it is sure; below it, it is too sure."
        )
        ends = (cover(*(line.x for line in lines))[0], 1.0)
        lines.append(Trace("", ends, ends))
        graph = Graph("", "confidence", "accuracy", tuple(lines), ends, (0.0, 1.0))
        yield Picture("Reliability", words, graph.split())


def _residuals(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """Quantiles of what was missed, over the seeds' means."""
    lines = [
        Trace(
            label,
            kept["residuals.level"][0],
            kept["residuals.quantile"].mean(0),
            looks[label],
        )
        for label, kept in _detailed(comparison, looks, "residuals.quantile")
    ]
    if lines:
        words = (
            "Target less prediction on the test split, in standard deviations of the target: the "
            "value at each share of the examples, mean over seeds. The line is no error."
        )
        graph = Graph("", "share of examples", "residual", tuple(lines))
        yield Picture("Residual quantiles", words, graph.split())


def _falls(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """How many targets lie between each quantile and the next, over the seeds' means."""
    middles, detailed = np.arange(0.025, 1, 0.05), _detailed(comparison, looks, "pit.share")
    shares = [(label, kept["pit.share"].mean(0)) for label, kept in detailed]
    if shares := [each for each in shares if np.isfinite(each[1]).all()]:
        lines = [Trace(label, middles, y, looks[label], dots=True) for label, y in shares]
        lines.append(Trace("", (0.0, 1.0), (0.05, 0.05)))
        words = "Share of test targets between a quantile and the next: 1 in 20 if they are right."
        graph = Graph("", "level of the quantiles", "share of targets", tuple(lines))
        yield Picture("Where targets fall", words, graph.split())


def _planes(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
    """Where inputs are a plane: the class decided on, with training examples of the first seed."""
    kept = dict(_detailed(comparison, looks, "plane.class"))
    if kept:
        seed = int(comparison.results[next(iter(kept))].details.seed.iloc[0])
        words = (
            f"The class that each place is given by the model of seed {seed}, stronger where it is "
            "surer, with training examples of that seed. Axes are in standard deviations."
        )
        drawings = tuple(_plane(label, each) for label, each in kept.items())
        yield Picture("Decision boundaries", words, drawings)


def _plane(label: str, kept: dict[str, Array]) -> Plane:
    first = {name: values[0] for name, values in kept.items()}
    low, high = first["plane.extent"]
    classes, points = first["plane.class"], first["points.class"]
    chance = 1 / (max(classes.max(), points.max()) + 1)
    sure = np.clip((first["plane.confidence"] - chance) / (1 - chance), 0, 1)
    examples = np.stack([first["points.x"], first["points.y"], points])
    return Plane(label, (float(low), float(high)), classes, sure, examples)


def _budgets(comparison: Comparison, looks: Looks) -> Iterator[Picture]:
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


OF_COMPARISON: tuple[Callable[[Comparison, Looks], Iterator[Picture]], ...] = (
    _differences,
    _learning_curves,
    _doses,
    _reliability,
    _residuals,
    _falls,
    _planes,
    _budgets,
)


def read_details(result: Result) -> dict[str, Array]:
    """Name -> a row of numbers for each seed that finished, seeds ascending."""
    if not len(result.details):
        return {}
    ordered = result.details.sort_values("seed", kind="stable")
    return {
        str(name): np.stack(list(values)).astype(float)
        for name, values in ordered.groupby("name")["values"]
    }


def _detailed(
    comparison: Comparison, looks: Looks, name: str
) -> Iterator[tuple[str, dict[str, Array]]]:
    """The losses whose details have the name, and their details."""
    for label in _finished(comparison, looks):
        kept = read_details(comparison.results[label])
        if name in kept:
            yield label, kept


def _finished(comparison: Comparison, looks: Looks) -> list[str]:
    """The losses that finished on some seed, in the order of their looks."""
    finished = {row.label for row in comparison.rows if row.diverged < row.seeds}
    return [label for label in looks if label in finished]


# --- several comparisons --------------------------------------------------------------------


def _robustness(group: Group, looks: Looks) -> Iterator[Picture]:
    """The compared metric on the test split over a corruption's strength."""
    lines = []
    for label in looks:
        points = {
            float(value): interval
            for value, c in group.comparisons.items()
            if label in c.results and (interval := c.shown(c.row(label))[c.metric])
        }
        if points:
            lines.append(_through(label, points, looks[label]))
    if lines:
        metrics = ", ".join(sorted({c.metric for c in group.comparisons.values()}))
        words = f"{metrics} on the test split by {group.key}, mean with its 95 % interval."
        values = np.concatenate([np.asarray(line.x) for line in lines])
        graph = Graph("", group.key, f"test {metrics}", tuple(lines), log=_wide(values))
        yield Picture("Robustness", words, graph.split())


def _ranks(ranking: DatasetRanking, looks: Looks) -> Picture:
    """Average ranks with half a critical difference on both sides."""
    half = ranking.critical_difference / 2
    rows = tuple(
        Estimate(f"{label} {rank:.2f}", Interval(rank, rank - half, rank + half), (), looks[label])
        for label, rank in ranking.ranks.items()
    )
    count = len(ranking.group.comparisons)
    title = f"Ranks over {count} datasets"
    words = "1 is the best; losses whose bars do not meet differ (Nemenyi, .05)."
    axis = "average rank; bars that do not meet differ (Nemenyi, .05)"
    return Picture(title, words, (Forest("", axis, rows, rule=None),))
