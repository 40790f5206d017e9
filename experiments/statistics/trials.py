"""What `simulate.py` judges: made-up results with a known truth, and what `compare` says of them.

A trial takes a generator and returns whether what its name says was the case.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd

from lossbench import statistics
from lossbench.comparison import Comparison, compare, datasets, rank_losses
from lossbench.configuration import Configuration
from lossbench.results import Result

SEEDS = 20
GENERATOR = {"drawn": "anew", "learnt": 400, "test": 100}
LOSSES = 5  # the baseline among them
NAMES = ["cross_entropy", "a", "b", "c", "d"]
ANY = ("better", "worse")
HERE = (*ANY, "better here", "worse here")


def result(
    loss: str, values: np.ndarray, *, first_seed: int = 0, dataset: str = "x", drawn: str = "anew"
) -> Result:
    """A result as training writes it, of one metric; NaN is a diverged replica."""
    shared = ("corruption", "model", "regularizer", "optimizer")
    seeds = list(range(first_seed, first_seed + len(values)))
    table = pd.DataFrame({"seed": seeds, "test/score": values})
    table["status"] = np.where(np.isnan(values), "diverged", "finished")
    mapping = {**{k: {"name": k} for k in shared}, "trainer": {}, "dataset": {"name": dataset}}
    summary = {"task": "t", "primary": "score", "directions": {"score": 1}, "seconds": 1.0}
    summary["examples"] = {"drawn": drawn, "learnt": 4, "test": 1}
    mapping |= {"loss": {"name": loss}, "regularizer": {"name": "none"}, "seeds": seeds}
    config = Configuration.read({**mapping, "tune": {"trials": 0}})
    summary["numbers"] = config.numbers
    curves = pd.DataFrame({"seed": []})
    return Result(loss, config, table, curves, summary, {})


def normal(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.standard_normal(shape)


def heavy(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Student's t with two degrees of freedom: no variance."""
    return generator.standard_t(2, shape)


