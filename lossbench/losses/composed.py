"""Losses that are made of others, of whatever task; they are given as functions of a batch.

Symbols: L_i, L_of, L_first and L_then the other losses, w a weight.
"""

from __future__ import annotations

import functools
import operator
from typing import Annotated

import torch
from torch import Tensor

from lossbench.contract import Loss, declare


def sum(
    prediction: Tensor, target: Tensor, /, *, terms: dict[str, Loss], link: str | None = None
) -> Tensor:
    """Punishes what each of its terms punishes, as much as the term weighs.

    L = sum_i w_i L_i

    Args:
        prediction: as the terms take it, all of them in one form.
        target: of the task.
        terms: the losses L_i by name with their weights w_i, {cross_entropy: 1, focal: 0.5}, or
            with hyper-parameters, {focal: {weight: 0.5, gamma: 1}}; under another word the name is
            among these, {soft: {name: focal, gamma: 1}}.
        link: the term whose link makes estimates of predictions; null where all have the same.

    Returns:
        (B,), or () where each term gives one number for a batch.

    Terms are added in the order of their keys, however they are written. One term of weight 1 is
    that loss, bit for bit. What a term gives for a whole batch is added to each example.
    Each weight is searched from a tenth of the configured one to ten times that, and what the terms
    have to search as in themselves, but for what the link takes.

    Neighbours: dice_cross_entropy and dice_focal of semantic_segmentation are such sums.

    >>> half = {"a": lambda p, t: t - p, "b": lambda p, t: 0.5 * (t - p)}
    >>> sum(torch.zeros(2), torch.ones(2), terms=half)
    tensor([1.5000, 1.5000])
    """
    return functools.reduce(operator.add, (term(prediction, target) for term in terms.values()))


@declare(tune={"start": (0.0, 1.0), "ramp": (0.0, 1.0)})
def warm_up(
    prediction: Tensor,
    target: Tensor,
    /,
    *,
    progress: Tensor,
    first: Loss,
    then: Loss,
    start: Annotated[float, "[0, 1]"] = 0.1,
    ramp: Annotated[float, "[0, 1]"] = 0.0,
    link: str | None = None,
) -> Tensor:
    """Punishes what one loss does early in training, and what another does later.

    L = (1 - w) L_first + w L_then, w = min(max((progress - start) / ramp, 0), 1)

    Args:
        prediction: as both losses take it.
        target: of the task.
        progress: () in [0, 1], the share of training that is done.
        first: the loss before start, by its name; its hyper-parameters are first.gamma and the
            like.
        then: the loss after start + ramp.
        start: in [0, 1], the share of training after which the second one counts.
        ramp: in [0, 1], the share over which it takes over; 0: at once, w = [progress >= start].
        link: first or then, whose link makes estimates of predictions; null where both have the
            same.

    Returns:
        (B,), or () where both give one number for a batch.

    While w is 0 or 1 the other loss neither costs nor teaches anything, not even where it is not
    finite. Losses of very different size are better given weights, first.weight or then.weight,
    than learning rates. In an evaluation it is the second one.

    Neighbours: deferred_reweighting changes weights instead of the loss.

    >>> kinds = {"first": lambda p, t: t - p, "then": lambda p, t: 3 * (t - p)}
    >>> warm_up(torch.zeros(1), torch.ones(1), progress=torch.tensor(0.3), ramp=0.4, **kinds)
    tensor([2.0000])
    """
    done = progress - start
    share = torch.where(done >= ramp, 1.0, (done / ramp).clamp(min=0))
    early = first(torch.where(share < 1, prediction, prediction.detach()), target)
    late = then(torch.where(share > 0, prediction, prediction.detach()), target)
    mixed = (1 - share) * early + share * late
    return torch.where(share == 0, early, torch.where(share == 1, late, mixed))


@declare(
    tune={"beta": (0.9, 0.99999), "start": (0.0, 1.0)}, source="Cao et al. 2019, arXiv 1906.07413"
)
def deferred_reweighting(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    class_counts: Tensor,
    progress: Tensor,
    of: Loss = "cross_entropy",  # type: ignore[assignment]
    beta: Annotated[float, "[0, 1)"] = 0.9999,
    start: Annotated[float, "[0, 1]"] = 0.8,
) -> Tensor:
    """Punishes what another loss does, late in training rare classes more.

    L = L_of, from start on w_y L_of, with w_k proportional to (1 - beta) / (1 - beta^n_k)

    Args:
        logits: (B, C), or as the loss takes it.
        target: (B,) int64 in 0 .. C-1.
        class_counts: (C,), n_k; a class without any counts as if it had one.
        progress: () in [0, 1], the share of training that is done.
        of: the loss, by its name; its hyper-parameters are of.gamma and the like.
        beta: in [0, 1), 1/(1 - beta) examples are as good as infinitely many.
        start: in [0, 1], the share of training after which classes are weighed.

    Returns:
        (B,), the weights' mean over classes being 1.

    Over ldam it is LDAM-DRW. The learning rate needs no reset at the jump. In an evaluation classes
    are weighed; with beta = 0 they all weigh 1.

    Neighbours: class_balanced, with such weights from the beginning.

    Source: Cao et al. 2019, arXiv 1906.07413; the weights of Cui et al. 2019, arXiv 1901.05555.

    >>> counts, done = torch.tensor([1, 2]), torch.tensor(1.0)  # weights 1 and 2/3, by their mean
    >>> kinds = {"of": lambda z, y: z[:, 0], "class_counts": counts, "beta": 0.5}
    >>> deferred_reweighting(torch.ones(2, 2), torch.tensor([0, 1]), progress=done, **kinds)
    tensor([1.2000, 0.8000])
    """
    log_beta = torch.as_tensor(beta, dtype=torch.float64).log()  # 1 - beta keeps its digits
    counts = class_counts.to(logits.dtype).clamp(min=1)
    weight = -1 / torch.expm1(log_beta * counts)
    weighed = (weight / weight.mean(-1, keepdim=True))[target]
    return torch.where(progress >= start, weighed, 1.0) * of(logits, target)
