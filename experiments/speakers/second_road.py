"""The Bayes rate by formula and by the likelihoods, and four losses again in a plain loop.

    python experiments/speakers/second_road.py

The rate below which no decision on two utterances comes: by quadrature, and by SciPy's Gaussian
densities of pairs that are drawn. Then ten draws of their own of 200 + 60 speakers, an MLP
64-128-128-32, Adam at .003, batches of 20 speakers with four utterances each, 15 epochs, the
losses' defaults; the equal error rate is where the ROC over all pairs, joined by lines, crosses
the diagonal. Next to them the inputs as they are, a network that is not trained, the voices
themselves, linear discriminant analysis, and SupCon of speakers that were shuffled.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from data import CHANNEL, LEARNT, NUISANCE, SCORED, TESTED, VOICE, WITHIN, mixed
from scipy import integrate, optimize, stats
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor, nn
from torch.nn import functional

SEEDS, EPOCHS, SPEAKERS = 10, 15, 200


def bayes_rate() -> float:
    """By quadrature: the log-likelihood ratio of a pair is a difference of two chi squares.

    With u and v the sum and difference of two voices over the root of 2, it is c |u|^2 - a |v|^2
    and a constant; u has variance 2 + w within a speaker and 1 + w between, v has w and 1 + w.
    """
    w = WITHIN
    a, c = 1 / (2 * w * (1 + w)), 1 / (2 * (1 + w) * (2 + w))

    def accepted(threshold: float, of_sum: float, of_difference: float) -> float:
        def integrand(y: float) -> float:
            least = (threshold + a * of_difference * y) / (c * of_sum)
            return float(stats.chi2.pdf(y, VOICE) * stats.chi2.sf(least, VOICE))

        return float(integrate.quad(integrand, 0, 100, limit=200)[0])

    def imbalance(threshold: float) -> float:
        return 1 - accepted(threshold, 2 + w, w) - accepted(threshold, 1 + w, 1 + w)

    return accepted(optimize.brentq(imbalance, -50, 20), 1 + w, 1 + w)


def drawn_rate(pairs: int = 400_000) -> float:
    """By the densities of pairs of voices, as many of one speaker as of two."""
    rng = np.random.default_rng(1)
    speaker = rng.standard_normal((2, pairs, VOICE))
    other = np.where(np.arange(pairs)[:, None] % 2, speaker[0], speaker[1])
    first, second = (
        s + math.sqrt(WITHIN) * rng.standard_normal(s.shape) for s in (speaker[0], other)
    )
    both, alone = np.stack([first, second], -1), 1 + WITHIN
    one = stats.multivariate_normal(cov=[[alone, 1], [1, alone]]).logpdf(both).sum(-1)
    two = stats.norm(scale=math.sqrt(alone)).logpdf(both).sum((-1, -2))
    return equal_error_rate(one - two, np.arange(pairs) % 2 == 1)


def equal_error_rate(score: np.ndarray, same: np.ndarray) -> float:
    """Where false acceptance is false rejection on the ROC, whose points are joined by lines."""
    order = np.argsort(-score, kind="stable")
    ends = np.append(
        np.flatnonzero(np.diff(score[order])), len(score) - 1
    )  # equal scores: one step
    accepted = np.append(0, np.cumsum(~same[order])[ends]) / (~same).sum()
    rejected = 1 - np.append(0, np.cumsum(same[order])[ends]) / same.sum()
    after = int(np.argmax(accepted >= rejected))
    before = after - 1
    gap = rejected[before] - accepted[before]
    share = gap / (gap + accepted[after] - rejected[after])
    return float(accepted[before] + share * (accepted[after] - accepted[before]))


def rate_of(embedding: np.ndarray, speaker: np.ndarray) -> float:
    """Of all pairs by cosine."""
    unit = embedding / np.linalg.norm(embedding, axis=1, keepdims=True)
    i, j = np.triu_indices(len(speaker), 1)
    return equal_error_rate((unit @ unit.T)[i, j], speaker[i] == speaker[j])


def draw(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs by the deviations of those to learn from, speakers, and voices."""
    rng = np.random.default_rng([seed, 12])
    y = np.repeat(np.arange(SPEAKERS + TESTED), [LEARNT] * SPEAKERS + [SCORED] * TESTED)
    voice = rng.standard_normal((SPEAKERS + TESTED, VOICE))[y]
    voice += math.sqrt(WITHIN) * rng.standard_normal(voice.shape)
    x = mixed(voice, math.sqrt(NUISANCE) * rng.standard_normal((len(y), CHANNEL)))
    learnt = x[y < SPEAKERS]
    return (x - learnt.mean(0)) / learnt.std(0), y, voice


