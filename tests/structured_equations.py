"""The losses of structured tasks as their equations are printed, in 60 digits and plain loops.

Each takes a prediction and a target as nested lists and gives the values of the batch.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby, product
from math import inf

import mpmath

mp = mpmath.mp.clone()
mp.dps = 60
along = partial(zip, strict=True)


def sigmoid(z):
    return 1 / (1 + mp.exp(-z))


def softmax(z):
    powers = [mp.exp(k) for k in z]
    total = mp.fsum(powers)
    return [power / total for power in powers]


def dot(a, b):
    return mp.fsum(x * y for x, y in along(a, b))


def unit(a):
    return [x / mp.sqrt(dot(a, a)) for x in a]


def squared(a, b):
    return mp.fsum((x - y) ** 2 for x, y in along(a, b))


def mean(values):
    values = list(values)
    return mp.fsum(values) / len(values) if values else mp.mpf(0)


def flat(image):
    return [pixel for row in image for pixel in row]


# ---- labels, distributions, masks ----------------------------------------------------------------
def _bernoulli(z, y, weight=(1, 1)):
    return -weight[1] * y * mp.log(sigmoid(z)) - weight[0] * (1 - y) * mp.log(1 - sigmoid(z))


def _focal(z, y, gamma):
    p = sigmoid(z) if y == 1 else 1 - sigmoid(z)
    return -((1 - p) ** gamma) * mp.log(p)


def multilabel_cross_entropy(z, y, class_weight=(1, 1)):
    return [mp.fsum(_bernoulli(*k, class_weight) for k in along(*row)) for row in along(z, y)]


def multilabel_focal(z, y, gamma=2, alpha=None):
    weights = [1, 1] if alpha is None else [1 - alpha, alpha]
    return [
        mp.fsum(weights[int(t)] * _focal(s, t, gamma) for s, t in along(*row))
        for row in along(z, y)
    ]


def multilabel_one_vs_all_hinge(z, y):
    return [mp.fsum(max(0, 1 - (2 * t - 1) * s) for s, t in along(*row)) for row in along(z, y)]


def distribution_cross_entropy(z, t, class_weight=None):
    return [
        -mp.fsum(
            w * q * mp.log(p) for w, q, p in along(class_weight or [1] * len(k), row, softmax(k))
        )
        for k, row in along(z, t)
    ]


def distribution_kl_divergence(z, t):
    return [
        mp.fsum(q * mp.log(q / p) for q, p in along(row, softmax(k)) if q) for k, row in along(z, t)
    ]


def segmentation_cross_entropy(z, g, class_weight=(1, 1)):
    return [
        mean(_bernoulli(*k, class_weight) for k in along(flat(a), flat(b))) for a, b in along(z, g)
    ]


def segmentation_focal(z, g, gamma=2, alpha=None):
    weights = [1, 1] if alpha is None else [1 - alpha, alpha]
    return [
        mean(weights[int(t)] * _focal(s, t, gamma) for s, t in along(flat(a), flat(b)))
        for a, b in along(z, g)
    ]


def _dice(z, g, smooth, power):
    p, g = [sigmoid(k) for k in flat(z)], flat(g)
    below = mp.fsum(x**power for x in p) + mp.fsum(x**power for x in g) + smooth
    return 1 - (2 * dot(p, g) + smooth) / below


def segmentation_dice(z, g, smooth=1):
    return [_dice(*image, smooth, 2) for image in along(z, g)]


def segmentation_dice_linear(z, g, smooth=1):
    return [_dice(*image, smooth, 1) for image in along(z, g)]


# ---- embeddings and pairs ------------------------------------------------------------------------
def embedding_contrastive(x, t, margin=1):
    def cost(i, j):
        d = mp.sqrt(squared(x[i], x[j]))
        return d**2 if t[i] == t[j] else max(0, margin - d) ** 2

    return [mean(cost(i, j) for j in range(len(x)) if j != i) for i in range(len(x))]


def _groups(t, i):
    batch = range(len(t))
    positives = [j for j in batch if t[j] == t[i] and j != i]
    return positives, [j for j in batch if t[j] != t[i]]


def embedding_triplet(x, t, margin=0.2):
    u = [unit(row) for row in x]
    return [
        mean(
            max(0, squared(u[i], u[p]) - squared(u[i], u[n]) + margin)
            for p, n in product(*_groups(t, i))
        )
        for i in range(len(x))
    ]


def embedding_triplet_euclidean(x, t, margin=1):
    d = [[mp.sqrt(squared(a, b)) for b in x] for a in x]
    return [
        mean(max(0, d[i][p] - d[i][n] + margin) for p, n in product(*_groups(t, i)))
        for i in range(len(x))
    ]


def embedding_nt_xent(x, t, temperature=0.5):
    def cost(i, p):
        chosen = [mp.exp(dot(unit(x[i]), unit(x[j])) / temperature) for j in [p, *_groups(t, i)[1]]]
        return -mp.log(chosen[0] / mp.fsum(chosen))

    return [mean(cost(i, p) for p in _groups(t, i)[0]) for i in range(len(x))]


def embedding_sup_con(x, t, temperature=0.1):
    def cost(i, p):
        e = [mp.exp(dot(unit(x[i]), unit(row)) / temperature) for row in x]
        return -mp.log(e[p] / (mp.fsum(e) - e[i]))

    return [mean(cost(i, p) for p in _groups(t, i)[0]) for i in range(len(x))]


def _speakers(x, t, i, w, b):
    """Of utterance i: its similarity with its own speaker, and with each of the others."""
    u = [unit(row) for row in x]

    def similarity(members):
        centroid = [mean(column) for column in along(*(u[j] for j in members))]
        return w * dot(u[i], unit(centroid)) + b

    others = [[j for j in range(len(t)) if t[j] == k] for k in sorted({*t} - {t[i]})]
    return similarity(_groups(t, i)[0]), [similarity(members) for members in others]


def embedding_ge2e(x, t, scale=10):
    def cost(i):
        own, others = _speakers(x, t, i, scale, 0)
        return -own + mp.log(mp.fsum(mp.exp(s) for s in [own, *others]))

    return [cost(i) if _groups(t, i)[0] else mp.mpf(0) for i in range(len(x))]


def embedding_ge2e_contrast(x, t, scale=10, offset=-5):
    def cost(i):
        own, others = _speakers(x, t, i, scale, offset)
        return 1 - sigmoid(own) + max((sigmoid(s) for s in others), default=mp.mpf(0))

    return [cost(i) if _groups(t, i)[0] else mp.mpf(0) for i in range(len(x))]


def _angles(x, weight):
    return [[mp.acos(dot(unit(row), unit(w))) for w in weight] for row in x]


def _with_own(logits, y, own):
    z = [own if k == y else s for k, s in enumerate(logits)]
    return -mp.log(softmax(z)[y])


def embedding_arcface(x, t, weight, scale=64, margin=0.5):
    def cost(angles, y):
        theta = angles[y]
        psi = mp.cos(theta + margin)
        if theta + margin > mp.pi:
            psi = mp.cos(theta) - margin * mp.sin(margin)
        return _with_own([scale * mp.cos(a) for a in angles], y, scale * psi)

    return [cost(*row) for row in along(_angles(x, weight), t)]


def embedding_sphereface(x, t, weight, margin=4):
    def cost(row, angles, y):
        length, theta = mp.sqrt(dot(row, row)), angles[y]
        k = int(mp.floor(theta * margin / mp.pi))
        psi = (-1) ** k * mp.cos(margin * theta) - 2 * k
        return _with_own([length * mp.cos(a) for a in angles], y, length * psi)

    return [cost(*row) for row in along(x, _angles(x, weight), t)]


def embedding_center(x, t, weight, bias, centres, strength=0.003):
    return [
        -mp.log(softmax([dot(row, w) + b for w, b in along(weight, bias)])[y])
        + strength / 2 * squared(row, centres[y])
        for row, y in along(x, t)
    ]


def _cosines(pairs):
    return [[dot(unit(a), unit(b)) for _, b in pairs] for a, _ in pairs]


def _products(pairs):
    return [[dot(a, b) for _, b in pairs] for a, _ in pairs]


def pairs_info_nce(pairs, t, temperature=0.07):
    def cost(i, row):
        e = [mp.exp(s / temperature) for s in row]
        return -mp.log(e[i] / mp.fsum(e[j] for j in range(len(t)) if j == i or t[j] != t[i]))

    return [cost(*row) for row in enumerate(_cosines(pairs))]


def pairs_multiple_negatives_ranking(pairs, t, scale=20):
    return [-mp.log(softmax([scale * s for s in k])[i]) for i, k in enumerate(_cosines(pairs))]


def pairs_contrastive(pairs, t, margin=1):
    def cost(i, j):
        d = mp.sqrt(squared(pairs[i][0], pairs[j][1]))
        return d**2 if t[i] == t[j] else max(0, margin - d) ** 2

    return [mean(cost(i, j) for j in range(len(t))) for i in range(len(t))]


def pairs_joint_logistic(pairs, t):
    s = _products(pairs)
    return [mean(_bernoulli(k, int(u == y)) for k, u in along(row, t)) for row, y in along(s, t)]


def pairs_joint_hinge(pairs, t, margin=0.1):
    def cost(i, row):
        costs = [max(0, margin - row[i] + k) for k in row]
        others = {*t} - {t[i]}
        return mp.fsum(mean(costs[j] for j in range(len(t)) if t[j] == u) for u in others)

    return [cost(*row) for row in enumerate(_products(pairs))]


def pairs_joint_sje(pairs, t, margin=1):
    return [
        max([mp.mpf(0)] + [margin - row[i] + row[j] for j in range(len(t)) if t[j] != t[i]])
        for i, row in enumerate(_products(pairs))
    ]


# ---- rankings, sequences, generation -------------------------------------------------------------
def ranking_margin_ranking(x, t, margin=1):
    return [max(0, margin - (2 * y - 1) * (a - b)) for (a, b), y in along(x, t)]


def ranking_knowledge_graph_margin_ranking(f, t, margin=1):
    return [
        max(0, true + margin - false)
        for true, false in ((pair if y == 1 else pair[::-1]) for pair, y in along(f, t))
    ]


def _preferred(x, t):
    """The winner's and the loser's score of each pair."""
    return [pair if y == 1 else pair[::-1] for pair, y in along(x, t)]


def ranking_dpo(x, t, beta=1):
    return [-mp.log(sigmoid(beta * (w - k))) for w, k in _preferred(x, t)]


def ranking_cdpo(x, t, beta=1, smoothing=0.1):
    kept, turned = ranking_dpo(x, t, beta), ranking_dpo(x, [1 - y for y in t], beta)
    return [(1 - smoothing) * a + smoothing * b for a, b in along(kept, turned)]


def ranking_robust_dpo(x, t, beta=1, flip=0.1):
    kept, turned = ranking_dpo(x, t, beta), ranking_dpo(x, [1 - y for y in t], beta)
    return [((1 - flip) * a - flip * b) / (1 - 2 * flip) for a, b in along(kept, turned)]


def ranking_ipo(x, t, beta=1):
    return [(w - k - 1 / (2 * mp.mpf(beta))) ** 2 for w, k in _preferred(x, t)]


def ranking_slic(x, t, beta=1):
    return [max(0, 1 - beta * (w - k)) for w, k in _preferred(x, t)]


def ranking_exponential(x, t):
    return [mp.exp(k - w) for w, k in _preferred(x, t)]


def ranking_kto(x, t, beta=1, reference=0, desirable=1, undesirable=1):
    return [
        desirable * (1 - sigmoid(beta * (w - reference)))
        + undesirable * sigmoid(beta * (k - reference))
        for w, k in _preferred(x, t)
    ]


def ranking_nca(x, t, beta=1):
    return [
        -mp.log(sigmoid(beta * w)) - (mp.log(sigmoid(-beta * w)) + mp.log(sigmoid(-beta * k))) / 2
        for w, k in _preferred(x, t)
    ]


def ranking_sppo(x, t, beta=1):
    half = 1 / (2 * mp.mpf(beta))
    return [(w - half) ** 2 + (k + half) ** 2 for w, k in _preferred(x, t)]


def sequence_cross_entropy(z, target, class_weight=None):
    return [
        mean(
            -(class_weight or [1] * 9)[y] * mp.log(softmax(k)[y]) for k, y in along(steps, strip[0])
        )
        for steps, strip in along(z, target)
    ]


def sequence_ctc(z, target):
    def cost(steps, labels):
        y = [softmax(k) for k in steps]
        paths = product(range(len(steps[0])), repeat=len(steps))
        ours = [p for p in paths if [k for k, _ in groupby(p) if k] == [k for k in labels if k]]
        total = mp.fsum(mp.fprod(y[t][k] for t, k in enumerate(path)) for path in ours)
        return -mp.log(total) if ours else mp.mpf(inf)

    return [cost(steps, strip[1]) for steps, strip in along(z, target)]


def _divergence(posterior):
    half = len(posterior) // 2
    return (
        mp.fsum(m**2 + mp.exp(s) - 1 - s for m, s in along(posterior[:half], posterior[half:])) / 2
    )


def generative_elbo(z, x, latent_dim, beta=1):
    return [
        mp.fsum(_bernoulli(*k) for k in along(row[: len(pixels)], pixels))
        + beta * _divergence(row[len(pixels) :])
        for row, pixels in along(z, x)
    ]


def generative_elbo_gaussian(z, x, latent_dim, beta=1):
    return [
        squared(row[: len(pixels)], pixels) / 2 + beta * _divergence(row[len(pixels) :])
        for row, pixels in along(z, x)
    ]


def exact(equation, prediction, target, **hyper):
    """Values, and the gradient of their sum, of a prediction in nested lists; rounded once."""
    values = [float(v) for v in equation(_lift(prediction), target, **hyper)]
    places = list(_places(prediction))

    def moved(place, x):
        return mp.fsum(equation(_lift(prediction, place, x), target, **hyper))

    slopes = [float(mp.diff(lambda x, p=p: moved(p, x), _at(prediction, p))) for p in places]
    return values, slopes


def _lift(values, place=None, x=None):
    """The nested lists as mp numbers, with x in one place."""
    if not isinstance(values, list):
        return mp.mpf(values) if place is None else x
    rest = lambda i: place[1:] if place and place[0] == i else None  # noqa: E731
    return [
        _lift(v, rest(i), x) if place and place[0] == i and len(place) > 1
        else (x if place and place == (i,) else _lift(v))
        for i, v in enumerate(values)
    ]  # fmt: skip


def _places(values):
    if not isinstance(values, list):
        yield ()
        return
    for i, v in enumerate(values):
        yield from ((i, *rest) for rest in _places(v))


def _at(values, place):
    return mp.mpf(values) if not place else _at(values[place[0]], place[1:])
