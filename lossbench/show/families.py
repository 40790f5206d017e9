"""The pictures that articles draw: several losses, or one family, on the same axes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from lossbench import registry
from lossbench.contract import UserError
from lossbench.show.anatomy import load_entry, write_value
from lossbench.show.curves import Curve, Panel, build_loss, measure_curve
from lossbench.tasks import Section, line

PACKAGE = "lossbench"  # whose losses are compared, whatever else has their names


@dataclass(frozen=True)
class Family:
    """A picture with its title and what to see in it; panel is None where a loss is missing."""

    title: str
    words: str
    panel: Panel | None


def draw_families() -> Iterator[Family]:
    """All that this installation has the losses for."""
    for title, words, panel in (
        ("Margin losses and the 0/1 loss", MARGIN, _margin),
        ("Squared, absolute, Huber, log-cosh", RESIDUAL, _residual),
        ("Cross-entropy and squared error on the probability", PROBABILITY, _probability),
        ("The focal family", FOCAL, _focal),
        ("The poly family", POLY, _poly),
    ):
        yield Family(title, words, _or_none(panel))


def _or_none(panel: Callable[[], Panel]) -> Panel | None:
    try:
        return panel()
    except UserError:
        return None


MARGIN = """The 0/1 loss counts mistakes and has no slope. The others can be minimised in its place;
all but the smooth hinge and the squared error lie above it, the logistic loss once it is divided by
log 2. They differ in what a large mistake costs, on the left: never more than 1 (squared error),
its size (logistic, hinges), its square, or exponentially much."""
RESIDUAL = """The square lets one outlier outweigh many small errors; the absolute value pulls
equally hard at any distance; Huber and log-cosh are squares near 0 and lines further out."""
PROBABILITY = """On a confident mistake, p near 0, cross-entropy grows without end and its gradient
in the logit is p - 1; the squared error stays below 1 and its gradient vanishes."""
FOCAL = """The larger gamma, the less an example counts that is already right; gamma = 0 is
cross-entropy. The price: probabilities that are not confident enough."""
POLY = """Poly-1 changes the weight of the first term of the cross-entropy's series in 1 - p;
epsilon = 0 is cross-entropy."""


def _along(section: Section, task: str, name: str, label: str, **hyper: Any) -> Curve:
    plugin = registry.find_for_task(f"{PACKAGE}:{name}", task)
    return measure_curve(section, build_loss(load_entry(plugin, task), **hyper), label)


def _positive(axis: str, x: torch.Tensor) -> Section:
    """Logits of examples of class 1."""
    return Section(axis, "gradient in the logit", x, lambda x: (x, torch.ones_like(x)))


def _margin() -> Panel:
    section = _positive("margin", line(-3, 3, 601))
    names = ("hinge", "squared_hinge", "smooth_hinge", "modified_huber", "exponential")
    curves = [_along(section, "binary", name, name) for name in names]
    nats, log_2 = _along(section, "binary", "logistic", "logistic / log 2"), math.log(2)
    scaled = replace(nats, value=nats.value / log_2, gradient=nats.gradient / log_2)
    bounded = _along(section, "binary", "squared_error", "squared_error of p")
    wrong = (section.x <= 0).double()
    zero_one = Curve("0/1 loss", section.x, wrong, torch.zeros_like(wrong))
    shown = (zero_one, scaled, *curves, bounded)
    return Panel("", section.axis, "gradient in the margin", shown)


def _residual() -> Panel:
    section = Section(
        "residual r = target - prediction",
        "gradient in the prediction",
        line(-4, 4),
        lambda x: (-x, torch.zeros_like(x)),
        sign=-1.0,
    )
    names = ("absolute_error", "squared_error", "huber", "log_cosh")
    curves = tuple(_along(section, "regression", name, name) for name in names)
    return Panel("", section.axis, section.slope, curves)


def _against_probability(*losses: tuple[str, str, dict[str, Any]]) -> Panel:
    """Values, and gradients in the logit, against the probability of the true class."""
    p = line(0.01, 0.99)
    section = _positive("", torch.logit(p))
    curves = [_along(section, "binary", name, label, **hyper) for name, label, hyper in losses]
    axis = "probability of the true class"
    return Panel("", axis, section.slope, tuple(replace(each, x=p) for each in curves))


def _probability() -> Panel:
    names = ("cross_entropy", "squared_error")
    return _against_probability(*((name, name, {}) for name in names))


def _focal() -> Panel:
    gammas = (0.0, 0.5, 1.0, 2.0, 5.0)
    return _against_probability(*(("focal", f"gamma = {g:g}", {"gamma": g}) for g in gammas))


def _poly() -> Panel:
    epsilons = ([0.0], [-1.0], [1.0], [2.0], [5.0], [1.0, 2.0])
    return _against_probability(
        *(("poly", f"epsilon = {write_value(e)}", {"epsilon": e}) for e in epsilons)
    )
