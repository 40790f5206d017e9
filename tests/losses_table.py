"""What each loss is worth, by hand: the tables that test_losses.py runs. A new loss is one row."""

from __future__ import annotations

from itertools import product
from math import cosh, exp, inf, log, log1p, nan, sqrt, tanh

import mpmath

TASKS = ("binary", "multiclass", "regression", "regularizer")
BIN, MULTI, REG, PEN = TASKS
COST = [[0.0, 2.0, 5.0], [1.0, 0.0, 1.0], [3.0, 1.0, 0.0]]
CREDIT = [[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.25, 2.0]]
W = [[3.0, 0.0, 1.0], [-4.0, 0.0, 0.0]]
L2 = log(2)
S20 = log1p(exp(-20))  # -log sigmoid(20)
ONE = log(exp(1) - 1)  # softplus of it is 1
ZERO = -1e4
A2 = 1e4 + 1  # an alpha
E2 = (1 / (A2 + 1)) ** 2 + A2 / (A2 + 1) ** 2 / (A2 + 2)
P20 = 1 / (exp(20) + 2)  # softmax(20, 0, 0) of a zero


def sigmoid(z):
    return 1 / (1 + exp(-z))


# task, loss, prediction, target, hyper-parameters, value
# fmt: off
TABLE = [
    (BIN, "cross_entropy", [0, -20, 20], [1, 1, 1], {}, [L2, 20 + S20, S20]),
    (BIN, "cross_entropy", [1e4, -1e4, 1e4], [1, 1, 0], {}, [0, 1e4, 1e4]),
    (BIN, "cross_entropy", [0, 3], [0.3, 0.5], {}, [L2, 1.5 + log1p(exp(-3))]),
    (BIN, "cross_entropy", [0, 0, 0], [0, 1, 0.5], {"class_weight": (1, 3)}, [L2, 3 * L2, 2 * L2]),
    (BIN, "cross_entropy", [0, 0, 0], [0, 1, 0.5],
     {"class_weight": "balanced", "class_counts": [9, 3]}, [2 / 3 * L2, 2 * L2, 4 / 3 * L2]),
    (BIN, "focal", [0, 0], [0, 1], {"alpha": 0.25}, [0.75 * L2 / 4, 0.25 * L2 / 4]),
    (BIN, "focal", [0, 0], [0, 1], {"alpha": "balanced", "class_counts": [9, 3], "gamma": 0},
     [2 / 3 * L2, 2 * L2]),
    (BIN, "logistic", [0, -100, -1e4], [1, 1, 1], {}, [L2, 100, 1e4]),
    (BIN, "logistic", [2, 2], [1, 0], {}, [log1p(exp(-2)), log1p(exp(2))]),
    (BIN, "bounded_cross_entropy", [0, -200, 200], [1, 1, 0], {}, [L2, 100, 100]),
    (BIN, "bounded_cross_entropy", [0, -20, 20], [1, 1, 1], {"bound": 3}, [L2, 3, S20]),
    (BIN, "clipped_cross_entropy", [0, -200, 200, 200], [1, 1, 0, 1], {},
     [L2, 7 * log(10), 7 * log(10), -log1p(-1e-7)]),
    (BIN, "clipped_cross_entropy", [-3, 3, 1, 1e4], [1, 1, 1, 0.5], {"epsilon": 0.25},
     [log(4), -log(0.75), log1p(exp(-1)), (log(4) - log(0.75)) / 2]),
    (BIN, "label_smoothing", [0, 20], [1, 1], {}, [L2, 1 + S20]),
    (BIN, "label_smoothing", [-1e4], [1], {"epsilon": 0.2}, [9e3]),
    (BIN, "focal", [0, 0], [0, 1], {}, [L2 / 4, L2 / 4]),
    (BIN, "focal", [0, -1e4, 1e4], [1, 1, 1], {"gamma": 0.5}, [L2 / sqrt(2), 1e4, 0]),
    (BIN, "focal", [20], [1], {"gamma": 2}, [sigmoid(-20) ** 2 * S20]),
    (BIN, "poly", [0, -1e4], [1, 1], {}, [L2 + 1 / 2, 1e4 + 1]),
    (BIN, "poly", [0, 2], [1, 0], {"epsilon": (1, -2)},
     [L2, log1p(exp(2)) + sigmoid(2) - 2 * sigmoid(2) ** 2]),
    (BIN, "squared_error", [0, -1e4, log(3)], [1, 1, 1], {}, [1 / 4, 1, 1 / 16]),
    (BIN, "squared_error", [20, log(3)], [1, 0], {}, [sigmoid(-20) ** 2, 9 / 16]),
    (BIN, "exponential", [0, 1, -1], [1, 1, 1], {}, [1, exp(-1), exp(1)]),
    (BIN, "exponential", [1e4, 1e4, 1], [1, 0, 0], {}, [0, inf, exp(1)]),
    (BIN, "hinge", [2, 1, 0.5, -1e4], [1, 1, 1, 1], {}, [0, 0, 0.5, 10001]),
    (BIN, "hinge", [0.5, -3], [0, 0], {"margin": 2}, [2.5, 0]),
    (BIN, "squared_hinge", [2, 0.5, -1], [1, 1, 1], {}, [0, 1 / 4, 4]),
    (BIN, "squared_hinge", [2, -1e4], [0, 1], {}, [9, 10001**2]),
    (BIN, "smooth_hinge", [2, 0.5, 0, -1], [1, 1, 1, 1], {}, [0, 1 / 8, 1 / 2, 3 / 2]),
    (BIN, "smooth_hinge", [0.5, -3, -1e4], [0, 1, 1], {"gamma": 2}, [2.25 / 4, 3, 1e4]),
    (BIN, "modified_huber", [2, 0.5, -1, -3], [1, 1, 1, 1], {}, [0, 1 / 4, 4, 12]),
    (BIN, "modified_huber", [0, 5, -1e4], [0, 0, 1], {}, [1, 20, 4e4]),
    (BIN, "kl_divergence", [0, 0, 0], [0.5, 1, 0], {}, [0, L2, L2]),
    (BIN, "kl_divergence", [0, 1e4], [0.25, 0.5], {},
     [0.25 * log(1 / 2) + 0.75 * log(3 / 2), 5e3 - L2]),
    (BIN, "pairwise_hinge", [2, 0, 1.5], [1, 0, 0], {}, 0.5 / 2),
    (BIN, "pairwise_hinge", [0, 1e4, 3], [1, 0, 1], {"margin": 2}, (10002 + 9999) / 2),
    (BIN, "pairwise_squared", [2, 0, 1.5], [1, 0, 0], {}, (1 + 0.25) / 2),
    (BIN, "pairwise_squared", [1, 3, 0], [1, 1, 0], {"margin": 3}, (4 + 0) / 2),
    (BIN, "pairwise_squared_hinge", [2, 0, 1.5], [1, 0, 0], {}, 0.25 / 2),
    (BIN, "pairwise_squared_hinge", [0, 1e4], [1, 0], {"margin": 2}, 10002**2),
    (BIN, "pairwise_logistic", [0, 0, 20], [1, 0, 0], {}, (L2 + 20 + S20) / 2),
    (BIN, "pairwise_logistic", [1, 2], [1, 1], {}, 0),
    (BIN, "partial_auc", [2, 0, 1.5, 1, -3], [1, 0, 0, 0, 0], {}, (0.25 + 0) / 2),
    (BIN, "partial_auc", [0, *range(10)], [1] + [0] * 10, {"margin": 2},
     (11**2 + 10**2 + 9**2) / 3),
    (BIN, "partial_auc", [0, 1, 2], [1, 0, 0], {"max_fpr": 0.51}, (4 + 9) / 2),
    (BIN, "partial_auc_kl", [0, 0, 1], [1, 0, 0], {}, log((exp(1) + exp(4)) / 2)),
    (BIN, "partial_auc_kl", [0, 0, 1, 9], [1, 0, 0, 1], {"temperature": 10, "margin": 2},
     10 * log((exp(0.4) + exp(0.9)) / 2) / 2),
    (BIN, "smooth_ap", [2, 0, 3], [1, 0, 0], {}, 1 - 1 / (1 + sigmoid(10) + sigmoid(-20))),
    (BIN, "smooth_ap", [0, 0, 0], [1, 1, 0], {"temperature": 1}, 1 - 1.5 / 2),
    (BIN, "smooth_ap", [-1e4, 1e4], [1, 0], {}, 1 / 2),
    (MULTI, "confidence_penalty", [[0, 0, 0], [1e4, 0, 0], [1e4, 0, 0]], [0, 0, 1], {},
     [0.9 * log(3), 0, 1e4]),
    (MULTI, "confidence_penalty", [[log(3), 0]], [0], {"strength": 2},
     [log(4 / 3) - 2 * (0.75 * log(4 / 3) + 0.25 * log(4))]),
    (MULTI, "max_entropy", [[0, 0, 0], [1e4, 0, 0], [1e4, 0, 0]], [0, 0, 1], {},
     [log(3), 0.1, 1e4 + 0.1]),
    (MULTI, "max_entropy", [[log(3), 0]], [0], {"strength": 2, "threshold": 0.75},
     [log(4 / 3) + 2 * (0.75 - 0.75 * log(4 / 3) - 0.25 * log(4))]),
    (MULTI, "mbls", [[0, 0, 0], [12, 0, 1], [1e4, 0, 0]], [0, 0, 1], {},
     [log(3), log1p(exp(-12) + exp(-11)) + 0.1 * (2 + 1), 1e4 + 0.1 * 2 * 9990]),
    (MULTI, "mbls", [[2, 0]], [1], {"strength": 2, "margin": 0.5}, [log1p(exp(2)) + 2 * 1.5]),
    (MULTI, "max_sup", [[0, 0, 0], [3, 0, 0], [1e4, 0, -1e4]], [0, 1, 2], {},
     [log(3), log(2 + exp(3)) + 0.1 * 2, 2e4 + 1e3]),
    (MULTI, "max_sup", [[2, 0]], [0], {"strength": 2}, [log1p(exp(-2)) + 2 * (2 - 1)]),
    (MULTI, "dual_focal", [[0, 0, 0], [log(3), 0, log(2)], [0, 1e4, -1e4]], [0, 0, 0], {},
     [4 / 9 * log(3), (1 / 2 + 1 / 3) ** 2 * L2, 1e4]),
    (MULTI, "dual_focal", [[1e4, 0, 0], [log(3), 0, log(2)]], [0, 2], {"gamma": 0.5},
     [0, sqrt(2 / 3 + 1 / 6) * log(3)]),
    (MULTI, "label_relaxation", [[3, 0], [0, 0], [1e4, 0], [0, 1e4]], [0, 0, 0, 0], {},
     [0, 0.9 * log(1.8) + 0.1 * log(0.2), 0, 9e3 + 0.9 * log(0.9) + 0.1 * log(0.1)]),
    (MULTI, "label_relaxation", [[0, 0, 0], [0, 1, 0]], [0, 1], {"alpha": 0.4},
     [0.6 * log(1.8) + 0.4 * log(0.6),
      0.6 * log(0.6 * (1 + 2 * exp(-1))) + 0.4 * log(0.4 * (1 + exp(1) / 2))]),
    (MULTI, "logit_norm", [[0, 0, 0], [9, 0, 0], [1e4, 0, 0]], [0, 0, 1], {"temperature": 0.5},
     [log(3), log1p(2 * exp(-2 / (1 + 1e-7 / 9))), 2 / (1 + 1e-11) + log1p(2 * exp(-2))]),
    (MULTI, "logit_norm", [[3, 4]], [0], {}, [5 / (1 + 2e-8) + log1p(exp(-5))]),
    (MULTI, "edl_mse", [[-1e4, -1e4], [ZERO, 1e4]], [0, 1], {"progress": 0}, [2 / 3, 2 * E2]),
    (MULTI, "edl_mse", [[ONE, -1e4, -1e4]], [1], {"progress": 0.05},
     [0.25 + 0.5625 + 0.0625 + 0.625 / 5 + (log(3) - 5 / 6) / 2]),
    (MULTI, "edl_log", [[-1e4, -1e4], [ONE, -1e4]], [0, 0], {"progress": 0}, [L2, log(1.5)]),
    (MULTI, "edl_log", [[ONE, -1e4]], [1], {"progress": 1, "strength": 3},
     [log(3) + 3 * (L2 - 1 / 2)]),
    (MULTI, "edl_digamma", [[-1e4, -1e4], [ONE, -1e4]], [0, 0], {"progress": 0}, [1, 1 / 2]),
    (MULTI, "edl_digamma", [[ONE, -1e4]], [1], {"progress": 0.5, "ramp": 1},
     [1 + 1 / 2 + (L2 - 1 / 2) / 2]),
    (MULTI, "cross_entropy", [[0, 0, 0], [20, 0, 0], [20, 0, 0]], [0, 0, 1], {},
     [log(3), log1p(2 * exp(-20)), 20 + log1p(2 * exp(-20))]),
    (MULTI, "cross_entropy", [[1e4, 0, -1e4], [1e4, 0, -1e4]], [0, 2], {}, [0, 2e4]),
    (MULTI, "cross_entropy", [[0, 0, 0], [0, 0, 0]], [0, 1], {"class_weight": (1, 3, 2)},
     [log(3), 3 * log(3)]),
    (MULTI, "cross_entropy", [[0, 0, 0]] * 3, [0, 1, 2],
     {"class_weight": "balanced", "class_counts": [6, 3, 0]}, [log(3) / 2, log(3), 0]),
    (MULTI, "focal", [[0, 0, 0]] * 2, [0, 1], {"alpha": (1, 3, 2)},
     [4 / 9 * log(3), 4 / 3 * log(3)]),
    (MULTI, "focal", [[0, 0, 0]] * 2, [0, 1],
     {"alpha": "balanced", "class_counts": [6, 3, 3], "gamma": 0},
     [2 / 3 * log(3), 4 / 3 * log(3)]),
    (MULTI, "complementary_cross_entropy", [[0, 0], [0, -1e4]], [0, 1], {}, [2 * L2, 2e4]),
    (MULTI, "complementary_cross_entropy", [[0, 0, 0], [0, -1e4, -1e4]], [0, 0], {},
     [log(3) + 2 * log(3 / 2), 0]),
    (MULTI, "bounded_cross_entropy", [[0, 0], [200, 0]], [0, 1], {}, [L2, 100]),
    (MULTI, "bounded_cross_entropy", [[0, 0], [20, 0]], [0, 1], {"bound": 3}, [L2, 3]),
    (MULTI, "clipped_cross_entropy", [[0, 0], [200, 0], [200, 0]], [0, 1, 0], {},
     [L2, 7 * log(10), -log1p(-1e-7)]),
    (MULTI, "clipped_cross_entropy", [[0, 0, 0], [9, 0, 0], [-1e4, 0, 0]], [0, 0, 0],
     {"epsilon": 0.25}, [log(3), -log(0.75), log(4)]),
    (MULTI, "label_smoothing", [[0, 0], [20, 0]], [0, 0], {}, [L2, 1 + S20]),
    (MULTI, "label_smoothing", [[0, 1e4, 0]], [0], {"epsilon": 0.3}, [0.7 * 1e4 + 0.1 * 2e4]),
    (MULTI, "focal", [[0, 0], [0, 0]], [0, 1], {}, [L2 / 4, L2 / 4]),
    (MULTI, "focal", [[0, 0, 0], [1e4, 0, 0], [1e4, 0, 0]], [0, 0, 1], {"gamma": 0.5},
     [sqrt(2 / 3) * log(3), 0, 1e4]),
    (MULTI, "poly", [[0, 0, 0], [0, 1e4, 0]], [0, 0], {}, [log(3) + 2 / 3, 1e4 + 1]),
    (MULTI, "poly", [[0, 0]], [1], {"epsilon": (1, 2)}, [L2 + 1 / 2 + 2 / 4]),
    (MULTI, "squared_error", [[0.5, 0.5], [2, 0]], [0, 0], {}, [1 / 2, 1]),
    (MULTI, "squared_error", [[0, 1, -2]], [1], {}, [4]),
    (MULTI, "brier", [[0, 0, 0], [1e4, 0, 0]], [0, 1], {}, [4 / 9 + 2 / 9, 2]),
    (MULTI, "brier", [[log(3), 0], [20, 0]], [0, 0], {}, [2 / 16, 2 * sigmoid(-20) ** 2]),
    (MULTI, "crammer_singer", [[2, 1.5, 1.8], [-3, -5, -5]], [0, 0], {}, [0.8, 0]),
    (MULTI, "crammer_singer", [[0, 1, 1], [9, 1, 1]], [0, 0], {"margin": 3}, [4, 0]),
    (MULTI, "crammer_singer", [[0, 1, 0], [0, 1, 0]], [0, 1], {"cost": COST}, [5, 0]),
    (MULTI, "weston_watkins", [[2, 1.5, 1.8], [-3, -5, -5]], [0, 0], {}, [0.5 + 0.8, 0]),
    (MULTI, "weston_watkins", [[-1e4, 1e4, 0]], [0], {}, [20001 + 10001]),
    (MULTI, "one_vs_all_hinge", [[0.5, 0, -2], [1, -1, -1]], [0, 0], {}, [0.5 + 1, 0]),
    (MULTI, "one_vs_all_hinge", [[-1e4, 1e4, 0]], [0], {}, [10001 + 10001 + 1]),
    (MULTI, "infogain", [[0, 0, 0], [20, 0, 0]], [2, 0], {}, [log(3), log1p(2 * exp(-20))]),
    (MULTI, "infogain", [[0, 0, 0], [1e4, 0, 0]], [0, 2], {"matrix": CREDIT},
     [1.5 * log(3), 2.25e4]),
    (REG, "squared_error", [1, 3, -1e4], [1, 1, 0], {}, [0, 4, 1e8]),
    (REG, "squared_error", [[1, 3]], [[1, 1]], {}, [(0 + 4) / 2]),
    (REG, "absolute_error", [1, 3, -1e4], [1, 1, 0], {}, [0, 2, 1e4]),
    (REG, "absolute_error", [[1, 3]], [[1, 1]], {}, [(0 + 2) / 2]),
    (REG, "root_mean_squared_error", [1, 3], [1, 1], {}, sqrt((0 + 4) / 2)),
    (REG, "root_mean_squared_error", [[1, 3], [1, 1]], [[1, 1], [2, 2]], {}, sqrt((4 + 1 + 1) / 4)),
    (REG, "euclidean", [1, 3], [1, 4], {}, [0, 1]),
    (REG, "euclidean", [[3, 4], [0, 0]], [[0, 0], [0, 0]], {}, [5, 0]),
    (REG, "quantile", [0, 2], [1, 1], {"q": 0.9}, [0.9, 1 - 0.9]),
    (REG, "quantile", [[0, 4]], [[1, 1]], {}, [(0.5 + 1.5) / 2]),
    (REG, "huber", [0.5, 1, -3, 1e4], [0, 0, 0, 0], {}, [1 / 8, 1 / 2, 5 / 2, 1e4 - 1 / 2]),
    (REG, "huber", [[1, 5]], [[0, 0]], {"delta": 2}, [(1 / 2 + 2 * (5 - 1)) / 2]),
    (REG, "smooth_l1", [0.5, 3], [0, 0], {"beta": 2}, [1 / 16, 2]),
    (REG, "smooth_l1", [0.5, -3, 0], [0, 0, 0], {"beta": 0}, [0.5, 3, 0]),
    (REG, "log_cosh", [1e-4, 1, -3], [0, 0, 0], {},
     [5e-9 - 1e-16 / 12, log(cosh(1)), log(cosh(3))]),
    (REG, "log_cosh", [0, 1e4, -800], [0, 0, 0], {}, [0, 1e4 - L2, 800 - L2]),
    (REG, "squared_log_error", [0, 3], [1, 1], {}, [L2**2, L2**2]),
    (REG, "squared_log_error", [-1, -2], [1, 1], {}, [inf, nan]),
    (REG, "gaussian_nll", [[0, 0], [0, 2]], [2, 2], {}, [2, (2 + 4 * exp(-2)) / 2]),
    (REG, "gaussian_nll", [[0, -1e4], [3, 1e4], [1, -1e4]], [0, 0, 0], {}, [-5e3, 5e3, inf]),
    (REG, "gaussian_nll", [[[0, 0], [0, 1]]], [[2, 0]], {}, [(2 + 1 / 2) / 2]),
    (REG, "expectile", [0, 3], [1, 1], {"q": 0.9}, [0.9, 0.1 * 4]),
    (REG, "expectile", [[0, 3]], [[1, 1]], {}, [(0.5 + 2) / 2]),
    (REG, "evidential", [[0, 0, 0, 0], [0, 0, 0, 0]], [0, 2], {},
     [0.419418934888937, 2.19142122138452833]),
    (REG, "evidential", [[1, 2, -1, 0.5], [0, 0, 1e4, 0]], [-1, 1], {"strength": 0.1},
     [3.18135365952838498, 2683.90211461749848 + 0.09 * (2 * L2 + 10001)]),
    (PEN, "none", W, [], {}, 0),
    (PEN, "none", [[1.0]], [], {}, 0),
    (PEN, "l1", W, [], {}, 8e-4),
    (PEN, "l1", W, [], {"strength": 0.5}, 4),
    (PEN, "l2", W, [], {}, 26e-4),
    (PEN, "l2", W, [], {"strength": 0.5}, 13),
    (PEN, "frobenius", W, [], {"strength": 1}, sqrt(26)),
    (PEN, "frobenius", [[0.0, 0.0]], [], {}, 0),
    (PEN, "l21", W, [], {"strength": 1}, 5 + 0 + 1),
    (PEN, "l21", [[3.0, -4.0]], [], {}, 7e-4),
    (PEN, "l21_rows", W, [], {"strength": 1}, sqrt(10) + 4),
    (PEN, "l21_rows", [[3.0], [-4.0]], [], {}, 7e-4),
]

