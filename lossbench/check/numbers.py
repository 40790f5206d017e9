"""Checks of the numbers: finite, in every float type, and with the right gradient."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lossbench.check.findings import Failed, Skipped
from lossbench.check.hyper import settings, shown
from lossbench.check.subject import Batch, Subject, as_dtype, one_line

FLOATS = (torch.float32, torch.float64)
OVERFLOWS_FROM = 0.5  # of the exponent range: what becomes inf below that is a log of 0
STEPS = (1e-6, 1e-5, 1e-4)  # of finite differences; one that agrees is enough
SMALL_STEP = 1e-8  # less than float32 resolves
LARGER_STEPS = (1e-5, 2e-2, 0.1, 0.3)  # which float32, and which half types resolve


def finite_on_ordinary_inputs(subject: Subject) -> None:
    """Value and gradient are finite on the example and on predictions of ordinary size."""
    for batch in (subject.example, subject.batch(1, 1.0), subject.batch(2, 5.0)):
        for dtype in FLOATS:
            _finite(subject, batch, dtype, {})


def finite_at_extremes(subject: Subject) -> None:
    """Up to predictions of 1e4, over the range of each hyper-parameter, nothing becomes NaN."""
    for hyper in settings(subject):
        for dtype in FLOATS:
            for seed in range(2):
                _finite(subject, subject.extreme(seed, dtype), dtype, hyper)
            prediction, target = subject.example
            far = subject.into_domain(prediction.sign() * 1e4)
            _finite(subject, (far, target), dtype, hyper)


def finite_at_ties_and_kinks(subject: Subject) -> None:
    """Zeros, equal predictions and exact hits have a finite value and gradient."""
    target = subject.example[1]
    for words, place in _special_places(subject).items():
        for dtype in FLOATS:
            _finite(subject, (place, target), dtype, {}, f" where predictions are {words}")


def _special_places(subject: Subject) -> dict[str, Tensor]:
    """Predictions at which a formula may divide 0 by 0."""
    prediction, target = subject.example
    if subject.whole:
        raise Skipped("one number for a batch of equal predictions need not exist.")
    if subject.couples:
        pairwise = prediction.clone()
        pairwise[1::2] = pairwise[::2]
        return {"equal two by two": pairwise}
    places = (
        {}
        if subject.bounded
        else {"all zero": torch.zeros_like(prediction), "all one": torch.ones_like(prediction)}
    )
    if subject.task.in_target_unit:
        axes = prediction.ndim - target.ndim
        exact = target.double().reshape(*target.shape, *[1] * axes).expand_as(prediction)
        places["equal to the target"] = exact
    return places


def _finite(
    subject: Subject, batch: Batch, dtype: torch.dtype, hyper: dict[str, Any], where: str = ""
) -> None:
    """No NaN; inf only where a value overflows, and there with a gradient that is no NaN."""
    prediction, target = batch[0].to(dtype), batch[1]
    values, gradient = subject.differentiate(prediction, target, **hyper)
    words = f"in {str(dtype).removeprefix('torch.')}{shown(hyper)}{where}"
    if values.isnan().any():
        raise Failed(f"the value is NaN {words}{_at(prediction, values.isnan())}.")
    infinite = values.isinf()
    if infinite.any() and not _overflows(subject, batch, dtype, hyper):
        raise Failed(
            f"the value is {values[infinite].flatten()[0]:g} {words}{_at(prediction, infinite)}, "
            "though it has not grown large before: is it the logarithm of a rounded 0?"
        )
    if gradient.isnan().any():
        raise Failed(f"the gradient is NaN {words}{_at(prediction, gradient.isnan())}.")
    excused = infinite if subject.independent else infinite.any().expand(len(prediction))
    broken = ~gradient.reshape(len(prediction), -1).isfinite().all(1) & ~excused
    if broken.any():
        raise Failed(
            f"the gradient is infinite, the value finite, {words}{_at(prediction, broken)}."
        )


def _at(prediction: Tensor, broken: Tensor) -> str:
    """The first row at fault, where it is short enough to print."""
    if not broken.ndim:
        return ""
    rows = broken.flatten(1).any(1) if broken.ndim > 1 else broken
    row = prediction[rows][0].flatten()
    numbers = ", ".join(f"{x:g}" for x in row.tolist()[:4])
    return f" at the prediction {numbers}{', …' if len(row) > 4 else ''}"


def _overflows(subject: Subject, batch: Batch, dtype: torch.dtype, hyper: dict[str, Any]) -> bool:
    """Whether the values grow up to the end of the float range as the prediction is scaled up."""
    low, high = 0.0, 1.0
    prediction, target = batch[0].to(dtype), batch[1]
    largest = 0.0
    for _ in range(60):
        middle = (low + high) / 2
        values = subject(prediction * middle, target, **hyper).abs()
        if values.isinf().any():
            high = middle
        else:
            low, largest = middle, float(values.max())
    return largest > torch.finfo(dtype).max ** OVERFLOWS_FROM


def dtype_kept(subject: Subject) -> None:
    """A float32 prediction gives float32, a float64 one float64 with all of its digits."""
    prediction, target = subject.batch(5)
    for dtype in FLOATS:
        values = subject(prediction.to(dtype), target)
        if values.dtype != dtype:
            raise Failed(f"a prediction of {dtype} gave {values.dtype}.")
    for words, part in (("prediction", 0), ("target", 1)):
        if part and not subject.task.in_target_unit:
            continue  # labels have no digits to lose
        cast = torch.cat([_moves_in_jumps(subject, seed, part) for seed in range(4)])
        if len(cast) and cast.float().mean() > 0.5:
            raise Failed(
                f"in float64 the value follows larger steps of the {words} and not one of "
                f"{SMALL_STEP:g}: something is cast to a narrower type inside."
            )


def _moves_in_jumps(subject: Subject, seed: int, part: int) -> Tensor:
    """For each value that moves with a part of the batch, whether it does so in steps only."""
    batch = subject.batch(seed)
    generator = torch.Generator().manual_seed(seed)
    way = torch.randn(batch[part].shape, generator=generator, dtype=torch.float64)

    def moved(by: Tensor) -> Tensor:
        values = subject(*(each + by if k == part else each for k, each in enumerate(batch)))
        return values if subject.independent else values.sum()

    distance = torch.zeros((), dtype=torch.float64, requires_grad=True)
    along = way.reshape(len(way), -1)
    size, leaf = moved(0 * way).detach().abs(), distance.expand(len(way)).clone()
    step = (leaf.unsqueeze(1) * along).reshape(way.shape)
    along_it = moved(step).sum()
    if not along_it.requires_grad:
        return torch.empty(0, dtype=torch.bool)  # a target may be read by comparison alone
    (slope,) = torch.autograd.grad(along_it, leaf)
    slope = slope if subject.independent else slope.sum()
    off = [
        ((moved(s * way) - moved(-s * way)).detach() / (2 * s) - slope).abs()
        for s in (SMALL_STEP, *LARGER_STEPS)
    ]
    seen = slope.abs() > 1e-4 * (1 + size)
    wrong = off[0] > 1e-3 * slope.abs() + 1e-6 * (1 + size)
    return (wrong & (torch.stack(off[1:]).amin(0) < 0.3 * off[0]))[seen].flatten()


def gradcheck(subject: Subject) -> None:
    """In float64 the gradient agrees with finite differences, at every setting and scale."""
    if subject.declaration.stops_gradient:
        raise Skipped("it declares that its gradient is that of another function.")
    for hyper in settings(subject):
        for seed, scale in enumerate((0.3, 1.0, 5.0, 30.0)):
            batch = subject.batch(seed, scale, count=32)
            for way in _ways(batch[0], seed):
                _agrees_with_differences(subject, batch, way, hyper)


def _ways(prediction: Tensor, seed: int) -> Iterator[Tensor]:
    """Directions: one random, and along single coordinates, another one for each example."""
    generator = torch.Generator().manual_seed(seed)
    yield torch.randn(prediction.shape, generator=generator, dtype=torch.float64)
    flat = prediction.reshape(len(prediction), -1)
    for _ in range(min(flat.shape[1], 3)):
        way = torch.zeros_like(flat)
        way.scatter_(1, torch.randint(flat.shape[1], (len(flat), 1), generator=generator), 1.0)
        yield way.reshape(prediction.shape)


def _agrees_with_differences(
    subject: Subject, batch: Batch, way: Tensor, hyper: dict[str, Any]
) -> None:
    """The slope lies between the backward and the forward difference, equal but at a kink."""
    prediction, target = batch
    values, gradient = subject.differentiate(prediction, target, **hyper)
    slope, size = (gradient * way).reshape(len(gradient), -1).sum(1), values.abs()
    if subject.couples:
        slope, size, values = slope.sum(), size.sum(), values.sum()
    wrong = torch.ones_like(slope, dtype=torch.bool)
    for step in STEPS:
        ahead, behind = (subject(prediction + s * way, target, **hyper) for s in (step, -step))
        if subject.couples:
            ahead, behind = ahead.sum(), behind.sum()
        forward, backward = (ahead - values) / step, (values - behind) / step
        slack = 1e-5 + 1e-4 * slope.abs() + 1e-8 * size
        low, high = (
            torch.minimum(forward, backward) - slack,
            torch.maximum(forward, backward) + slack,
        )
        wrong &= ((slope < low) | (slope > high)) & forward.isfinite() & backward.isfinite()
        if not wrong.any():
            return
    first = int(wrong.flatten().nonzero()[0])
    analytic, expected = slope.flatten()[first], (forward + backward).flatten()[first] / 2
    place = "" if subject.couples else _at(prediction, wrong)
    raise Failed(
        f"the gradient along a direction is {analytic:.6g}, finite differences give "
        f"{expected:.6g}{place}{shown(hyper)}: is a part detached, or its backward wrong?"
    )


def float32_agrees(subject: Subject) -> None:
    """In float32, value and gradient agree with float64, on confident predictions too."""
    for seed, scale in enumerate((1.0, 5.0, 20.0, 50.0)):
        prediction, target = subject.batch(seed, scale, count=64)
        prediction, target = prediction.float(), as_dtype(target, torch.float32)
        narrow = subject.differentiate(prediction, target)
        wide = subject.differentiate(prediction.double(), target)
        for words, a, b in zip(("value", "gradient"), narrow, wide, strict=True):
            usable = (a.isfinite() & b.isfinite() & (b.abs() < 1e30)).reshape(a.shape)
            size = b.abs() if words == "value" else _row_size(b)
            slack = 1e-4 * b.abs() + 1e-5 * (1 + size)
            wrong = usable & ((a.double() - b).abs() > slack)
            wrong |= ~a.isfinite() & b.isfinite() & (b.abs() < 1e30)
            if wrong.any():
                place = _at(prediction, wrong)
                raise Failed(
                    f"the {words} is {a[wrong].flatten()[0]:.6g} in float32 and "
                    f"{b[wrong].flatten()[0]:.6g} in float64{place}."
                )


def _row_size(gradient: Tensor) -> Tensor:
    """The largest entry of each row, in the gradient's shape."""
    rows = gradient.abs().reshape(len(gradient), -1).amax(1)
    return rows.reshape(-1, *[1] * (gradient.ndim - 1)).expand_as(gradient)


def half_precision(subject: Subject) -> None:
    """Under autocast to float16 and bfloat16 value and gradient stay finite."""
    prediction, target = subject.example
    for half in (torch.float16, torch.bfloat16):
        for dtype in (torch.float32, half):
            words = f"a {dtype} prediction under autocast to {half}"
            try:
                with torch.autocast("cpu", dtype=half):
                    values, gradient = subject.differentiate(prediction.to(dtype), target)
            except RuntimeError as error:
                raise Skipped(f"torch cannot take {words}: {one_line(error)}") from error
            if not (values.isfinite().all() and gradient.isfinite().all()):
                # where a model is trained under autocast, its predictions reach a loss in float32
                raise (Failed if dtype == torch.float32 else Skipped)(f"{words} is not finite.")


CHECKS = (
    finite_on_ordinary_inputs,
    finite_at_extremes,
    finite_at_ties_and_kinks,
    dtype_kept,
    gradcheck,
    float32_agrees,
    half_precision,
)
