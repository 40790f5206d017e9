"""Checks that a loss is a function: no randomness, no state, copies, maps, any device."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lossbench.check.findings import Failed, Skipped
from lossbench.check.subject import PROGRESS, Subject, close, one_line
from lossbench.registry.signatures import call_facts
from lossbench.tasks.calls import outside_training
from lossbench.undisturbed import Snapshot

REPLICAS = 3
UNMAPPED = "torch cannot map it"  # what a reason begins with where this is so
DEVICES_MIXED = ("expected device", "same device", "two devices", "different devices")


def no_global_randomness(subject: Subject) -> None:
    """It draws nothing from a global generator and seeds none."""
    values = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        before = Snapshot()
        batches = (subject.example, subject.batch(1))
        values.append(torch.cat([subject(*batch).flatten() for batch in batches]))
        if moved := before.changed(generators=True):
            raise Failed(f"it moves {', '.join(moved)}.")
    if not torch.equal(*(value.nan_to_num() for value in values)):
        raise Failed("its values depend on the global seed.")
    if subject.moved_by_import:
        raise subject.lapse(f"importing it moves {', '.join(subject.moved_by_import)}.")


def no_global_state(subject: Subject) -> None:
    """Neither its import nor a call changes a setting that others rely on."""
    before = Snapshot()
    subject.differentiate(*subject.example)
    if changed := before.changed(generators=False):
        raise Failed(f"a call changes {', '.join(changed)}.")
    if subject.changed_by_import:
        # what was imported is put back in runs
        raise subject.lapse(f"its import changes {', '.join(subject.changed_by_import)}.")


def deterministic(subject: Subject) -> None:
    """The same batch gives the same numbers, whatever was computed in between."""
    loss = subject.made()
    if isinstance(loss, nn.Module) and "index" in call_facts(loss):
        loss.eval()  # only training fills a memory of examples
    prediction, target = subject.example
    first = [loss(prediction.clone(), target.clone()) for _ in range(2)]
    kept = _own_state(loss)
    for batch in subject.batches:
        loss(batch[0].clone(), batch[1].clone())
    for again in (first[1], loss(prediction.clone(), target.clone())):
        if not torch.equal(first[0].nan_to_num(), again.nan_to_num()):
            raise Failed("the same batch gives another value the second time.")
    for name, value in _own_state(loss).items():
        if not torch.equal(value, kept[name]):
            raise Failed(f"a call changes its own {name}; only training may.")


def _own_state(loss: Any) -> dict[str, Tensor]:
    if not isinstance(loss, nn.Module):
        return {}
    return {name: value.clone() for name, value in loss.state_dict().items()}


def copies_and_pickles(subject: Subject) -> None:
    """A copy, and what comes back from a pickle, gives the same values."""
    loss = subject.made() if subject.is_module else subject.loss
    fixed = {} if subject.is_module else subject.facts
    ways: dict[str, Callable[[Any], Any]] = {
        "a deep copy": copy.deepcopy,
        "a pickle": lambda each: pickle.loads(pickle.dumps(each)),
    }
    if isinstance(loss, nn.Module):
        ways["its state_dict"] = lambda each: _reloaded(subject, each)
    for words, way in ways.items():
        try:
            other = way(loss)
        except Exception as error:
            raise Failed(f"{words} fails: {one_line(error)}") from error
        values = [each(*subject.example, **fixed) for each in (loss, other)]
        if not close(values[0], values[1], 0, 0):
            raise Failed(f"{words} gives other values.")


def _reloaded(subject: Subject, module: nn.Module) -> nn.Module:
    """Another module, of other weights, that the state of the first is poured into."""
    other = outside_training(subject.loss(**subject.facts), PROGRESS).double()
    other.load_state_dict(module.state_dict())
    return other


def maps_over_replicas(subject: Subject) -> None:
    """Mapped over replicas, values and gradients are those of each replica alone."""
    loss = subject.made()
    batches = [subject.batch(seed) for seed in range(REPLICAS)]
    prediction, target = (torch.stack(parts) for parts in zip(*batches, strict=True))
    weights = _of_replicas(subject, loss)
    stacked = {n: torch.stack([w * (r + 1) for r in range(REPLICAS)]) for n, w in weights.items()}
    fixed = {n: v for n, v in subject.facts.items() if n not in weights}

    def objective(prediction: Tensor, target: Tensor, weights: dict[str, Tensor]) -> Tensor:
        if isinstance(loss, nn.Module):
            return functional_call(loss, weights, (prediction, target)).mean()
        return subject.loss(prediction, target, **fixed, **weights).mean()

    leaf = prediction.clone().requires_grad_()
    try:
        values = vmap(objective)(leaf, target, {n: w.clone() for n, w in stacked.items()})
        (gradients,) = torch.autograd.grad(values.sum(), leaf)
    except Exception as error:
        words = f"{UNMAPPED}: it is {road_unmapped(subject)} ({one_line(error)})."
        raise Skipped(words) from error
    for r in range(REPLICAS):
        alone = prediction[r].clone().requires_grad_()
        value = objective(alone, target[r], {n: w[r] for n, w in stacked.items()})
        (gradient,) = torch.autograd.grad(value, alone)
        same = close(values[r], value, *subject.rounding)
        if not (same and close(gradients[r], gradient, *subject.rounding)):
            raise Failed(
                f"replica {r} has the value {values[r].item():.6g} mapped and {value.item():.6g} "
                "alone, or another gradient."
            )


def road_unmapped(subject: Subject) -> str:
    """How the replicas of a loss are run that torch cannot map."""
    weights = _of_replicas(subject, subject.made())
    folds = subject.independent and not weights and not call_facts(subject.loss)
    return "called once on the rows of all replicas" if folds else "run replica by replica"


def _of_replicas(subject: Subject, loss: Any) -> dict[str, Tensor]:
    """The tensors that each replica has of its own: weights, else facts."""
    facts = {name: v for name, v in subject.facts.items() if isinstance(v, Tensor)}
    return _weights(loss) or facts


def _weights(loss: Any) -> dict[str, Tensor]:
    if not isinstance(loss, nn.Module):
        return {}
    tensors = {**dict(loss.named_parameters()), **dict(loss.named_buffers())}
    return {name: tensor.detach() for name, tensor in tensors.items()}


def any_device(subject: Subject) -> None:
    """It makes no tensor on another device than its inputs'."""
    prediction, target = (x.to("meta") for x in subject.example)
    facts = {n: v.to("meta") if isinstance(v, Tensor) else v for n, v in subject.facts.items()}
    try:
        if subject.is_module:
            subject.made().to("meta")(prediction, target)  # type: ignore[attr-defined]
        else:
            subject.loss(prediction, target, **facts)
    except Exception as error:
        if any(words in str(error) for words in DEVICES_MIXED):
            raise Failed(f"it mixes devices: {one_line(error)}") from error
        raise Skipped(f"only a device could show: {one_line(error)}") from error


CHECKS = (copies_and_pickles, maps_over_replicas, any_device)
