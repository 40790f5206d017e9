"""The models that a result keeps, to predict with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from lossbench.configuration import Configuration
from lossbench.contract import UserError
from lossbench.datasets import Samples
from lossbench.datasets.pool import Unit
from lossbench.results import Result
from lossbench.results.predictions import of_seeds
from lossbench.training import layers
from lossbench.training.fitting import data, samples_of
from lossbench.training.recipe import make_recipe
from lossbench.training.replicas import State
from lossbench.training.stack import Stack


@dataclass(frozen=True, eq=False)
class Model:
    """One trained replica of a result.

    at: last or best, the epoch after which its parameters are taken.
    """

    seed: int
    at: Literal["last", "best"]
    _config: Configuration = field(repr=False)
    _arrays: Mapping[str, np.ndarray] = field(repr=False)
    _samples: Samples = field(repr=False)

    def predict(self, inputs: Any) -> np.ndarray:
        """Inputs (N, ...), as the dataset has them -> estimates (N, ...), as metrics score them.

        Of a table, a data frame of its columns is inputs too: text is coded and gaps are filled.
        Inputs are scaled as in training; estimates are what the loss's link makes of the outputs
        (probabilities, quantiles, …), of a regression in the target's own unit.
        """
        stack, code = self._stack, self._samples(self.seed).sample.code
        array = np.asarray(code(inputs) if code and hasattr(inputs, "columns") else inputs)
        if array.dtype.kind not in "biuf" or array.shape[1:] != tuple(stack.task.input_shape):
            expected = ", ".join(["N", *map(str, stack.task.input_shape)])
            raise UserError(
                f"predict: inputs of type {array.dtype} and shape {array.shape}; give numbers "
                f"({expected}), as dataset={self._config.dataset.name} has them; of a table, a "
                "data frame of its columns will do."
            )
        given = torch.tensor(array)  # a copy, as it is scaled in place
        unit = stack.splits.unit
        scaled = unit(given[None], torch.float32) if unit else given[None].float()
        estimate = stack.estimate(self._state, scaled.to(stack.dtype))
        made: np.ndarray = stack.splits.own(estimate)[0].numpy()
        return made

    @cached_property
    def module(self) -> nn.Module:
        """The network alone, which takes scaled inputs and gives raw predictions."""
        module = self._stack.form[0].eval()
        named = layers.under({n: v[0] for n, v in self._state.items()}, "model.")
        module.load_state_dict(named, strict=False)
        return module

    @cached_property
    def _state(self) -> State:
        start = f"{self.at}/"
        return {
            name.removeprefix(start): torch.as_tensor(values)[None]
            for name, values in self._arrays.items()
            if name.startswith(start)
        }

    @cached_property
    def _stack(self) -> Stack:
        """The stack of one that the state belongs to, measuring as in training."""
        splits = data(self._config, [self.seed], self._samples)
        splits = replace(splits, unit=self._unit("unit"), target_unit=self._unit("target_unit"))
        stack = Stack(make_recipe(self._config, splits), splits, [self.seed])
        if stack.state.keys() != self._state.keys():
            raise UserError("The code of the model has changed since it was trained: run it again.")
        stack.unmapped = "it is one replica"
        dtypes = {v.dtype for n, v in self._state.items() if n in stack.names}
        return stack.to(next(iter(dtypes)))

    def _unit(self, name: str) -> Unit | None:
        parts: dict[str, Tensor] = {
            part: torch.as_tensor(self._arrays[f"{name}/{part}"])[None]
            for part in Unit._fields
            if f"{name}/{part}" in self._arrays
        }
        return Unit(**parts) if parts else None


def get_models(result: Result, *, at: Literal["last", "best"] = "last") -> list[Model]:
    """The models of a result that was trained with `results.models=true`, one for each seed.

    at: "best" takes the parameters after the epoch that was best on validation data.
    """
    seeds = result.seeds.seed.tolist()
    arrays = of_seeds(result.models, seeds)
    if arrays is None:
        raise UserError(
            "The result keeps no models. Train it with results.models=true, which trains again "
            "the seeds that have none."
        )
    samples = samples_of(result.config)
    return [
        Model(seed, at, result.config, {n: v[place] for n, v in arrays.items()}, samples)
        for place, seed in enumerate(seeds)
    ]
