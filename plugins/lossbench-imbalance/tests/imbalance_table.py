"""What each loss is worth, by hand: a new loss is one row. Next to it, equations in 60 digits."""

from __future__ import annotations

from math import exp, log, log1p

import mpmath

BIN, MULTI, LABELS, PIXELS = TASKS = ("binary", "multiclass", "multilabel", "segmentation")
COUNTS = [1, 16, 81]  # examples of each class in training
L2 = log(2)
CUI = [1 / (1 - 0.5**n) for n in COUNTS]
HALF = -(0.45**4) * log(1 - 0.45)  # a negative at p = ½, by asymmetric
CLIPPED = -(0.95**4) * log(0.05)  # and at p = 1
EYE = [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]]  # Ldam's directions

# task, loss, prediction, target, hyper-parameters, value
# fmt: off
TABLE = [
    (MULTI, "class_balanced", [[0, 0, 0], [0, 0, 0]], [0, 2], {"beta": 0.5},
     [3 * CUI[0] / sum(CUI) * log(3), 3 * CUI[2] / sum(CUI) * log(3)]),
    (MULTI, "class_balanced", [[-1e4, 1e4, 0]], [0], {"beta": 0}, [2e4]),
    (MULTI, "logit_adjustment", [[0, 0, 0], [0, 0, 0]], [0, 2], {}, [log(98), log(98 / 81)]),
    (MULTI, "logit_adjustment", [[0, 0, 0], [-1e4, 1e4, 0]], [1, 0], {"tau": 0.25},
     [log(1 + 2 + 3) - L2, 2e4 + L2]),
    (MULTI, "balanced_softmax", [[0, 0, 0], [0, 0, 0]], [0, 1], {}, [log(98), log(98 / 16)]),
    (MULTI, "ldam", [[5, 0], [0, 1]], [0, 1], {"scale": 1},
     [log1p(exp(-0.5) + exp(-1.5)), log1p(2 * exp(-0.75))]),
    (MULTI, "ldam", [[-1e4, 0]], [0], {"margin": 1}, [30 * 3]),
    (BIN, "asymmetric", [0, 0, -3, 1e4, -1e4], [1, 0, 0, 0, 1], {}, [L2, HALF, 0, CLIPPED, 1e4]),
    (BIN, "asymmetric", [0, 0, 1e4], [1, 0, 0],
     {"gamma_positive": 2, "gamma_negative": 1, "clip": 0},
     [L2 / 4, L2 / 2, 1e4]),
    (LABELS, "asymmetric", [[0, 0, -3], [1e4, -1e4, 0]], [[1, 0, 0], [0, 1, 1]], {},
     [L2 + HALF, CLIPPED + 1e4 + L2]),
    (PIXELS, "tversky", [[[0, 0]], [[-1e4, -1e4]], [[1e4, -1e4]]], [[[1, 0]], [[0, 0]], [[1, 0]]],
     {}, [1 / 4, 0, 0]),
    (PIXELS, "tversky", [[[0, 0]], [[-1e4, -1e4]]], [[[1, 0]], [[1, 1]]],
     {"alpha": 2, "smooth": 0.5}, [1.15 / 2.15, 4 / 4.5]),
    (PIXELS, "focal_tversky", [[[0, 0]], [[1e4, -1e4]]], [[[1, 0]], [[1, 0]]], {},
     [(1 / 4) ** 0.75, 0]),
    (PIXELS, "focal_tversky", [[[0, 0]], [[-1e4, 1e4]]], [[[1, 0]], [[1, 0]]], {"gamma": 2},
     [(1 / 4) ** 0.5, (1 / 2) ** 0.5]),
]

# task, loss, hyper-parameters, this loss, its hyper-parameters
IDENTITIES = [
    (MULTI, "class_balanced", {"beta": 0}, "cross_entropy", {}),
    (MULTI, "class_balanced", {"beta": 1 - 1e-13}, "cross_entropy",
     {"class_weight": [3 / n / sum(1 / k for k in COUNTS) for n in COUNTS]}),
    (MULTI, "logit_adjustment", {"tau": 0}, "cross_entropy", {}),
    (MULTI, "logit_adjustment", {}, "balanced_softmax", {}),
    (BIN, "asymmetric", {"gamma_negative": 0, "clip": 0}, "cross_entropy", {}),
    (BIN, "asymmetric", {"gamma_positive": 2, "gamma_negative": 2, "clip": 0}, "focal", {}),
    (LABELS, "asymmetric", {"gamma_negative": 0, "clip": 0}, "cross_entropy", {}),
    (LABELS, "asymmetric", {"gamma_positive": 2, "gamma_negative": 2, "clip": 0}, "focal", {}),
    (PIXELS, "tversky", {"alpha": 0.5, "beta": 0.5}, "dice_linear", {"smooth": 2}),
    (PIXELS, "focal_tversky", {"gamma": 1}, "tversky", {}),
]
# fmt: on

