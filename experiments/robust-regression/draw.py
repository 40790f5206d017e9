"""table.csv -> errors.png: the clean error of each loss where 30 % of the targets are outliers.

python experiments/robust-regression/draw.py, from the repository's root.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from lossbench.drawing import Estimate, Forest, save
from lossbench.looks import COLOURS, Look
from lossbench.statistics import Interval

FOLDER = Path(__file__).parent
NAMES = {"squared_error": "squared error", "absolute_error": "absolute error"}
NAMES |= {"log_cosh": "log-cosh", "huber": "Huber", "barron": "Geman-McClure"}
NAMES |= {"tukey_biweight": "Tukey", "warm_up": "absolute, then Tukey"}


def forest(table: pd.DataFrame, data: str, model: str) -> Forest:
    """The losses of one setting, the worst first."""
    of = table[table.dataset.str.endswith(data) & (table.model == model)]
    rows = []
    for place in of.sort_values("mean", ascending=False).itertuples():
        name = NAMES.get(place.loss.split()[0])
        if name:
            interval = Interval(place.mean, place.low, place.high)
            rows.append(Estimate(name, interval, look=Look(COLOURS[0])))
    title = f"{data}, {'a linear model' if model == 'linear' else 'an MLP of 64'}"
    return Forest(title, "clean test error, deviations of the target", tuple(rows))


if __name__ == "__main__":
    table = pd.read_csv(FOLDER / "table.csv")
    chosen = table[(table.metric == "standardised_error") & (table.tuning == "untuned")]
    chosen = chosen[(chosen.corruption == "outliers") & (chosen["at"] == "last")]
    forests = [
        forest(chosen, data, model)
        for data in ("diabetes", "autompg", "friedman")
        for model in ("linear", "mlp")
    ]
    save(forests, FOLDER / "errors.png", title="30 % of the training targets ten deviations off")
