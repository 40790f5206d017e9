"""What each loss is worth, by hand: a new loss is one row. Next to it, equations in 60 digits."""

from __future__ import annotations

from math import exp, inf, log, log1p, sqrt

import mpmath

L2 = log(2)
M20 = exp(-20) / (1 + exp(-20))  # 1 - p of the first class of (20, 0)
E20 = 2 * exp(-20)  # (1 - p)/p of the first class of (20, 0, 0)
ZEROS = [[0, 0, 0]]

# loss, prediction, target, hyper-parameters, value
# fmt: off
TABLE = [
    ("generalized_cross_entropy", [[0, 0], [-1e4, 1e4]], [0, 0], {},
     [(1 - 0.5**0.7) / 0.7, 1 / 0.7]),
    ("generalized_cross_entropy", [[0, 0], [20, 0]], [0, 0], {"q": 1}, [1 / 2, M20]),
    ("generalized_cross_entropy", ZEROS, [1], {"q": 1e-12}, [log(3)]),
    ("mean_absolute_error", [[0, 0], [20, 0], [-1e4, 1e4]], [0, 0, 0], {}, [1, 2 * M20, 2]),
    ("mean_absolute_error", [[0, 0, 0], [20, 0, 0]], [2, 0], {}, [4 / 3, 2 * E20 / (1 + E20)]),
    ("symmetric_cross_entropy", [[0, 0], [-1e4, 1e4]], [0, 0], {}, [L2 / 10 + 2, 2e3 + 4]),
    ("symmetric_cross_entropy", ZEROS, [0], {"alpha": 6, "beta": 0.1, "log_zero": -9},
     [6 * log(3) + 0.6]),
    ("normalized_cross_entropy", [[0, 0, 0], [20, 0, 0]], [0, 0], {},
     [1 / 3, log1p(E20) / (3 * log1p(E20) + 40)]),
    ("normalized_cross_entropy", [[-1e4, 0, 1e4], [1e4, 0, 0]], [0, 0], {}, [2 / 3, 0]),
    ("normalized_focal", [[0, 0], [20, 0]], [0, 0], {"gamma": 2},
     [1 / 2, exp(-40) * log1p(exp(-20)) / (exp(-40) * log1p(exp(-20)) + 20 + log1p(exp(-20)))]),
    ("normalized_focal", [[-1e4, 0, 1e4], [1e4, 0, 0]], [1, 0], {}, [1 / 3, 0]),
    ("active_passive_rce", [[0, 0], [-1e4, 1e4]], [0, 0], {}, [1 / 2 + 2, 1 + 4]),
    ("active_passive_rce", ZEROS, [0], {"alpha": 10, "beta": 0.1, "log_zero": -9}, [10 / 3 + 0.6]),
    ("active_passive_mae", [[0, 0], [-1e4, 1e4]], [0, 0], {}, [1 / 2 + 1, 1 + 2]),
    ("active_passive_mae", ZEROS, [0], {"alpha": 3, "beta": 0.5}, [1 + 2 / 3]),
    ("bi_tempered_logistic", [[0, 0], [0, 0]], [0, 1], {"t1": 0}, [1 / 4, 1 / 4]),
    ("bi_tempered_logistic", ZEROS, [0], {"t2": 4},
     [(1 - 3**-0.2) / 0.2 - (1 - 3 * 3**-1.2) / 1.2]),
    ("bi_tempered_logistic", [[0, 0], [-1e4, 1e4]], [0, 0], {"t1": 1, "t2": 1}, [L2, 2e4]),
    ("bi_tempered_logistic", [[-1e4, 1e4]], [0], {"t1": 0.5, "t2": 1}, [2]),
    ("bi_tempered_logistic", [[0, 2]], [0], {"t1": 0, "t2": 2}, [1 / 2]),  # p_1 = sqrt ½
    ("barron", [3, 0, -1e4], [0, 0, 0], {}, [sqrt(10) - 1, 0, sqrt(1e8 + 1) - 1]),
    ("barron", [3, -1e4], [0, 0], {"alpha": 2}, [9 / 2, 1e8 / 2]),
    ("barron", [3, -1e4], [0, 0], {"alpha": 0, "scale": 2}, [log1p(9 / 8), log1p(1e8 / 8)]),
    ("barron", [3, -1e4], [0, 0], {"alpha": -inf, "scale": 2}, [1 - exp(-9 / 8), 1]),
    ("barron", [3, -1e4], [0, 0], {"alpha": -2}, [2 * 9 / 13, 2 * 1e8 / (1e8 + 4)]),
    ("barron", [[1, 3]], [[0, 0]], {"alpha": 4},
     [((1 / 2 + 1) ** 2 - 1 + (9 / 2 + 1) ** 2 - 1) / 4]),
    ("tukey_biweight", [1, 9, -1e4, 0], [0, 0, 0, 0], {"c": 2}, [37 / 96, 2 / 3, 2 / 3, 0]),
    ("tukey_biweight", [[1e-6, 5]], [[0, 0]], {}, [(1e-12 / 2 + 4.685**2 / 6) / 2]),
    ("cauchy", [1, 3, -1e4], [0, 3, 0], {"c": 1}, [L2 / 2, 0, log1p(1e8) / 2]),
    ("cauchy", [[0, 2.385]], [[0, 0]], {}, [2.385**2 * L2 / 4]),
    ("welsch", [1, 3, -1e4], [0, 3, 0], {"c": 1}, [(1 - exp(-1)) / 2, 0, 1 / 2]),
    ("welsch", [[0, 2.985]], [[0, 0]], {}, [2.985**2 * (1 - exp(-1)) / 4]),
]

