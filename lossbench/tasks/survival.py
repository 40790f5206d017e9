"""Time to an event, or to the end of watching: a survival curve at the cuts after the link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lossbench.contract import Declaration, UserError, declaration_of, metric
from lossbench.losses.stable import leave_out
from lossbench.losses.survival import weibull_aft
from lossbench.tasks import Answers, Population, Section, Study, Task, line
from lossbench.tasks.refusals import refuse_shapes
from lossbench.tasks.scores import uneven

INTERVALS = 20
PAIRS = 2**22  # compared at once
WIDEST, HALVINGS = 8.0, 50  # of the log of a shape


@metric(direction=1, bounds=(0, 1))
def concordance(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Harrell's C: of pairs whose order is known, those in the right order; equal risks count 1/2.

    The risk is less what survives, summed over the cuts; NaN without such a pair.
    """
    risk, (time, event) = -estimate.sum(-1), target.unbind(-1)
    wins = torch.zeros(risk.shape[:-1], dtype=torch.int64, device=risk.device)
    pairs = wins.clone()
    for rows in torch.arange(risk.shape[-1]).split(max(1, PAIRS // risk.numel())):
        own, other = time[..., rows, None], time.unsqueeze(-2)
        known = (own < other) | ((own == other) & (event.unsqueeze(-2) == 0))
        known &= event[..., rows, None] > 0
        ahead = torch.sign(risk[..., rows, None] - risk.unsqueeze(-2)).long() + 1
        wins += (known * ahead).sum((-1, -2))
        pairs += known.sum((-1, -2))
    return (wins.double() / (2 * pairs)).to(estimate.dtype)


@metric(direction=-1, bounds=(0, math.inf))
def integrated_brier_score(estimate: Tensor, target: Tensor, /, *, cuts: Tensor) -> Tensor:
    """Graf's: squared errors of the curve at each cut, weighed for censoring; the mean over time.

    Over the cuts below the largest time, by trapezoids; NaN for less than two of them, and for a
    loss without a curve.
    """
    shape = estimate.shape[:-2]
    if estimate.shape[-1] != cuts.shape[-1]:
        return estimate.new_full(shape, torch.nan)
    each = (x.double().reshape(-1, *x.shape[len(shape) :]) for x in (estimate, target, cuts))
    values = [_integrated_brier(*replica) for replica in zip(*each, strict=True)]
    return torch.stack(values).reshape(shape).to(estimate.dtype)


def _integrated_brier(curve: Tensor, target: Tensor, cuts: Tensor) -> Tensor:
    """Of one replica: curve (N, K), target (N, 2), cuts (K,)."""
    time, event = target.unbind(-1)
    before, after = _staying_watched(time, event, cuts)
    gone = (time.unsqueeze(-1) <= cuts) & (event.unsqueeze(-1) > 0)
    there = time.unsqueeze(-1) > cuts
    error = torch.where(gone, curve.square() / before.unsqueeze(-1), 0)
    error = error + torch.where(there, (1 - curve).square() / after, 0)
    inside = cuts < time.max()
    score, places = error.mean(0)[inside], cuts[inside]
    if len(places) < 2:
        return curve.new_tensor(torch.nan)
    return torch.trapezoid(score, places) / (places[-1] - places[0])


def _staying_watched(time: Tensor, event: Tensor, cuts: Tensor) -> tuple[Tensor, Tensor]:
    """Kaplan and Meier's chance of not being censored just before each time, and up to each cut.

    An event comes before a censoring at the same time.
    """
    order = time.argsort()
    time, event = time[order], event[order]
    same = torch.searchsorted(time, time, right=True)
    at_risk = len(time) - torch.searchsorted(time, time)
    events = torch.cat([event.new_zeros(1), event.cumsum(0)])
    first = torch.searchsorted(time, time)
    seen = events[same] - events[first]
    censored = (same - first) - seen
    left = (at_risk - seen - censored) / (at_risk - seen).clamp(min=1)
    is_first = first == torch.arange(len(time), device=time.device)
    chance = torch.cat([time.new_ones(1), torch.where(is_first, left, 1).cumprod(0)])
    before = torch.empty_like(time)
    before[order] = chance[first]
    return before, chance[torch.searchsorted(time, cuts, right=True)]


def _likeliest_weibull(target: Tensor) -> Tensor:
    """(2,): the logs of scale and shape, of one distribution for all."""
    time, event = target.double().unbind(-1)
    logs, seen = time.log(), event.sum()
    low, high = torch.tensor([-WIDEST, WIDEST], dtype=torch.float64, device=target.device)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        shape = middle.exp()
        excess = (torch.softmax(shape * logs, 0) - event / seen) @ logs - 1 / shape
        low, high = torch.where(excess > 0, low, middle), torch.where(excess > 0, middle, high)
    scale = ((low.exp() * logs).logsumexp(0) - seen.log()) / low.exp()
    return torch.stack([scale, low]).to(target.dtype)


@dataclass(frozen=True)
class Survival(Task):
    """Targets (..., N, 2), time and event; predictions (..., N) or (..., N, k); estimates S(cuts).

    cuts: (K,), a fact of each replica: quantiles of its training event times, the last their
    largest. intervals: K.
    """

    intervals: int = INTERVALS

    name = "survival"
    metrics = (concordance, integrated_brier_score)
    primary = "concordance"
    target_dtype = torch.float32
    estimate_range = (0, 1)
    parts_declarations = (
        None,
        Declaration(link=declaration_of(weibull_aft).link, outputs=2, start=_likeliest_weibull),
    )
    vocabulary = r"surviv|censor|hazard|\(B, 2\), time|\bevent\b"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> Survival:
        """The survival task of inputs (N, ...) and times and events (N, 2)."""
        if targets.shape != (len(inputs), 2) or targets.dtype.kind not in "fiu":
            raise UserError(
                f"survival: targets are {targets.dtype} of shape {targets.shape} for "
                f"{len(inputs)} inputs; give numbers ({len(inputs)}, 2), time and event."
            )
        _refuse_values(torch.from_numpy(targets.astype(np.float64)))
        if len(np.unique(targets[targets[:, 1] > 0, 0])) < 2:
            raise UserError("survival: events are at less than two times; give others.")
        return cls(tuple(inputs.shape[1:]))

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> Survival:
        return cls((), prediction.shape[-1] if prediction.ndim == target.ndim else INTERVALS)

    @classmethod
    def small(cls) -> Survival:
        return cls((6, 4), 5)

    @property
    def size(self) -> int:
        """The number of intervals."""
        return self.intervals

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        """A risk, or so many numbers as a loss declares."""
        return () if outputs == 1 else (outputs,)

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        """Six events and two that are censored, one of them at the time of an event."""
        shape = (8, *self.output_shape(outputs))
        prediction = torch.sin(1.0 + torch.arange(math.prod(shape))).reshape(shape)
        time = torch.tensor([2.5, 4.0, 1.0, 6.0, 3.0, 2.0, 5.0, 4.0])
        return prediction, torch.stack([time, (torch.arange(8) > 1).float()], -1)

    def check(self, prediction: Tensor, target: Tensor) -> None:
        fits = (
            target.shape[-1:] == (2,) and prediction.shape[: target.ndim - 1] == target.shape[:-1]
        )
        if not fits or target.ndim < 2 or prediction.ndim not in (target.ndim - 1, target.ndim):
            refuse_shapes(self.name, prediction, target, "(..., N) or (..., N, k), and (..., N, 2)")
        if not (prediction.is_floating_point() and target.is_floating_point()):
            raise UserError(
                f"survival: prediction is {prediction.dtype}, target {target.dtype}; give floats."
            )
        _refuse_values(target)

    def parts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Risks or a Weibull distribution, and the columns of the target."""
        outputs = "risk" if prediction.ndim < target.ndim else "log scale and log shape"
        return {outputs: prediction, "time": target[:, 0], "event": target[:, 1]}

    def answers(self, size: float) -> Answers:
        """A risk that falls with the time, and one that rises."""
        target = self.example()[1]
        late = target[:, 0] + (1 - target[:, 1]) / 2  # who is censored outlives an event then
        right = size * (late.mean() - late)
        return Answers(right, -right, target)

    def populations(self) -> tuple[Population, ...]:
        """Events in each interval and beyond."""
        time = torch.cat([self._cuts_of_example(), torch.tensor([99.0])])
        targets = torch.stack([time, torch.ones_like(time)], -1)
        return tuple(Population(targets, weights) for weights in uneven(len(time), 2))

    def _cuts_of_example(self) -> Tensor:
        cuts: Tensor = self.facts(self.example()[1])["cuts"]
        return cuts

    def expected(self, minimiser: str, population: Population, level: float) -> Tensor | None:
        """The probability of surviving each cut."""
        if minimiser != "probability":
            return None
        later = population.targets[:, :1] > self._cuts_of_example()
        return population.weights @ later.to(population.weights)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along an output of one who has the event at t = 3, and of one who is censored there.

        Of outputs for intervals that of the interval with t, else the first.
        """
        outputs = self.outputs_of(declaration)
        prediction, target = (part.double() for part in self.example(outputs))
        before = int((self.facts(target)["cuts"] < 3).sum()) if callable(declaration.outputs) else 0
        which = "output of the interval with t" if callable(declaration.outputs) else "first output"

        def section(event: float) -> Section:
            def batch(x: Tensor) -> tuple[Tensor, Tensor]:
                own = torch.zeros_like(prediction[:1])
                first = torch.zeros_like(own)
                first.reshape(1, -1)[:, before] = 1
                moved = own + x.reshape(-1, *[1] * (own.ndim - 1)) * first
                rest = torch.zeros_like(prediction)
                labels = torch.tensor([[3.0, event]], dtype=torch.float64)
                return torch.cat([moved, rest]), torch.cat([labels, target])

            axis = f"{which}, of one at t = 3 among eight, the other outputs at 0"
            return Section(axis, "gradient in it", line(-5, 5, 73), batch, coupled=True)

        cases = (("event", section(1.0)), ("censored", section(0.0)))
        return (Study("", cases, "what happened at t = 3"),)

    def link(self, prediction: Tensor) -> Tensor:
        """1 - sigmoid of a risk, which is no curve."""
        return torch.sigmoid(-prediction).unsqueeze(-1)

    @property
    def chance(self) -> float:
        """The concordance of a guess."""
        return 1 / 2

    def facts(self, target: Tensor) -> dict[str, Any]:
        """cuts (..., K), the upper edges of intervals, from targets (..., N, 2)."""
        time, event = target.unbind(-1)
        seen = event > 0
        ordered = time.masked_fill(~seen, torch.inf).sort(-1).values
        share = torch.arange(1, self.intervals + 1, device=time.device) / self.intervals
        place = share.to(time.dtype) * (seen.sum(-1, keepdim=True) - 1)
        below = place.floor().long()
        low = ordered.gather(-1, below)
        high = ordered.gather(-1, place.ceil().long())
        return {"cuts": low + (place - below) * (high - low)}

    def fitted_facts(self, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
        """baseline (..., K): the log of Breslow's hazard up to each cut, of log-risks (..., N)."""
        if prediction.ndim == target.ndim:
            return {}
        cuts = self.facts(target)["cuts"].unsqueeze(-1)
        time, event = target.unbind(-1)
        order = time.argsort(-1, descending=True)
        time, risk = time.gather(-1, order), prediction.gather(-1, order)
        event = event.gather(-1, order)
        # of equal times the last place has all that are at risk
        ties = torch.searchsorted(-time, -time, right=True) - 1
        at_risk = risk.logcumsumexp(-1).gather(-1, ties)
        late = (time.unsqueeze(-2) > cuts) | (event.unsqueeze(-2) == 0)
        return {
            "baseline": leave_out(-at_risk.unsqueeze(-2).expand(late.shape), late).logsumexp(-1)
        }

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """Censored and not."""
        return targets[:, 1].astype(np.int64)

    def typed(self, targets: np.ndarray) -> np.ndarray:
        """Numbers as they are."""
        return targets


def _refuse_values(target: Tensor) -> None:
    """UserError for a time that is not positive, or an event that is neither 0 nor 1."""
    time, event = target.unbind(-1)
    if (odd := time[~((time > 0) & time.isfinite())]).numel():
        raise UserError(
            f"survival: a time is {odd[0].item():g} ({odd.numel()} of {time.numel()}); "
            "give finite times above 0."
        )
    if (odd := event[(event != 0) & (event != 1)]).numel():
        raise UserError(
            f"survival: an event is {odd[0].item():g} ({odd.numel()} of {event.numel()}); "
            "give 1 for an event, 0 where it was censored."
        )
