"""What a task is: all that lossbench knows of a kind of problem. Plugins may subclass `Task`."""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from lossbench import registry
from lossbench.contract import Declaration, Metric, UserError
from lossbench.tasks.sections import Section, Study, line

__all__ = [
    "Answers",
    "Backbone",
    "Chart",
    "Population",
    "Section",
    "Study",
    "Task",
    "counts_ignored",
    "line",
    "mixes_parts",
    "task_class",
]

Backbone = Callable[[tuple[int, ...], tuple[int, ...]], nn.Module]
Chart = Literal[
    "class_recall",
    "confusion",
    "precision_recall",
    "roc",
    "residuals",
    "normal_quantiles",
    "coverage",
]


@dataclass(frozen=True)
class Answers:
    """Predictions (B, ...) that are right and wrong for the targets, row by row."""

    right: Tensor
    wrong: Tensor
    target: Tensor


@dataclass(frozen=True)
class Population:
    """The targets (K, ...) that one input may have, and their probabilities (K,)."""

    targets: Tensor
    weights: Tensor

    @property
    def mean(self) -> Tensor:
        """The expected target."""
        return torch.tensordot(self.weights, self.targets.to(self.weights), 1)


@dataclass(frozen=True)
class Task(ABC):
    """One problem. Batches carry any number of leading axes, so that replicas are scored at once.

    metrics: those that every run of the task has; primary: the name of the one that chooses epochs
    and orders tables.
    version: of the numbers, raised where a change of the task moves them; results of before are
    then trained again.
    target_dtype: of the targets that losses and metrics meet.
    estimate_range: of every number of an estimate; sums_to_one: over its last axis.
    couples: whether a loss may compare the examples of a batch without declaring it.
    needs_target: whether the place of an example in its batch cannot stand for its target.
    soft_targets: whether a loss may declare target="[0, 1]" where labels are 0 and 1.
    in_target_unit: whether targets are real numbers that a prediction is compared with as it is.
    scores_classes: whether an embedding counts only by the logits that the loss makes of it.
    called: a regular expression of its name, where that is another word as well.
    vocabulary: a regular expression of the words by which a loss of the task is recognised.
    whole_strata: whether splits that are drawn may have a stratum in one of them alone, where it
    has too few examples for all.
    ignore: the value of a part of a target that is not known: no loss and no metric counts it.
    stand_ins: where parts of a target that are not known are NaN: pairs of a prediction and a
    target, all as right, of which a loss is given the first for them; metrics meet the NaN.
    charts: what a report draws of its predictions for the test split. The first two ask for the
    classes of `decisions`; the next two for the probability of class 1, the next two for one number
    for each example, the last for quantiles at 0.05, 0.1, … 0.95.
    parts_declarations: outputs and links that a loss may have that is given `parts`; None: those of
    the task.
    """

    input_shape: tuple[int, ...]

    name: ClassVar[str]
    version: ClassVar[int] = 1
    metrics: ClassVar[tuple[Metric, ...]]
    primary: ClassVar[str]
    target_dtype: ClassVar[torch.dtype]
    estimate_range: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    sums_to_one: ClassVar[bool] = False
    couples: ClassVar[bool] = False
    needs_target: ClassVar[bool] = True
    soft_targets: ClassVar[bool] = False
    in_target_unit: ClassVar[bool] = False
    scores_classes: ClassVar[bool] = False
    called: ClassVar[str] = ""
    vocabulary: ClassVar[str] = r"(?!)"
    whole_strata: ClassVar[bool] = False
    ignore: ClassVar[int | None] = None
    stand_ins: ClassVar[tuple[tuple[float, float], ...]] = ()
    charts: ClassVar[tuple[Chart, ...]] = ()
    parts_declarations: ClassVar[tuple[Declaration | None, ...]] = (None,)

    # ---- which problem it is -------------------------------------------------------------------
    @classmethod
    @abstractmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Task:
        """The task that these data pose; UserError where the targets are not valid.

        inputs: the first example, repeated so often that their shape and type are true.
        """

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Task:
        """The task that a batch (B, ...) belongs to, as far as `check` needs to know it."""
        return cls(())

    @classmethod
    def small(cls) -> Task:
        """An instance on which losses are checked and shown; inputs are 6 steps of 4 features."""
        return cls((6, 4))

    @abstractmethod
    def output_shape(self, outputs: int) -> tuple[int, ...]:
        """Shape of one prediction for a loss that needs so many outputs per target."""

    def outputs_of(self, declaration: Declaration) -> int:
        """How many outputs per target a loss needs here that declares so."""
        outputs = declaration.outputs
        return outputs(self.size) if callable(outputs) else outputs

    @classmethod
    def known(cls, target: Tensor) -> Tensor:
        """The values of a target, but for those that are to be ignored."""
        if cls.stand_ins:
            return target[~target.isnan()]
        return target if cls.ignore is None else target[target != cls.ignore]

    @classmethod
    def filled(cls, prediction: Tensor, target: Tensor, stand_in: int = 0) -> tuple[Tensor, Tensor]:
        """What a loss is given of a batch: stand-ins, which have no gradient, for what is NaN."""
        unknown = target.isnan()
        wide = unknown.reshape(*unknown.shape, *[1] * (prediction.ndim - target.ndim))
        return (
            torch.where(wide, cls.stand_ins[stand_in][0], prediction),
            torch.where(unknown, cls.stand_ins[stand_in][1], target),
        )

    @property
    def size(self) -> int:
        """What outputs that are a function are a function of: the number of classes."""
        return self.weighed_classes

    def assemble(self, backbone: Backbone, outputs: int) -> nn.Module:
        """A model of this task, for a loss that needs so many outputs per target."""
        return backbone(self.input_shape, self.output_shape(outputs))

    # ---- batches -------------------------------------------------------------------------------
    @abstractmethod
    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        """A valid batch of predictions (B, *output_shape) and targets."""

    @abstractmethod
    def check(self, prediction: Tensor, target: Tensor) -> None:
        """Raise UserError where shape, type or value of a batch breaks the contract."""

    def answers(self, size: float) -> Answers | None:
        """Logits of that size, or numbers that are wrong by it; None where that has no form."""
        return None

    def populations(self) -> tuple[Population, ...]:
        """On which a loss shows what it estimates; none where examples have no expected loss."""
        return ()

    def parts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """A batch taken apart, as losses of other libraries may take it, in the usual order."""
        return {}

    def part_answers(self) -> Answers | None:
        """Right and wrong answers with the outputs that losses have which are given parts."""
        return None

    def other_parts(self, prediction: Tensor, target: Tensor) -> list[dict[str, Tensor]]:
        """Other ways to take a batch apart, in the usual order."""
        return []

    def expected(self, minimiser: str, population: Population, level: float) -> Tensor | None:
        """The estimate of a loss that declares this minimiser; level is for "quantile".

        Here of probabilities: the expected target. None where the word means nothing.
        """
        known = ("probability", "sign", "class") if self.estimate_range == (0, 1) else ()
        return population.mean if minimiser in known else None

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """The sections that mean something for a loss that declares so; none where none does.

        Here the way from a wrong to a right answer, where there are answers.
        """
        answers = self.answers(1.0)
        if answers is None or self.couples or self.outputs_of(declaration) != 1:
            return ()
        right, wrong, target = answers.right[:1], answers.wrong[:1], answers.target[:1]

        def batch(x: Tensor) -> tuple[Tensor, Tensor]:
            share = x.reshape(-1, *[1] * (right.ndim - 1))
            return wrong + share * (right - wrong), target.expand(len(x), *target.shape[1:])

        axis = "share of the way from a wrong to a right answer"
        return (Study("", (("", Section(axis, "slope", line(-1, 3), batch)),)),)

    # ---- scores --------------------------------------------------------------------------------
    @abstractmethod
    def link(self, prediction: Tensor) -> Tensor:
        """Raw prediction -> estimate; the first line of this docstring is shown, so say how."""

    def estimate(self, prediction: Tensor, link: Callable[[Tensor], Tensor] | None) -> Tensor:
        """What the metrics score, by the link that a loss declares or else the task's own."""
        return (link or self.link)(prediction)

    @property
    def chance(self) -> float | None:
        """The primary metric of a model that knows nothing, where that is one number."""
        return None

    def details(self, estimate: Tensor, target: Tensor) -> dict[str, Tensor]:
        """What a report draws of a split: name -> a few numbers (..., K) for each replica."""
        return {}

    def decisions(self, estimate: Tensor) -> dict[str, Tensor]:
        """The class decided on and how surely (..., N), where the task decides on one."""
        return {}

    # ---- data ----------------------------------------------------------------------------------
    def facts(self, target: Tensor) -> dict[str, Any]:
        """What a loss may ask for by a keyword without default, from the training targets."""
        return {}

    def in_own_unit(self, declaration: Declaration) -> bool:
        """Whether a loss that declares so is trained on targets as they are."""
        return bool(declaration.target) or bool(declaration.link and declaration.outputs == 1)

    def start(self, target: Tensor, declaration: Declaration) -> Tensor | None:
        """The prediction that the model's last bias starts at, from training targets (N, ...).

        None: wherever the model starts.
        """
        return declaration.start(target) if declaration.start else None

    def fitted_facts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """What else a link may ask for, of predictions (..., N, ...) for the training split."""
        return {}

    def order(self, target: Tensor, generator: torch.Generator) -> Tensor:
        """The order (N,) in which an epoch visits a replica's training examples."""
        return torch.randperm(len(target), generator=generator)

    @property
    def weighed_classes(self) -> int:
        """How many classes a loss may weigh: two, absent and present, of labels and pixels."""
        return getattr(self, "num_classes", 2)

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """The group of each example; every split gets the same share of every group."""
        return np.asarray(targets).astype(np.int64)

    def typed(self, targets: np.ndarray) -> np.ndarray:
        """Targets in the type in which corruptions meet them: labels int64."""
        return np.asarray(targets).astype(np.int64)

    def units(
        self, targets: np.ndarray, weights: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """The mean and the scale by which targets are standardised, from the training ones.

        weights: (N,), where examples have some. None: they are not.
        """
        return None


def counts_ignored(
    loss: Callable[[Tensor, Tensor], Tensor], prediction: Tensor, target: Tensor, task: Task
) -> bool:
    """Whether an example of which nothing is known costs or teaches something, or fails."""
    assert task.ignore is not None
    leaf, unknown = prediction.clone().requires_grad_(), target.clone()
    unknown[0] = task.ignore
    try:
        values = loss(leaf, unknown)
        (gradient,) = torch.autograd.grad(values.sum(), leaf)
    except Exception:
        return True
    return bool(gradient[0].any() or (values.ndim and values[0]))


def mixes_parts(
    loss: Callable[[Tensor, Tensor], Tensor], prediction: Tensor, target: Tensor, task: Task
) -> bool:
    """Whether what stands in for unknown parts of targets (B, K) changes what others teach."""
    unknown = torch.arange(target.numel()).reshape(target.shape) % 2 == 0
    given, slopes = target.masked_fill(unknown, torch.nan), list[Tensor]()
    for place in range(len(task.stand_ins)):
        leaf = prediction.clone().requires_grad_()
        slopes += torch.autograd.grad(loss(*task.filled(leaf, given, place)).sum(), leaf)
    return not all(torch.allclose(slopes[0], other, rtol=1e-4, atol=1e-6) for other in slopes)


def task_class(name: str) -> type[Task]:
    """The task of this name; UserError where there is none, or where its class is not complete."""
    plugin = registry.find("task", name)[0]
    task = registry.load(plugin)
    if fault := _fault(plugin, task):
        raise UserError(f"task={name} of {plugin.origin} cannot be used: {fault}.")
    return task


def _fault(plugin: registry.Plugin, task: Any) -> str:
    """What a class lacks to be a task, or nothing."""
    if not (inspect.isclass(task) and issubclass(task, Task)):
        return "it is not a subclass of lossbench.tasks.Task"
    attributes = ("name", "metrics", "primary", "target_dtype")
    lacking = {word for word in attributes if not hasattr(task, word)} | task.__abstractmethods__
    if lacking:
        return f"it does not define {', '.join(sorted(lacking))}"
    if unknown := set(task.charts) - set(get_args(Chart)):
        return f"charts has {', '.join(sorted(unknown))}; there are {', '.join(get_args(Chart))}"
    if hasattr(task, "scaled"):
        return "scaled(targets, reference) is now typed(targets) and units(targets)"
    directions = {metric.name: metric.direction for metric in task.metrics}
    if not directions.get(task.primary):
        return f"primary={task.primary!r} is not one of its metrics with a direction"
    if plugin.package != "file" and task.name != plugin.name:
        return f"its name is {task.name!r}; name it as its entry point"
    return ""
