"""The atlas: what each loss did on data of which shape, and what that says of other data.

A suggestion rests on the NEAREST settings of the same task, by the numbers of SHAPE, each in its
deviation over the settings of all tasks: those of one task are too few to say how much data differ.
A loss is worth trying that was shown better than the usual one on some of them, worse on none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from scipy import stats

from lossbench.configuration import Configuration
from lossbench.contract import UserError
from lossbench.paths import packaged
from lossbench.statistics import Interval, t_interval
from lossbench.training import data

NEAREST = 3
SHAPE = {  # what distances are measured in, and whether by its logarithm
    "rows": True,  # to train on
    "inputs": True,  # numbers of an example
    "outputs": True,  # classes, labels, or numbers of a target
    "rarest": True,  # examples of the rarest class or label for one of the commonest, or of none
    "tails": True,  # kurtosis of the targets: 3 of a normal distribution
    "zeros": False,  # share of targets that are 0; of times, of those censored
    "wrong_labels": False,  # share of labels that are known to be wrong
}
BETTER, WORSE = ("better", "better here"), ("worse", "worse here")


@dataclass(frozen=True)
class Suggestion:
    """What the atlas says of data of one shape.

    near: rows of the nearest settings, the nearest first. usual: the loss that others are held
    against. worth: losses worth trying, by their mean gain; poor: those only shown worse.
    """

    near: pd.DataFrame
    usual: str
    worth: tuple[str, ...]
    poor: tuple[str, ...]


@cache
def read_atlas() -> pd.DataFrame:
    """The committed table, a row for each setting and loss."""
    return pd.read_csv(
        packaged("experiments") / "atlas" / "table.csv", keep_default_na=False, na_values=[""]
    )


def shape_of(config: Configuration) -> dict[str, float]:
    """The shape of the data that a run is trained on, from its first seed."""
    splits = data(config, [config.seeds[0]])
    targets = splits.train_targets(0).double().numpy()
    wrong = config.corruption.values.get("rate", 0.0)
    return {
        "rows": splits.train.size,
        "inputs": splits.inputs[0].numel(),
        **_shape_of_targets(targets, classes=not splits.task.target_dtype.is_floating_point),
        "wrong_labels": wrong if config.corruption.name == "label_noise" else 0.0,
    }


def _shape_of_targets(targets: np.ndarray, *, classes: bool) -> dict[str, float]:
    """Outputs, rarest, tails and zeros; what a kind of target does not have is that of no kind."""
    if classes and targets.ndim == 1:
        counts = np.unique(targets, return_counts=True)[1]
        return {
            "outputs": len(counts),
            "rarest": counts.min() / counts.max(),
            "tails": 3.0,
            "zeros": 0.0,
        }
    known = targets[~np.isnan(targets)]
    if np.isin(known, (0, 1)).all():
        shares = np.nanmean(targets, 0) if targets.ndim == 2 else np.array([known.mean()])
        rare = np.clip(np.minimum(shares, 1 - shares).min(), 1e-6, None)
        return {"outputs": targets[0].size, "rarest": rare / (1 - rare), "tails": 3.0, "zeros": 0.0}
    values, zeros = targets.reshape(len(targets), -1), float(np.mean(known == 0))
    first = values[~np.isnan(values[:, 0]), 0]
    return {
        "outputs": values.shape[1],
        "rarest": 1.0,
        "tails": float(np.nan_to_num(stats.kurtosis(first, fisher=False), nan=3.0)),
        "zeros": zeros,
    }


# ---- the rule ----------------------------------------------------------------------------------
def suggest(table: pd.DataFrame, task: str, shape: Mapping[str, float]) -> Suggestion:
    """What the rows of a task say of data of this shape; UserError where there are none."""
    rows = table[table.task == task]
    if not len(rows):
        raise UserError(
            f"nothing to suggest: the atlas has no data of the task {task}, only of "
            f"{', '.join(sorted(set(table.task)))}.\nCompare some of its losses yourself, with "
            f"lossbench run -m loss=A,B; their names: lossbench list losses --task {task}"
        )
    settings = rows.drop_duplicates("data").set_index("data")
    distance = _distances(settings, shape, _deviations(table))
    order = distance.sort_values(kind="stable").index[:NEAREST]
    near = pd.concat([rows[rows.data == name] for name in order])
    usual = str(near.baseline.iloc[0])
    others = near[near.loss != usual].groupby("loss")
    count = pd.DataFrame(
        {
            "better": others.verdict.apply(lambda verdicts: verdicts.isin(BETTER).sum()),
            "worse": others.verdict.apply(lambda verdicts: verdicts.isin(WORSE).sum()),
            "gain": others.gain.mean(),
        }
    ).sort_values("gain", ascending=False, kind="stable")
    worth = count[(count.better > 0) & (count.worse == 0)].index
    poor = count[(count.better == 0) & (count.worse > 0)].index[::-1]
    return Suggestion(near, usual, tuple(worth), tuple(poor))


def _deviations(table: pd.DataFrame) -> pd.Series:
    """How much each number of a shape differs over the settings of a table, of any task."""
    return _on_scales(table.drop_duplicates("data")).std(ddof=0)


def _distances(
    settings: pd.DataFrame, shape: Mapping[str, float], deviations: pd.Series
) -> pd.Series:
    """Of each setting, Euclidean; numbers in which no data differ do not count."""
    here = _on_scales(pd.DataFrame([shape])).iloc[0]
    apart = (_on_scales(settings) - here) / deviations[deviations > 0]
    return apart.pow(2).sum(axis=1).pow(0.5)


def _on_scales(numbers: pd.DataFrame) -> pd.DataFrame:
    """The numbers of SHAPE, by their logarithm where it says so."""
    shape = numbers[list(SHAPE)].astype(float)
    ratios = [name for name, by_logarithm in SHAPE.items() if by_logarithm]
    return shape.assign(**{name: np.log10(shape[name]) for name in ratios})


# ---- how good it is ----------------------------------------------------------------------------
def score(table: pd.DataFrame) -> pd.DataFrame:
    """Each setting, and the regret of three rules that know all data sets but this one.

    Regret: how much more error than the best loss of this setting, as a share of the usual one's.
    usual: always the usual loss; overall: always the loss of the best mean gain; rule: the first
    that is worth trying, or the usual one.
    """
    rows = []
    for (task, name), here in table.groupby(["task", "data"], sort=False):
        others = table[table.dataset != here.dataset.iloc[0]]
        rest = others[others.task == task]
        if not len(rest):
            continue
        shape, usual = {k: float(here[k].iloc[0]) for k in SHAPE}, str(here.baseline.iloc[0])
        worth = suggest(others, str(task), shape).worth
        chosen = {
            "usual": usual,
            "overall": rest.groupby("loss").gain.mean().idxmax(),
            "rule": worth[0] if worth else usual,
        }
        gains = here.set_index("loss").gain
        regrets = {name: gains.max() - gains.get(loss, 0.0) for name, loss in chosen.items()}
        names = {f"{name}_loss": loss for name, loss in chosen.items()}
        first = {"task": task, "dataset": here.dataset.iloc[0], "data": name}
        rows.append({**first, **names, **regrets})
    return pd.DataFrame(rows)


def advantage(scored: pd.DataFrame, over: str) -> Interval:
    """How much less regret the rule has than another one; a data set counts once."""
    saved = (scored[over] - scored.rule).groupby(scored.dataset).mean()
    return t_interval(saved.to_numpy())