def skewed(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.lognormal(0.0, 1.0, shape)


def diverging(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Normal, with one replica in ten diverged."""
    values = generator.standard_normal(shape)
    values[generator.random(shape) < 0.1] = np.nan
    return values


def judged(values: np.ndarray, dataset: str = "x", drawn: str = "anew") -> list[Result]:
    """Results of the columns of seeds x losses."""
    names = NAMES[: values.shape[1]]
    return [
        result(name, values[:, i], dataset=dataset, drawn=drawn) for i, name in enumerate(names)
    ]


def found(comparisons: list[Comparison]) -> bool:
    return any(row.verdict in ("better", "worse") for c in comparisons for row in c.rows)


def null(noise: Callable[..., np.ndarray], seeds: int) -> Callable[..., bool]:
    """One table of losses that do not differ; each seed's split shifts all of them alike."""

    def trial(generator: np.random.Generator) -> bool:
        split = generator.standard_normal((seeds, 1))
        return found(compare(judged(split + noise(generator, (seeds, LOSSES)))))

    return trial


def null_on_datasets(generator: np.random.Generator) -> bool:
    """Three datasets in one call: a false finding in any of the twelve comparisons counts."""
    tables = [judged(normal(generator, (SEEDS, LOSSES)), dataset) for dataset in "xyz"]
    return found(compare([r for table in tables for r in table]))


def itself_with_other_seeds(generator: np.random.Generator) -> bool:
    """A loss against itself under another name, on seeds of its own: called open."""
    first, other = normal(generator, (2, SEEDS))
    (comparison,) = compare([result("cross_entropy", first), result("a", other, first_seed=SEEDS)])
    return comparison.row("a").verdict == "open"


def itself_with_equal_seeds(generator: np.random.Generator) -> bool:
    values = normal(generator, (SEEDS, 1))
    (comparison,) = compare(judged(np.repeat(values, 2, axis=1)))
    return comparison.row("a").verdict == "identical"


def planted(seeds: int, losses: int) -> Callable[..., bool]:
    """The difference that `compare` calls detectable, planted in one loss: found."""
    level = statistics.smallest_detectable_difference(1.0, seeds, comparisons=losses - 1)

    def trial(generator: np.random.Generator) -> bool:
        values = generator.standard_normal((seeds, losses)) / np.sqrt(2)
        values[:, 1] += level
        (comparison,) = compare(judged(values))
        return comparison.row("a").verdict == "better"

    return trial


def settled(generator: np.random.Generator) -> bool:
    """A true d_z of 0.6 and as many seeds as would settle it, were it seen exactly: found."""
    seen = np.linspace(-1, 1, SEEDS)
    seeds = statistics.seeds_to_settle(0.6 + seen / seen.std(ddof=1))
    assert seeds
    (comparison,) = compare(judged(normal(generator, (seeds, 2)) / np.sqrt(2) + [0.0, 0.6]))
    return comparison.row("a").verdict == "better"


def as_printed(seeds: int) -> Callable[..., bool]:
    """The difference printed as detectable from a first study, true in a second one: found."""

    def trial(generator: np.random.Generator) -> bool:
        (first,) = compare(judged(normal(generator, (seeds, 2)) / np.sqrt(2)))
        level = first.row("a").detectable
        assert level
        values = normal(generator, (seeds, 2)) / np.sqrt(2) + [0.0, level]
        (second,) = compare(judged(values))
        return second.row("a").verdict == "better"

    return trial


def called_same(difference: float) -> Callable[..., bool]:
    """Differences of deviation 1 and a margin of 1, the true one given: called the same."""

    def trial(generator: np.random.Generator) -> bool:
        values = normal(generator, (SEEDS, 2)) / np.sqrt(2) + [0.0, difference]
        (comparison,) = compare(judged(values), same_within=1.0)
        p = comparison.row("a").same_p
        return p is not None and p <= 0.05

    return trial


def covered(noise: Callable[..., np.ndarray], seeds: int, truth: float) -> Callable[..., bool]:
    """The interval of a mean holds the truth."""

    def trial(generator: np.random.Generator) -> bool:
        interval = statistics.t_interval(noise(generator, (seeds,)))
        return interval.low <= truth <= interval.high

    return trial


def covered_on_datasets(generator: np.random.Generator) -> bool:
    """The interval of the interquartile gain over four datasets holds the true gain of 0.5."""
    offsets, split = np.arange(4) * 0.3, normal(generator, (SEEDS, 4))
    x, y = (offsets + split + normal(generator, (SEEDS, 4)) / 2 for _ in range(2))
    interval = statistics.interquartile_mean_difference(x + 0.5, y, resamples=1000)
    return interval.low <= 0.5 <= interval.high


def null_ranks(count: int, losses: int) -> Callable[..., bool]:
    """Friedman's test on so many datasets with nothing to find: p <= .05."""

    def trial(generator: np.random.Generator) -> bool:
        tables = [judged(normal(generator, (8, losses)), str(k)) for k in range(count)]
        (group,) = datasets(compare([r for table in tables for r in table]))
        ranked = rank_losses(group)
        assert ranked
        return ranked.p <= 0.05

    return trial


def null_intervals(generator: np.random.Generator) -> bool:
    """One table of losses that do not differ: an interval of a difference leaves out 0."""
    (comparison,) = compare(judged(normal(generator, (SEEDS, LOSSES))))
    intervals = [row.difference for row in comparison.rows if row.difference]
    return any(interval.low > 0 or interval.high < 0 for interval in intervals)


# --- asymmetric differences, ties, failures -----------------------------------------------------


def centred_skew(sign: float) -> Callable[..., np.ndarray]:
    """Log-normal differences with a mean of 0, the long tail on one side."""
    return lambda g, shape: sign * (g.lognormal(0.0, 1.0, shape) - np.exp(0.5))


def centred_exponential(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return generator.exponential(1.0, shape) - 1.0


def few_large_gains(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return centred_skew(1.0)(generator, shape) / 50


def rare_collapse(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """A small gain on nine seeds of ten, lost on the tenth: the mean is 0."""
    noise = 0.01 * generator.standard_normal(shape)
    return np.where(generator.random(shape) < 0.1, -0.9, 0.1) + noise


def tied(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Differences of one step of the metric, or none."""
    return generator.integers(-1, 2, shape) / 100


def null_mean(noise: Callable[..., np.ndarray], seeds: int) -> Callable[..., bool]:
    """Two losses whose difference has this distribution, and a mean of 0: called different."""

    def trial(generator: np.random.Generator) -> bool:
        base = generator.standard_normal(seeds)
        return found(compare(judged(np.stack([base, base + noise(generator, (seeds,))], 1))))

    return trial


def same_at_the_margin(noise: Callable[..., np.ndarray], seeds: int) -> Callable[..., bool]:
    """A true difference of the margin, on a metric of 100 test examples: called the same."""

    def trial(generator: np.random.Generator) -> bool:
        base = generator.integers(60, 80, seeds) / 100
        values = np.stack([base, base + 0.01 + noise(generator, (seeds,))], axis=1)
        results = [
            replace(r, summary=r.summary | {"bounds": {"score": [0, 1]}}) for r in judged(values)
        ]
        results = [replace(r, summary=r.summary | {"examples": GENERATOR}) for r in results]
        (comparison,) = compare(results, same_within=0.01)
        return comparison.row("a").verdict == "same"

    return trial


def one_in_ten_diverges(chance: float | None) -> Callable[..., bool]:
    """Better by .04, but one seed in ten diverges, which costs .4 at chance: called better."""

    def trial(generator: np.random.Generator) -> bool:
        base = 0.9 + 0.02 * generator.standard_normal(SEEDS)
        other = base + 0.04 + 0.02 * generator.standard_normal(SEEDS)
        other[generator.random(SEEDS) < 0.1] = np.nan
        results = [
            replace(r, summary=r.summary | {"chance": chance})
            for r in judged(np.stack([base, other], axis=1))
        ]
        (comparison,) = compare(results)
        return comparison.row("a").verdict == "better"

    return trial


# --- finite data --------------------------------------------------------------------------------


def learners(generator: np.random.Generator, examples: int, seeds: int, gap: float) -> np.ndarray:
    """Accuracy (seeds, 2) of two ridge classifiers over splits of one drawn data set.

    Each sees ten features of its own, which say as much of the label, or by `gap` less: without a
    gap the two are equal in the population, though on the data drawn one is better.
    """
    label = generator.integers(0, 2, examples) * 2 - 1
    inputs = generator.standard_normal((examples, 20))
    inputs[:, :10] += 0.25 * label[:, None]
    inputs[:, 10:] += (0.25 + gap) * label[:, None]
    scores = np.empty((seeds, 2))
    for seed in range(seeds):
        rows = generator.permutation(examples)
        train, test = rows[: examples * 3 // 5], rows[examples * 4 // 5 :]
        for learner, columns in enumerate((slice(0, 10), slice(10, 20))):
            x = inputs[:, columns]
            weights = np.linalg.solve(x[train].T @ x[train] + np.eye(10), x[train].T @ label[train])
            scores[seed, learner] = np.mean((x[test] @ weights > 0) == (label[test] > 0))
    return scores


def on_finite_data(
    examples: int, seeds: int, verdicts: tuple[str, ...], gap: float = 0.0
) -> Callable[..., bool]:
    """Two learners over splits of one data set: the verdict on the second is one of these."""

    def trial(generator: np.random.Generator) -> bool:
        pair = judged(learners(generator, examples, seeds, gap), drawn="split")
        (comparison,) = compare(pair)
        return comparison.row("a").verdict in verdicts

    return trial


# --- looks --------------------------------------------------------------------------------------


def added_by_hand(generator: np.random.Generator) -> bool:
    """10 seeds, then 20, then 40, until something is found, each time after a look at it."""
    values = normal(generator, (40, 2))
    for looks, seeds in enumerate((10, 20, 40), 1):
        results = judged(values[:seeds])
        results = [replace(r, summary=r.summary | {"looks": looks}) for r in results]
        if found(compare(results)):
            return True
    return False


# --- choices made after looking -----------------------------------------------------------------


def another_metric(generator: np.random.Generator) -> bool:
    """Two equal losses by each of five metrics that they are not judged by, correlated by half."""
    shared = normal(generator, (SEEDS, 2))
    results = judged(shared)
    for number in range(5):
        name, values = f"metric_{number}", (shared + normal(generator, (SEEDS, 2))) / np.sqrt(2)
        results = [
            replace(
                r,
                seeds=r.seeds.assign(**{f"test/{name}": values[:, k]}),
                summary=r.summary | {"directions": r.summary["directions"] | {name: 1}},
            )
            for k, r in enumerate(results)
        ]
    return any(found(compare(results, metric=f"metric_{number}")) for number in range(5))


def one_of_four(generator: np.random.Generator) -> bool:
    """Of four losses equal to the baseline each alone with it, as `--where` shows them."""
    base, *others = judged(normal(generator, (SEEDS, LOSSES)))
    return any(found(compare([base, other], counted=LOSSES - 1)) for other in others)
