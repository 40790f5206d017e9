"""Configuration -> result: the data, the loss for its task, the stack."""

from __future__ import annotations

import itertools
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

import lightning.pytorch as pl
import torch
from lightning.pytorch.plugins.environments import LightningEnvironment

from lossbench import registry
from lossbench.configuration import Configuration
from lossbench.configuration.settings import Trainer
from lossbench.contract import UserError
from lossbench.datasets import Samples, Splits, prepare, share_in_validation
from lossbench.metrics import score
from lossbench.results import Result
from lossbench.tasks import Task
from lossbench.tasks.composed import declaration_for
from lossbench.training.boundary import (
    check_output,
    check_scores,
    find_loss,
    refuse_schedule,
    try_augmentation,
    with_choices,
)
from lossbench.training.checkpoint import Checkpoint, kept_width, place_of
from lossbench.training.chunks import give_memory_back, in_chunks, most_replicas
from lossbench.training.outcome import Trained, result_of, versions
from lossbench.training.recipe import History, Recipe, bound, make_recipe
from lossbench.training.replicas import State, idle_replicas
from lossbench.training.stack import Stack

Point = tuple[int, dict[str, float]]  # an epoch and the value of each curve
MakePoint = Callable[[], Point]
StackReport = Callable[[int, MakePoint | None], None]
TRIED, TRIED_SCORES = 8, 64  # examples that a recipe is tried on: to train at most, to score


class Report(Protocol):
    """Takes how many epochs are done of how many, and a function that gives the curves now."""

    def __call__(self, done: int, total: int, point: MakePoint | None = None, /) -> None: ...


def silent(done: int, total: int, point: MakePoint | None = None, /) -> None:
    """A report that nobody reads."""


def train(
    config: Configuration, seeds: list[int], report: Report = silent, folder: Path | None = None
) -> Result:
    """Train these seeds of a configuration as it stands, and report as it goes.

    The curves that are reported are those of the first stack.

    folder is the results folder, where checkpoints are kept if the configuration asks for them.
    """
    assert not config.tune.trials, "a configuration to be tuned is trained by training.tuning"
    torch.set_num_threads(1)
    began = time.monotonic()
    epochs = config.trainer.max_epochs
    samples = samples_of(config)
    first = data(config, seeds[:1], samples)
    place = place_of(folder, config, seeds, first.task.name, versions())
    chunks = in_chunks([*range(len(seeds))], kept_width(place, _width(config, first)))
    del first
    stacks: list[Trained] = []
    for number, chunk in enumerate(chunks):
        chunk_report = partial(_shifted, report, number * epochs, len(chunks) * epochs)
        stacks.append(_train_stack(config, seeds, chunk, chunk_report, place, samples))
        if stacks[-1].task != stacks[0].task:
            raise UserError(
                f"dataset: seed {seeds[chunk[0]]} poses {stacks[-1].task}, seed {seeds[0]} "
                f"{stacks[0].task}; a dataset must pose one task for every seed."
            )
    earlier = sum(stack.history.earlier for stack in stacks)
    return result_of(config, stacks, time.monotonic() - began + earlier)


def _width(config: Configuration, first: Splits) -> int:
    """How many replicas to train as one, after trying the first."""
    return replicas_at_once(config, tried_recipe(config, first), first)


def _train_stack(
    config: Configuration,
    seeds: list[int],
    chunk: list[int],
    report: StackReport,
    place: Path | None,
    samples: Samples,
) -> Trained:
    """Prepare the data of a chunk of the seeds, train them as one, and let the data go."""
    chunk_seeds = [seeds[i] for i in chunk]
    splits = data(config, chunk_seeds, samples)
    give_memory_back()
    recipe = make_recipe(config, splits)
    report(0, None)
    saved = Checkpoint(place, f"{chunk[0]}-{chunk[-1] + 1}", config) if place else None
    history, unmapped = fit_stack(config, recipe, splits, chunk_seeds, report, saved=saved)
    notes, origin = (*splits.notes, *recipe.notes, *history.notes), splits.origin
    return Trained(chunk_seeds, splits.task, recipe, origin, notes, history, unmapped)


