"""The losses of structured tasks as the packaging names them, and valid batches for each."""

from __future__ import annotations

import inspect
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import torch
from structured_table import TABLE

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"
POINTS = {
    group.removeprefix("lossbench.losses."): names
    for group, names in tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"].items()
    if group.startswith("lossbench.losses.")
}
LOSSES = list(dict.fromkeys((task, name) for task, name, *_ in TABLE))
each_loss = pytest.mark.parametrize(("task", "name"), LOSSES)
LABELS = ("embedding", "pairs", "sequence")  # tasks with int64 targets
COUPLED = ("embedding", "pairs")  # tasks whose losses compare the examples of a batch
POINTWISE = ("arcface", "sphereface", "center")
LATENT = 2
WEIGHTS = ("weight", "bias", "centres")


def get(task, name):
    """The object that the packaging registers."""
    module, _, attribute = POINTS[task][name].partition(":")
    return getattr(import_module(module), attribute)


def made(task, name, prediction, **hyper):
    """The loss as a function of prediction and target, a module with the weights in hyper."""
    loss = get(task, name)
    wanted = inspect.signature(loss).parameters
    facts = {"num_classes": 3, "embedding_dim": prediction.shape[-1], "latent_dim": LATENT}
    if "weight" in hyper:
        facts["num_classes"] = len(hyper["weight"])
    weights = {key: hyper.pop(key) for key in WEIGHTS if key in hyper}
    if "class_counts" in hyper:
        hyper["class_counts"] = torch.tensor(hyper["class_counts"], device=prediction.device)
    hyper = {**{k: v for k, v in facts.items() if k in wanted}, **hyper}
    if not inspect.isclass(loss):
        return lambda p, t: loss(p, t, **hyper)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = loss(**hyper).to(prediction.dtype)
    for key, value in weights.items():
        getattr(module, key).data.copy_(torch.tensor(value))
    return module.to(prediction.device)


def call(task, name, prediction, target, **hyper):
    return made(task, name, prediction, **hyper)(prediction, target)


def gradient(task, name, prediction, target, **hyper):
    """Of the sum of the values, with respect to the prediction."""
    leaf = prediction.clone().requires_grad_()
    return torch.autograd.grad(call(task, name, leaf, target, **hyper).sum(), leaf)[0]


def tensors(task, prediction, target, dtype=torch.float64):
    kind = torch.int64 if task in LABELS else dtype
    return torch.tensor(prediction, dtype=dtype), torch.tensor(target, dtype=kind)


def random_batch(task, seed, leading=(5,), scale=3.0):
    """A valid prediction and target, away from every kink; exact in float32."""
    generator = torch.Generator().manual_seed(seed)
    shape = {"multilabel": (3,), "distribution": (3,), "embedding": (3,), "pairs": (2, 3),
             "ranking": (2,), "segmentation": (3, 4), "sequence": (4, 3),
             "generative": (3 + 2 * LATENT,)}[task]  # fmt: skip
    prediction = torch.randn(*leading, *shape, generator=generator) * scale
    return prediction.double(), random_target(task, generator, leading)


def random_target(task, generator, leading):
    def draw(count, *shape):
        return torch.randint(count, (*leading, *shape), generator=generator)

    if task in COUPLED:
        return draw(3)
    if task == "sequence":
        labels = draw(2, 4) + 1
        return torch.stack([draw(3, 4), labels * (torch.arange(4) < draw(3, 1))], -2)
    if task == "distribution":
        return torch.softmax(draw(9, 3).double(), -1)
    if task == "generative":
        return draw(9, 3).double() / 8
    return draw(2, *{"multilabel": (3,), "ranking": (), "segmentation": (3, 4)}[task]).double()


def hypers_of(task, name):
    """The different hyper-parameters of the loss's rows in the table, without weights and facts."""
    rows = [hyper for t, n, _, _, hyper, _ in TABLE if (t, n) == (task, name)]
    rows = [hyper for hyper in rows if "class_counts" not in hyper]
    known = [{k: v for k, v in h.items() if k not in (*WEIGHTS, "latent_dim")} for h in rows]
    three = {2: (1.0, 3.0), 3: (1.0, 3.0, 0.5)}
    size = 3 if task in ("distribution", "sequence") else 2
    full = [{k: three[size] if k == "class_weight" else v for k, v in h.items()} for h in known]
    return [hyper for place, hyper in enumerate(full) if hyper not in full[:place]]


def same(actual, expected, rtol=1e-9, atol=1e-15):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=True)