# task, loss, prediction, target, hyper-parameters, gradient of the sum of values
GRADIENTS = [
    (BIN, "cross_entropy", [20, 1e4, 40], [0, 0, 1], {}, [sigmoid(20), 1, -sigmoid(-40)]),
    (BIN, "bounded_cross_entropy", [-5, -1], [1, 1], {"bound": 3}, [0, -sigmoid(1)]),
    (BIN, "clipped_cross_entropy", [-3, 3, 1], [1, 1, 1], {"epsilon": 0.25}, [0, 0, -sigmoid(-1)]),
    (BIN, "focal", [0], [1], {}, [(2 * log(0.5) / 2 - 1 / 2) / 4]),
    (BIN, "focal", [1e4, -1e4], [1, 1], {"gamma": 0.5}, [0, -1]),
    (BIN, "poly", [-1e4, 0], [1, 1], {}, [-1, -0.5 - 0.25]),
    (BIN, "squared_error", [-20], [1], {}, [-2 * sigmoid(20) ** 2 * sigmoid(-20)]),
    (BIN, "hinge", [1, 0.5, 0.5], [1, 1, 0], {}, [0, -1, 1]),
    (BIN, "squared_hinge", [1, 0], [1, 1], {}, [0, -2]),
    (BIN, "modified_huber", [1, 0, -5], [1, 1, 1], {}, [0, -2, -4]),
    (BIN, "kl_divergence", [0, 0], [0, 0.75], {}, [0.5, -0.25]),
    (BIN, "pairwise_hinge", [0, 1, -1, -3], [1, 0, 0, 0], {}, [-1 / 3, 1 / 3, 0, 0]),
    (BIN, "pairwise_squared", [1, 3, 0], [1, 1, 0], {"margin": 3}, [-2, 0, 2]),
    (BIN, "pairwise_squared_hinge", [2, 1.5, 0], [1, 0, 0], {}, [-0.5, 0.5, 0]),
    (BIN, "pairwise_logistic", [1e4, -1e4, 0], [0, 1, 0], {}, [0.5, -1, 0.5]),
    (BIN, "partial_auc", [0, 1, 2, -1], [1, 0, 0, 0], {}, [-6, 0, 6, 0]),
    (BIN, "partial_auc_kl", [0, 1e4, 0], [1, 0, 0], {}, [-20002, 20002, 0]),
    (BIN, "smooth_ap", [0, 0], [1, 0], {"temperature": 1}, [-0.25 / 2.25, 0.25 / 2.25]),
    (BIN, "smooth_ap", [5, 0, 1], [1, 1, 1], {}, [0, 0, 0]),
    (MULTI, "confidence_penalty", [[0, 0], [1e4, 0]], [0, 0], {}, [[-0.5, 0.5], [0, 0]]),
    (MULTI, "max_entropy", [[0, 1e4]], [0], {}, [[-1, 1]]),
    (MULTI, "mbls", [[1e4, 0, -1e4]], [0], {}, [[0.2, -0.1, -0.1]]),
    (MULTI, "mbls", [[10, 0]], [1], {}, [[sigmoid(10), -sigmoid(10)]]),
    (MULTI, "max_sup", [[1e4, 0]], [0], {}, [[0.05, -0.05]]),
    (MULTI, "dual_focal", [[1e4, 0], [0, 1e4]], [0, 0], {"gamma": 0.5}, [[0, 0], [-1, 1]]),
    (MULTI, "label_relaxation", [[3, 0], [0, 0]], [0, 0], {}, [[0, 0], [-0.4, 0.4]]),
    (MULTI, "cross_entropy", [[20, 0, 0]], [0], {}, [[-2 * P20, P20, P20]]),
    (MULTI, "clipped_cross_entropy", [[0, 0], [9, 0]], [0, 0], {"epsilon": 0.25},
     [[-0.5, 0.5], [0, 0]]),
    (MULTI, "focal", [[1e4, 0]], [0], {"gamma": 0.5}, [[0, 0]]),
    (MULTI, "brier", [[0, 1e4]], [0], {}, [[0, 0]]),
    (MULTI, "crammer_singer", [[0, 2, 1]], [0], {}, [[-1, 1, 0]]),
    (MULTI, "weston_watkins", [[0, 2, 1], [1, 0, 0]], [0, 0], {}, [[-2, 1, 1], [0, 0, 0]]),
    (MULTI, "squared_error", [[0, 2]], [0], {}, [[-2, 4]]),
    (REG, "squared_error", [[1, 3]], [[1, 1]], {}, [[0, 2 * 2 / 2]]),
    (REG, "absolute_error", [1, 3, 0], [1, 1, 1], {}, [0, 1, -1]),
    (REG, "root_mean_squared_error", [1, 3], [1, 3], {}, [0, 0]),
    (REG, "root_mean_squared_error", [1, 3], [1, 1], {}, [0, 2 / (2 * sqrt(2))]),
    (REG, "euclidean", [[3, 4], [0, 0]], [[0, 0], [0, 0]], {}, [[0.6, 0.8], [0, 0]]),
    (REG, "quantile", [0, 2, 1], [1, 1, 1], {"q": 0.9}, [-0.9, 1 - 0.9, 0]),
    (REG, "huber", [0.5, -3, 1], [0, 0, 0], {}, [0.5, -1, 1]),
    (REG, "smooth_l1", [0.5, -3, 0], [0, 0, 0], {"beta": 0}, [1, -1, 0]),
    (REG, "log_cosh", [1e-4, -2, 1e4], [0, 0, 0], {}, [tanh(1e-4), -tanh(2), 1]),
    (REG, "squared_log_error", [3], [1], {}, [2 * L2 / 4]),
    (REG, "gaussian_nll", [[0, 0], [0, -1e4]], [2, 0], {}, [[-2, (1 - 4) / 2], [0, 1 / 2]]),
    (REG, "expectile", [0, 3, 1], [1, 1, 1], {"q": 0.9}, [-1.8, 0.4, 0]),
    (PEN, "frobenius", [[0.0, 0.0]], [], {}, [[0, 0]]),
    (PEN, "l21", W, [], {"strength": 1}, [[0.6, 0, 1], [-0.8, 0, 0]]),
    (PEN, "l21_rows", [[3.0, 4.0], [0.0, 0.0]], [], {"strength": 1}, [[0.6, 0.8], [0, 0]]),
]