def replicas_at_once(config: Configuration, recipe: Recipe, splits: Splits) -> int:
    """How many replicas like the first to train as one."""
    if config.trainer.max_replicas != "auto":
        return config.trainer.max_replicas
    return most_replicas(Stack(recipe, splits.of([0]), [0]), _on_gpu(config.trainer))


def fit_stack(
    config: Configuration,
    recipe: Recipe,
    splits: Splits,
    seeds: list[int],
    report: StackReport,
    per_replica: State | None = None,
    saved: Checkpoint | None = None,
    *,
    test: bool = True,
) -> tuple[History, str | None]:
    """Train a replica for each seed, all as one.

    per_replica: what replicas have of their own besides seeds. test: whether to read the test
    split.
    saved: the stack's checkpoints, if it has any.
    Gives what training left, and why replicas were run one by one, where they were.
    """
    idle = idle_replicas(recipe.smallest_batch(splits.train.size))
    replicas = [*range(len(seeds)), *[0] * idle]
    repeated = {name: values[replicas] for name, values in (per_replica or {}).items()}
    stack = Stack(recipe, splits.of(replicas), [seeds[i] for i in replicas], repeated)
    stack.idle = idle
    stack.room = config.results.predictions * 2**20 / len(config.seeds)
    stack.keeps_models = config.results.models
    stack.peek = test and bool(config.trainer.peek)

    def point() -> Point:
        return latest_point(stack.history, len(seeds))

    fit(stack, config, lambda done: report(done, point), saved, test=test)
    return stack.history.first(len(seeds)), stack.unmapped


def latest_point(history: History, count: int) -> Point:
    """The last epoch so far: each curve's mean over the first replicas but for diverged ones."""
    epoch = history.curves[-1][0] if history.curves else 0
    finite = history.diverged_epoch[:count] < 0
    last = itertools.takewhile(lambda curve: curve[0] == epoch, reversed(history.curves))
    return epoch, {name: values[:count][finite].mean().item() for _, name, values in last}


def _shifted(report: Report, before: int, total: int, done: int, point: MakePoint | None) -> None:
    report(before + done, total, None if before else point)


def share_seen(config: Configuration, seeds: list[int], tuning_seeds: list[int]) -> float:
    """The share of the seeds' test examples that are validation examples of tuning seeds."""
    return share_in_validation(bound("dataset", config.dataset), seeds, tuning_seeds)


def samples_of(config: Configuration) -> Samples:
    """Where the samples of seeds are drawn."""
    return Samples(bound("dataset", config.dataset))


def data(config: Configuration, seeds: list[int], samples: Samples | None = None) -> Splits:
    """Every seed's splits, the training split corrupted, as the loss is trained on them."""
    return adapt_to_loss(config, draw_splits(config, seeds, samples))


def draw_splits(config: Configuration, seeds: list[int], samples: Samples | None = None) -> Splits:
    """The same for any loss."""
    corruption = registry.find("corruption", config.corruption.name)[0]

    def corrupt_for(task: Task) -> Callable[..., Any]:
        facts = {}
        for name in registry.facts(corruption):
            if not hasattr(task, name):
                raise corruption.refused(
                    f"the task {task.name} of dataset={config.dataset.name} does not supply "
                    f"{name}. Choose another corruption."
                )
            facts[name] = getattr(task, name)
        return partial(bound("corruption", config.corruption), **facts)

    return prepare(samples or samples_of(config), corrupt_for, seeds)


