"""Cross-entropy from a teacher's probabilities, both softened by a temperature."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import declare


@declare(tune={"temperature": (1.0, 8.0)}, source="Hinton, Vinyals & Dean 2015")
def softened(
    logits: Tensor, target: Tensor, /, *, temperature: Annotated[float, "(0, inf)"] = 4.0
) -> Tensor:
    """Rewards the student for its teacher's probabilities, those of unlikely classes too.

    L = -T^2 sum_k q_k log softmax(z / T)_k, where q is t^(1/T), made to sum to 1
    """
    q = torch.softmax(target.log() / temperature, -1)
    return -(temperature**2) * (q * torch.log_softmax(logits / temperature, -1)).sum(-1)
