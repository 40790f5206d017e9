"""Models of sequences: an output for each step from the steps around it."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from lossbench.contract import UserError


class OverTime(nn.Module):
    """A module of (B, F, T) used on (B, T, F)."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, steps: Tensor) -> Tensor:
        """(B, T, F) -> (B, T, C)."""
        output: Tensor = self.inner(steps.transpose(1, 2)).transpose(1, 2)
        return output


def temporal_conv(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    channels: tuple[Annotated[int, "[1, inf)"], ...] = (64, 64),
    kernel: Annotated[int, "[1, inf)"] = 7,
) -> nn.Module:
    """Convolutions over time with rectifiers between them: (B, T, F) -> (B, T, C).

    kernel is the number of steps that each of them sees; odd, so that they are centred.
    """
    refuse_other_than_sequences("temporal_conv", input_shape, output_shape)
    if kernel % 2 == 0:
        raise UserError(f"model.kernel={kernel}: give an odd number, {kernel - 1} or {kernel + 1}.")
    layers: list[nn.Module] = []
    features = input_shape[1]
    for size in channels:
        layers += [nn.Conv1d(features, size, kernel, padding=kernel // 2), nn.ReLU()]
        features = size
    return OverTime(nn.Sequential(*layers, nn.Conv1d(features, output_shape[1], 1)))


class Recurrent(nn.Module):
    """A recurrent layer in both directions, and an affine map of its states."""

    def __init__(self, features: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.states = nn.GRU(features, hidden, batch_first=True, bidirectional=True)
        self.output = nn.Linear(2 * hidden, outputs)

    def forward(self, steps: Tensor) -> Tensor:
        """(B, T, F) -> (B, T, C)."""
        states, _ = self.states(steps)
        output: Tensor = self.output(states)
        return output


def gru(
    input_shape: tuple[int, ...],
    output_shape: tuple[int, ...],
    /,
    *,
    hidden: Annotated[int, "[1, inf)"] = 48,
) -> nn.Module:
    """Gated recurrent units forwards and backwards: (B, T, F) -> (B, T, C).

    Replicas cannot be mapped over a recurrent layer, so that they are trained one by one.
    """
    refuse_other_than_sequences("gru", input_shape, output_shape)
    return Recurrent(input_shape[1], hidden, output_shape[1])


def refuse_other_than_sequences(
    model: str, input_shape: tuple[int, ...], output_shape: tuple[int, ...]
) -> None:
    """UserError where inputs are not (T, F), or outputs not one for each of the T steps."""
    if len(input_shape) != 2 or len(output_shape) != 2 or input_shape[0] != output_shape[0]:
        raise UserError(
            f"model={model} maps steps (T, F) to (T, C); this task has inputs {input_shape} and "
            f"outputs {output_shape}. Use model=mlp."
        )
