"""Which losses are the same function, or one at a setting or a limit of the other, by numbers.

Losses of a task are compared by the mean that training makes smaller and by its gradient, in
float64 on the same batches: gradients of one direction everywhere are of the same function, but for
a factor, a constant and terms of the target alone.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lossbench import registry
from lossbench.check.find import in_form, object_of
from lossbench.check.hyper import valid
from lossbench.check.subject import PROGRESS, Subject
from lossbench.registry import Plugin
from lossbench.registry.offers import offered
from lossbench.registry.parts import is_made_of_losses
from lossbench.registry.schema import ends_of
from lossbench.tasks import Task, task_class
from lossbench.tasks.calls import outside_training
from lossbench.tasks.composed import USUAL
from lossbench.undisturbed import undisturbed

SCALES = (0.3, 1.0, 1.0, 2.0, 3.0, 5.0)  # of the predictions of a batch
LARGE = (20.0, 40.0)  # the same, where clipped logarithms and margins show
POINTS = (0.0, 0.5, 1.0, 2.0)  # values of a hyper-parameter that are tried
NEAR, FAR = 1e-7, 1e7  # in place of an end that does not belong to the range
EXACT, CLOSE = 1e-6, 1e-3  # relative differences that are none, and at a limit
MOST = 4  # numbers of one loss of which two are set together
OURS = "lossbench"


@dataclass(frozen=True)
class Twin:
    """A loss is, for a task, factor * other + constant.

    setting, other_setting: what differs from the defaults. constant: None where it is a term of the
    target alone. limit: whether the setting comes close to an end that is not allowed. everywhere:
    whether it holds at large predictions too.
    """

    task: str
    loss: str
    setting: dict[str, Any]
    other: str
    other_setting: dict[str, Any]
    factor: float
    constant: float | None
    limit: bool
    everywhere: bool

    def __str__(self) -> str:
        factor = "" if self.factor == 1 else f"{self.factor:.6g} * "
        constant = f" {self.constant:+.6g}" if self.constant else ""
        constant = " + a term of the target" if self.constant is None else constant
        other = named(self.other, self.other_setting)
        words = f"tends to {other}, scaled" if self.limit else f"is {factor}{other}{constant}"
        words = words.removesuffix(", scaled") if self.factor == 1 else words
        return (
            f"{named(self.loss, self.setting)} {words}"
            f"{'' if self.everywhere else ', but for large predictions'}"
        )


@dataclass(frozen=True, eq=False)
class Variant:
    """A loss at a setting, and its means (n,) and gradients (m,) on the batches of its kind.

    large: the gradients at large predictions.
    """

    loss: str
    package: str
    setting: dict[str, Any]
    limit: bool
    means: Tensor = field(repr=False)
    gradients: Tensor = field(repr=False)
    large: Tensor = field(repr=False)

    @property
    def rank(self) -> tuple[Any, ...]:
        """The first of a family is the one that the others are called after."""
        usual = self.loss not in USUAL
        return (
            len(self.setting),
            self.limit,
            self.package != OURS,
            ":" in self.loss,
            usual,
            self.loss,
        )


def named(loss: str, setting: dict[str, Any]) -> str:
    """focal(gamma=0), delta=inf for a value far out, or the loss alone."""
    values = {n: math.inf if v >= FAR else 0 if v == NEAR else v for n, v in setting.items()}
    shown = ", ".join(f"{name}={value:g}" for name, value in values.items())
    return f"{loss}({shown})" if shown else loss


def find_twins(
    tasks: Iterable[str], everything: bool = False, named: Iterable[str] = ()
) -> tuple[list[Twin], list[str]]:
    """The twins of each task, and the losses that were compared as "task loss".

    everything: with the losses of libraries, where a form of the task's batches serves them; named:
    with these of them.
    """
    twins, compared = [], []
    offers = [each.name for each in offered()] if everything else []
    names = [*dict.fromkeys([*named, *offers])]
    with undisturbed(), contextlib.redirect_stdout(sys.stderr):
        torch.set_num_threads(1)
        for task in tasks:
            subjects = list(subjects_of(task_class(task).small(), names))
            compared += [f"{task} {subject.plugin.name}" for subject in subjects]
            twins += _twins_of(task, subjects)
    return twins, compared


def subjects_of(task: Task, names: Sequence[str]) -> Iterator[Subject]:
    """The installed losses of a task, and those of libraries of these names that it can take."""
    plugins = [p for p in registry.installed("loss") if p.task in (None, task.name)]
    for plugin in plugins:
        if not is_made_of_losses(plugin) and (subject := _subject(plugin, task)):
            yield subject
    for name in names:
        with contextlib.suppress(Exception, SystemExit):
            (plugin,) = registry.find("loss", name)
            if subject := _subject(plugin, task):
                yield subject


def _subject(plugin: Plugin, task: Task) -> Subject | None:
    with contextlib.suppress(Exception, SystemExit):
        loss = outside_training(in_form(plugin, object_of(plugin), task), PROGRESS)
        return Subject(plugin, loss, task)
    return None


def render_twins(twins: Sequence[Twin], compared: Sequence[str], columns: int) -> str:
    """How many there are, and each in a line below its task."""
    tasks = {each.partition(" ")[0]: None for each in compared}
    many, pairs = ("s" if len(each) != 1 else "" for each in (tasks, twins))
    lines = textwrap.wrap(
        f"{len(twins)} twin{pairs} of {len(compared)} losses on {len(tasks)} task{many}, by values "
        "and gradients on example batches, at the defaults or at the settings that are named.",
        columns,
    )
    for task, same in itertools.groupby(twins, key=lambda twin: twin.task):
        lines += ["", task]
        for twin in same:
            lines += textwrap.wrap(
                str(twin), columns, initial_indent="  ", subsequent_indent=" " * 6,
                break_on_hyphens=False,
            )  # fmt: skip
    return "\n".join(lines)


# ---- numbers -------------------------------------------------------------------------------------
def _twins_of(task: str, subjects: Sequence[Subject]) -> list[Twin]:
    """Those on any kind of batch: losses for other targets have batches of their own."""
    twins: dict[tuple[str, str, str], Twin] = {}
    kinds: list[list[tuple[Tensor, Tensor]]] = []
    for subject in subjects:
        with contextlib.suppress(Exception):
            scales = enumerate((*SCALES, *LARGE))
            batches = [subject.batch(seed, scale) for seed, scale in scales]
            if not any(_are_same(batches, known) for known in kinds):
                kinds.append(batches)
    for batches in kinds:
        shape = batches[0][0].shape
        variants = [
            variant
            for subject in subjects
            if subject.example[0].shape == shape
            for variant in _variants(subject, batches)
        ]
        for twin in _pairs(task, variants):
            twins.setdefault((twin.loss, str(twin.setting), twin.other), twin)
    return sorted(twins.values(), key=lambda twin: (twin.other, len(twin.setting), twin.loss))


def _are_same(one: list[tuple[Tensor, Tensor]], other: list[tuple[Tensor, Tensor]]) -> bool:
    parts = zip(itertools.chain(*one), itertools.chain(*other), strict=True)
    return all(torch.equal(a, b) for a, b in parts)


def _variants(subject: Subject, batches: list[tuple[Tensor, Tensor]]) -> Iterator[Variant]:
    for setting, limit in _settings(subject):
        with contextlib.suppress(Exception, SystemExit):
            torch.default_generator.manual_seed(0)
            loss, plugin = subject.made(**setting), subject.plugin
            means, gradients = _measured(loss, batches[: len(SCALES)])
            large = _measured(loss, batches[len(SCALES) :])[1]
            if means.isfinite().all() and gradients.isfinite().all() and gradients.any():
                yield Variant(plugin.name, plugin.package, setting, limit, means, gradients, large)


def _measured(
    loss: Callable[..., Any], batches: list[tuple[Tensor, Tensor]]
) -> tuple[Tensor, Tensor]:
    """The mean of each batch, and the gradients of all in the predictions."""
    means, gradients = [], []
    for prediction, target in batches:
        leaf = prediction.clone().requires_grad_()
        mean = loss(leaf, target.clone()).mean()
        gradients.append(torch.autograd.grad(mean, leaf)[0].flatten())
        means.append(mean.detach().double())
    return torch.stack(means), torch.cat(gradients).double()


def _settings(subject: Subject) -> Iterator[tuple[dict[str, Any], bool]]:
    """The defaults, a number at points or next to an end (True), and two at points."""
    yield {}, False
    points = {p.name: values for p in subject.parameters if (values := _points(subject, p))}
    for p in subject.parameters:
        for value in points.get(p.name, ()):
            yield {p.name: value}, False
        for value in _limits(p):
            yield {p.name: value}, True
    if 1 < len(points) <= MOST and not subject.is_foreign:
        for one, other in itertools.combinations(points, 2):
            for pair in itertools.product(points[one], points[other]):
                yield dict(zip((one, other), pair, strict=True)), False


def _points(subject: Subject, parameter: registry.Parameter) -> list[Any]:
    """Values other than the default of a number."""
    kind, default = parameter.kind, parameter.default
    if not _is_number(parameter):
        return []
    ends = ends_of(kind.interval) if kind.interval else ()
    points = dict.fromkeys([*POINTS, *(end for end in ends if abs(end) < FAR)])
    return valid(subject, kind, points, default)


def _is_number(parameter: registry.Parameter) -> bool:
    kind, default = parameter.kind, parameter.default
    is_number = isinstance(default, int | float) and not isinstance(default, bool)
    return is_number and not kind.choices and not kind.item


def _limits(parameter: registry.Parameter) -> list[float]:
    """Next to ends of a number's range that do not belong to it, and far out."""
    interval = parameter.kind.interval
    if not interval or parameter.kind.base is int or not _is_number(parameter):
        return []
    low, high = ends_of(interval)
    near = [low + NEAR] if interval[0] == "(" and low > -FAR else []
    return [*near, FAR if high > FAR else high - NEAR] if interval[-1] == ")" else near


