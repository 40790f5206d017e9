"""Valid losses of the papers for the other tasks, none of them built in."""

from typing import Annotated

import torch
from torch import Tensor
from torch.nn import functional as F

from lossbench.contract import declare


def asymmetric_multilabel(
    logits: Tensor, target: Tensor, /, *, gamma: Annotated[float, "[1, inf)"] = 4.0
) -> Tensor:
    """Fades easy negatives by gamma; multilabel: (B, L) and (B, L) in {0, 1}."""
    negative = torch.exp(gamma * F.logsigmoid(logits)) * F.softplus(logits)
    return torch.where(target > 0.5, F.softplus(-logits), negative).sum(-1)


def jensen_shannon(logits: Tensor, target: Tensor, /) -> Tensor:
    """The mean divergence from the middle of two distributions; (B, C) both."""
    log_p = F.log_softmax(logits, -1)
    middle = (log_p.exp() + target) / 2
    own = torch.xlogy(middle, middle) - torch.xlogy(target, target) / 2
    return (torch.xlogy(target, target) / 2 - own).sum(-1) * 0 + (
        (log_p.exp() * log_p + torch.xlogy(target, target)) / 2
        - torch.xlogy(middle, middle.clamp(min=1e-30))
    ).sum(-1)


@declare(convex=False)
def earth_mover(logits: Tensor, target: Tensor, /) -> Tensor:
    """The squared distance of two cumulative distributions; (B, C) both."""
    gap = torch.softmax(logits, -1) - target
    return gap.cumsum(-1).square().sum(-1)


def tversky(
    logits: Tensor,
    target: Tensor,
    /,
    *,
    alpha: Annotated[float, "[0, 1]"] = 0.3,
    smooth: Annotated[float, "(0, inf)"] = 1.0,
) -> Tensor:
    """Weighs false alarms by alpha and misses by the rest; segmentation (B, H, W), smooth."""
    p, g = torch.sigmoid(logits).flatten(1), target.flatten(1)
    hit, alarm, miss = (p * g).sum(1), (p * (1 - g)).sum(1), ((1 - p) * g).sum(1)
    return 1 - (hit + smooth) / (hit + alpha * alarm + (1 - alpha) * miss + smooth)


@declare(couples=True)
def dice_of_the_batch(logits: Tensor, target: Tensor, /, *, smooth: float = 1.0) -> Tensor:
    """One Dice score of all masks pooled, smooth added; segmentation (B, H, W), result ()."""
    p = torch.sigmoid(logits)
    return 1 - (2 * (p * target).sum() + smooth) / (p.sum() + target.sum() + smooth)


def lovasz_hinge(logits: Tensor, target: Tensor, /) -> Tensor:
    """The convex surrogate of the Jaccard index (Berman 2018); segmentation (B, H, W)."""
    logits, target = logits.flatten(1), target.flatten(1)
    errors, order = (1 - (2 * target - 1) * logits).sort(-1, descending=True)
    truth = target.gather(-1, order)
    inside = truth.sum(-1, keepdim=True) - truth.cumsum(-1)
    union = truth.sum(-1, keepdim=True) + (1 - truth).cumsum(-1)
    jaccard = 1 - inside / union
    steps = torch.cat([jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]], -1)
    return (torch.relu(errors) * steps).sum(-1)


def supervised_contrastive(
    embedding: Tensor, target: Tensor, /, *, temperature: Annotated[float, "(0, inf)"] = 0.2
) -> Tensor:
    """Likeness to the own identity over likeness to all, at a temperature; embedding, result ()."""
    u = F.normalize(embedding, dim=-1)
    itself = torch.eye(len(target), dtype=torch.bool, device=target.device)
    scores = (u @ u.T / temperature).masked_fill(itself, -1e9)
    positive = (target.unsqueeze(1) == target) & ~itself
    log_p = scores - scores.logsumexp(-1, keepdim=True)
    each = (log_p * positive).sum(1) / positive.sum(1).clamp(min=1)
    return -each.mean()


def multi_similarity(
    embedding: Tensor, target: Tensor, /, *, alpha: float = 2.0, beta: float = 10.0
) -> Tensor:
    """Soft pulls by alpha, soft pushes by beta (Wang 2019); embedding (B, D), identities (B,)."""
    u = F.normalize(embedding, dim=-1)
    cosine = u @ u.T
    itself = torch.eye(len(target), dtype=torch.bool, device=target.device)
    same = target.unsqueeze(1) == target
    pull = (-alpha * (cosine - 0.5)).masked_fill(~same | itself, -1e9)
    push = (beta * (cosine - 0.5)).masked_fill(same, -1e9)
    return F.softplus(pull.logsumexp(-1)) / alpha + F.softplus(push.logsumexp(-1)) / beta


class ProxyNCA(torch.nn.Module):
    """Nearness to the proxy of the own identity over all proxies; embedding (B, D)."""

    def __init__(self, *, num_classes: int, embedding_dim: int, scale: float = 3.0) -> None:
        """scale: of the squared distances; num_classes, embedding_dim: of the proxies."""
        super().__init__()
        self.scale = scale
        self.proxies = torch.nn.Parameter(torch.randn(num_classes, embedding_dim))

    def forward(self, embedding: Tensor, target: Tensor, /) -> Tensor:
        """One number per example."""
        distance = 2 - 2 * F.normalize(embedding, dim=-1) @ F.normalize(self.proxies, dim=-1).T
        return F.cross_entropy(-self.scale * distance, target, reduction="none")


def decorrelated_views(embeddings: Tensor, target: Tensor, /, *, weight: float = 0.1) -> Tensor:
    """Views that agree, in features that do not, by weight; pairs (B, 2, E), result ()."""
    views = embeddings - embeddings.mean(0)
    left, right = (views / (views.square().mean(0) + 1e-6).sqrt()).unbind(1)
    cross = left.T @ right / len(target)
    own = torch.eye(len(cross), dtype=torch.bool, device=cross.device)
    return ((cross - 1).square() * own).sum() + weight * (cross.square() * ~own).sum()


@declare(convex=True, lipschitz=2**0.5)
def ranknet(scores: Tensor, target: Tensor, /) -> Tensor:
    """The logistic loss of two scores' difference; ranking (B, 2), target 1 for the first."""
    gap = scores[:, 0] - scores[:, 1]
    return F.softplus(-(2 * target - 1) * gap)


def ctc_of_torch(logits: Tensor, target: Tensor, /) -> Tensor:
    """Torch's own CTC over the blank 0; sequence (B, T, C), labels in target[:, 1]."""
    labels = target[:, 1]
    lengths = (labels != 0).sum(1)
    steps = torch.full_like(lengths, logits.shape[1])
    log_p = F.log_softmax(logits, -1).transpose(0, 1)
    return F.ctc_loss(log_p, labels, steps, lengths, reduction="none")


@declare(tune={"beta": (0.1, 10.0)})
def free_bits(
    prediction: Tensor,
    target: Tensor,
    /,
    *,
    latent_dim: int,
    beta: Annotated[float, "(0, inf)"] = 1.0,
    free: Annotated[float, "[0, inf)"] = 0.05,
) -> Tensor:
    """The generative bound whose latents cost beta beyond free nats each; (B, P + 2 latent_dim)."""
    pixels = prediction.shape[-1] - 2 * latent_dim
    logits, mean, log_variance = prediction.split([pixels, latent_dim, latent_dim], -1)
    surprise = F.softplus(logits) - target * logits
    nats = (mean.square() + torch.expm1(log_variance) - log_variance) / 2
    return surprise.sum(-1) + beta * torch.maximum(nats, nats.new_tensor(free)).sum(-1)