# task, loss, hyper-parameters, factor, that many times this loss, its hyper-parameters
IDENTITIES = [
    (BIN, "logistic", {}, 1, "cross_entropy", {}),
    (BIN, "focal", {"gamma": 0}, 1, "cross_entropy", {}),
    (BIN, "poly", {"epsilon": (0.0,)}, 1, "cross_entropy", {}),
    (BIN, "label_smoothing", {"epsilon": 0}, 1, "cross_entropy", {}),
    (BIN, "bounded_cross_entropy", {"bound": 1e9}, 1, "cross_entropy", {}),
    (BIN, "kl_divergence", {}, 1, "cross_entropy", {}),
    (BIN, "modified_huber", {}, 4, "smooth_hinge", {"gamma": 2}),
    (MULTI, "focal", {"gamma": 0}, 1, "cross_entropy", {}),
    (MULTI, "focal", {"gamma": 0, "alpha": "balanced", "class_counts": [5, 9, 1]}, 1,
     "cross_entropy", {"class_weight": "balanced", "class_counts": [5, 9, 1]}),
    (MULTI, "poly", {"epsilon": (0.0,)}, 1, "cross_entropy", {}),
    (MULTI, "label_smoothing", {"epsilon": 0}, 1, "cross_entropy", {}),
    (MULTI, "bounded_cross_entropy", {"bound": 1e9}, 1, "cross_entropy", {}),
    (MULTI, "infogain", {"matrix": None}, 1, "cross_entropy", {}),
    (MULTI, "infogain", {"matrix": [[2, 0, 0], [0, 1, 0], [0, 0, 3]]}, 1,
     "cross_entropy", {"class_weight": (2, 1, 3)}),
    (MULTI, "infogain", {"matrix": [[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8]]}, 1,
     "label_smoothing", {"epsilon": 0.3}),
    (MULTI, "crammer_singer", {"cost": [[0, 1, 1], [1, 0, 1], [1, 1, 0]]}, 1, "crammer_singer", {}),
    (BIN, "partial_auc", {"max_fpr": 1}, 1, "pairwise_squared_hinge", {}),
    (MULTI, "confidence_penalty", {"strength": 0}, 1, "cross_entropy", {}),
    (MULTI, "max_entropy", {"strength": 0}, 1, "cross_entropy", {}),
    (MULTI, "mbls", {"strength": 0}, 1, "cross_entropy", {}),
    (MULTI, "mbls", {"margin": 1e9}, 1, "cross_entropy", {}),
    (MULTI, "max_sup", {"strength": 0}, 1, "cross_entropy", {}),
    (MULTI, "dual_focal", {"gamma": 0}, 1, "cross_entropy", {}),
    (REG, "huber", {"delta": 1}, 1, "smooth_l1", {}),
    (REG, "huber", {"delta": 3}, 3, "smooth_l1", {"beta": 3}),
    (REG, "huber", {"delta": 1e9}, 1 / 2, "squared_error", {}),
    (REG, "smooth_l1", {"beta": 0}, 1, "absolute_error", {}),
    (REG, "quantile", {"q": 0.5}, 1 / 2, "absolute_error", {}),
    (REG, "expectile", {"q": 0.5}, 1 / 2, "squared_error", {}),
    (PEN, "l1", {"strength": 0}, 1, "none", {}),
    (PEN, "l2", {"strength": 0}, 1, "none", {}),
    (PEN, "frobenius", {"strength": 0}, 1, "none", {}),
    (PEN, "l21", {"strength": 0}, 1, "none", {}),
    (PEN, "l21_rows", {"strength": 0}, 1, "none", {}),
]
# fmt: on

