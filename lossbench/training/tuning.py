"""Hyper-parameters chosen with one budget for every loss, on seeds that no result uses.

A candidate is judged by the run's primary metric on validation data after the last epoch, or with
`tune.at=best` at the best one, as the mean over the tuning seeds; one that diverged on any of them
is never chosen. The first candidate is the configuration itself and wins ties. Candidates x tuning
seeds are the replicas of one stack.
"""

from __future__ import annotations

import copy
import functools
import math
import operator
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import qmc
from torch import nn

from lossbench import registry, results
from lossbench.configuration import Configuration
from lossbench.contract import UserError, declaration_of
from lossbench.datasets import Splits
from lossbench.nested import value_under
from lossbench.registry.parts import with_parts
from lossbench.registry.schema import reason_of
from lossbench.results import Result
from lossbench.tasks import task_class
from lossbench.tasks.composed import declaration_for
from lossbench.training import fitting
from lossbench.training.boundary import unit_of
from lossbench.training.checkpoint import clear, place_of
from lossbench.training.chunks import in_chunks
from lossbench.training.fitting import (
    MakePoint,
    Report,
    data,
    fit_stack,
    replicas_at_once,
    share_seen,
    tried_recipe,
)
from lossbench.training.recipe import History, Recipe, make_recipe
from lossbench.training.roads import TOLERANCE
from lossbench.training.stack import Stack, State
from lossbench.training.steps import proportional

RATE = "optimizer.lr"
RATE_SPAN = 32.0  # the learning rate is searched from the configured one / this to it * this
DECADE = 10.0  # ends of a range at least so many times apart: searched by the logarithm
EDGE = 0.1  # the share of a range at each of its ends that is its edge
DIGITS = 4  # of a candidate's values
BATCH = 4  # candidates that Optuna gives before it learns how good they are
SEEN = 20  # seeds of the result whose test splits are held against those of tuning, at most

Candidate = dict[str, Any]  # "loss.gamma" -> value, as on the command line
Evaluate = Callable[[Sequence[Candidate]], np.ndarray]


@dataclass(frozen=True)
class Axis:
    """One hyper-parameter and the range in which it is searched."""

    key: str
    low: float
    high: float
    whole: bool = False

    @property
    def log(self) -> bool:
        return self.low > 0 and self.high >= DECADE * self.low

    def value(self, place: float) -> float:
        """The value at a place of the range, 0 at its low end and 1 at its high end."""
        if self.log:
            value = self.low * (self.high / self.low) ** place
        else:
            value = self.low + (self.high - self.low) * place
        return self.rounded(value)

    def rounded(self, value: float) -> float:
        return round(value) if self.whole else float(f"{value:.{DIGITS}g}")

    def holds(self, value: Any) -> bool:
        """Whether a value is a number of the range."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    def at_edge(self, value: Any) -> bool:
        """Whether a value is in the outermost part of the range, or beyond it."""
        if not isinstance(value, int | float):
            return False
        ends = sorted((self.value(EDGE), self.value(1 - EDGE)))
        return not ends[0] < value < ends[1]


def tuning_seeds(config: Configuration) -> list[int]:
    """Negative, and so none that a configuration may name for its results."""
    return [-1 - i for i in range(config.tune.seeds)]


def axes_of(config: Configuration, task: str, unit: float = 1.0) -> list[Axis]:
    """What is searched: what losses share first, for the same points; unit: that of the target."""
    if "lr" not in config.optimizer.values:
        raise UserError(
            f"tune.trials: optimizer={config.optimizer.name} has no lr to tune. Choose another, "
            "or 0."
        )
    rate = config.optimizer.values["lr"]
    axes = [Axis(RATE, rate / RATE_SPAN, rate * RATE_SPAN)]
    loss = with_parts(registry.find_for_task(config.loss.name, task), config.loss.values, task)
    regularizer = registry.find("regularizer", config.regularizer.name)[0]
    for section, plugin, declared in (
        ("regularizer", regularizer, declaration_of(registry.load(regularizer))),
        ("loss", loss, declaration_for(loss, task_class(task).small())),
    ):
        whole = set(_whole_in(plugin))
        for name, *ends in declared.tune:  # in deviations of the target
            low, high = (end * unit if name in declared.unit else end for end in ends)
            axes.append(Axis(f"{section}.{name}", low, high, name in whole))
    return axes


def _whole_in(plugin: registry.Plugin) -> Iterator[str]:
    """The parameters that are whole numbers, of parts by their paths."""
    yield from (p.name for p in registry.parameters(plugin) if p.kind.base is int)
    for part in plugin.parts:
        yield from (f"{part.path}.{name}" for name in _whole_in(part.plugin))


def configured(config: Configuration, axes: Sequence[Axis]) -> Candidate:
    """The values that are configured."""
    return {axis.key: value_under(config.mapping, axis.key, None) for axis in axes}


def with_values(config: Configuration, candidate: Candidate) -> Configuration:
    """The configuration with a candidate's values, and nothing left to tune."""
    mapping = copy.deepcopy(config.mapping)
    mapping["tune"]["trials"] = 0
    for key, value in candidate.items():
        *path, name = key.split(".")
        functools.reduce(operator.getitem, path, mapping)[name] = value
    return Configuration.read(mapping)


