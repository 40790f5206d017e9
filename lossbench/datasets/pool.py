"""Examples held once, in the type in which they came; what replicas have of them are rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lossbench.tasks import Task

SHARE = 0.5  # of a device's free memory that a pool may take there
SCORED_AT_ONCE = 2048  # examples of each replica in one forward pass of an evaluation
SCORED_NUMBERS = 2**18  # the same in numbers, where an example has many
MADE_AT_ONCE = 2**20  # numbers in float64
CPU = torch.device("cpu")
Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class Origin:
    """Where a seed's examples come from, which decides what can be concluded on new data.

    drawn: "anew" for each seed, "split" from one finite data set, or "held out": a split whose test
    part is the same for every seed. learnt: examples in training and validation; test: in test.
    """

    drawn: str
    learnt: int
    test: int


class Unit(NamedTuple):
    """What values are measured from and in, each (R, ...); NaN is the fill before."""

    mean: Tensor
    scale: Tensor
    fill: Tensor | None = None

    def __call__(self, values: Tensor, dtype: torch.dtype) -> Tensor:
        """Values (R, B, ...) that nobody else holds, computed in the type of the mean."""
        made = torch.empty(values.shape, dtype=dtype, device=values.device)
        at_once = max(1, MADE_AT_ONCE // max(1, values[0].numel()))
        for start in range(0, len(values), at_once):
            some = slice(start, start + at_once)
            part = values[some].to(self.mean.dtype)
            if self.fill is not None:
                part = torch.where(part.isnan(), self.fill[some].unsqueeze(1), part)
            mean, scale = (each[some].unsqueeze(1) for each in (self.mean, self.scale))
            made[some] = part.sub_(mean).div_(scale)
        return made

    def back(self, values: Tensor) -> Tensor:
        """Of values that are measured so (R, B, ...), what they are; further axes share a unit."""
        further = [1] * (values.ndim - self.mean.ndim - 1)
        mean, scale = (
            each.reshape(len(each), 1, *each.shape[1:], *further)
            for each in (self.mean, self.scale)
        )
        return values.to(self.mean.dtype) * scale + mean


class Split(NamedTuple):
    """What each replica has of a split.

    rows: (R, N) of the pool, and from its end on of the changed inputs. targets: (R, N, ...) where
    a corruption changed some, else they are the pool's.
    """

    rows: Tensor
    targets: Tensor | None = None

    @property
    def size(self) -> int:
        """Examples of a replica."""
        return self.rows.shape[1]

    def first(self, count: int) -> Split:
        """Each replica's first examples alone."""
        return Split(
            self.rows[:, :count], None if self.targets is None else self.targets[:, :count]
        )


class Changed(NamedTuple):
    """Inputs (K, ...) that corruptions changed, float32, and the rows (K,) that they stand for."""

    inputs: Tensor
    rows: Tensor


class Raw(NamedTuple):
    """A batch as it is in memory, R * B examples in a row; places of changed inputs in it."""

    inputs: Tensor
    targets: Tensor
    places: Tensor | None = None
    changed: Tensor | None = None


