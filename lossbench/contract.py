"""All that a plugin may import, with `lossbench.testing`; the rest may change without notice.

declare      says of a loss what a signature cannot; a loss without it is valid too.
Declaration  what `declare` attaches: the fields may grow, none goes or changes its meaning.
declaration_of  reads it back, empty where nothing is declared.
metric       makes a `Metric` of a function of estimate and target.
Metric       a score of estimates: its function, and which values are better and possible.
DEVIATIONS   the unit of a metric that gets the targets of a regression standardised.
Sample       what a dataset returns for one seed.
Corrupted    what a corruption returns: what is to be different in a training split.
File, Folder  annotate a parameter that names one: `path: File`, `paths: list[File]`, `File | None`.
             What is in it decides whether a result is still valid; where it is does not.
             `Annotated[Folder, "decides no numbers"]` leaves it, or any value, out of that.
Loss         annotates a parameter of a loss that names another loss of the task, `first: Loss`, or
             several, `terms: dict[str, Loss]`: it is given functions (prediction, target) -> (B,)
             or (), which have their hyper-parameters, facts and weight already.
UserError    raise it for a request that cannot be met: shown in a line, without a traceback.
UnusableError  the same for the disk, the network or the machine.

Entry points keep their groups (`lossbench.losses.<task>`, `lossbench.metrics.<task>`,
`lossbench.tasks`, `lossbench.datasets`, `lossbench.corruptions`, `lossbench.models`,
`lossbench.regularizers`, `lossbench.optimizers`, `lossbench.schedules`,
`lossbench.augmentations`, `lossbench.configs`), and objects keep the way in which they are called:
    loss         (prediction, target, /, *, hyper-parameters, facts) -> (B,) or ()
    metric       (estimate, target, /, *, facts) -> (...), from (..., N, ...); NaN where undefined;
                 a target that is not known is NaN, or the task's `ignore`
    task         a subclass of `lossbench.tasks.Task`, which is public too
    dataset      (rng, /, *, parameters) -> Sample
    corruption   (inputs, targets, rng, /, *, parameters, facts) -> Corrupted
    augmentation (inputs, targets, /, *, parameters) -> (inputs, targets), of a training batch
    model        (input_shape, output_shape, /, *, parameters) -> torch.nn.Module
    regularizer  (weights, /, *, parameters) -> ()
    optimizer    (parameters, /, *, parameters) -> torch.optim.Optimizer
    schedule     (progress, /, *, parameters) -> the learning rate's factor; progress is in [0, 1)
    config       "package:folder", a folder of YAML laid out as `conf/` is
Without packaging they are named by their file or module: `loss=mine.py:f`, `loss=torch.nn:L1Loss`.
Such a loss need not keep the contract: how it reduces and which form of predictions and targets it
takes is found by trying, and said with the result. Such a model is made from its keywords alone
where no argument has "shape" in its name or stands before a '/'.
A parameter with an entry for each class says so by a note, and other sizes or values are refused:
`Annotated[tuple[float, ...], "(C,) in [0, inf), not all 0"]`, and for each pair of classes
`Annotated[list[list[float]], "(C, C) in [0, inf), 0 on the diagonal"]`.
A loss with weights of its own is an nn.Module made with those keywords, called with prediction and
target; where it takes embeddings and the task scores classes, it has logits(embedding) -> (B, C)
too. Facts are what the task knows: `lossbench check` says which, where a loss asks for another; to
a metric they are the task's attributes, `class_counts` of a replica's training targets, and the
`temperature` that suits its validation estimates. A loss asks by a keyword without default, and
where it can do without by `class_counts: Tensor | None = None`. Training itself supplies, to any
loss of any task, `num_examples` of a replica's training split and, at each call, `progress`, a
tensor () in [0, 1): the share of steps that are done, 1 in an evaluation; `index` (B,) int64, the
place of each example in that split; and `example_weight` (B,), above 0, 1 where data have none.
The mean over a batch is sum(w L) / sum(w) of what a loss gives for each example, so only a loss
that gives one number for the batch, and has to weigh by itself, asks for it. A module asks for
these three in its call, for the others where it is made; a buffer that it changes in place in a
call is the replica's own, and is kept in checkpoints. Leading axes of a metric's arguments are
replicas; where examples have weights, it is given them by `example_weight: Tensor | None = None`,
(..., N). A task lists the metrics that it always has; those of an entry point are added by name.

What is to be removed from here, or to change its meaning, works as before for at least one more
minor version, in which it raises a DeprecationWarning that names its replacement and the version
that drops it; the changelog lists both versions under "Deprecated" and "Removed".
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = [
    "DEVIATIONS",
    "Corrupted",
    "Declaration",
    "File",
    "Folder",
    "Loss",
    "Metric",
    "Sample",
    "UnusableError",
    "UserError",
    "declaration_of",
    "declare",
    "metric",
]

DEVIATIONS = "standard deviations"  # the unit of a metric of standardised targets

File = Annotated[str, "file"]
Folder = Annotated[str, "folder"]
Loss = Annotated[Callable[..., "Tensor"], "loss"]

T = TypeVar("T", bound=Callable[..., Any])


class UserError(Exception):
    """A request that cannot be met: one or two lines that say what, where, given, allowed, do."""

    exit_code = 2


class UnusableError(UserError):
    """The store, the disk or the machine refuses, whatever was asked for."""

    exit_code = 4


@dataclass(frozen=True)
class Declaration:
    """What a loss says of itself beyond its signature; `lossbench check` verifies it.

    link: raw prediction -> probability or point estimate, on any leading axes; None: the task's.
        It may ask by keyword for hyper-parameters and facts of its loss, and meets one replica
        where these are its own.
    outputs: numbers that the model gives per target (2 for a mean and a log-variance), or what
        they are for a problem of so many classes or intervals: `lambda classes: classes - 1`.
    head: makes the outputs (B, outputs) of one score (B,) and free numbers (outputs,), where the
        inputs are to move the score alone; None: each output has weights of its own.
    tune: (name, low, high) of each hyper-parameter that is to be searched.
    convex: in the prediction; lipschitz: its constant in the 2-norm of the prediction, or None.
    minimiser: what the population minimiser estimates, after the link: "probability", "mean",
        "median", "quantile", "sign", … or None where nothing simple is known.
    target: the interval of valid targets where it is not the task's own: "(-1, inf)" in a
        regression, "[0, 1]" for a binary loss that takes soft labels. A regression then trains on
        targets as they are, as it does where one output has a link, and not in their deviations.
    stops_gradient: whether its gradient is that of another function than its value, on purpose, so
        that nobody holds one against the other.
    start: training targets (N, ...) -> the prediction that the model's last bias starts at, or the
        free numbers of its head; it counts where targets are trained on as they are. None: the
        task's.
    source: who published it.
    unit: the hyper-parameters that have the unit of the target. A run takes them in standard
        deviations of its training targets or, with task.unit=target, in the target's own unit.
    couples: whether an example's value depends on the others of its batch, or the one value of a
        batch is not a mean of what its examples cost; tasks that compare examples need not say so.
    """

    link: Callable[..., Tensor] | None = None
    outputs: int | Callable[[int], int] = 1
    tune: tuple[tuple[str, float, float], ...] = ()
    convex: bool | None = None
    lipschitz: float | None = None
    minimiser: str | None = None
    target: str | None = None
    source: str = ""
    couples: bool = False
    head: Callable[[Tensor, Tensor], Tensor] | None = None
    start: Callable[[Tensor], Tensor] | None = None
    stops_gradient: bool = False
    unit: tuple[str, ...] = ()

    @property
    def link_keywords(self) -> tuple[str, ...]:
        """What the link asks for of its loss's hyper-parameters and facts."""
        try:
            keywords = inspect.signature(self.link).parameters.values() if self.link else ()
        except ValueError:  # of torch's own functions
            return ()
        return tuple(k.name for k in keywords if k.kind is k.KEYWORD_ONLY)

    def link_at(self, values: Mapping[str, Any]) -> Callable[..., Tensor] | None:
        """The link with those of these values that it asks for."""
        asked = {name: values[name] for name in self.link_keywords if name in values}
        return partial(self.link, **asked) if self.link and asked else self.link