# multiclass loss on (0, z) -> how often it is the binary loss of that name on z
TWO_CLASSES = {
    "cross_entropy": ("cross_entropy", 1),
    "focal": ("focal", 1),
    "poly": ("poly", 1),
    "label_smoothing": ("label_smoothing", 1),
    "bounded_cross_entropy": ("bounded_cross_entropy", 1),
    "clipped_cross_entropy": ("clipped_cross_entropy", 1),
    "complementary_cross_entropy": ("cross_entropy", 2),
    "brier": ("squared_error", 2),
    "crammer_singer": ("hinge", 1),
    "weston_watkins": ("hinge", 1),
}

# a batch of each task, as far out as a training goes
EXTREMES = {
    BIN: ([-1e4, -1e4, 1e4, 1e4], [0, 1, 0, 1]),
    MULTI: ([[a, b, c] for a, b, c in product((-1e4, 0, 1e4), repeat=3)], [0, 1, 2] * 9),
    REG: ([1e4, -1e4, 0, 1e4], [0, 0, 0, 1e4]),
    PEN: ([[1e4, -1e4], [0, 0]], []),
}

mp = mpmath.mp.clone()
mp.dps = 120  # so that 1 - p may be written as such


def _p(z, y):
    """The true class's probability, as the equation has it: of a logit, or of a list of them."""
    if not isinstance(z, list):
        return 1 / (1 + mp.exp(-z)) if y == 1 else 1 / (1 + mp.exp(z))
    return mp.exp(z[y]) / mp.fsum(mp.exp(k) for k in z)