# ---- which candidates --------------------------------------------------------------------------
def sobol(axes: Sequence[Axis], trials: int) -> list[Candidate]:
    """Points of Sobol's sequence, of which each axis has the same whatever axes come after it.

    Its first point is a corner and its second the middle, where the configured rate is already.
    """
    places = qmc.Sobol(len(axes), scramble=False).fast_forward(2).random(trials)
    return [{a.key: a.value(p) for a, p in zip(axes, row, strict=True)} for row in places]


def search_sobol(
    axes: Sequence[Axis], first: Candidate, trials: int, evaluate: Evaluate
) -> Iterator[tuple[Candidate, np.ndarray]]:
    """Candidates and their scores, all evaluated at once."""
    candidates = [first, *sobol(axes, trials - 1)]
    yield from zip(candidates, evaluate(candidates), strict=True)


def search_tpe(
    axes: Sequence[Axis], first: Candidate, trials: int, evaluate: Evaluate
) -> Iterator[tuple[Candidate, np.ndarray]]:
    """Candidates that Optuna draws near the better ones so far, and their scores."""
    try:
        import optuna
    except ImportError as error:
        raise UserError("tune.sampler=tpe needs Optuna: pip install 'lossbench[optuna]'") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space: dict[str, Any] = {
        a.key: optuna.distributions.IntDistribution(round(a.low), round(a.high))
        if a.whole
        else optuna.distributions.FloatDistribution(a.low, a.high, log=a.log)
        for a in axes
    }
    sampler = optuna.samplers.TPESampler(seed=0, constant_liar=True)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    scores = evaluate([first])[0]
    yield first, scores
    if np.isfinite(scores).all() and all(axis.holds(first[axis.key]) for axis in axes):
        configured_trial = optuna.trial.create_trial(
            params=first, distributions=space, value=float(scores.mean())
        )
        study.add_trial(configured_trial)
    for done in range(1, trials, BATCH):
        asked = [study.ask(space) for _ in range(min(BATCH, trials - done))]
        batch = [{a.key: a.rounded(trial.params[a.key]) for a in axes} for trial in asked]
        for trial, candidate, scores in zip(asked, batch, evaluate(batch), strict=True):
            lost = None if np.isfinite(scores).all() else optuna.trial.TrialState.FAIL
            study.tell(trial, None if lost else float(scores.mean()), lost)
            yield candidate, scores


SEARCHES = {"sobol": search_sobol, "tpe": search_tpe}


