"""Do the statistics keep what they promise? Simulated results, judged by `compare`; -> table.csv.

python experiments/statistics/simulate.py [SHARE]    a share below 1 makes it quick and rough
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import Pool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from trials import (
    ANY,
    HERE,
    LOSSES,
    SEEDS,
    added_by_hand,
    another_metric,
    as_printed,
    called_same,
    centred_exponential,
    centred_skew,
    covered,
    covered_on_datasets,
    diverging,
    heavy,
    itself_with_equal_seeds,
    itself_with_other_seeds,
    normal,
    null,
    null_intervals,
    null_mean,
    null_on_datasets,
    null_ranks,
    on_finite_data,
    one_in_ten_diverges,
    one_of_four,
    planted,
    rare_collapse,
    same_at_the_margin,
    settled,
    skewed,
    tied,
)


class Line(NamedTuple):
    """One promise, and the share of `trials` that must lie within its bounds, noise allowed.

    The bounds are what `compare` says or what its method promises, not what was measured.
    """

    what: str
    low: float
    high: float
    trial: Callable[[np.random.Generator], bool]
    trials: int


LINES = [
    *[
        Line(f"95 % interval of a mean, {n} seeds, {name}: covers", 0.95, 1, trial, 4_000)
        for n, name, trial in (
            (3, "normal", covered(normal, 3, 0.0)),
            (5, "normal", covered(normal, 5, 0.0)),
            (20, "normal", covered(normal, 20, 0.0)),
            (20, "log-normal (skewness 6)", covered(skewed, 20, float(np.exp(0.5)))),
        )
    ],
    Line("gain over 4 datasets, 20 seeds: interval covers", 0.95, 1, covered_on_datasets, 500),
    Line("5 equal losses, normal: a false finding", 0, 0.05, null(normal, SEEDS), 1_000),
    Line("5 equal losses, heavy tails: a false finding", 0, 0.05, null(heavy, SEEDS), 500),
    Line("5 equal losses, skewed: a false finding", 0, 0.05, null(skewed, SEEDS), 500),
    Line("5 equal losses, 1 in 10 diverged: a false finding", 0, 0.05, null(diverging, 20), 500),
    Line("5 equal losses, 10 seeds: a false finding", 0, 0.05, null(normal, 10), 500),
    Line("5 equal losses on 3 datasets: a false finding", 0, 0.05, null_on_datasets, 300),
    *[
        Line(f"differences {name}, {n} seeds: a false finding", 0, 0.05, null_mean(noise, n), t)
        for name, noise in (
            ("with ties", tied),
            ("exponential", centred_exponential),
            ("log-normal, few large gains", centred_skew(1.0)),
            ("log-normal, few large losses", centred_skew(-1.0)),
            ("of a rare collapse", rare_collapse),
        )
        for n, t in ((10, 1_000), (20, 1_000), (50, 300))
    ],
    Line("better by .04, 1 in 10 at chance: called better", 0, 0.05, one_in_ten_diverges(0.5), 500),
    *[
        Line(f"equal on {n} examples, {s} splits: a false finding", 0, 0.05, trial, t)
        for n in (150, 442, 1_797)
        for s, t in ((10, 1_000), (20, 1_000), (50, 200))
        for trial in (on_finite_data(n, s, ANY),)
    ],
    Line(
        "equal on 442 examples, 20 splits: different on these data",
        *(0, 1),
        on_finite_data(442, 20, HERE),
        1_000,
    ),
    Line(
        "unequal on 1,797 examples, 20 splits: found on new data",
        *(0.8, 1),
        on_finite_data(1_797, 20, ANY, gap=0.06),
        500,
    ),
    Line("seeds added twice by hand: a false finding", 0, 0.05, added_by_hand, 2_000),
    Line("a loss against itself, other seeds: open", 0.95, 1, itself_with_other_seeds, 1_000),
    Line("a loss against itself, same seeds: identical", 1, 1, itself_with_equal_seeds, 200),
    Line("detectable difference, 2 losses, 10 seeds: found", 0.8, 1, planted(10, 2), 500),
    Line("detectable difference, 2 losses, 20 seeds: found", 0.8, 1, planted(SEEDS, 2), 500),
    Line("detectable difference, 5 losses, 20 seeds: found", 0.8, 1, planted(SEEDS, LOSSES), 500),
    *[
        Line(f"difference printed as detectable, {n} seeds: found", 0.8, 1, as_printed(n), 2_000)
        for n in (10, 20)
    ],
    Line("seeds that settle a d_z of 0.6: found", 0.8, 1, settled, 500),
    Line("a difference of just the margin: called the same", 0, 0.05, called_same(1.0), 500),
    *[
        Line(
            f"a difference of the margin, {name}, {n} seeds: called the same",
            *(0, 0.05),
            same_at_the_margin(noise, n),
            500,
        )
        for name, noise in (
            ("with ties", tied),
            ("skewed", lambda g, s: centred_skew(1)(g, s) / 50),
        )
        for n in (5, 10, 20)
    ],
    Line("no difference, margin of one deviation: called the same", 0.9, 1, called_same(0.0), 500),
    Line("Friedman, 10 datasets, 5 equal losses: p <= .05", 0, 0.05, null_ranks(10, LOSSES), 300),
    Line("any of 5 other metrics, by hand: a false finding", 0, 0.05, another_metric, 500),
    Line("any of 4 losses, shown alone: a false finding", 0, 0.05, one_of_four, 1_000),
    Line("5 equal losses: an interval that leaves out 0", 0, 0.05, null_intervals, 1_000),
    Line("Friedman, 4 datasets, 2 equal losses: p <= .05", 0, 0.05, null_ranks(4, 2), 500),
]


def measure(job: tuple[int, float]) -> float:
    """The share of a line's trials; each trial has a generator of its own."""
    number, share = job
    line = LINES[number]
    trials = max(20, round(line.trials * share))
    return float(np.mean([line.trial(np.random.default_rng([number, t])) for t in range(trials)]))


def table(share: float) -> Iterator[list[str]]:
    """The lines as they finish: promised bounds, measured share, verdict at three errors.

    The errors are those of a share at the bound, not of the one that was measured.
    """
    with Pool(2) as pool:
        measured = pool.imap(measure, [(number, share) for number in range(len(LINES))])
        for line, value in zip(LINES, measured, strict=True):
            trials = max(20, round(line.trials * share))
            low, high = (3 * np.sqrt(x * (1 - x) / trials) for x in (line.low, line.high))
            kept = line.low - low <= value <= line.high + high
            bounds = f"{line.low:g} to {line.high:g}"
            yield [
                line.what,
                bounds,
                f"{value:.4f}",
                str(trials),
                "kept" if kept else "FALLS SHORT",
            ]


def main() -> int:
    """Print and write the table; 3 where something falls short of what is promised."""
    share = float(sys.argv[1]) if len(sys.argv) > 1 else 1.0
    began, rows = time.monotonic(), []
    for row in table(share):
        rows.append(row)
        print(f"{time.monotonic() - began:5.0f} s  {row[2]}  {row[4]:11}  {row[0]}", flush=True)
    if share >= 1:
        with Path(__file__).with_name("table.csv").open("w", newline="") as file:
            head = ["what", "promised", "measured", "trials", "verdict"]
            csv.writer(file, lineterminator="\n").writerows([head, *rows])
    return 3 if any(row[4] == "FALLS SHORT" for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
