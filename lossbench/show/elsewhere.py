"""The same function in other libraries, as docs/twins.py measured it, and in scikit-learn."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from lossbench.tasks import task_class

SEVERAL = {
    **dict.fromkeys(("multiclass", "ordinal", "distribution", "semantic_segmentation"), "classes"),
    "multilabel": "labels",
}
NUMBERS = re.compile(r" is [\d.]+ \* | [+-][\d.]+$")  # a factor, a constant
FILE = Path(__file__).with_name("twins.json")
# Of sklearn.metrics, by task and loss: what to call, and what it is a multiple of, but for a term
# of the target alone.
SCIKIT_LEARN = {
    ("binary", "cross_entropy"): ("log_loss", 1),
    ("binary", "squared_error"): ("brier_score_loss", 1),
    ("binary", "hinge"): ("hinge_loss", 1),
    ("multiclass", "cross_entropy"): ("log_loss", 1),
    ("multiclass", "brier"): ("brier_score_loss", 1),
    ("multiclass", "crammer_singer"): ("hinge_loss", 1),
    ("regression", "squared_error"): ("mean_squared_error", 1),
    ("regression", "absolute_error"): ("mean_absolute_error", 1),
    ("regression", "squared_log_error"): ("mean_squared_log_error", 1),
    ("regression", "root_mean_squared_error"): ("root_mean_squared_error", 1),
    ("regression", "quantile"): ("mean_pinball_loss(alpha=q)", 1),
    ("counts", "poisson"): ("mean_poisson_deviance", 2),
    ("counts", "gamma"): ("mean_gamma_deviance", 2),
    ("counts", "tweedie"): ("mean_tweedie_deviance(power=power)", 2),
}

DIFFERS = {
    ("binary", "cross_entropy"): ", but for probabilities near 0 and 1, which are clipped",
    ("multiclass", "cross_entropy"): ", but for probabilities near 0 and 1, which are clipped",
    ("binary", "hinge"): ", but where class 1 is there alone, which it takes for class 0",
    ("regression", "root_mean_squared_error"): ", but of several columns, whose roots it averages",
}

# Where alone two losses of ours are one, by task and the first of them, which example batches do
# not show.
WHERE = {
    ("binary", "kl_divergence"): "of hard labels",
    ("binary", "bounded_cross_entropy"): "up to the bound",
    ("regression", "euclidean"): "of one target",
    ("distributional", "energy_score"): "of one target",
    ("survival", "cox_efron"): "where no times are equal",
}


def _of_how_many(words: str, task: str) -> str:
    """Of how many classes or labels the numbers in some words are, where there are such."""
    if task not in SEVERAL or not NUMBERS.search(words):
        return ""
    return f", with {task_class(task).small().example()[0].shape[1]} {SEVERAL[task]}"


@cache
def _measured() -> list[list[str]]:
    twins: list[list[str]] = json.loads(FILE.read_text(encoding="utf-8"))["twins"]
    return twins


def list_counterparts(loss: str, task: str) -> dict[str, list[str]]:
    """Library -> what is this loss there: its name alone, or how the two are related.

    Where a mean over classes or labels is in the factor, it is of so many as were tried.
    """
    found: dict[str, list[str]] = {}
    for of, one, other, words in _measured():
        if of == task and loss in (one, other) and ".functional:" not in one:
            library = re.split("[.:]", one)[0] if ":" in one else "lossbench"
            if where := WHERE.get((task, one)):
                words = words.removesuffix(", but for large predictions")
            found.setdefault({"torch": "PyTorch"}.get(library, library), []).append(
                words.removesuffix(f" is {loss}")
                + (f", {where}" if where else _of_how_many(words, task))
            )
    if (task, loss) in SCIKIT_LEARN:
        call, factor = SCIKIT_LEARN[task, loss]
        but = "" if factor == 1 else f", {factor} times it plus a term of the target"
        but += DIFFERS.get((task, loss), "")
        found["scikit-learn"] = [f"sklearn.metrics.{call} is its mean{but}"]
    first = ("PyTorch", "scikit-learn")
    return dict(sorted(found.items(), key=lambda item: ([*first, item[0]].index(item[0]), item[0])))
