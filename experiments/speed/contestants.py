"""Ways to train seeds; each is called with a problem and seeds, and trains them to the end.

All take the same tensors, score the validation split after each epoch and the test split once.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import hydra
import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers import MLFlowLogger
from omegaconf import DictConfig
from problems import Problem, accuracy
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

from lossbench.training.chunks import in_chunks, most_replicas
from lossbench.training.fitting import fit_stack
from lossbench.training.stack import Stack


def bare(problem: Problem, seeds: list[int]) -> None:
    """A plain PyTorch loop, seed by seed, with batches taken from tensors by index."""
    for seed in seeds:
        parts = problem.of(seed)
        inputs, targets = parts["train"]
        batches = -(-len(targets) // problem.recipe.batch_size)

        def epoch(x: Tensor = inputs, y: Tensor = targets, cut: int = batches) -> list:
            order = torch.randperm(len(y), device=y.device)
            return [(x[index], y[index]) for index in order.tensor_split(cut)]

        _loop(problem, seed, epoch, parts)


def bare_loader(problem: Problem, seeds: list[int]) -> None:
    """The same with PyTorch's DataLoader, as tutorials have it."""
    for seed in seeds:
        parts = problem.of(seed)
        data = TensorDataset(*parts["train"])
        loader = DataLoader(data, problem.recipe.batch_size, shuffle=True)
        _loop(problem, seed, lambda loader=loader: loader, parts)


def _loop(problem: Problem, seed: int, epoch: object, parts: dict) -> None:
    torch.manual_seed(seed)
    model = problem.recipe.model().to(problem.device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(problem.epochs):
        model.train()
        for inputs, targets in epoch():
            optimizer.zero_grad()
            problem.loss(model(inputs), targets).backward()
            optimizer.step()
        model.eval()
        accuracy(model, parts["validation"])
    accuracy(model, parts["test"])


class Usual(pl.LightningModule):
    """The textbook module: one seed, loss and accuracy logged."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def training_step(self, batch: list[Tensor], _: int) -> Tensor:
        loss = F.cross_entropy(self.model(batch[0]), batch[1])
        self.log("train_loss", loss, on_step=False, on_epoch=True)
        return loss

    def _score(self, batch: list[Tensor], place: str) -> None:
        logits = self.model(batch[0])
        self.log(f"{place}_loss", F.cross_entropy(logits, batch[1]))
        self.log(f"{place}_accuracy", (logits.argmax(-1) == batch[1]).float().mean())

    def validation_step(self, batch: list[Tensor], _: int) -> None:
        self._score(batch, "val")

    def test_step(self, batch: list[Tensor], number: int) -> None:
        self._score(batch, "test")

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


STORE = Path(tempfile.mkdtemp()) / "mlflow.db"
current: list[Problem] = []  # Hydra's main takes a configuration and nothing else


@hydra.main(version_base="1.3", config_path=str(Path(__file__).parent), config_name="usual")
def _one_fit(config: DictConfig) -> None:
    problem, batch = current[-1], current[-1].recipe.batch_size
    pl.seed_everything(config.seed, verbose=False)
    loaders = {
        name: DataLoader(TensorDataset(*part), batch, shuffle=name == "train")
        for name, part in problem.of(config.seed).items()
    }
    logger = MLFlowLogger("speed", tracking_uri=f"sqlite:///{STORE}")
    logger.log_hyperparams(dict(config))
    trainer = pl.Trainer(
        accelerator="cpu" if problem.device == "cpu" else "gpu",
        devices=1,
        max_epochs=problem.epochs,
        logger=logger,
        enable_checkpointing=False,  # all that can be left off is left off
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    model = Usual(problem.recipe.model())
    trainer.fit(model, loaders["train"], loaders["validation"])
    trainer.test(model, loaders["test"], verbose=False)


def usual(problem: Problem, seeds: list[int]) -> None:
    """A Hydra sweep over seeds: for each a Lightning fit and an MLflow run of its own."""
    current.append(problem)
    sys.argv = [
        "usual",
        "-m",
        f"seed={','.join(map(str, seeds))}",
        f"hydra.sweep.dir={STORE.parent / 'sweep'}",
        "hydra/job_logging=disabled",
        "hydra/hydra_logging=disabled",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _one_fit()


def stacked(problem: Problem, seeds: list[int]) -> None:
    """lossbench, with `trainer.max_replicas=auto`."""
    gpu = problem.device != "cpu"
    one = Stack(problem.recipe, problem.splits.of([0]), [0])
    for chunk in in_chunks(seeds, most_replicas(one, gpu)):
        splits = problem.splits.of(chunk)
        fit_stack(problem.config, problem.recipe, splits, chunk, lambda done, point: None)


def floor(problem: Problem, seeds: int, steps: int) -> Callable[[], None]:
    """The batched matrix products of so many steps' forward and backward passes, nothing else."""
    made = []
    for outputs, inputs, columns in problem.products():
        shapes = [(outputs, inputs), (outputs, 1), (inputs, columns), (outputs, columns)]
        made.append([torch.ones(seeds, *shape, device=problem.device) for shape in shapes])

    def multiply() -> None:
        for _ in range(steps):
            for number, (weight, bias, before, gradient) in enumerate(made):
                torch.baddbmm(bias, weight, before)
                torch.bmm(gradient, before.mT)
                if number:  # nobody asks for the gradient of the data
                    torch.bmm(weight.mT, gradient)

    return multiply
