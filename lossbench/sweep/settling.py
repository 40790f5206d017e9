"""seeds=auto: seeds are added until each comparison is settled, or more of them would not help.

Every look is a comparison, so p is multiplied by the looks that were planned, however few were
taken: by the union bound the error over all looks is at most that of one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from rich.console import Console

from lossbench.comparison import ALPHA, Comparison, Row, compare
from lossbench.comparison.sentences import WORDS
from lossbench.configuration import Configuration, digest, names
from lossbench.contract import UserError
from lossbench.results import Result
from lossbench.statistics import seeds_needed_for
from lossbench.sweep import execution
from lossbench.sweep.plan import Job

FEWEST = 6  # below which nothing can be shown
GROWTH = 1.5  # of the seeds from one look to the next, at the most
HOPELESS = 4  # times the most seeds; where more are needed none are added
OPEN = ("open", "better here", "worse here", "same here")


def plan_looks(comparisons: int, most: int, looks: int | None = None) -> list[int]:
    """The numbers of seeds at which so many comparisons are made, ascending.

    It begins with the fewest that can bring a verdict when p is multiplied by the looks.
    """
    enough = (n for n in itertools.count(1) if _fewest(comparisons, n) * GROWTH ** (n - 1) >= most)
    looks = looks or next(enough)
    first = min(most, _fewest(comparisons, looks))
    return sorted({round(seeds) for seeds in np.geomspace(most, first, looks).tolist()})


def _fewest(comparisons: int, looks: int) -> int:
    return max(FEWEST, seeds_needed_for(ALPHA / looks, comparisons))


def looks_of_sweep(configs: Sequence[Configuration], tried: int = 1) -> list[int]:
    """The looks of a sweep with seeds=auto; UserError where there is nothing to settle.

    tried: as in `compare`.
    """
    if any(config.seeds for config in configs):
        raise UserError("seeds=auto is for all runs of a command or for none of them.")
    groups = {(digest(config.setting), config.tune.budget) for config in configs}
    comparisons = len(configs) - len(groups)
    if not comparisons:
        raise UserError(
            "seeds=auto adds seeds until losses can be told apart, and here is one loss: name "
            "several, as in -m loss=cross_entropy,focal, or give a count, such as seeds=20."
        )
    return plan_looks(comparisons * tried, configs[0].settle.most_seeds, configs[0].settle.looks)


def with_seeds(configs: Iterable[Configuration], seeds: int) -> list[Configuration]:
    """The configurations with a count of seeds."""
    return [replace(config, seeds=tuple(range(seeds))) for config in configs]


def settle(
    configs: Sequence[Configuration],
    baseline: str | None,
    console: Console,
    *,
    wait: bool = True,
    tried: int = 1,
) -> tuple[list[Job], list[Result]]:
    """Train each loss until its comparison is settled, and the baselines as long as one is not.

    A loss that is settled keeps its seeds, so that its verdict stays. Stored results are used, and
    the same command after a kill goes on where it was.
    """
    looks = looks_of_sweep(configs, tried)
    planned = [replace(c, settle=replace(c.settle, looks=len(looks))) for c in configs]
    called = dict(zip([c.key for c in planned], names(planned), strict=True))
    jobs: dict[str, Job] = {}
    results: list[Result] = []
    going = set(called)
    for number, seeds in enumerate(looks, 1):
        asked = with_seeds([config for config in planned if config.key in going], seeds)
        jobs |= {job.key: job for job in execution.execute(asked, console, wait=wait)}
        results = [with_plan(r, len(looks)) for r in execution.results_of([*jobs.values()])]
        if len(results) < len(jobs):
            break  # some failed or are another command's
        comparisons = compare(results, baseline=baseline, tried=tried)
        before, going = going, set(_unsettled(comparisons, number, looks))
        console.print(f"Look {number} of at most {len(looks)}, {seeds} seeds:", markup=False)
        for line in _news(comparisons, before, going, called, last=number == len(looks)):
            console.print(f"  {line}", markup=False)
        if not going:
            break
    return [*jobs.values()], results


def with_plan(result: Result, looks: int) -> Result:
    """The result with the looks that are planned added to those before, where it has them not."""
    if looks in (result.summary["planned_looks"], *result.summary.get("plans", [])):
        return result
    total = {"planned_looks": looks, "looks": result.summary["looks"] + looks}
    return replace(result, summary={**result.summary, **total})


def _unsettled(comparisons: list[Comparison], number: int, looks: list[int]) -> Iterator[str]:
    """The keys of the losses that get more seeds, and of what they are compared with."""
    if number == len(looks):
        return
    for comparison in comparisons:
        most, margin = looks[-1], comparison.margin
        going = [row.label for row in comparison.rows if goes_on(row, number, margin, most)]
        for label in [*going, comparison.baseline] if going else []:
            yield comparison.results[label].key


def goes_on(row: Row, look: int, margin: float | None, most: int) -> bool:
    """Whether more seeds may settle a row; within a margin they may also show it to be the same."""
    on_new_data = row.p is not None
    if row.verdict not in OPEN or (not on_new_data and row.verdict != "open"):
        return False
    needed = row.settled_on_new_by if on_new_data else row.settled_by
    return margin is not None or may_settle(needed, look, most)


def may_settle(needed: int | None, look: int, most: int) -> bool:
    """Whether the seeds that would settle what was seen are within reach; one look sees little."""
    return look == 1 or (needed or np.inf) <= HOPELESS * most


def _news(
    comparisons: list[Comparison],
    before: set[str],
    going: set[str],
    called: dict[str, str],
    *,
    last: bool,
) -> Iterator[str]:
    """The rows of which this look was the last, and how many get more seeds."""
    rows = [
        (row, comparison.results[row.label].key)
        for comparison in comparisons
        for row in comparison.rows
        if row.verdict != "baseline"
    ]
    why = (
        "and settle.most_seeds allows no more" if last else "and more seeds would hardly change it"
    )
    for row, key in rows:
        if key in before - going:
            ended = f", {why}" if row.verdict in OPEN else ""
            yield f"{called[key]}: {WORDS.get(row.verdict, row.verdict)}{ended}"
    if count := sum(key in going for _, key in rows):
        yield f"not settled yet, and to get more seeds: {count} of {len(rows)} comparisons"