# ---- how good they are -------------------------------------------------------------------------
@dataclass
class Judge:
    """Trains candidates on the tuning seeds; called with K it gives their scores (K, S).

    A score is the run's primary metric, signed so that more is better; NaN where training diverged.
    obstacle: why candidates are not trained as one stack but one after the other, if they are.
    report: the share of all candidates that is done.
    """

    config: Configuration
    splits: Splits
    seeds: list[int]
    report: Callable[[float], None]
    obstacle: str | None = None
    done: int = 0

    def __post_init__(self) -> None:
        self.recipe = tried_recipe(self.config, self.splits)

    def __call__(self, candidates: Sequence[Candidate]) -> np.ndarray:
        count = len(self.seeds)
        self.obstacle = self.obstacle or self._obstacle(candidates)
        if self.obstacle:
            scores = [self._alone(candidate) for candidate in candidates]
        else:
            splits = self.splits.of([*range(count)] * len(candidates))
            per_replica = {
                n: v.repeat_interleave(count) for n, v in per_replica_of(candidates).items()
            }
            scores = [self._trained(self.config, self.recipe, splits, len(candidates), per_replica)]
        return np.concatenate(scores).reshape(len(candidates), count)

    def _alone(self, candidate: Candidate) -> np.ndarray:
        config = with_values(self.config, candidate)
        return self._trained(config, make_recipe(config, self.splits), self.splits, 1)

    def _trained(
        self,
        config: Configuration,
        recipe: Recipe,
        splits: Splits,
        count: int,
        per_replica: State | None = None,
    ) -> np.ndarray:
        def report_share(number: int, chunks: int, done: int, point: object) -> None:
            share = (number + done / config.trainer.max_epochs) / chunks
            self.report((self.done + count * share) / self.config.tune.trials)

        seeds, scores = self.seeds * count, []
        chunks = in_chunks([*range(len(seeds))], replicas_at_once(config, recipe, splits))
        for number, chunk in enumerate(chunks):
            history, _ = fit_stack(
                config,
                recipe,
                splits.of(chunk),
                [seeds[i] for i in chunk],
                partial(report_share, number, len(chunks)),
                {name: values[chunk] for name, values in (per_replica or {}).items()},
                test=False,
            )
            scores.append(self._scores(history))
        self.done += count
        return np.concatenate(scores)

    def _scores(self, history: History) -> np.ndarray:
        """Of each replica after its last epoch, or at its best."""
        primary = self.recipe.primary
        last = [v for _, name, v in history.curves if name == f"val/{primary.name}"][-1]
        at_last = last.double() * primary.direction
        scores = history.best_score.double() if self.config.tune.at else at_last
        return torch.where(history.diverged_epoch < 0, scores, torch.nan).numpy()

    def _obstacle(self, candidates: Sequence[Candidate]) -> str | None:
        """Why these candidates cannot be replicas of one stack, found by trying."""
        if not proportional(self.recipe.optimizer):
            return f"{self.config.optimizer.name} is not proportional to its learning rate"
        tried = candidates[: replicas_at_once(self.config, self.recipe, self.splits)]
        seed, one = self.seeds[:1], self.splits.of([0])
        alone = []
        for candidate in tried:
            stack = Stack(make_recipe(with_values(self.config, candidate), one), one, seed)
            alone.append(stack.looped(stack.objective, stack.state, *stack.first_batch()))
        if isinstance(stack.form[1], nn.Module) and any(k.startswith("loss.") for k in tried[0]):
            return "a loss with weights of its own is made with its hyper-parameters"
        many = one.of([0] * len(tried))
        try:
            stack = Stack(self.recipe, many, seed * len(tried), per_replica_of(tried))
            together = stack.objectives(stack.state, *stack.first_batch())
        except Exception as error:  # whatever a loss may raise that is given a tensor
            return reason_of(error)
        agree = torch.allclose(together, torch.cat(alone), TOLERANCE, 1e-6, equal_nan=True)
        return None if agree else "the loss takes a tensor for another hyper-parameter"


def per_replica_of(candidates: Sequence[Candidate]) -> State:
    """The candidates' values as a stack's replicas have them, (K,) each."""
    names = {key: re.sub(r"^loss\.", "fact.", key) for key in candidates[0]} | {RATE: "lr"}
    return {names[key]: torch.tensor([float(c[key]) for c in candidates]) for key in names}


