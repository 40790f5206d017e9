"""Seconds of a step of ArcFace against softmax, forwards and backwards, as a ratio.

    python experiments/embeddings/cost.py

A batch of 64 embeddings of 64 numbers, one thread; the two take turns, so that whatever else the
machine does meets both alike.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from lossbench.losses.prototypes import Arcface, Center


def seconds(loss: torch.nn.Module, embedding: torch.Tensor, target: torch.Tensor) -> float:
    began = time.process_time()
    loss(embedding, target).mean().backward()
    return time.process_time() - began


if __name__ == "__main__":
    torch.set_num_threads(1)
    for classes, rounds in ((10, 2000), (1000, 500), (100_000, 12)):
        torch.manual_seed(0)
        embedding = torch.randn(64, 64, requires_grad=True)
        target = torch.randint(classes, (64,))
        sides = [
            Arcface(num_classes=classes, embedding_dim=64),
            Center(num_classes=classes, embedding_dim=64, strength=0.0),
        ]
        times = np.array([[seconds(s, embedding, target) for s in sides] for _ in range(rounds)])
        times = times[rounds // 10 :]
        ratios = np.sort(times[:, 0] / times[:, 1])
        low, high = np.quantile(ratios, [0.25, 0.75])
        print(
            f"{classes:6} classes: {1000 * np.median(times[:, 0]):8.2f} ms against "
            f"{1000 * np.median(times[:, 1]):8.2f} ms, ratio {np.median(ratios):.2f} "
            f"(quartiles {low:.2f} to {high:.2f})"
        )
