"""What a loss says at a point, or asks for of many targets, against what a claim expects."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from lossbench import registry
from lossbench.configuration.claims import Identity, term
from lossbench.contract import UserError, declaration_of
from lossbench.registry.schema import validate

if TYPE_CHECKING:
    from torch import Tensor

    from lossbench.registry import Plugin
    from lossbench.tasks import Task


def measure_gap(test: Identity, expected: Any, place: str) -> float:
    """How far off the loss is, at the most."""
    import torch

    if isinstance(expected, dict):
        other, times, plus = term(test, expected, place)
        wanted = times * _computed(other) + plus
    else:
        wanted = torch.as_tensor(expected, dtype=torch.float64)
    return float((_computed(test) - wanted).abs().max())


def _computed(test: Identity) -> Tensor:
    """What the test is of, in float64."""
    import torch

    from lossbench.check.minimiser import find_minimiser
    from lossbench.tasks import task_class

    values = dict(test.loss) if isinstance(test.loss, dict) else {"name": test.loss}
    plugin = registry.find_for_task(str(values.pop("name", "")), test.task)
    kind = task_class(test.task)
    hyper = validate(registry.parameters(plugin), values, "loss")
    loss = _load(plugin, kind.small(), test.facts or {}, hyper)
    prediction = torch.tensor(test.prediction, dtype=torch.float64).reshape(-1, *_row(test))
    real = kind.target_dtype.is_floating_point
    target = torch.tensor(test.target, dtype=torch.float64 if real else kind.target_dtype)
    target = target.reshape(-1, *target.shape[1:])

    def total(prediction: Tensor) -> Tensor:
        """Of each prediction: its own target's loss, or the weighted sum over all targets."""
        if test.weights is None:
            kind.like(prediction, target).check(prediction, target)
            return loss(prediction, target)
        rows = prediction.repeat_interleave(len(target), 0)
        repeated = target.repeat(len(prediction), *[1] * (target.ndim - 1))
        kind.like(rows, repeated).check(rows, repeated)
        weights = torch.tensor(test.weights, dtype=torch.float64)
        return loss(rows, repeated).reshape(-1, len(target)) @ weights

    if test.of == "value":
        return total(prediction).detach()
    if test.of == "gradient":
        prediction.requires_grad_()
        return torch.autograd.grad(total(prediction).sum(), prediction)[0]
    declared, task = declaration_of(registry.load(plugin)), kind.small()
    in_unit = task.in_target_unit and declared.link is None
    best = find_minimiser(total, prediction, target if in_unit else None)
    estimate = task.estimate(best.unsqueeze(0), declared.link_at(hyper))[0]
    named = (estimate >= estimate.max() - test.tolerance).double()
    return {"minimiser": best, "estimate": estimate, "choice": named / named.sum()}[test.of]


def _load(
    plugin: Plugin, task: Task, facts: dict[str, Any], hyper: dict[str, Any]
) -> Callable[..., Tensor]:
    """The loss, with its hyper-parameters and what it asks of a data set."""
    import torch

    from lossbench.tasks.foreign import fit_form

    loss = fit_form(plugin, registry.load(plugin), task)
    if inspect.isclass(loss):
        raise UserError(f"loss={plugin.name} has weights of its own, so that it has no identities.")
    given = {key: torch.as_tensor(value) for key, value in facts.items()}
    if missing := [fact for fact in registry.facts(plugin, needed=True) if fact not in given]:
        example = ", ".join(f"{fact}: …" for fact in missing)
        raise UserError(
            f"loss={plugin.name} asks for {', '.join(missing)}: give facts: {{{example}}}."
        )
    return partial(loss, **{**hyper, **_scalars(given)})


def _scalars(facts: dict[str, Tensor]) -> dict[str, Any]:
    """Single numbers as Python's, as a task gives them."""
    return {name: value.item() if value.ndim == 0 else value for name, value in facts.items()}


def _row(test: Identity) -> tuple[int, ...]:
    """The shape of one prediction: of a list of lists the inner list's."""
    first = test.prediction[0] if isinstance(test.prediction, list) else test.prediction
    return (len(first),) if isinstance(first, list) else ()
