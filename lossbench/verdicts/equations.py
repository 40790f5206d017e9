"""What a loss says at a point, against what an identity of a claim expects."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from lossbench import registry
from lossbench.configuration.claims import Identity, term
from lossbench.contract import UserError
from lossbench.registry.schema import validate

if TYPE_CHECKING:
    from torch import Tensor


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
    """The value, or the gradient in the prediction, in float64."""
    import torch

    from lossbench.tasks import task_class
    from lossbench.tasks.foreign import fit_form

    values = dict(test.loss) if isinstance(test.loss, dict) else {"name": test.loss}
    name = str(values.pop("name", ""))
    plugin = registry.find_for_task(name, test.task)
    kind = task_class(test.task)
    loss = fit_form(plugin, registry.load(plugin), kind.small())
    if inspect.isclass(loss):
        raise UserError(f"loss={name} has weights of its own, so that it has no identities.")
    given = {key: torch.as_tensor(value) for key, value in (test.facts or {}).items()}
    if missing := [fact for fact in registry.facts(plugin, needed=True) if fact not in given]:
        example = ", ".join(f"{fact}: …" for fact in missing)
        raise UserError(f"loss={name} asks for {', '.join(missing)}: give facts: {{{example}}}.")
    hyper = validate(registry.parameters(plugin), values, "loss")
    prediction = torch.tensor(test.prediction, dtype=torch.float64).reshape(-1, *_row(test))
    real = kind.target_dtype.is_floating_point
    target = torch.tensor(test.target, dtype=torch.float64 if real else kind.target_dtype)
    prediction, target = prediction.requires_grad_(), target.reshape(-1, *target.shape[1:])
    kind.like(prediction, target).check(prediction, target)
    value: Tensor = loss(prediction, target, **{**hyper, **_scalars(given)})
    if test.of == "value":
        return value.detach()
    return torch.autograd.grad(value.sum(), prediction)[0]


def _scalars(facts: dict[str, Tensor]) -> dict[str, Any]:
    """Single numbers as Python's, as a task gives them."""
    return {name: value.item() if value.ndim == 0 else value for name, value in facts.items()}


def _row(test: Identity) -> tuple[int, ...]:
    """The shape of one prediction: of a list of lists the inner list's."""
    first = test.prediction[0] if isinstance(test.prediction, list) else test.prediction
    return (len(first),) if isinstance(first, list) else ()