def adapt_to_loss(config: Configuration, splits: Splits) -> Splits:
    """Splits with the task as it is chosen, and targets in the unit that the loss is trained in."""
    splits = replace(splits, task=with_choices(splits.task, config.task))
    declaration = declaration_for(find_loss(config, splits.task), splits.task)
    return splits.with_own_unit() if splits.task.in_own_unit(declaration) else splits


def tried_recipe(config: Configuration, splits: Splits) -> Recipe:
    """The recipe, after a step and a scoring of the first replica on a few examples.

    UserError where it cannot be trained.
    """
    torch.set_num_threads(1)
    _on_gpu(config.trainer)
    recipe = make_recipe(config, splits)
    whole = recipe.smallest_batch(splits.train.size)
    for count in dict.fromkeys((min(TRIED, whole), whole)):
        try:
            with torch.random.fork_rng():
                _try_step(config, recipe, splits.of([0]), count)
            break
        except UserError:
            raise
        except (Exception, SystemExit) as error:
            if count < whole:  # a few may lack a class that it asks for
                continue
            reason = (str(error).splitlines() or [""])[0][:300]
            raise UserError(
                f"loss={config.loss.name} with model={config.model.name} fails on a few examples: "
                f"{type(error).__name__}: {reason}"
            ) from error
    return recipe


def _try_step(config: Configuration, recipe: Recipe, splits: Splits, count: int) -> None:
    stack = Stack(recipe, splits, list(config.seeds[:1]))
    stack.unmapped = "it is one replica"
    model, name = stack.form[0].eval(), config.model.name
    inputs, targets = splits.first("train", count)
    check_output(model, inputs[0, :2], recipe.output_shape, name, splits.task.name)
    model.train()
    inputs, targets = try_augmentation(config.augmentation.name, stack.augmented, inputs, targets)
    stack.looped(stack.objective, stack.state, inputs, targets).sum().backward()
    optimizer = stack.configure_optimizers()
    optimizer.step()
    if not all("lr" in group for group in optimizer.param_groups):
        refuse_schedule(config)
    inputs, targets = splits.first("validation", TRIED_SCORES)
    facts = stack.metric_facts(stack.state)
    estimate = stack.estimate(stack.state, inputs)
    scores = score(recipe.metrics, estimate, targets, facts=facts)
    check_scores(config.loss.name, recipe.primary.name, estimate, scores)


class _Progress(pl.Callback):
    """Reports how far training is, resumes from a checkpoint, and has them written."""

    def __init__(self, report: Callable[[int], None], checkpoint: Checkpoint | None) -> None:
        self.report, self.checkpoint = report, checkpoint

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.checkpoint:
            self.checkpoint.restore(cast(Stack, pl_module))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        stack = cast(Stack, pl_module)
        self.report(stack.epoch + 1)
        if self.checkpoint:
            self.checkpoint.after_epoch(stack, trainer.should_stop)


def _on_gpu(trainer: Trainer) -> bool:
    """Whether training is to happen on a GPU; UserError where there is none to be had."""
    gpu = trainer.device != "cpu" and torch.cuda.is_available()
    if trainer.device == "gpu" and not gpu:
        raise UserError("trainer.device=gpu: no CUDA device is visible. Use trainer.device=cpu.")
    return gpu


def fit(
    stack: Stack,
    config: Configuration,
    report: Callable[[int], None],
    checkpoint: Checkpoint | None = None,
    *,
    test: bool = True,
) -> None:
    """Let Lightning train and test a stack; one batch of its loaders is one pass over the data."""
    gpu = _on_gpu(config.trainer)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    done = checkpoint.load() if checkpoint else 0
    if done:
        report(done)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="gpu" if gpu else "cpu",
            devices=1,
            precision=config.trainer.precision,
            max_epochs=config.trainer.max_epochs - done,
            callbacks=[_Progress(report, checkpoint)],
            plugins=[LightningEnvironment()],  # else it takes a Slurm job for one of its own
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(stack, range(1), range(1))
        if test:
            trainer.test(stack, range(1), verbose=False)