def declare(
    *,
    link: Callable[..., Tensor] | None = None,
    outputs: int | Callable[[int], int] = 1,
    tune: dict[str, tuple[float, float]] | None = None,
    convex: bool | None = None,
    lipschitz: float | None = None,
    minimiser: str | None = None,
    target: str | None = None,
    source: str = "",
    couples: bool = False,
    head: Callable[[Tensor, Tensor], Tensor] | None = None,
    start: Callable[[Tensor], Tensor] | None = None,
    stops_gradient: bool = False,
    unit: tuple[str, ...] = (),
) -> Callable[[T], T]:
    """Attach a `Declaration` to a loss; the loss itself is returned unchanged.

    tune: hyper-parameter -> the least and the largest value to search.
    """
    ranges = tuple((name, low, high) for name, (low, high) in (tune or {}).items())
    declaration = Declaration(
        link,
        outputs,
        ranges,
        convex,
        lipschitz,
        minimiser,
        target,
        source,
        couples,
        head,
        start,
        stops_gradient,
        unit,
    )

    def attach(loss: T) -> T:
        setattr(loss, "declaration", declaration)  # noqa: B010 (a function has no such attribute)
        return loss

    return attach


def declaration_of(loss: Callable[..., Any]) -> Declaration:
    """What the loss declares, or the empty declaration."""
    return getattr(loss, "declaration", Declaration())