def cosines_of_centroids(u: Tensor) -> tuple[Tensor, Tensor]:
    """Of u (P, K, D), utterances of P speakers: cosines with the own (P, K), with all (P, K, P)."""
    total = u.sum(1)
    rest = functional.normalize(total[:, None] - u, dim=-1)
    return (u * rest).sum(-1), u @ functional.normalize(total, dim=-1).T


def ge2e(u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Softmax over speakers, the utterance left out of its own."""
    own, every = cosines_of_centroids(u)
    itself = torch.eye(len(u), dtype=torch.bool)[:, None]
    logits = 10 * w.exp() * torch.where(itself, own[..., None], every)
    return (logits.logsumexp(-1) - 10 * w.exp() * own).mean()


def te2e(u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """One tuple to accept, and one with the next speaker to refuse."""
    own, every = cosines_of_centroids(u)
    places = torch.arange(len(u))
    following = every[places, :, places.roll(-1)]
    scores = [10 * w.exp() * s + b - 5 for s in (own, following)]
    return (torch.sigmoid(-scores[0]) + torch.sigmoid(scores[1])).mean()


def sup_con(u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Mean over mates of -log softmax among all others."""
    flat, y = u.flatten(0, 1), torch.arange(len(u)).repeat_interleave(u.shape[1])
    itself = torch.eye(len(y), dtype=torch.bool)
    mate = (y[:, None] == y) & ~itself
    nats = -(flat @ flat.T / 0.1).masked_fill(itself, -torch.inf).log_softmax(-1)
    return (nats.masked_fill(~mate, 0).sum(-1) / mate.sum(-1)).mean()


def triplet(u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Mean over anchors and their triplets of the squared distances' shortfall of .2."""
    flat, y = u.flatten(0, 1), torch.arange(len(u)).repeat_interleave(u.shape[1])
    far = 2 - 2 * flat @ flat.T
    same = y[:, None] == y
    mate = same & ~torch.eye(len(y), dtype=torch.bool)
    chosen = mate[:, :, None] & ~same[:, None, :]
    return (far[:, :, None] - far[:, None, :] + 0.2)[chosen].clamp(min=0).mean()


def train(loss: object, x: Tensor, y: Tensor) -> nn.Module:
    """Runs of four utterances of a speaker in random order, twenty in a batch."""
    model = nn.Sequential(
        nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 32)
    )
    w, b = (nn.Parameter(torch.zeros(())) for _ in "wb")
    optimizer = torch.optim.Adam([*model.parameters(), w, b], lr=0.003)
    rows = torch.stack([torch.nonzero(y == k).squeeze(1) for k in range(SPEAKERS)])
    for _ in range(EPOCHS if loss else 0):
        halves = torch.stack([r[torch.randperm(LEARNT)].view(2, 4) for r in rows]).flatten(0, 1)
        for batch in halves[torch.randperm(len(halves))].split(20):
            optimizer.zero_grad()
            loss(functional.normalize(model(x[batch]), dim=-1), w, b).backward()  # type: ignore[operator]
            optimizer.step()
    return model.requires_grad_(False)


def measure(seed: int) -> dict[str, float]:
    torch.manual_seed(seed)
    x, y, voice = draw(seed)
    test, unseen = x[y >= SPEAKERS], y[y >= SPEAKERS]
    learnt = torch.from_numpy(x[y < SPEAKERS]).float(), torch.from_numpy(y[y < SPEAKERS])

    def rate(model: nn.Module) -> float:
        return rate_of(model(torch.from_numpy(test).float()).numpy(), unseen)

    found = {"inputs": rate_of(test, unseen), "voices": rate_of(voice[y >= SPEAKERS], unseen)}
    found["not trained"] = rate(train(None, *learnt))
    for loss in (te2e, ge2e, triplet, sup_con):
        found[loss.__name__] = rate(train(loss, *learnt))
    linear = LinearDiscriminantAnalysis(n_components=VOICE).fit(*learnt)
    found["linear discriminants"] = rate_of(linear.transform(test), unseen)
    shuffled = learnt[1][torch.randperm(len(learnt[1]))]
    found["sup_con, shuffled"] = rate(train(sup_con, learnt[0], shuffled))
    return found


def main() -> None:
    torch.set_num_threads(1)
    print(f"Bayes rate: {bayes_rate():.4f} by quadrature, {drawn_rate():.4f} by densities")
    found = [measure(seed) for seed in range(SEEDS)]
    for name in found[0]:
        values = np.array([each[name] for each in found])
        print(f"{name:22} {values.mean():.4f} ± {values.std(ddof=1) / SEEDS**0.5:.4f}")
    for top, under in (("ge2e", "te2e"), ("sup_con", "ge2e")):
        a, b = (np.array([each[name] for each in found]) for name in (top, under))
        print(f"{top} / {under}".ljust(22), f"{a.mean() / b.mean():.3f}")


if __name__ == "__main__":
    main()