def _smoothed(z, y, e=0.125):
    classes = range(len(z)) if isinstance(z, list) else (0, 1)
    own = -(1 - e) * mp.log(_p(z, y))
    return own - e / len(classes) * mp.fsum(mp.log(_p(z, k)) for k in classes)


def _wrong(z, y):
    return [_p(z, k) for k in range(len(z)) if k != y]


def _entropy(z):
    return -mp.fsum(_p(z, k) * mp.log(_p(z, k)) for k in range(len(z)))


def _relaxed(z, y, a=0.125):
    p = _p(z, y)
    cost = (1 - a) * mp.log((1 - a) / p) + a * mp.log(a / (1 - p))
    return mp.mpf(0) if p >= 1 - a else cost


def _evidential(z, y, fit):
    alpha = [1 + mp.log(1 + mp.exp(k)) for k in z]
    wrong = [mp.mpf(1) if k == y else a for k, a in enumerate(alpha)]
    total = mp.fsum(wrong)
    divergence = mp.loggamma(total) - mp.loggamma(len(z)) - mp.fsum(map(mp.loggamma, wrong))
    divergence += mp.fsum((a - 1) * (mp.digamma(a) - mp.digamma(total)) for a in wrong)
    return fit(alpha, mp.fsum(alpha), y) + divergence / 2