@dataclass(frozen=True)
class Metric:
    """A score: a function of estimates and targets (..., N, ...), with one value for each replica.

    direction: +1 where more is better, -1 where less is, 0 for neither.
    bounds: the least and the largest value there can be. unit: as in "nats", or "" where the values
    have none, or that of the target. Estimates and targets of a regression are in the target's own
    unit; a metric with the unit DEVIATIONS gets them divided by the deviation of the training
    targets.
    """

    name: str
    function: Callable[..., Tensor]
    direction: int
    bounds: tuple[float, float] = (-math.inf, math.inf)
    unit: str = ""

    def __post_init__(self) -> None:
        low, high = self.bounds
        if self.direction not in (-1, 0, 1) or not low < high:
            raise ValueError(
                f"metric {self.name}: direction={self.direction}, bounds={self.bounds}; "
                "give a direction of 1, -1 or 0, and bounds of which the first is less."
            )

    def __call__(self, estimate: Tensor, target: Tensor, /, **facts: Any) -> Tensor:
        return self.function(estimate, target, **facts)

    @property
    def __wrapped__(self) -> Callable[..., Tensor]:
        """The function, for `inspect.signature`."""
        return self.function


def metric(
    *, direction: int, bounds: tuple[float, float] = (-math.inf, math.inf), unit: str = ""
) -> Callable[[Callable[..., Tensor]], Metric]:
    """Make a `Metric` of a function, by whose name it is known."""

    def made(function: Callable[..., Tensor]) -> Metric:
        return Metric(function.__name__, function, direction, bounds, unit)

    return made


@dataclass(frozen=True)
class Sample:
    """What a dataset gives for one seed, before it is split and standardised.

    inputs: (N, ...) numbers, kept in their own type; targets: (N,) or (N, ...), of the tasks
        regression, counts, distributional and multilabel NaN where one is not known; task: the name
        of the task they pose.
    held_out: (N,) bool, true for the rows of a given test split; validation is then drawn from the
        other rows. None draws both at random. Only identities (the tasks embedding and pairs) may
        be held out that no other row has.
    standardise: each feature by its training mean and deviation; "items": the last axis, over all
        items of all lists, which are NaN where there is none; "channels": each channel, the axis
        after the examples. False keeps inputs as they are, but for uint8, which are pixels: 0 to
        255 become 0 to 1.
    fresh: whether every seed gets new examples of the population, rather than some of one finite
        data set. None: if the random generator was used, it does; say False where it chose among
        finite data, since what is concluded on new data rests on it.
    notes: what a reader of the results must know of the data, a line each.
    fill: inputs of training examples, NaN where missing -> the value that stands in for NaN of each
        feature (...), in every split. None: NaN is refused.
    split: (N,) the part that each row was given: 0 training, 1 validation, 2 test, 3 none. A part
        that no row has is drawn from the training rows. It says more than held_out; give one.
    groups: (N,) the group of each row, of any type; what is drawn keeps a group in one part. Where
        groups differ in size a few rows are left out, so that all seeds have as many.
    weights: (N,) numbers of at least 0: how much each example counts in losses, in metrics and in
        the means and deviations that standardise. One of weight 0 is in no split.
    code: rows of a data frame, with the columns that a table has -> inputs (N, ...), for models
        that predict from them. None where there is no table.
    """

    inputs: np.ndarray
    targets: np.ndarray
    task: str
    held_out: np.ndarray | None = None
    standardise: bool | Literal["channels", "items"] = True
    fresh: bool | None = None
    notes: tuple[str, ...] = ()
    fill: Callable[[np.ndarray], np.ndarray] | None = None
    split: np.ndarray | None = None
    groups: np.ndarray | None = None
    weights: np.ndarray | None = None
    code: Callable[[Any], np.ndarray] | None = None


@dataclass(frozen=True)
class Corrupted:
    """What a corruption makes different in a training split of N examples; None: nothing.

    It is called with inputs, standardised and in float64, of which `inputs[rows]` gives rows and
    `np.asarray(inputs)` all; and with targets (N, ...), labels as int64.

    rows: (n,) the examples that remain, as places in the split. targets: (n, ...), of what remains.
    moved: (k,) places in what remains of examples whose inputs are others, and inputs: (k, ...).
    """

    rows: np.ndarray | None = None
    targets: np.ndarray | None = None
    moved: np.ndarray | None = None
    inputs: np.ndarray | None = None
