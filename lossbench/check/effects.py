"""Checks that a loss is a function: no randomness, no state, copies, maps, any device."""

from __future__ import annotations

import copy
import os
import pickle
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from lossbench.check.findings import Failed, Skipped
from lossbench.check.subject import Batch, Subject, close, one_line

REPLICAS = 3
DEVICES_MIXED = ("expected device", "same device", "two devices", "different devices")


def generators() -> dict[str, Any]:
    """The state of every global random generator."""
    return {
        "torch": torch.get_rng_state().numpy().tobytes(),
        "numpy": pickle.dumps(np.random.get_state()),
        "random": random.getstate(),
    }


def saved_generators() -> tuple[Any, ...]:
    """What `restore_generators` takes back."""
    return torch.get_rng_state(), np.random.get_state(), random.getstate()


def restore_generators(saved: tuple[Any, ...]) -> None:
    """Put the global generators back."""
    torch.set_rng_state(saved[0])
    np.random.set_state(saved[1])
    random.setstate(saved[2])


def state() -> dict[str, Any]:
    """What a library can change for everybody else."""
    return {
        "the default dtype": torch.get_default_dtype(),
        "the default device": torch.get_default_device(),
        "gradient mode": torch.is_grad_enabled(),
        "the number of threads": torch.get_num_threads(),
        "deterministic mode": torch.are_deterministic_algorithms_enabled(),
        "anomaly mode": torch.is_anomaly_enabled(),
        "the precision of matrix products": torch.get_float32_matmul_precision(),
        "numpy's error handling": np.geterr(),
        "the environment": dict(os.environ),
        "the working directory": os.getcwd(),
    }


def restore(before: dict[str, Any]) -> None:
    """Put back what `state` saw."""
    torch.set_default_dtype(before["the default dtype"])
    if torch.get_default_device() != before["the default device"]:  # once set, all calls are slower
        torch.set_default_device(before["the default device"])
    torch.set_grad_enabled(before["gradient mode"])
    torch.set_num_threads(before["the number of threads"])
    torch.use_deterministic_algorithms(before["deterministic mode"])
    torch.autograd.set_detect_anomaly(before["anomaly mode"])
    torch.set_float32_matmul_precision(before["the precision of matrix products"])
    np.seterr(**before["numpy's error handling"])
    os.chdir(before["the working directory"])
    for name in os.environ.keys() - before["the environment"].keys():
        del os.environ[name]
    os.environ.update(before["the environment"])


def no_global_randomness(subject: Subject) -> None:
    """It draws nothing from a global generator and seeds none."""
    values = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        before = generators()
        values.append(torch.cat([subject(*batch).flatten() for batch in _pair(subject)]))
        for name, drawn in generators().items():
            if drawn != before[name]:
                raise Failed(f"it moves the global generator of {name}.")
    if not torch.equal(*(value.nan_to_num() for value in values)):
        raise Failed("its values depend on the global seed.")
    for name, drawn in subject.around_import.get("generators", {}).items():
        if drawn != subject.around_import["generators after"][name]:
            raise Failed(f"importing it moves the global generator of {name}.")


def no_global_state(subject: Subject) -> None:
    """Neither its import nor a call changes a setting that others rely on."""
    before = state()
    subject.differentiate(*subject.example)
    _unchanged(before, state(), "a call")
    imported = subject.around_import
    if "state" in imported:
        _unchanged(imported["state"], imported["state after"], "its import")


def _unchanged(before: dict[str, Any], after: dict[str, Any], words: str) -> None:
    for name, value in after.items():
        if value != before[name]:
            raise Failed(f"{words} changes {name}.")


def deterministic(subject: Subject) -> None:
    """The same batch gives the same numbers, whatever was computed in between."""
    loss = subject.made()
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


def _pair(subject: Subject) -> list[Batch]:
    return [subject.example, subject.batch(1)]


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
    other = subject.loss(**subject.facts).double()
    other.load_state_dict(module.state_dict())
    return other


def maps_over_replicas(subject: Subject) -> None:
    """Mapped over replicas, values and gradients are those of each replica alone."""
    loss = subject.made()
    batches = [subject.batch(seed) for seed in range(REPLICAS)]
    prediction, target = (torch.stack(parts) for parts in zip(*batches, strict=True))
    own = _weights(loss) or {n: v for n, v in subject.facts.items() if isinstance(v, Tensor)}
    stacked = {n: torch.stack([w * (r + 1) for r in range(REPLICAS)]) for n, w in own.items()}
    fixed = {n: v for n, v in subject.facts.items() if n not in own}

    def objective(prediction: Tensor, target: Tensor, own: dict[str, Tensor]) -> Tensor:
        if isinstance(loss, nn.Module):
            return functional_call(loss, own, (prediction, target)).mean()
        return subject.loss(prediction, target, **fixed, **own).mean()

    leaf = prediction.clone().requires_grad_()
    try:
        values = vmap(objective)(leaf, target, stacked)
        (gradients,) = torch.autograd.grad(values.sum(), leaf)
    except Exception as error:
        raise Skipped(
            f"torch cannot map it: run replica by replica ({one_line(error)})."
        ) from error
    for r in range(REPLICAS):
        alone = prediction[r].clone().requires_grad_()
        value = objective(alone, target[r], {n: w[r] for n, w in stacked.items()})
        (gradient,) = torch.autograd.grad(value, alone)
        if not (close(values[r], value, 1e-7, 1e-9) and close(gradients[r], gradient, 1e-7, 1e-9)):
            raise Failed(
                f"replica {r} has the value {values[r].item():.6g} mapped and {value.item():.6g} "
                "alone, or another gradient."
            )


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
        raise Skipped(f"only a device could tell: {one_line(error)}") from error


CHECKS = (
    copies_and_pickles,
    maps_over_replicas,
    any_device,
)