# loss, hyper-parameters, factor, that many times this loss, its hyper-parameters
IDENTITIES = [
    ("generalized_cross_entropy", {"q": 1}, 1 / 2, "mean_absolute_error", {}),
    ("generalized_cross_entropy", {"q": 1e-14}, 1, "cross_entropy", {}),
    ("symmetric_cross_entropy", {"alpha": 1, "beta": 0}, 1, "cross_entropy", {}),
    ("symmetric_cross_entropy", {"alpha": 0}, 2, "mean_absolute_error", {}),
    ("normalized_focal", {"gamma": 0}, 1, "normalized_cross_entropy", {}),
    ("active_passive_rce", {"beta": 0}, 1, "normalized_cross_entropy", {}),
    ("active_passive_rce", {"log_zero": -2}, 1, "active_passive_mae", {}),
    ("active_passive_mae", {"alpha": 0}, 1, "mean_absolute_error", {}),
    ("bi_tempered_logistic", {"t1": 1, "t2": 1}, 1, "cross_entropy", {}),
    ("bi_tempered_logistic", {"t1": 1, "t2": 1 + 1e-14}, 1, "cross_entropy", {}),
    ("barron", {"alpha": 2}, 1 / 2, "squared_error", {}),
    ("barron", {"alpha": 2 - 1e-13}, 1 / 2, "squared_error", {}),
    ("barron", {"alpha": 0, "scale": 2}, 1 / 4, "cauchy", {"c": 8**0.5}),
    ("barron", {"alpha": 1e-13, "scale": 2}, 1 / 4, "cauchy", {"c": 8**0.5}),
    ("barron", {"alpha": -inf, "scale": 2}, 1 / 4, "welsch", {"c": 8**0.5}),
    ("barron", {"alpha": -1e13, "scale": 2}, 1 / 4, "welsch", {"c": 8**0.5}),
    ("tukey_biweight", {"c": 1e10}, 1 / 2, "squared_error", {}),
    ("cauchy", {"c": 1e9}, 1 / 2, "squared_error", {}),
    ("welsch", {"c": 1e9}, 1 / 2, "squared_error", {}),
]
# fmt: on

mp = mpmath.mp.clone()
mp.dps = 60  # so that 1 - p may be written as such


def _softmax(z):
    total = mp.fsum(mp.exp(k) for k in z)
    return [mp.exp(k) / total for k in z]


def _share(values, y):
    return values[y] / mp.fsum(values)


def _nce(z, y):
    return _share([-mp.log(p) for p in _softmax(z)], y)


def _nfl(z, y, gamma):
    return _share([-((1 - p) ** gamma) * mp.log(p) for p in _softmax(z)], y)


