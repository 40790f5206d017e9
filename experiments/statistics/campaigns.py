"""Does `judge --campaign` keep its promise over hundreds of proposals? -> campaigns.csv.

python experiments/statistics/campaigns.py [SHARE]    a share below 1 makes it quick and rough
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator
from functools import cache
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from looks import ALPHA, MOST, better_by, gains_of
from scipy.special import ndtri

from lossbench import statistics
from lossbench.commands.judging import correction_of
from lossbench.sweep.settling import HOPELESS, may_settle, plan_looks

PROPOSALS = 200
CAMPAIGNS = 300
PLACES = (1, 10, 100)
Draw = Callable[[np.random.Generator, tuple[int, int]], np.ndarray]  # seeds x losses


def one_diverges(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """One replica of each loss, of a seed that every look includes."""
    values = generator.standard_normal(shape)
    values[generator.integers(6, size=shape[1]), np.arange(shape[1])] = np.nan
    return values


NULLS: dict[str, Draw] = {
    "normal": lambda g, shape: g.standard_normal(shape),
    "log-normal": lambda g, shape: g.lognormal(0.0, 1.0, shape),
    "t with 3 degrees of freedom": lambda g, shape: g.standard_t(3, shape),
    "with ties": lambda g, shape: g.integers(70, 73, shape) / 100,
    "one replica of each diverges": one_diverges,
}


@cache
def looks_of_proposal(number: int) -> list[int]:
    return plan_looks(correction_of(number), MOST)


def accepted(gains: np.ndarray, number: int) -> tuple[bool, int]:
    """Whether this proposal is found better, and by how many seeds it was settled or given up.

    As `judge` does it where seeds draw new data; a test that can bring no verdict is left out.
    """
    tried = correction_of(number)
    looks = looks_of_proposal(number)
    for look, seeds in enumerate(looks, 1):
        seen = gains[:seeds]
        if can_be_shown(seen, ALPHA / tried / len(looks)):
            p = min(1.0, len(looks) * tried * statistics.mean_test(seen))
            if p <= ALPHA:
                return bool(seen.mean() > 0), seeds
        comparisons = tried * (len(looks) + 1)
        needed = None
        if look > 1 and may_be_near(seen, ALPHA / comparisons):
            needed = statistics.seeds_to_settle(seen, comparisons=comparisons)
        if not may_settle(needed, look, MOST):
            return False, seeds
    return False, MOST


def can_be_shown(gains: np.ndarray, level: float) -> bool:
    """Whether p can be as small: j signs against the mean leave 2^j choices at least as extreme."""
    against = np.count_nonzero(gains * gains.sum() < 0)
    return bool(2.0 ** (against + 1 - np.count_nonzero(gains)) <= level)


def may_be_near(gains: np.ndarray, level: float) -> bool:
    """Whether `seeds_to_settle` may be within reach: it never is below what a z test needs."""
    effect = abs(gains.mean()) / gains.std(ddof=1)
    wanted = -ndtri(level / 2) - ndtri(0.2)
    return bool((effect / wanted) ** 2 * (HOPELESS * MOST + 1) >= 1)


def false_share(job: tuple[int, int]) -> float:
    """The share of campaigns without any effect, against one yardstick, that accept a proposal."""
    number, campaigns = job
    draw = [*NULLS.values()][number]
    accepting = 0
    for campaign in range(campaigns):
        values = draw(np.random.default_rng([number, campaign]), (MOST, PROPOSALS + 1))
        accepting += any(accepted(gains_of(values, k), k)[0] for k in range(1, PROPOSALS + 1))
    return accepting / campaigns


def power_at(job: tuple[int, int]) -> tuple[float, float]:
    """How often a proposal better by one deviation is accepted at a place, and its seeds."""
    number, trials = job
    generators = [np.random.default_rng([len(NULLS) + number, trial]) for trial in range(trials)]
    judged = [accepted(gains_of(better_by(1.0)(g), 1), PLACES[number]) for g in generators]
    found, seeds = np.mean(judged, axis=0)
    return float(found), float(seeds)


def measure(campaigns: int) -> Iterator[list[str]]:
    """The lines as they finish."""
    with Pool(2) as pool:
        shares = pool.imap(false_share, [(number, campaigns) for number in range(len(NULLS))])
        powers = pool.imap(power_at, [(number, campaigns) for number in range(len(PLACES))])
        for name, share in zip(NULLS, shares, strict=True):
            noise = 3 * np.sqrt(max(share * (1 - share), 1 / campaigns) / campaigns)
            verdict = "kept" if share <= ALPHA + noise else "FALLS SHORT"
            what = f"{name}: one of {PROPOSALS} without effect is accepted"
            yield [str(campaigns), what, "at most 0.05", f"{share:.4f}", verdict]
        for place, (found, seeds) in zip(PLACES, powers, strict=True):
            what = f"better by 1 deviation, proposal {place}"
            yield [str(campaigns), f"{what}: accepted", "", f"{found:.4f}", ""]
            yield [str(campaigns), f"{what}: seeds", "", f"{seeds:.1f}", ""]


def main(share: float) -> None:
    """The error of whole campaigns, and the power at some places of one."""
    rows = [["campaigns", "what", "promised", "measured", "verdict"]]
    for row in measure(max(20, round(CAMPAIGNS * share))):
        rows.append(row)
        print(*row, sep="  ", flush=True)
    if share >= 1:
        with Path(__file__).with_name("campaigns.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