@dataclass(frozen=True)
class Splits:
    """The pool, and each replica's rows of it, of which batches are made on the device.

    inputs, targets: the pool's, (M, ...) in their own types. weights: (M,) above 0 where examples
    count, None where all count alike. shared: whether all replicas have the
    same examples. mapped: whether inputs are on disk. unit, target_unit: what a replica's inputs
    and targets are measured in, None for as they are; in_own_unit: whether only metrics measure
    targets so. notes: what a reader of the results must know of the data.
    """

    task: Task
    inputs: Tensor
    targets: Tensor
    train: Split
    validation: Split
    test: Split
    changed: Changed | None
    unit: Unit | None
    target_unit: Unit | None
    origin: Origin
    notes: tuple[str, ...]
    shared: bool
    mapped: bool
    weights: Tensor | None = None
    in_own_unit: bool = False
    device: torch.device = CPU
    dtype: torch.dtype = torch.float32

    @property
    def replicas(self) -> int:
        return len(self.train.rows)

    @property
    def target_scale(self) -> Tensor | None:
        """The deviation (R, ...) of training targets, None for a task that has none."""
        return self.target_unit and self.target_unit.scale

    @property
    def trained_unit(self) -> Unit | None:
        """What targets are trained in, None for as they are."""
        return None if self.in_own_unit else self.target_unit

    @cached_property
    def partly_known(self) -> bool:
        """Whether examples have targets that are unknown next to others that are not."""
        if not self.task.stand_ins or self.targets.ndim < 2:
            return False
        unknown = self.targets.isnan().flatten(1)
        return bool((unknown.any(1) & ~unknown.all(1)).any())

    def own(self, values: Tensor) -> Tensor:
        """Targets or estimates (R, N, ...) in the target's own unit, then in float64."""
        return self.trained_unit.back(values) if self.trained_unit else values

    def with_own_unit(self) -> Splits:
        """With targets that are trained on as they are."""
        train = self.train
        if self.target_unit and train.targets is not None:
            train = Split(train.rows, self.own(train.targets).to(train.targets.dtype))
        return replace(self, train=train, in_own_unit=True)

    def of(self, replicas: Sequence[int]) -> Splits:
        """What some replicas have, repeated where they are."""
        names = ("train", "validation", "test", "unit", "target_unit")
        return self._with(names, lambda part: part[list(replicas)])

    def to(self, device: torch.device, dtype: torch.dtype) -> Splits:
        """For batches elsewhere and of other floats; a pool too large for a device stays behind."""
        if device == self.device:
            return self if dtype == self.dtype else replace(self, dtype=dtype)
        names = ["unit", "target_unit"]
        if not self.mapped and self.inputs.nbytes <= SHARE * torch.cuda.mem_get_info(device)[0]:
            names += ["inputs", "targets", "weights", "train", "validation", "test", "changed"]
        return replace(self._with(names, lambda part: part.to(device)), device=device, dtype=dtype)

    def _with(self, names: Iterable[str], change: Callable[[Tensor], Tensor]) -> Splits:
        """With what has these names changed, tensor by tensor."""
        changed = dict[str, Any]()
        for name in names:
            value = getattr(self, name)
            if isinstance(value, Tensor):
                changed[name] = change(value)
            elif value is not None:
                changed[name] = type(value)(*(p if p is None else change(p) for p in value))
        return replace(self, **changed)

    @property
    def bytes_of_replica(self) -> int:
        """Bytes that one more replica takes."""
        own = [self.train, self.validation, self.test, self.unit, self.target_unit, self.changed]
        total = sum(p.nbytes for parts in own if parts for p in parts if p is not None)
        if self.shared:
            return total // self.replicas
        examples = self.train.size + self.validation.size + self.test.size
        return total // self.replicas + examples * (self.inputs[0].nbytes + self.targets[0].nbytes)

    # ---- batches -------------------------------------------------------------------------------
    def batches(self, split: str, indices: Iterable[Tensor]) -> Iterator[Batch]:
        """Inputs as floats and targets at each replica's own indices (R, B), batch by batch.

        Where the pool is not on the device, the next batch is fetched in a thread meanwhile.
        """
        part: Split = getattr(self, split)
        fetch, make = partial(self._fetch, part), partial(self._make, part)
        if not self.mapped and self.inputs.device == self.device:
            for index in indices:
                yield make(fetch(index), index.shape)
            return
        with ThreadPoolExecutor(1) as thread:
            fetched = None
            for index in indices:
                following = thread.submit(fetch, index), index.shape
                if fetched:
                    yield make(fetched[0].result(), fetched[1])
                fetched = following
            if fetched:
                yield make(fetched[0].result(), fetched[1])

    def first(self, split: str, count: int | None = None) -> Batch:
        """Each replica's first examples of a split, as many as there are, or all of them."""
        there: int = getattr(self, split).size
        (batch,) = self.batches(split, [self._range(0, min(count or there, there))])
        return batch

    def in_order(self, split: str) -> Iterator[Batch]:
        """All of a split in batches to be scored, whose sizes depend on an example's alone."""
        count, numbers = getattr(self, split).size, self.inputs[0].numel()
        size = max(1, min(SCORED_AT_ONCE, SCORED_NUMBERS // numbers))
        starts = range(0, count, size)
        yield from self.batches(split, (self._range(a, min(a + size, count)) for a in starts))

    def targets_of(self, split: str) -> Tensor:
        """All targets of a split (R, N, ...)."""
        part: Split = getattr(self, split)
        index = self._range(0, part.size)
        targets = self._fetch_targets(part, index, self._places(part, index)[0])
        return self._make_targets(part, targets.to(self.device), index.shape)

    def weights_of(self, split: str) -> Tensor | None:
        """What all examples of a split weigh (R, N), None where all count alike."""
        if self.weights is None:
            return None
        part: Split = getattr(self, split)
        rows, *_ = self._places(part, self._range(0, part.size))
        return self.weights.index_select(0, rows).reshape(part.rows.shape).to(self.device)

    def train_targets(self, replica: int) -> Tensor:
        """One replica's targets of training (N, ...)."""
        return self.of([replica]).targets_of("train")[0]

    def _range(self, start: int, end: int) -> Tensor:
        index = torch.arange(start, end, device=self.train.rows.device)
        return index.expand(self.replicas, -1)

    def _places(self, part: Split, index: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Rows of the pool (R * B,), places among them of changed inputs, and which these are."""
        rows = part.rows.gather(1, index).flatten()
        if self.changed is None:
            return rows, None, None
        places = (rows >= len(self.inputs)).nonzero().flatten()
        which = rows[places] - len(self.inputs)
        return rows.index_copy(0, places, self.changed.rows.index_select(0, which)), places, which

    def _fetch(self, part: Split, index: Tensor) -> Raw:
        index = index.to(part.rows.device)
        rows, places, which = self._places(part, index)
        changed = None
        if self.changed is not None and which is not None:
            changed = self.changed.inputs.index_select(0, which)
        targets = self._fetch_targets(part, index, rows)
        raw = Raw(self.inputs.index_select(0, rows), targets, places, changed)
        if part.rows.device == self.device:
            return raw
        return Raw(*(p if p is None else p.to(self.device) for p in raw))  # type: ignore[arg-type]

    def _fetch_targets(self, part: Split, index: Tensor, rows: Tensor) -> Tensor:
        if part.targets is None:
            return self.targets.index_select(0, rows)
        starts = torch.arange(self.replicas, device=index.device).unsqueeze(1) * part.size
        return part.targets.flatten(0, 1).index_select(0, (starts + index).flatten())

    def _make(self, part: Split, raw: Raw, shape: torch.Size) -> Batch:
        """A batch of what was fetched."""
        inputs = raw.inputs.unflatten(0, shape)
        floats = torch.float32  # whatever the precision
        inputs = self.unit(inputs, floats) if self.unit else inputs.to(floats)
        if raw.places is not None and raw.changed is not None:
            inputs.flatten(0, 1).index_copy_(0, raw.places, raw.changed)
        return inputs.to(self.dtype), self._make_targets(part, raw.targets, shape)

    def _make_targets(self, part: Split, targets: Tensor, shape: torch.Size) -> Tensor:
        targets = targets.unflatten(0, shape)
        if self.trained_unit and part.targets is None:  # what a corruption gives is measured so
            targets = self.trained_unit(targets, self.task.target_dtype)
        targets = targets.to(self.task.target_dtype)
        return targets.to(self.dtype) if targets.is_floating_point() else targets