def _miss(z, y):
    return 1 - _softmax(z)[y]


def _tempered(z, t):
    """Softmax of temperature t, its normaliser by Newton's method, from where the sum is over 1."""
    s = mp.mpf(t) - 1
    normaliser, step = max(z), mp.mpf(1)
    while step > 4 * mp.eps * (1 + abs(normaliser)):  # mp.diff works in more digits
        bases = [1 - s * (k - normaliser) for k in z]
        excess = mp.fsum(base ** (-1 / s) for base in bases) - 1
        step = excess / mp.fsum(base ** (-1 / s - 1) for base in bases)
        normaliser += step
    return [(1 - s * (k - normaliser)) ** (-1 / s) for k in z]


def _bi_tempered(z, y, t1, t2):
    t1, p = mp.mpf(t1), _tempered(z, t2)
    log_t = (p[y] ** (1 - t1) - 1) / (1 - t1)
    return -log_t - (1 - mp.fsum(k ** (2 - t1) for k in p)) / (2 - t1)


def _barron(r, alpha):
    bend = abs(mp.mpf(alpha) - 2)
    return bend / alpha * ((r**2 / bend + 1) ** (mp.mpf(alpha) / 2) - 1)


# loss, hyper-parameters, the equation as it is printed: of logits and a class, or of a residual
EQUATIONS = [
    ("generalized_cross_entropy", {"q": 0.75},
     lambda z, y: (1 - _softmax(z)[y] ** mp.mpf("0.75")) / mp.mpf("0.75")),
    ("mean_absolute_error", {}, lambda z, y: 2 * _miss(z, y)),
    ("symmetric_cross_entropy", {"alpha": 0.125},
     lambda z, y: -mp.log(_softmax(z)[y]) / 8 + 4 * _miss(z, y)),
    ("normalized_cross_entropy", {}, _nce),
    ("normalized_focal", {}, lambda z, y: _nfl(z, y, mp.mpf(1) / 2)),
    ("normalized_focal", {"gamma": 3}, lambda z, y: _nfl(z, y, 3)),
    ("active_passive_rce", {}, lambda z, y: _nce(z, y) + 4 * _miss(z, y)),
    ("active_passive_mae", {}, lambda z, y: _nce(z, y) + 2 * _miss(z, y)),
    ("bi_tempered_logistic", {"t1": 0.75, "t2": 1.25}, lambda z, y: _bi_tempered(z, y, 0.75, 1.25)),
    ("bi_tempered_logistic", {"t1": 0, "t2": 4}, lambda z, y: _bi_tempered(z, y, 0, 4)),
    ("barron", {"alpha": 1.25}, lambda r: _barron(r, 1.25)),
    ("barron", {"alpha": -0.0625}, lambda r: _barron(r, -0.0625)),
    ("barron", {"alpha": -3}, lambda r: _barron(r, -3)),
    ("tukey_biweight", {"c": 8}, lambda r: (1 - max(0, 1 - (r / 8) ** 2) ** 3) * 64 / 6),
    ("cauchy", {"c": 2}, lambda r: 2 * mp.log(1 + (r / 2) ** 2)),
    ("welsch", {"c": 2}, lambda r: 2 * (1 - mp.exp(-((r / 2) ** 2)))),
]  # fmt: skip
LOGITS = [[20.0, 0, 0], [0, 20.0, 1], [41.0, -3, 1], [-30.0, 2, 1.5], [1, 1, 1], [5, 4, -9.0]]
RESIDUALS = [2.0**-30, 0.25, -1.0, 2.5, -6.0, 20.0, 1e4]


def exact(equation, logits, label):
    """Value and gradient in 60 digits, rounded once; without a label, of a residual."""
    if label is None:
        return float(equation(mp.mpf(logits))), float(mp.diff(equation, mp.mpf(logits)))
    z = [mp.mpf(k) for k in logits]
    slopes = [
        float(mp.diff(lambda x, k=k: equation([*z[:k], x, *z[k + 1 :]], label), z[k]))
        for k in range(len(z))
    ]
    return float(equation(z, label)), slopes
