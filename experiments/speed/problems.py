"""What is trained by every contestant: the same tensors, model and steps."""

from __future__ import annotations

import datetime
import math
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lossbench import training
from lossbench.configuration import Configuration
from lossbench.configuration.experiments import configurations
from lossbench.datasets import Splits
from lossbench.training.outcome import versions
from lossbench.training.recipe import Recipe

SIZES = {
    "MLP 20-64-64-3, batch 64": (
        ["dataset=blobs", "dataset.samples=1065", "dataset.features=20", "model.hidden=[64,64]"],
        {"epochs": 20, "batch": 64},
    ),
    "MLP 64-256-256-10, batch 128": (
        ["dataset=digits", "model.hidden=[256,256]"],
        {"epochs": 10, "batch": 128},
    ),
    "conv 8-16 on digits, batch 64": (
        ["dataset=digit_images", "model=conv"],
        {"epochs": 8, "batch": 64},
    ),
}
MADE = Path(__file__).with_name("made.py")
IMAGES = {
    "ResNet-20, width 16, 3 x 32 x 32, batch 64": (
        [f"dataset={MADE}:images", "dataset.samples=960", "model=resnet"],
        {"epochs": 2, "batch": 64},
    ),
    "U-Net 8-16, 1 x 32 x 32, batch 64": (
        ["dataset=shapes", "dataset.size=32", "model=unet"],
        {"epochs": 5, "batch": 64},
    ),
}


@dataclass(frozen=True)
class Problem:
    """A configuration, its recipe, and the data of as many seeds as anyone trains."""

    config: Configuration
    recipe: Recipe
    splits: Splits
    device: str

    @property
    def epochs(self) -> int:
        return int(self.config.trainer.max_epochs)

    @property
    def steps(self) -> int:
        return self.epochs * self.recipe.batches(self.splits.train.size)

    def of(self, seed: int) -> dict[str, tuple[Tensor, Tensor]]:
        """One seed's training, validation and test data, on the device."""
        own = self.splits.of([seed])
        return {
            name: tuple(part[0].to(self.device) for part in own.first(name))
            for name in ("train", "validation", "test")
        }

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of classes, or of pixels."""
        if logits.shape == targets.shape:
            return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))
        return F.cross_entropy(logits, targets)

    def products(self) -> list[tuple[int, int, int]]:
        """(outputs, inputs, columns) of each layer's product, from one batch through the model."""
        model, found = self.recipe.model(), []

        def note(layer: nn.Module, _: object, output: Tensor) -> None:
            weight = layer.weight.flatten(1)
            found.append((*weight.shape, output.numel() // len(weight)))

        for layer in model.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d):
                layer.register_forward_hook(note)
        model(self.splits.first("train", self.recipe.batch_size)[0][0])
        return found


def problem(name: str, seeds: int, device: str, shorter: int) -> Problem:
    """The problem of this name; its epochs divided by `shorter`."""
    words, training_words = {**SIZES, **IMAGES}[name]
    epochs = math.ceil(training_words["epochs"] / shorter)
    config = configurations(
        [
            *words,
            "tracking=none",
            f"trainer.device={device}",
            f"trainer.max_epochs={epochs}",
            f"trainer.batch_size={training_words['batch']}",
        ]
    )[0][0]
    splits = training.data(config, list(range(seeds)))
    kind = "cuda" if device == "gpu" else "cpu"
    return Problem(config, training.make_recipe(config, splits), splits, kind)


def accuracy(model: nn.Module, part: tuple[Tensor, Tensor]) -> float:
    """The share of examples whose largest logit is the label's, or of pixels on the right side."""
    inputs, targets = part
    with torch.no_grad():
        logits = model(inputs)
        found = logits > 0 if logits.shape == targets.shape else logits.argmax(-1)
    return (found == targets).float().mean().item()


def where_measured() -> str:
    """Date, machine and versions, in one line."""
    known, cores = versions(), f"{os.cpu_count()} cores of {platform.machine()}"
    libraries = ", ".join(f"{name} {known[name]}" for name in ("torch", "lightning", "mlflow"))
    return f"{datetime.date.today()}, {cores}, device {known['device']}, {libraries}."


def write_between(file: Path, mark: str, text: str) -> None:
    """Put the text between the two marks of a file, or make the file of them."""
    before, *_, after = (file.read_text() if file.exists() else mark).split(mark)
    file.write_text(f"{before}{mark}\n{text}\n{mark}{after}")