# ---- pairs ---------------------------------------------------------------------------------------
def _pairs(task: str, variants: Sequence[Variant]) -> Iterator[Twin]:
    """Each family of one direction, reported as the relations of its members to the first."""
    ordered = sorted(variants, key=lambda variant: variant.rank)
    directions = torch.stack([v.gradients / v.gradients.norm() for v in ordered])
    apart = 1 - directions @ directions.T
    family: dict[str, int] = {}  # of a loss at its defaults
    known: dict[tuple[str, str], list[set[str]]] = {}  # settings at which two losses are related
    taken = [False] * len(ordered)
    for i, j in itertools.product(range(len(ordered)), repeat=2):
        first, other = ordered[i], ordered[j]
        far_fetched = first.setting and (other.limit or ":" in first.loss)
        if first.limit or taken[i] or taken[j] or far_fetched:
            continue
        tolerance = CLOSE if other.limit else EXACT
        twin = apart[i, j] < tolerance**2 and _relation(task, other, first, tolerance)
        if not twin:
            continue
        taken[j] = not other.limit and i != j
        if not other.setting:
            family.setdefault(other.loss, i)
        settings = known.setdefault((other.loss, first.loss), [])
        keys = {*other.setting, *first.setting}
        is_own = other.loss == first.loss or (other.setting and family.get(other.loss) == i)
        if is_own or any(k <= keys for k in settings) or (keys and not twin.everywhere):
            continue
        settings.append(keys)
        yield twin


def _relation(task: str, loss: Variant, other: Variant, tolerance: float) -> Twin | None:
    """How one is made of the other, where it is."""
    factor = float(loss.gradients @ other.gradients / other.gradients.square().sum())
    rest = loss.gradients - factor * other.gradients
    if factor <= 0 or rest.abs().max() > 10 * tolerance * loss.gradients.abs().max():
        return None
    rounded = float(f"{factor:.{2 if loss.limit else 4}g}")
    factor = rounded if abs(factor / rounded - 1) < 10 * tolerance else factor
    between = loss.means - factor * other.means
    size = 10 * tolerance * float(1 + loss.means.abs().max())
    constant: float | None = float(between.mean())
    if between.max() - between.min() > size:
        constant = None
    elif abs(between.mean()) < size:
        constant = 0.0
    large = (loss.large - factor * other.large).abs().max() <= 1e-3 * loss.large.abs().max()
    named = (loss.loss, loss.setting, other.loss, other.setting)
    return Twin(task, *named, factor, constant, loss.limit, bool(large))
