"""In which order the items of a list belong: a score for each, from the same scorer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lossbench.contract import Declaration, UserError, metric
from lossbench.losses.lists import discounts_of, gains_of, known_items
from lossbench.models.two_sided import Items
from lossbench.tasks import Answers, Backbone, Section, Study, Task, line
from lossbench.tasks.refusals import (
    refuse_shapes,
    refuse_single_output,
    refuse_targets,
    refuse_types,
)
from lossbench.tasks.scores import shared

NO_ITEM = -1
MOST = 100  # a grade, of which float32 holds the gain 2^grade - 1


@shared
def _places(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(..., N, L) each: of a list's items those that score more, and those that score as much."""
    score = estimate.masked_fill(~known_items(target), -torch.inf)
    ordered = score.sort(-1).values.contiguous()
    below = torch.searchsorted(ordered, score.contiguous())
    up_to = torch.searchsorted(ordered, score.contiguous(), right=True)
    return score.shape[-1] - up_to, up_to - below


def _ndcg(estimate: Tensor, target: Tensor, most: int) -> Tensor:
    """Mean over lists with a grade above 0 of DCG by ideal, of the first so many places."""
    more, equal = _places(estimate, target)
    gains = gains_of(target.to(estimate.dtype))
    ranks = torch.arange(1, target.shape[-1] + 1, dtype=gains.dtype, device=gains.device)
    discounts = torch.where(ranks <= most, discounts_of(ranks), 0.0)
    sums = torch.nn.functional.pad(discounts.cumsum(-1), (1, 0))
    of_item = (sums[more + equal] - sums[more]) / equal  # the mean over orders of equal scores
    ideal = (gains.sort(-1, descending=True).values * discounts).sum(-1)
    return ((gains * of_item).sum(-1) / ideal).nanmean(-1)