def _squares(alpha, s, y):
    return mp.fsum(
        ((k == y) - a / s) ** 2 + a * (s - a) / (s**2 * (s + 1)) for k, a in enumerate(alpha)
    )


def _largest(z):
    """With a derivative that equals share."""
    return mp.log(mp.fsum(mp.exp(2**60 * k) for k in z)) / 2**60


def _next_best(z, y):
    below = [_p(z, k) for k in range(len(z)) if z[k] < z[y] - 1e-9]
    return max(below, default=mp.mpf(0))


# loss, hyper-parameters, the equation as it is printed, for one logit or a list of them
EQUATIONS = [
    ("cross_entropy", {}, lambda z, y: -mp.log(_p(z, y))),
    ("focal", {}, lambda z, y: -((1 - _p(z, y)) ** 2) * mp.log(_p(z, y))),
    ("focal", {"gamma": 0.5}, lambda z, y: -mp.sqrt(1 - _p(z, y)) * mp.log(_p(z, y))),
    ("poly", {}, lambda z, y: -mp.log(_p(z, y)) + 1 - _p(z, y)),
    ("clipped_cross_entropy", {"epsilon": 1 / 16},
     lambda z, y: -mp.log(min(max(_p(z, y), mp.mpf(1) / 16), mp.mpf(15) / 16))),
    ("label_smoothing", {"epsilon": 0.125}, _smoothed),
    ("logistic", {}, lambda z, y: mp.log(1 + mp.exp(-(2 * y - 1) * z))),
    ("squared_error", {}, lambda z, y: (1 - _p(z, y)) ** 2),
    ("exponential", {}, lambda z, y: mp.exp(-(2 * y - 1) * z)),
    ("complementary_cross_entropy", {}, lambda z, y: -mp.log(_p(z, y))
     - mp.fsum(mp.log(1 - p) for p in _wrong(z, y))),
    ("confidence_penalty", {}, lambda z, y: -mp.log(_p(z, y)) - mp.mpf(0.1) * _entropy(z)),
    ("max_entropy", {}, lambda z, y: -mp.log(_p(z, y)) + mp.mpf(0.1) * max(0, 1 - _entropy(z))),
    ("mbls", {"margin": 0.25}, lambda z, y: -mp.log(_p(z, y))
     + mp.mpf(0.1) * mp.fsum(max(0, max(z) - k - 0.25) for k in z)),
    ("max_sup", {}, lambda z, y: -mp.log(_p(z, y))
     + mp.mpf(0.1) * (_largest(z) - mp.fsum(z) / len(z))),
    ("dual_focal", {}, lambda z, y: -((1 - _p(z, y) + _next_best(z, y)) ** 2) * mp.log(_p(z, y))),
    ("label_relaxation", {"alpha": 0.125}, _relaxed),
    ("brier", {}, lambda z, y: (1 - _p(z, y)) ** 2 + mp.fsum(p**2 for p in _wrong(z, y))),
]  # fmt: skip
EVIDENTIAL = [
    ("edl_mse", {"progress": 0.05}, lambda z, y: _evidential(z, y, _squares)),
    ("edl_log", {"progress": 0.05},
     lambda z, y: _evidential(z, y, lambda a, s, k: mp.log(s) - mp.log(a[k]))),
    ("edl_digamma", {"progress": 0.05},
     lambda z, y: _evidential(z, y, lambda a, s, k: mp.digamma(s) - mp.digamma(a[k]))),
]  # fmt: skip
LOGITS = {
    BIN: [-70.0, -20.0, -3.0, 0.0, 0.5, 20.0, 41.0],
    MULTI: [[20.0, 0, 0], [0, 20.0, 1], [41.0, -3, 1], [-30.0, 2, 1.5], [1, 1, 1], [5, 4, -9.0]],
}


def exact(equation, z, y):
    """Value and gradient in 120 digits, rounded once."""
    if not isinstance(z, list):
        return [float(equation(mp.mpf(z), y))], [float(mp.diff(lambda x: equation(x, y), z))]
    slopes = [
        float(mp.diff(lambda x, k=k: equation([*z[:k], x, *z[k + 1 :]], y), z[k]))
        for k in range(len(z))
    ]
    return [float(equation([mp.mpf(x) for x in z], y))], [slopes]
