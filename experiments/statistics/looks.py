"""Does seeds=auto keep its promises, and would an anytime-valid test do better? -> looks.csv.

python experiments/statistics/looks.py [SHARE]    a share below 1 makes it quick and rough
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.special import betaln

from lossbench import statistics
from lossbench.sweep.settling import may_settle, plan_looks

ALPHA = 0.05
MOST = 60  # seeds, as settle.most_seeds
FIXED = 30  # seeds of the design that is compared with
CAMPAIGNS = 2_000
Draw = Callable[[np.random.Generator], np.ndarray]  # seeds x losses, the baseline first


class Campaign(NamedTuple):
    """Whether a difference was found in any comparison, and the seeds of each."""

    found: bool
    seeds: np.ndarray


# --- what is drawn ------------------------------------------------------------------------------


def normal(generator: np.random.Generator) -> np.ndarray:
    return generator.standard_normal((MOST, 2))


def five_losses(generator: np.random.Generator) -> np.ndarray:
    return generator.standard_normal((MOST, 5))


def log_normal(generator: np.random.Generator) -> np.ndarray:
    return generator.lognormal(0.0, 1.0, (MOST, 2))


def heavy(generator: np.random.Generator) -> np.ndarray:
    return generator.standard_t(3, (MOST, 2))


def tied(generator: np.random.Generator) -> np.ndarray:
    """Differences of a step or two of the metric, or none."""
    return generator.integers(70, 73, (MOST, 2)) / 100


def one_diverges(generator: np.random.Generator) -> np.ndarray:
    """One replica of either loss, of a seed that every look includes."""
    values = generator.standard_normal((MOST, 2))
    values[generator.integers(6), generator.integers(2)] = np.nan
    return values


def better_by(deviations: float) -> Draw:
    """The second loss, in deviations of the paired differences."""
    return lambda g: g.standard_normal((MOST, 2)) / np.sqrt(2) + [0.0, deviations]


# --- how it is judged ---------------------------------------------------------------------------


def gains_of(values: np.ndarray, loss: int) -> np.ndarray:
    """The loss against the baseline, a diverged replica as the worst outcome."""
    return statistics.paired_differences(values[:, loss], values[:, 0], higher_is_better=True)


def spent_over_looks(values: np.ndarray) -> Campaign:
    """As the product does it: planned looks, p times their number, Holm, the settled keep seeds."""
    losses = values.shape[1] - 1
    looks = plan_looks(losses, MOST)
    p, seeds, going = np.ones(losses), np.zeros(losses, dtype=int), set(range(losses))
    for look, count in enumerate(looks, 1):
        hopeless = set()
        for loss in going:
            gains = gains_of(values[:count], loss + 1)
            p[loss], seeds[loss] = min(1.0, len(looks) * statistics.mean_test(gains)), count
            needed = statistics.seeds_to_settle(gains, comparisons=losses * (len(looks) + 1))
            hopeless |= set() if may_settle(needed, look, MOST) else {loss}
        going -= hopeless | set(np.flatnonzero(statistics.holm(p) <= ALPHA))
    return Campaign(bool((statistics.holm(p) <= ALPHA).any()), seeds)


def bet_on_signs(values: np.ndarray) -> Campaign:
    """A bettor's capital after each seed; at 1 / alpha times what it began with it is settled.

    Stakes on the next sign as Krichevsky and Trofimov (1981) do, which is fair whatever the
    distribution that is symmetric around 0. Bonferroni over several losses.
    """
    losses = values.shape[1] - 1
    found, seeds = False, np.full(losses, MOST)
    for loss in range(losses):
        signs = np.sign(gains_of(values, loss + 1))
        ups, count = np.cumsum(signs > 0), np.cumsum(signs != 0)
        log_capital = count * np.log(2) + betaln(ups + 0.5, count - ups + 0.5) - betaln(0.5, 0.5)
        if (reached := np.flatnonzero(log_capital >= np.log(losses / ALPHA))).size:
            found, seeds[loss] = True, reached[0] + 1
    return Campaign(found, seeds)


def fixed_design(values: np.ndarray) -> Campaign:
    """One look at 30 seeds."""
    p = [statistics.mean_test(gains_of(values[:FIXED], k)) for k in range(1, values.shape[1])]
    found = bool((statistics.holm(p) <= ALPHA).any())
    return Campaign(found, np.full(len(p), FIXED))


METHODS = {"looks": spent_over_looks, "betting": bet_on_signs, "fixed, 30 seeds": fixed_design}
NULLS: dict[str, Draw] = {
    "normal": normal,
    "log-normal": log_normal,
    "t with 3 degrees of freedom": heavy,
    "with ties": tied,
    "one replica diverges": one_diverges,
    "normal, five losses": five_losses,
}
TRUE = {"better by 1 deviation": better_by(1.0), "better by 0.6 deviations": better_by(0.6)}
PROMISED = "better by 1 deviation"  # of the others nothing is promised


def main(share: float) -> None:
    """Every method on the same campaigns."""
    rows = [["campaigns", "method", "what", "promised", "measured", "verdict"]]
    for number, (name, draw) in enumerate({**NULLS, **TRUE}.items()):
        campaigns = max(20, round(CAMPAIGNS * share))
        drawn = [draw(np.random.default_rng([number, k])) for k in range(campaigns)]
        for method, judge in METHODS.items():
            judged = [judge(values) for values in drawn]
            found = float(np.mean([campaign.found for campaign in judged]))
            seeds = float(np.mean([campaign.seeds for campaign in judged]))
            noise = {bound: 3 * np.sqrt(bound * (1 - bound) / campaigns) for bound in (ALPHA, 0.8)}
            if name in NULLS:
                kept = found <= ALPHA + noise[ALPHA]
                promises = [("a false verdict", "at most 0.05", found, kept)]
            elif name == PROMISED and method != "fixed, 30 seeds":
                used = seeds / FIXED
                promises = [
                    ("found", "at least 0.8", found, found >= 0.8 - noise[0.8]),
                    ("seeds as a share of 30", "at most 0.6", used, used <= 0.6),
                ]
            else:
                promises = [("found", "", found, True), ("seeds", "", seeds, True)]
            for what, promised, value, kept in promises:
                verdict = ("kept" if kept else "FALLS SHORT") if promised else ""
                what = f"{name}: {what}"
                rows.append([str(campaigns), method, what, promised, f"{value:.4f}", verdict])
                print(*rows[-1], sep="  ", flush=True)
    if share >= 1:
        with (Path(__file__).parent / "looks.csv").open("w", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows(rows)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 1.0)
