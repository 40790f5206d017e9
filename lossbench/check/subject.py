"""The loss under examination: how it is made and called, and batches to call it on."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn

from lossbench import registry
from lossbench.check.findings import Failed, Hint, NotPassed
from lossbench.contract import Declaration, declaration_of
from lossbench.registry import Plugin
from lossbench.registry.schema import Parameter, ends_of, within
from lossbench.tasks import Task
from lossbench.tasks.calls import outside_training

Batch = tuple[Tensor, Tensor]
LARGEST_LOG = 20.0  # of a second output, which is the logarithm of a scale as a rule
NUM_EXAMPLES = 4096  # more than any batch of a check has
PROGRESS = 0.05  # at which losses are tried, early, since some change then
WEIGHTS_SEED = 1  # of a loss with weights of its own


@dataclass(frozen=True, eq=False)
class Subject:
    """A loss for one task. Batches are float64 unless a check says otherwise.

    moved_by_import, changed_by_import: generators and settings that the loss's module changed.
    is_narrow: whether it computes in float32 whatever it is given.
    """

    plugin: Plugin
    loss: Callable[..., Any]
    task: Task
    moved_by_import: tuple[str, ...] = ()
    changed_by_import: tuple[str, ...] = ()
    is_narrow: bool = False

    @cached_property
    def declaration(self) -> Declaration:
        """What the loss declares of itself."""
        return declaration_of(self.loss)

    @cached_property
    def keywords(self) -> tuple[Parameter, ...]:
        """Every keyword: hyper-parameters and facts."""
        return registry.signature(self.plugin)

    @cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The hyper-parameters."""
        return registry.parameters(self.plugin)

    @cached_property
    def is_module(self) -> bool:
        """Whether the loss is a class with weights of its own."""
        return inspect.isclass(self.loss)

    @cached_property
    def known_facts(self) -> dict[str, Any]:
        """What the task supplies to losses that ask, from classes that are not balanced."""
        target = self.task.example()[1]
        known = self.task.facts(torch.cat([target, target[[0, 0, 1]]]))
        return {**known, "num_examples": NUM_EXAMPLES}

    @cached_property
    def facts(self) -> dict[str, Any]:
        """The facts that this loss asks for and the task has."""
        return registry.given(registry.facts(self.plugin), self.known_facts)

    @cached_property
    def outputs(self) -> int:
        """What the model gives: as declared, or an embedding where the loss asks for its size."""
        declared = self.task.outputs_of(self.declaration)
        size = self.facts.get("embedding_dim", declared)
        return declared if self.task.output_shape(1)[-1:] == (size,) else size

    @cached_property
    def classes(self) -> int:
        """Numbers that the model gives for one example, along the last axis."""
        return self.example[0].shape[-1] if self.example[0].ndim > 1 else 2

    def link(self, **hyper: Any) -> Callable[..., Tensor] | None:
        """The declared link at these hyper-parameters, None for the task's."""
        defaults = {p.name: p.default for p in self.parameters}
        return self.declaration.link_at({**defaults, **self.link_facts, **hyper})

    @cached_property
    def link_facts(self) -> dict[str, Any]:
        """The facts that a link may ask for."""
        return {**self.known_facts, **self.task.fitted_facts(*self.task.example(self.outputs))}

    # ---- calling -------------------------------------------------------------------------------
    def made(self, dtype: torch.dtype = torch.float64, **hyper: Any) -> Callable[..., Any]:
        """The loss at these hyper-parameters, its own weights drawn from a fixed seed."""
        if not self.is_module:
            return partial(self.loss, **self.facts, **hyper)
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(WEIGHTS_SEED)
            module = outside_training(self.loss(**self.facts, **hyper), PROGRESS)
        return module.to(dtype) if isinstance(module, nn.Module) else module

    def __call__(self, prediction: Tensor, target: Tensor, **hyper: Any) -> Tensor:
        """The loss's values on copies of the batch; float targets take the prediction's dtype."""
        return self.call(self.made(prediction.dtype, **hyper), prediction, target)

    def call(self, loss: Callable[..., Any], prediction: Tensor, target: Tensor) -> Tensor:
        """The values of a loss that is already made, on copies of the batch."""
        return loss(prediction.clone(), as_dtype(target, prediction.dtype).clone())

    def differentiate(
        self, prediction: Tensor, target: Tensor, **hyper: Any
    ) -> tuple[Tensor, Tensor]:
        """The values, and the gradient of their sum with respect to the prediction."""
        leaf = prediction.detach().clone().requires_grad_()
        values = self(leaf, target, **hyper)
        if not values.requires_grad:
            return values, torch.zeros_like(leaf)
        (gradient,) = torch.autograd.grad(values.sum(), leaf, allow_unused=True)
        return values.detach(), torch.zeros_like(leaf) if gradient is None else gradient

    # ---- batches -------------------------------------------------------------------------------
    @cached_property
    def example(self) -> Batch:
        """The task's example batch, moved into the loss's declared domain."""
        prediction, target = self.task.example(self.outputs)
        target = as_dtype(target, torch.float64)
        return self.into_domain(prediction.double()), self.valid_targets(target)

    def batch(self, seed: int, scale: float = 3.0, count: int | None = None) -> Batch:
        """Normal predictions of a scale and targets of the example, in another order.

        count is kept to the example's own where a loss couples the batch, which needs its labels.
        """
        generator = torch.Generator().manual_seed(seed)
        prediction, target = self.example
        size = len(target) if count is None or not self.independent else count
        shape = (size, *prediction.shape[1:])
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64) * scale
        order = torch.randperm(size, generator=generator) % len(target)
        return self.into_domain(drawn), target[order]

    def extreme(self, seed: int, dtype: torch.dtype = torch.float64) -> Batch:
        """Predictions of mixed size up to 1e4, both signs, exact in every float type but half."""
        generator = torch.Generator().manual_seed(seed)
        prediction, target = self.batch(seed, count=64)
        sizes = torch.tensor([0.0, 1, 20, 30, 100, 800, 1e4], dtype=torch.float64)
        choice = torch.randint(len(sizes), prediction.shape, generator=generator)
        signs = torch.randint(2, prediction.shape, generator=generator) * 2 - 1
        return self.into_domain(sizes[choice] * signs).to(dtype), target

    def _tamed(self, prediction: Tensor) -> Tensor:
        """Of several outputs per target, all but the first kept where their exponential is."""
        outputs = self.declaration.outputs
        if callable(outputs) or outputs == 1:
            return prediction
        first, others = prediction.tensor_split([1], -1)
        return torch.cat([first, others.clamp(-LARGEST_LOG, LARGEST_LOG)], -1)

    @cached_property
    def batches(self) -> list[Batch]:
        """Batches of every size of prediction."""
        scaled = [self.batch(seed, scale) for seed, scale in enumerate((0.1, 1.0, 10.0, 300.0))]
        return [self.example, *scaled, self.extreme(4)]

    @property
    def is_foreign(self) -> bool:
        """Whether it is a library's, or was written for nobody's contract."""
        return self.plugin.library or hasattr(self.loss, "foreign")

    @property
    def rounding(self) -> tuple[float, float]:
        """What values may differ by that are computed in another way: of their size, and in all."""
        return (1e-4, 1e-5) if self.is_narrow else (1e-7, 1e-9)

    @property
    def lapse(self) -> type[NotPassed]:
        """What breaks a rule for authors is a fault, or a hint where the loss is foreign."""
        return Hint if self.is_foreign else Failed

    @cached_property
    def domain(self) -> tuple[float, float]:
        """Bounds of predictions: for numbers without a link, those of the targets."""
        is_number = self.task.in_target_unit and self.declaration.link is None
        return self.interval if is_number else (-math.inf, math.inf)

    @cached_property
    def interval(self) -> tuple[float, float]:
        """Bounds of targets, where the loss declares some."""
        return ends_of(self.declaration.target or "(-inf, inf)")

    @cached_property
    def bounded(self) -> bool:
        """Whether some predictions are outside the loss's domain."""
        return any(map(math.isfinite, self.domain))

    def into_domain(self, prediction: Tensor) -> Tensor:
        """Valid predictions, one to one with any real ones but for the largest."""
        return _between(*self.domain, self._tamed(prediction))

    def valid_targets(self, target: Tensor) -> Tensor:
        """Targets that are moved into the interval that the loss declares, where they are not."""
        interval = self.declaration.target
        known = self.task.known(target)
        if interval is None or all(within(interval, float(t)) for t in known.flatten()):
            return target
        return _between(*self.interval, target)

    # ---- what kind of loss it is ---------------------------------------------------------------
    @cached_property
    def whole(self) -> bool:
        """Whether one number comes back for the whole batch."""
        return self(*self.example).ndim == 0

    @cached_property
    def couples(self) -> bool:
        """Whether an example's value depends on the others: half a batch gives other entries."""
        if self.whole:
            return True
        prediction, target = self.example
        # random predictions: those of the example could be special to a loss that guesses
        generator = torch.Generator().manual_seed(3)
        drawn = torch.randn(prediction.shape, generator=generator, dtype=torch.float64)
        prediction = self.into_domain(drawn * 3)
        half, together = len(target) // 2, self(prediction, target)
        try:
            parts = [self(prediction[s], target[s]) for s in (slice(half), slice(half, None))]
        except Exception:
            return True
        return not close(torch.cat(parts), together, *self.rounding)

    @cached_property
    def may_couple(self) -> bool:
        """Whether the loss declares that it compares the examples of a batch, or its task does."""
        return self.declaration.couples or self.task.couples

    @cached_property
    def independent(self) -> bool:
        """Whether every example has a value of its own."""
        return not self.couples


def _between(low: float, high: float, values: Tensor) -> Tensor:
    """Any real values moved into an interval."""
    if math.isfinite(low) and math.isfinite(high):
        return low + (high - low) * (0.01 + 0.98 * torch.sigmoid(values))
    if math.isfinite(low):
        return low + 0.01 + values.abs()
    return high - 0.01 - values.abs() if math.isfinite(high) else values


def as_dtype(target: Tensor, dtype: torch.dtype) -> Tensor:
    """Float targets in this type; class indices as they are."""
    return target.to(dtype) if target.is_floating_point() else target


def close(actual: Tensor, expected: Tensor, rtol: float, atol: float) -> bool:
    """Whether two tensors agree, NaN with NaN."""
    return actual.shape == expected.shape and torch.allclose(
        actual, expected, rtol, atol, equal_nan=True
    )


def one_line(error: BaseException) -> str:
    """An error in one line."""
    text = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {text}"[:200].rstrip(": ")
