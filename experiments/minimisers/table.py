"""What every registered loss of one or several classes asks for -> table.csv and targets.png.

python experiments/minimisers/table.py, from the repository's root.
"""

from __future__ import annotations

import inspect
from functools import partial
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from lossbench import registry
from lossbench.check.minimiser import find_minimiser
from lossbench.contract import declaration_of
from lossbench.drawing import save
from lossbench.drawing.graphs import Graph, Trace
from lossbench.looks import COLOURS, Look
from lossbench.registry import Plugin
from lossbench.tasks import task_class

FOLDER = Path(__file__).parent
SHARES = {
    "binary": ((0.9, 0.1), (0.6, 0.4)),  # of labels 1 and 0
    "multiclass": ((0.5, 0.3, 0.2), (0.45, 0.3, 0.25), (0.42, 0.36, 0.22)),
}
STARTS = ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2, 1, 0), (-1, 0.5, 0.3))
CLOSE, SMALL = 1e-4, 1e-3
DRAWN = {  # on the picture, with its hyper-parameters
    "cross_entropy": {},
    "focal, gamma 2": {"gamma": 2.0},
    "focal, gamma 5": {"gamma": 5.0},
    "poly, epsilon 2": {"epsilon": [2.0]},
    "label_smoothing .2": {"epsilon": 0.2},
    "hinge, by a sigmoid": {},
}


def estimate(plugin: Plugin, shares: tuple[float, ...], **hyper: object) -> Tensor:
    """What the loss's link makes of the prediction with the least expected loss."""
    loss, task = registry.load(plugin), task_class(plugin.task).small()
    values = {p.name: p.default for p in registry.parameters(plugin)} | hyper
    values |= (
        {"progress": torch.tensor(1.0)} if "progress" in registry.facts(plugin, needed=True) else {}
    )
    called, weights = partial(loss, **values), torch.tensor(shares, dtype=torch.float64)
    count = len(shares)
    target = torch.tensor([1.0, 0.0]).double() if count == 2 else torch.arange(count)

    def expected(prediction: Tensor) -> Tensor:
        rows = prediction.repeat_interleave(count, 0)
        return called(rows, target.repeat(len(prediction))).reshape(-1, count) @ weights

    start = torch.zeros(1) if count == 2 else torch.tensor(STARTS)
    best = find_minimiser(expected, start.double())
    return task.estimate(best.unsqueeze(0), declaration_of(loss).link_at(values))[0]


def row(plugin: Plugin, shares: tuple[float, ...]) -> dict[str, object]:
    """A loss at a population: what is learnt, and whether it is the truth or names it."""
    found = estimate(plugin, shares)
    found = torch.stack([found, 1 - found]) if len(shares) == 2 else found
    gap = float((found - torch.tensor(shares)).abs().max())
    first = (found >= found.max() - SMALL).nonzero().flatten().tolist()
    return {
        "task": plugin.task,
        "loss": plugin.name,
        "population": " ".join(f"{share:g}" for share in shares),
        "estimate": " ".join(f"{value:.4f}" for value in found.tolist()),
        "off": f"{gap:.4f}",
        "returns it": "yes" if gap <= CLOSE else "no",
        "names the likeliest": "yes" if first == [0] else "tie" if 0 in first else "no",
    }


def plugins() -> list[Plugin]:
    """Losses of one number for each example that ask for nothing but what a claim can give."""
    known = [p for p in registry.installed("loss") if p.task in SHARES]
    return [p for p in sorted(known, key=lambda p: (p.task or "", p.name)) if _serves(p)]


def _serves(plugin: Plugin) -> bool:
    loss = registry.load(plugin)
    needed = {*registry.facts(plugin, needed=True)} - {"progress"}
    alone = not declaration_of(loss).couples
    made = {p.name for p in registry.parameters(plugin)} & {"of", "first", "terms"}
    return not inspect.isclass(loss) and not needed and alone and not made


def draw() -> None:
    """The probability that a network without limits would give, by the true one."""
    known = {p.name: p for p in plugins() if p.task == "binary"}
    truth = torch.linspace(0.02, 0.98, 49).tolist()
    traces = [Trace("", truth, truth)]
    for (words, hyper), colour in zip(DRAWN.items(), COLOURS, strict=False):
        plugin = known[words.replace(",", " ").split()[0]]
        given = [float(estimate(plugin, (eta, 1 - eta), **hyper)) for eta in truth]
        traces.append(Trace(words, truth, given, Look(colour)))
    graph = Graph(
        "What losses ask for", "share of labels 1", "probability that is learnt", tuple(traces)
    )
    save([graph], FOLDER / "targets.png")


if __name__ == "__main__":
    rows = [row(plugin, shares) for plugin in plugins() for shares in SHARES[plugin.task]]
    pd.DataFrame(rows).to_csv(FOLDER / "table.csv", index=False)
    draw()