# ---- the choice --------------------------------------------------------------------------------
def tune(
    config: Configuration, report: Callable[[float], None]
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The ledger, with the chosen values, and a row for each trial and tuning seed."""
    began, seeds = time.monotonic(), tuning_seeds(config)
    judge = Judge(config, data(config, seeds), seeds, report)
    task, primary = judge.splits.task.name, judge.recipe.primary
    axes = axes_of(config, task, unit_of(config.task, judge.splits))
    report(0.0)
    search = SEARCHES[config.tune.sampler]
    tried = list(search(axes, configured(config, axes), config.tune.trials, judge))
    values = np.array([scores for _, scores in tried]) * primary.direction
    chosen = best([scores for _, scores in tried])
    ledger = {
        **asdict(config.tune),
        "metric": f"val/{primary.name}",
        "chosen": tried[chosen][0],
        "value": _mean(values[chosen]),
        "configured": dict(tried[0][0]),
        "configured_value": _mean(values[0]),
        "diverged": int((~np.isfinite(values)).any(1).sum()),
        "edges": [
            f"{axis.key}={tried[chosen][0][axis.key]:g} of {axis.low:.3g} .. {axis.high:.3g}"
            for axis in axes
            if axis.at_edge(tried[chosen][0][axis.key])
        ],
        "seen": round(share_seen(config, list(config.seeds)[:SEEN], seeds), 4),
        "one_by_one": judge.obstacle,
        "seconds": round(time.monotonic() - began, 3),
    }
    rows = [
        {"trial": trial, "seed": seed, **candidate, "value": value}
        for trial, ((candidate, _), seed_values) in enumerate(zip(tried, values, strict=True))
        for seed, value in zip(seeds, seed_values, strict=True)
    ]
    return ledger, pd.DataFrame(rows)


def best(scores: Sequence[np.ndarray]) -> int:
    """The candidate with the best mean; the first of equals, and where all have diverged."""
    means = [s.mean() if np.isfinite(s).all() else -np.inf for s in scores]
    return int(np.argmax(means))


def _mean(values: np.ndarray) -> float | None:
    return float(values.mean()) if np.isfinite(values).all() else None


def train(
    config: Configuration,
    seeds: list[int],
    report: Report = fitting.silent,
    held: Result | None = None,
    folder: Path | None = None,
) -> Result:
    """Train these seeds, tuned where that is asked for; as in a result of theirs already held."""
    if not config.tune.trials:
        return fitting.train(config, seeds, report, folder)
    torch.set_num_threads(1)
    epochs = config.trainer.max_epochs
    # A training of one candidate from one seed counts as much as one of the result's.
    before = 0 if held else max(1, epochs * config.tune.trials * config.tune.seeds // len(seeds))

    def tuned(share: float) -> None:
        report(math.ceil(before * share), before + epochs)

    def trained(done: int, total: int, point: MakePoint | None = None, /) -> None:
        report(before + epochs * done // total, before + epochs, point)

    ledger, table = (held.summary["tuning"], held.tuning) if held else tune(config, tuned)
    result = fitting.train(with_values(config, ledger["chosen"]), seeds, trained, folder)
    identity = {"key": config.key, "numbers": config.numbers}
    summary = {**result.summary, **identity, "tuning": ledger}
    config = replace(config, seeds=tuple(seeds))
    return replace(result, key=config.key, config=config, summary=summary, tuning=table)


def train_and_write(
    config: Configuration, seeds: list[int], folder: Path, report: Report = fitting.silent
) -> Path:
    """Train these seeds and give the folder that holds their result."""
    held = results.stored(config, folder) if config.tune.trials else None
    result = train(config, seeds, report, held, folder)
    place = results.write(result, folder)
    as_trained = (
        with_values(config, result.summary["tuning"]["chosen"])
        if result.tuning is not None
        else config
    )
    clear(place_of(folder, as_trained, seeds, result.summary["task"], result.versions))
    return place