mp = mpmath.mp.clone()
mp.dps = 60  # so that 1 - p may be written as such


def _sigmoid(z):
    return 1 / (1 + mp.exp(-z))


def _softmax(z, y):
    return mp.exp(z[y]) / mp.fsum(mp.exp(k) for k in z)


def _class_balanced(z, y):
    weights = [1 / (1 - mp.mpf("0.9999") ** n) for n in COUNTS]
    return -3 * weights[y] / mp.fsum(weights) * mp.log(_softmax(z, y))


def _adjusted(z, y, tau=1):
    return -mp.log(_softmax([k + tau * mp.log(n) for k, n in zip(z, COUNTS, strict=True)], y))


def _ldam(z, y):
    size = mp.sqrt(z[0] ** 2 + z[1] ** 2)
    cosines = [30 * (z[0] * a + z[1] * b) / size for a, b in EYE]
    cosines[y] -= 15 * mp.mpf(COUNTS[y]) ** mp.mpf("-0.25")
    return -mp.log(_softmax(cosines, y))


def _asymmetric(z, y, clip="0.05", gamma=4):
    p = _sigmoid(z)
    above = max(0, p - mp.mpf(clip))
    return -mp.log(p) if y else -(above**gamma) * mp.log(1 - above)


def _tversky(z, g, exponent=1):
    p = [_sigmoid(k) for k in z]
    pairs = list(zip(p, g, strict=True))
    hits, misses, alarms = (
        mp.fsum(values)
        for values in ([a * b for a, b in pairs], [(1 - a) * b for a, b in pairs],
                       [a * (1 - b) for a, b in pairs])
    )  # fmt: skip
    seven, three = mp.mpf("0.7"), mp.mpf("0.3")
    return (1 - (hits + 1) / (hits + seven * misses + three * alarms + 1)) ** exponent


# task, loss, hyper-parameters, the equation as it is printed, of a list of numbers and a target
EQUATIONS = [
    (MULTI, "class_balanced", {}, _class_balanced),
    (MULTI, "logit_adjustment", {}, _adjusted),
    (MULTI, "logit_adjustment", {"tau": 0.5}, lambda z, y: _adjusted(z, y, mp.mpf("0.5"))),
    (MULTI, "balanced_softmax", {}, _adjusted),
    (MULTI, "ldam", {}, _ldam),
    (BIN, "asymmetric", {}, lambda z, y: _asymmetric(z[0], y)),
    (BIN, "asymmetric", {"clip": 0}, lambda z, y: _asymmetric(z[0], y, 0)),
    (BIN, "asymmetric", {"gamma_negative": 0.5}, lambda z, y: _asymmetric(z[0], y, gamma=0.5)),
    (LABELS, "asymmetric", {},
     lambda z, y: mp.fsum(_asymmetric(a, b) for a, b in zip(z, y, strict=True))),
    (PIXELS, "tversky", {}, _tversky),
    (PIXELS, "focal_tversky", {}, lambda z, g: _tversky(z, g, mp.mpf(3) / 4)),
]  # fmt: skip
ROWS = [[20.0, 0, 0], [0, 20.0, 1], [41.0, -3, 1], [-30.0, 2, 1.5], [1, 1, 1], [5, 4, -9.0]]
MASKS = [[1, 0, 0], [0, 1, 1], [0, 0, 0]]
PLACES = {  # predictions and targets on which equations are tried
    MULTI: (ROWS, [0, 1, 2]),
    BIN: ([[-41.0], [-4.0], [0.0], [0.5], [5.0], [20.0]], [0, 1]),
    LABELS: (ROWS, MASKS),
    PIXELS: (ROWS, MASKS),
}
EMBEDDINGS = [[1.0, 0.25], [-3.0, 2.0], [0.5, -100.0]]


def exact(equation, place, target):
    """Value and gradient in 60 digits, rounded once."""
    z = [mp.mpf(k) for k in place]
    slopes = [
        float(mp.diff(lambda x, k=k: equation([*z[:k], x, *z[k + 1 :]], target), z[k]))
        for k in range(len(z))
    ]
    return float(equation(z, target)), slopes
