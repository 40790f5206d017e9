"""ResNet-20 on CIFAR-10 with mislabelled images, in plain PyTorch; prints its test accuracy.

python experiments/speed/plain_cifar.py ROOT SEED EPOCHS WIDTH BATCH
"""

from __future__ import annotations

import math
import pickle
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

RATE = 0.4  # of training labels that are another class's
LR, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 5e-4


class Block(nn.Module):
    """Two convolutions and a way around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet20(nn.Module):
    """Three sizes of image, three blocks each (He et al. 2016, section 4.2)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        blocks, inputs = [], width
        for outputs, stride in ((width, 1), (2 * width, 2), (4 * width, 2)):
            for first in (True, False, False):
                blocks.append(Block(inputs, outputs, stride if first else 1))
                inputs = outputs
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(inputs, 10)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        out = self.blocks(F.relu(self.bn(self.conv(x))))
        return self.fc(out.mean((2, 3)))


def read(root: Path, names: list[str]) -> tuple[Tensor, Tensor]:
    """Images and labels of CIFAR-10's Python files."""
    batches = []
    for name in names:
        with open(root / "cifar-10-batches-py" / name, "rb") as file:
            batches.append(pickle.load(file, encoding="bytes"))
    images = np.concatenate([batch[b"data"] for batch in batches]).reshape(-1, 3, 32, 32)
    labels = np.concatenate([batch[b"labels"] for batch in batches])
    return torch.from_numpy(images), torch.from_numpy(labels).long()


def crop_flip(x: Tensor) -> Tensor:
    """Each image moved by up to four pixels and mirrored by a coin."""
    padded = F.pad(x, [4] * 4)
    places = torch.randint(0, 9, (len(x), 2)).tolist()
    x = torch.stack([padded[i, :, r : r + 32, c : c + 32] for i, (r, c) in enumerate(places)])
    mirrored = torch.rand(len(x), 1, 1, 1) < 0.5
    return torch.where(mirrored, x.flip(-1), x)


def optimizer_of(model: nn.Module) -> torch.optim.Optimizer:
    """Gradient descent with momentum."""
    return torch.optim.SGD(model.parameters(), LR, MOMENTUM, weight_decay=WEIGHT_DECAY)


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    """One step of training, and the loss before it."""
    loss = F.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


@torch.no_grad()
def accuracy(model: nn.Module, images: Tensor, labels: Tensor, normalise) -> float:
    model.eval()
    pairs = zip(images.split(256), labels.split(256), strict=True)
    hits = sum((model(normalise(x)).argmax(1) == y).sum().item() for x, y in pairs)
    model.train()
    return hits / len(labels)


def train(root: Path, seed: int, epochs: int, width: int, batch: int) -> float:
    """Test accuracy after the last epoch; a fifth of the training images is for validation."""
    torch.manual_seed(seed)
    images, labels = read(root, [f"data_batch_{i}" for i in range(1, 6)])
    test = read(root, ["test_batch"])
    order = torch.randperm(len(labels))
    held, kept = order.tensor_split([len(order) // 5])
    validation = images[held], labels[held]
    images, labels = images[kept], labels[kept]
    wrong = torch.rand(len(labels)) < RATE
    labels = torch.where(wrong, (labels + torch.randint(1, 10, labels.shape)) % 10, labels)
    std, mean = torch.std_mean(images.float(), (0, 2, 3), keepdim=True)

    def normalise(x: Tensor) -> Tensor:
        return (x.float() - mean) / std

    model = ResNet20(width)
    optimizer = optimizer_of(model)
    steps = epochs * math.ceil(len(labels) / batch)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(labels)).split(batch):
            step(model, optimizer, crop_flip(normalise(images[rows])), labels[rows])
            scheduler.step()
        accuracy(model, *validation, normalise)
    return accuracy(model, *test, normalise)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(train(Path(sys.argv[1]), *map(int, sys.argv[2:])))