@metric(direction=1, bounds=(0, 1))
def ndcg_10(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over lists of the discounted gains of the first 10 places, by those of the best order.

    The gain of a grade y is 2^y - 1, the discount of a rank r is 1 / log2(1 + r). Equal scores
    count as the mean over their orders. Lists without a grade above 0 are left out.
    """
    return _ndcg(estimate, target, 10)


@metric(direction=1, bounds=(0, 1))
def ndcg_5(estimate: Tensor, target: Tensor, /) -> Tensor:
    """The same of the first 5 places."""
    return _ndcg(estimate, target, 5)


@shared
def _precisions(estimate: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """(..., N, L): 1 by the rank of each item with a grade above 0, and the precision there.

    Of equal scores items of grade 0 stand first.
    """
    score = estimate.masked_fill(~known_items(target), -torch.inf)
    relevant = (target > 0).long()
    order = relevant.argsort(stable=True, dim=-1)  # kept among equal scores
    falling = score.gather(-1, order).argsort(stable=True, dim=-1, descending=True)
    order = order.gather(-1, falling)
    hit = relevant.gather(-1, order)
    rank = torch.arange(1, target.shape[-1] + 1, device=target.device).to(estimate.dtype)
    return hit / rank, hit * hit.cumsum(-1) / rank


@metric(direction=1, bounds=(0, 1))
def mrr(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over lists of 1 by the rank of the first item with a grade above 0.

    Of equal scores such items come last. Lists without one are left out.
    """
    inverse = _precisions(estimate, target)[0].amax(-1)
    return torch.where(inverse > 0, inverse, torch.nan).nanmean(-1)


@metric(direction=1, bounds=(0, 1))
def map(estimate: Tensor, target: Tensor, /) -> Tensor:
    """Mean over lists of the mean precision at items with a grade above 0, ranked likewise."""
    count = (target > 0).sum(-1)
    return (_precisions(estimate, target)[1].sum(-1) / count).nanmean(-1)


@dataclass(frozen=True)
class ListRanking(Task):
    """Inputs (N, L, F), predictions (..., N, L), targets (..., N, L): grades from 0, higher first.

    -1 where a list has no item; what inputs and predictions hold there counts for nothing.
    """

    name = "list_ranking"
    metrics = (ndcg_10, ndcg_5, mrr, map)
    primary = "ndcg_10"
    target_dtype = torch.float32
    ignore = NO_ITEM
    vocabulary = r"\blists?\b|\bgrades?\b|listwise|ndcg"

    @classmethod
    def of(cls, inputs: np.ndarray, targets: np.ndarray) -> ListRanking:
        """The task of lists of items (N, L, F) and their grades (N, L)."""
        refuse_targets(cls.name, inputs, targets, "fiu", ("L",))
        if inputs.ndim != 3 or inputs.shape[1] != targets.shape[1]:
            raise UserError(
                f"list_ranking: inputs have shape {inputs.shape}, grades {targets.shape}; give "
                "(N, L, F) and (N, L), with grades of -1 where a list has no item."
            )
        _refuse_grades(torch.as_tensor(np.asarray(targets, np.float64)))
        if not (np.ptp(np.where(targets < 0, targets.max(1, keepdims=True), targets), 1) > 0).any():
            raise UserError("list_ranking: no list has two different grades; nothing is ordered.")
        return cls(tuple(inputs.shape[1:]))

    @classmethod
    def like(cls, prediction: Tensor, target: Tensor) -> ListRanking:
        return cls((*target.shape[-1:], 1))

    def output_shape(self, outputs: int) -> tuple[int, ...]:
        refuse_single_output(self.name, outputs)
        return self.input_shape[:1]

    def assemble(self, backbone: Backbone, outputs: int) -> nn.Module:
        """The backbone is built for one item, and used on each of a list."""
        self.output_shape(outputs)
        return Items(backbone(self.input_shape[1:], ()))

    def example(self, outputs: int = 1) -> tuple[Tensor, Tensor]:
        """Lists of all grades from 0 to 3, every other one without its last item."""
        (length,) = self.output_shape(outputs)
        step = torch.arange(8 * length).reshape(8, length)
        target = ((3 * step + step // length) % 4).float()
        if length > 2:
            target[::2, -1] = NO_ITEM
        return 2 * torch.sin(1.0 + step), target

    def check(self, prediction: Tensor, target: Tensor) -> None:
        if prediction.shape != target.shape or target.ndim < 2:
            refuse_shapes(self.name, prediction, target, "(..., N, L) each")
        refuse_types(self.name, prediction, target)
        _refuse_grades(target)

    def answers(self, size: float) -> Answers:
        """Scores that rise with the grade, and that fall."""
        target = self.example()[1]
        right = size * (2 * target / target.max() - 1)
        return Answers(right, -right, target)

    def studies(self, declaration: Declaration) -> tuple[Study, ...]:
        """Along the lead of the better of two items."""

        def batch(x: Tensor) -> tuple[Tensor, Tensor]:
            scores = torch.stack([x, torch.zeros_like(x)], -1)
            return scores, torch.tensor([1.0, 0.0]).to(x).expand_as(scores)

        axis = "s_1 - s_2 of two items, of grades 1 and 0"
        return (Study("", (("", Section(axis, "gradient in s_1", line(-5, 5), batch)),)),)

    def link(self, prediction: Tensor) -> Tensor:
        """None, higher is better."""
        return prediction

    def strata(self, targets: np.ndarray) -> np.ndarray:
        """One group: a list belongs to no class."""
        return np.zeros(len(targets), dtype=np.int64)

    def typed(self, targets: np.ndarray) -> np.ndarray:
        """Grades as they are."""
        return np.asarray(targets, np.float64)


def _refuse_grades(target: Tensor) -> None:
    """UserError where a grade is none: below 0 and not -1, or without a finite gain."""
    odd = target[~((target >= 0) & (target <= MOST)) & (target != NO_ITEM)]
    if odd.numel():
        raise UserError(
            f"list_ranking: target holds {odd[0].item():g} ({odd.numel()} of {target.numel()} "
            f"values); give grades from 0 to {MOST}, each twice as good as the one before, and -1 "
            "where a list has no item."
        )
