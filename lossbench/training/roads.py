"""How the replicas of a stack are run as one: mapped, the loss on all their rows, or not at all."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from lossbench.contract import UserError
from lossbench.registry.schema import reason_of
from lossbench.training.replicas import copied

if TYPE_CHECKING:
    from lossbench.training.stack import Stack

TOLERANCE = 1e-4  # relative difference of mapped from looped values that is still rounding
ADVICE = (
    "If each batch has to have all classes: trainer.sampler=balanced, or a larger "
    "trainer.batch_size."
)
# Calls that cost more for several replicas at once than one by one, where they give so many numbers
# that these leave the cache.
COSTLIER = (torch.ops.aten.convolution.default, torch.ops.aten.bmm.default)
LARGE = 2**16
TRIED = 4  # replicas whose mapped values are held against looped ones


@torch.no_grad()
def choose_road(stack: Stack) -> None:
    """Find whether model and loss are mapped, else the loss called on all rows: by size and trying.

    Size is the model's and a batch's alone, and so is the road the same for any number of replicas.

    A loss that compares rows has other values among those of other replicas. The states are
    copies, since statistics of batches are kept in place.
    """
    looped = _looped(stack)
    stack.draws = any(draws.used for draws in stack.latest.values())
    if stack.device.type == "cpu" and _numbers_of_a_call(stack) >= LARGE:
        stack.unmapped = "on a CPU a model of this size costs less so"
        return
    reason = _fault_of_trying(stack, looped)
    own = any(name.startswith(("loss.", "fact.")) for name in stack.state)
    if reason and not own and not stack.recipe.call_facts:
        stack.folded = True
        stack.folded = not _fault_of_trying(stack, looped) and _keeps_replicas_apart(stack)
    if stack.folded:
        stack.history.notes.append(
            f"The loss is called on the rows of all replicas at once, unmapped: {reason}"
        )
    elif reason:
        stack.unmapped = reason


class _Sizes(TorchDispatchMode):
    """Keeps how many numbers each convolution and each batched product gives."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[int] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in COSTLIER:
            self.found.append(result.numel())
        return result


def _numbers_of_a_call(stack: Stack) -> float:
    """How many numbers such a call gives for a replica's batch, on average; 0 without any."""
    inputs, _ = stack.first_batch()
    with _Sizes() as sizes:
        stack.looped(stack.predict, copied(stack.state), inputs[:1])
    per_call = sum(sizes.found) / max(1, len(sizes.found))
    return per_call * stack.recipe.batch_size / inputs.shape[1]


def _looped(stack: Stack) -> Tensor:
    """The objectives of a few replicas by themselves; UserError where the loss takes no batch."""
    while True:
        first = [part[:TRIED] for part in stack.first_batch()]
        try:
            return stack.looped(stack.objective, copied(stack.state), *first)
        except Exception as error:
            if stack.tried < stack.recipe.batch_size:  # a few may lack a class that it asks for
                stack.tried = stack.recipe.batch_size
                continue
            raise UserError(
                f"the loss fails on the first {len(first[1][0])} training examples: "
                f"{reason_of(error)}\n{ADVICE}"
            ) from error


@contextlib.contextmanager
def naming_step(epoch: int, steps_done: int) -> Iterator[None]:
    """On what fails in a step of training say in which; RuntimeError, since the run had begun."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise RuntimeError(
            f"it failed in epoch {epoch + 1}, step {steps_done + 1}: "
            f"{type(error).__name__}: {reason}\n{ADVICE}"
        ) from error


def _keeps_replicas_apart(stack: Stack) -> bool:
    """Whether a replica that has diverged leaves the folded loss of the others as it is."""
    inputs, target = stack.first_batch()
    prediction = stack.predictions(copied(stack.state), inputs)
    sound = stack.folded_loss(prediction, target)[1:]
    for value in (torch.nan, 1e12, -1e12):
        ill = prediction.clone()
        ill[0] = value
        with contextlib.suppress(Exception):  # what fails on these rows fails in the loop as well
            if not torch.equal(stack.folded_loss(ill, target)[1:], sound):
                return False
    return True


def _fault_of_trying(stack: Stack, looped: Tensor) -> str:
    """Why the replicas cannot be run as one as it stands, or nothing."""
    try:
        together = stack.objectives(copied(stack.state), *stack.first_batch())[:TRIED]
    except Exception as error:
        return reason_of(error)
    if torch.allclose(together, looped, TOLERANCE, 1e-6, equal_nan=True):
        return ""
    return f"mapped values differ by {(together - looped).abs().max():.1e}"
