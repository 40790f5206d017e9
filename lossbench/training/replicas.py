"""One replica of a stack, made and called by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lossbench import registry
from lossbench.datasets.pool import Splits
from lossbench.models.headed import Headed
from lossbench.optimizers import VECTOR
from lossbench.tasks import Task
from lossbench.tasks.calls import given_outside
from lossbench.tasks.scores import average

State = dict[str, Tensor]


def idle_replicas(batch: int) -> int:
    """How many replicas a stack needs at its end so that a real one's bits do not depend on it.

    Element-wise operations treat the last numbers of a tensor, fewer than VECTOR, by another code
    path than the others; here they belong to replicas that nobody looks at.
    """
    return -(-(VECTOR - 1) // batch)


def in_deviations(
    values: Mapping[str, float], per_replica: State, scale: Tensor | None, replicas: int
) -> State:
    """Hyper-parameters of the loss in the target's unit, divided by each replica's deviations.

    values: of all replicas; per_replica: (R,) of those that have their own. scale: (R, ...).
    """
    facts = {}
    for name, value in values.items():
        own = per_replica.get(f"fact.{name}", torch.full((replicas,), float(value)))
        if scale is not None:
            own = (own.double().reshape(-1, *[1] * (scale.ndim - 1)) / scale).to(own.dtype)
        facts[f"fact.{name}"] = own
    return facts


class Logits(nn.Module):
    """A loss with weights of its own, called for the scores that it gives to classes."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, embedding: Tensor) -> Tensor:
        logits: Tensor = self.loss.logits(embedding)
        return logits


def copied(state: State) -> State:
    """The state in tensors of its own."""
    return {name: value.clone() for name, value in state.items()}


def replica_of(argument: Any, r: int) -> Any:
    """A replica's part of a tensor, or of each tensor of a state."""
    return {n: v[r] for n, v in argument.items()} if isinstance(argument, dict) else argument[r]


def seeded(seed: int, make: Callable[[], Any]) -> Any:
    """Call with the global generators at a seed, and put them back.

    Not by `torch.manual_seed`, which takes a millisecond where there is no device to seed.
    """
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():
            torch.cuda.manual_seed_all(seed)
        return make()


@torch.no_grad()
def start_at(model: nn.Module, prediction: Tensor | None) -> None:
    """Have the last bias, or a head's free numbers, be this prediction, if it has its size."""
    biases = [p for name, p in model.named_parameters() if name.rpartition(".")[2] == "bias"]
    if isinstance(model, Headed):
        biases = [model.free]
    if prediction is not None and biases and biases[-1].numel() == prediction.numel():
        biases[-1].copy_(prediction.reshape(biases[-1].shape))


def shares_of(weights: Tensor | None, cut: Sequence[Tensor]) -> Sequence[Tensor | float]:
    """What of an epoch each of its batches (R, B) is: by weights (R, N), or by its size."""
    if weights is None:
        count = sum(part.shape[1] for part in cut)
        return [part.shape[1] / count for part in cut]
    sums = torch.stack([weights.gather(1, part.to(weights.device)).sum(1) for part in cut])
    return (sums / sums.sum(0)).unbind()


def gathered(parts: Iterable[Tensor], size: int) -> Tensor:
    """(R, size, ...), of parts (R, n, ...): one tensor, where many would leave holes in memory."""
    whole, end = torch.empty(0), 0
    for part in parts:
        if not end:
            whole = part.new_empty(len(part), size, *part.shape[2:])
        whole[:, end : end + part.shape[1]] = part
        end += part.shape[1]
    return whole


def folded(
    loss: Callable[..., Tensor], prediction: Tensor, target: Tensor, weights: Tensor | None = None
) -> Tensor:
    """The mean loss (R,) of each replica, of one call on all rows but those that have diverged."""
    if not prediction.detach().sum().isfinite():
        finite = prediction.flatten(1).isfinite().all(1)
        if not finite.all():
            sound = torch.where(finite.reshape(-1, *[1] * (prediction.ndim - 1)), prediction, 0)
            return torch.where(finite, folded(loss, sound, target, weights), torch.nan)
    values = loss(prediction.flatten(0, 1), target.flatten(0, 1))
    return average(values.unflatten(0, target.shape[:2]), weights)


def estimates_of(
    task: Task, predictions: Tensor, link: Callable[..., Tensor] | None, own: State
) -> Tensor:
    """Estimates (R, N, ...) by a link, which gets what each replica has of its own."""
    if not own or not link:
        return task.estimate(predictions, link)
    links = [partial(link, **replica_of(own, r)) for r in range(len(predictions))]
    pairs = zip(predictions, links, strict=True)
    return torch.stack([task.estimate(each, with_own) for each, with_own in pairs])


def facts_of(asked: tuple[str, ...], splits: Splits, replica: int) -> dict[str, Any]:
    """What a loss asks for of a replica's training targets."""
    known = splits.task.facts(splits.train_targets(replica)) if asked else {}
    known["num_examples"] = splits.train.size
    return registry.given(asked, known)


def with_calls(asked: tuple[str, ...], state: State, target: Tensor) -> State:
    """The state with what `called_with` gives outside of training, for each replica."""
    first = given_outside(asked, target[0])
    replicas = {f"call.{n}": v.expand(len(target), *v.shape) for n, v in first.items()}
    return {**replicas, **state}


def called_with(asked: tuple[str, ...], state: State, target: Tensor) -> State:
    """What a loss asks for at this call: outside of training the first examples, all being done."""
    first = given_outside(asked, target)
    return {name: state.get(f"call.{name}", value) for name, value in first.items()}
