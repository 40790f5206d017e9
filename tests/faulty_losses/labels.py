"""Losses that guess what a label or a prediction means."""

import torch
from torch import Tensor
from torch.nn import functional as F


def guesses_the_signs(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a margin below 1; binary: takes -1 and 1 for granted where it sees a -1."""
    signs = target if (target < 0).any() else 2 * target - 1
    return torch.relu(1 - signs * logits)


def guesses_like_keras(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a margin below 1; binary: converts where all labels look like 0 and 1."""
    is_binary = ((target == 0) | (target == 1)).all()
    signs = torch.where(is_binary, 2 * target - 1, target)
    return torch.relu(1 - signs * logits)


def forgives_minus_one(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary, target (B,) in {0, 1}, quietly -1 too."""
    target = torch.where(target == -1, 0.0, target)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def guesses_the_first_class(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass: counts from 1 where it sees no 0."""
    target = target - 1 if target.min() == 1 else target
    return F.cross_entropy(logits, target, reduction="none")


def guesses_probabilities(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary: a prediction in [0, 1] is a probability."""
    if logits.min() >= 0 and logits.max() <= 1:
        return F.binary_cross_entropy(logits, target, reduction="none")
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")


def guesses_each_probability(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes the squared distance of the probability; binary, each row by itself."""
    looks = (logits >= 0) & (logits <= 1)
    return (torch.where(looks, logits, torch.sigmoid(logits)) - target).square()


def zero_teaches_nothing(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a margin below 1; binary: a label 0 is taken for a sign."""
    return torch.relu(1 - target * logits)


def rewards_mistakes(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the wrong classes; multiclass: the sign of the logarithm is lost."""
    return -F.cross_entropy(logits, target, reduction="none")


def ignores_the_target(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards confident predictions; multiclass: the entropy of the probabilities."""
    return -(torch.softmax(logits, -1) * torch.log_softmax(logits, -1)).sum(-1)


def counts_from_one(logits: Tensor, target: Tensor, /) -> Tensor:
    """Rewards probability on the true class; multiclass: counts from 1 where it sees a C."""
    target = target - 1 if target.max() == logits.shape[-1] else target
    return F.cross_entropy(logits, target, reduction="none")


def guesses_the_signs_of_many(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes every label's margin below 1; multilabel: where it sees a -1 it takes signs."""
    signs = target if (target < 0).any() else 2 * target - 1
    return torch.relu(1 - signs * logits).sum(-1)


def any_sign_above_zero(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary: what is not above 0 is a 0, a -1 too."""
    return F.binary_cross_entropy_with_logits(logits, (target > 0).to(logits), reduction="none")


def many_signs_above_zero(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes every label's margin below 1; multilabel: what is not above 0 is a 0."""
    return torch.relu(1 - torch.where(target > 0, logits, -logits)).sum(-1)


def pixels_above_zero(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit, a mean over pixels; segmentation: a -1 is a 0."""
    loss = F.softplus(torch.where(target > 0, -logits, logits))
    return loss.flatten(1).mean(1)


def clamps_the_label(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary: a label below 0 is raised to 0."""
    return F.binary_cross_entropy_with_logits(logits, target.clamp(min=0), reduction="none")


def not_zero_is_one(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a margin below 1; binary: a -1 is a 1, as all is but 0."""
    return torch.relu(1 - torch.where(target != 0, logits, -logits))


def size_of_the_label(logits: Tensor, target: Tensor, /) -> Tensor:
    """Punishes a mistake by its logit; binary: a -1 is a 1."""
    return F.binary_cross_entropy_with_logits(logits, target.abs(), reduction="none")
