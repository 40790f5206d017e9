"""What the losses of structured tasks are worth, by hand; test_losses_structured.py runs it."""

from __future__ import annotations

from math import cos, exp, inf, log, log1p, pi, sin, sqrt

L2 = log(2)
I2 = [[1.0, 0.0], [0.0, 1.0]]
TWO = {"latent_dim": 2}
ONE = {"latent_dim": 1}
CORNER = [[1, 0], [0, 2], [-1, 0]]


def softplus(z):
    return max(z, 0) + log1p(exp(-abs(z)))


def sigmoid(z):
    return 1 / (1 + exp(-z))


# task, loss, prediction, target, hyper-parameters (and a module's weights), value
# fmt: off
TABLE = [
    ("multilabel", "cross_entropy", [[0, -20, 20]], [[1, 1, 1]], {}, [L2 + 20 + 2 * softplus(-20)]),
    ("multilabel", "cross_entropy", [[0, 0], [1e4, -1e4]], [[0, 1], [0, 1]],
     {"class_weight": (1, 3)}, [4 * L2, 4e4]),
    ("multilabel", "focal", [[0, 0], [1e4, -1e4]], [[1, 0], [1, 1]], {}, [2 * L2 / 4, 1e4]),
    ("multilabel", "focal", [[0, 1e4]], [[1, 0]], {"gamma": 0.5}, [L2 / sqrt(2) + 1e4]),
    ("multilabel", "one_vs_all_hinge", [[0.5, 0, -2]], [[1, 1, 0]], {}, [1.5]),
    ("multilabel", "one_vs_all_hinge", [[1, -1], [-1e4, 1e4]], [[1, 0], [1, 0]], {}, [0, 20002]),
    ("distribution", "cross_entropy", [[20, 0], [0, 0]], [[0.5, 0.5], [1, 0]], {},
     [10 + softplus(-20), L2]),
    ("distribution", "cross_entropy", [[1e4, 0, -1e4], [0, 0, -inf], [0, -inf, -inf]],
     [[0.5, 0.25, 0.25], [0.5, 0.5, 0], [0, 1, 0]], {}, [7500, L2, inf]),
    ("distribution", "cross_entropy", [[0, 0]], [[0.5, 0.5]], {"class_weight": (1, 3)}, [2 * L2]),
    ("distribution", "kl_divergence", [[0, 0], [0, 0], [0, 0]], [[0.5, 0.5], [1, 0], [0.25, 0.75]],
     {}, [0, L2, 0.25 * log(0.5) + 0.75 * log(1.5)]),
    ("distribution", "kl_divergence", [[1e4, 0], [-inf, 0]], [[0.5, 0.5], [0, 1]], {},
     [5000 - L2, 0]),
    ("embedding", "contrastive", [[0], [2], [0.5]], [0, 0, 1], {}, [17 / 8, 2, 1 / 8]),
    ("embedding", "contrastive", [[3, 4], [0, 0]], [0, 1], {"margin": 6}, [1, 1]),
    ("embedding", "contrastive", [[3, 4]], [0], {}, [0]),
    ("embedding", "triplet", CORNER, [0, 0, 1], {}, [0, 0.2, 0]),
    ("embedding", "triplet", [[1, 1]] * 4, [0, 0, 1, 1], {"margin": 0.7}, [0.7] * 4),
    ("embedding", "triplet", CORNER, [0, 1, 0], {"margin": 1}, [4 - 2 + 1, 0, 4 - 2 + 1]),
    ("embedding", "nt_xent", [[1, 2]] * 4, [0, 1, 0, 1], {}, [log(3)] * 4),
    ("embedding", "nt_xent", CORNER, [0, 0, 1], {}, [softplus(-2), softplus(0), 0]),
    ("embedding", "nt_xent", [[1, 2]] * 4, [0, 0, 0, 1], {"temperature": 3}, [L2, L2, L2, 0]),
    ("embedding", "sup_con", [[1, 2]] * 4, [0, 0, 0, 1], {}, [log(3), log(3), log(3), 0]),
    ("embedding", "sup_con", [[1, 2]] * 3, [0, 0, 0], {}, [L2] * 3),
    ("embedding", "sup_con", CORNER, [0, 0, 1], {"temperature": 0.5}, [softplus(-2), L2, 0]),
    ("embedding", "ge2e", [[1, 2]] * 5, [0, 0, 1, 1, 2], {}, [log(3)] * 4 + [0]),
    ("embedding", "ge2e", [[1, 0], [2, 0], [0, 1], [0, 3]], [0, 0, 1, 1], {"scale": 3},
     [softplus(-3)] * 4),
    ("embedding", "ge2e_contrast", [[1, 2]] * 5, [0, 0, 1, 1, 2], {}, [1, 1, 1, 1, 0]),
    ("embedding", "ge2e_contrast", [[1, 0], [2, 0], [0, 1], [0, 3]], [0, 0, 1, 1],
     {"scale": 3, "offset": -1}, [sigmoid(-2) + sigmoid(-1)] * 4),
    ("embedding", "arcface", [[1, 1], [0, 2]], [0, 0], {"weight": I2, "scale": 1, "margin": 0},
     [L2, softplus(1)]),
    ("embedding", "arcface", [[2, 0], [-1, 0], [0, 3]], [0, 0, 0], {"weight": [[5, 0], [0, 1]]},
     [softplus(-64 * cos(0.5)), softplus(64 * (1 + 0.5 * sin(0.5))),
      softplus(64 + 64 * sin(0.5))]),
    ("embedding", "sphereface", [[3, 0], [0, 1], [-2, 0]], [0, 0, 0], {"weight": I2},
     [softplus(-3), softplus(1 + 3), softplus(2 * 7)]),
    ("embedding", "sphereface", [[3, 0], [1, 1], [0, 0]], [0, 0, 0], {"weight": I2, "margin": 2},
     [softplus(-3), softplus(1), L2]),
    ("embedding", "center", [[3, 4], [0, 1]], [0, 1],
     {"weight": [[0, 0], [0, 0]], "bias": [0, 1], "centres": I2},
     [softplus(1) + 0.0015 * 20, softplus(-1)]),
    ("embedding", "center", [[3, 4]], [0], {"weight": I2, "strength": 1}, [softplus(1) + 25 / 2]),
    ("pairs", "info_nce", [[[1, 2], [3, 1]]] * 4, [0, 1, 2, 2], {}, [log(4), log(4), log(3), log(3)]),
    ("pairs", "info_nce", [[[1, 0], [2, 0]], [[0, 1], [0, 1]]], [0, 1], {"temperature": 0.1},
     [softplus(-10)] * 2),
    ("pairs", "multiple_negatives_ranking", [[[1, 2], [3, 1]]] * 4, [0, 1, 2, 2], {}, [log(4)] * 4),
    ("pairs", "multiple_negatives_ranking", [[[1, 0], [2, 0]], [[0, 1], [0, 1]]], [0, 0],
     {"scale": 3}, [softplus(-3)] * 2),
    ("pairs", "contrastive", [[[0], [2]], [[1], [0.5]]], [0, 1], {}, [(4 + 1 / 4) / 2, 1 / 8]),
    ("pairs", "contrastive", [[[0], [2]], [[1], [0.5]]], [0, 0], {}, [(4 + 1 / 4) / 2, (1 + 1 / 4) / 2]),
    ("pairs", "joint_logistic", [[[1], [0]], [[-1], [0]]], [0, 1], {}, [L2, L2]),
    ("pairs", "joint_logistic", [[[2], [1]], [[1e4], [-1]]], [0, 1], {}, [softplus(-2), 1e4]),
    ("pairs", "joint_hinge", [[[1], [1]], [[1], [0.5]]], [0, 1], {}, [0, 0.6]),
    ("pairs", "joint_hinge", [[[1], [0]], [[1], [2]], [[1], [4]]], [0, 1, 1], {"margin": 1},
     [(3 + 5) / 2, 0, 0]),
    ("pairs", "joint_sje", [[[1], [1]], [[1], [0.5]]], [0, 1], {}, [0.5, 1.5]),
    ("pairs", "joint_sje", [[[1], [0]], [[1], [2]], [[1], [4]]], [0, 1, 1], {"margin": 2}, [6, 0, 0]),
    ("ranking", "margin_ranking", [[2, 0.5], [2, 0.5], [0, 0]], [1, 0, 1], {}, [0, 2.5, 1]),
    ("ranking", "margin_ranking", [[-1e4, 1e4], [3, 0]], [1, 1], {"margin": 3}, [20003, 0]),
    ("ranking", "knowledge_graph_margin_ranking", [[2, 0.5], [2, 0.5], [0, 0]], [1, 0, 1], {},
     [2.5, 0, 1]),
    ("ranking", "knowledge_graph_margin_ranking", [[-1e4, 1e4], [3, 0]], [1, 1], {"margin": 3}, [0, 6]),
    ("segmentation", "cross_entropy", [[[0, -20]], [[1e4, -1e4]]], [[[1, 1]], [[1, 1]]], {},
     [(L2 + 20 + softplus(-20)) / 2, 5e3]),
    ("segmentation", "cross_entropy", [[[0], [0]]], [[[1], [0]]], {"class_weight": (1, 3)}, [2 * L2]),
    ("segmentation", "focal", [[[0, 0]], [[1e4, -1e4]]], [[[1, 0]], [[1, 1]]], {}, [L2 / 4, 5e3]),
    ("segmentation", "focal", [[[0], [1e4]]], [[[1], [0]]], {"gamma": 0.5}, [(L2 / sqrt(2) + 1e4) / 2]),
    ("segmentation", "dice", [[[0, 0]], [[-1e4, -1e4]], [[1e4, -1e4]]], [[[1, 0]], [[0, 0]], [[1, 0]]],
     {}, [1 - 2 / 2.5, 0, 0]),
    ("segmentation", "dice", [[[1e4, 1e4]], [[0, 0]]], [[[1, 0]], [[0.5, 0.5]]], {"smooth": 3},
     [1 - 5 / 6, 0]),
    ("segmentation", "dice_linear", [[[0, 0]], [[-1e4, -1e4]], [[1e4, -1e4]]],
     [[[1, 0]], [[0, 0]], [[1, 0]]], {}, [1 - 2 / 3, 0, 0]),
    ("segmentation", "dice_linear", [[[1e4, 1e4]], [[0, 0]]], [[[1, 0]], [[0.5, 0.5]]],
     {"smooth": 3}, [1 - 5 / 6, 1 - 4 / 5]),
    ("sequence", "cross_entropy", [[[0, 0], [20, 0]]], [[[0, 1], [1, 0]]], {},
     [(L2 + softplus(20)) / 2]),
    ("sequence", "cross_entropy", [[[0, 0], [1e4, 0]]], [[[1, 1], [0, 0]]],
     {"class_weight": (1, 3)}, [(3 * L2 + 3e4) / 2]),
    ("sequence", "ctc", [[[0, 0], [0, 0]]], [[[0, 1], [1, 0]]], {}, [log(4 / 3)]),
    ("sequence", "ctc", [[[0, 0], [0, 0]]] * 3 + [[[1e4, 0], [0, 1e4]]],
     [[[0, 0], [0, 0]], [[0, 0], [1, 1]], [[0, 0], [1, 0]], [[0, 0], [0, 0]]], {},
     [log(4), inf, log(4 / 3), 1e4]),
    ("sequence", "ctc", [[[1e4, 0, 0], [0, 1e4, 0], [0, 0, 1e4]]] * 3,
     [[[0, 0, 0], [1, 2, 0]], [[0, 0, 0], [1, 1, 0]], [[0, 0, 0], [2, 1, 0]]], {}, [0, 2e4, 2e4]),
    ("generative", "elbo", [[0, 0, 1, 0]], [[1, 0]], ONE, [2 * L2 + 1 / 2]),
    ("generative", "elbo", [[-1e4, 1e4, 0, 3, 0, 1]], [[1, 0.5]], {"beta": 2, **TWO},
     [1.5e4 + 9 + exp(1) - 2]),
    ("generative", "elbo", [[0, 0, 0, -1e4]], [[0.5, 0.5]], ONE, [2 * L2 + (1e4 - 1) / 2]),
    ("generative", "elbo_gaussian", [[3, 0, 1, 0]], [[1, 0]], ONE, [2 + 1 / 2]),
    ("generative", "elbo_gaussian", [[-1e4, 1, 0, 3, 0, 1]], [[0, 1]], {"beta": 2, **TWO},
     [5e7 + 9 + exp(1) - 2]),
]

# task, loss, prediction, target, hyper-parameters, gradient of the sum of values
GRADIENTS = [
    ("multilabel", "cross_entropy", [[20, 0]], [[0, 1]], {}, [[sigmoid(20), -0.5]]),
    ("multilabel", "one_vs_all_hinge", [[1, 0.5, 0.5]], [[1, 1, 0]], {}, [[0, -1, 1]]),
    ("distribution", "cross_entropy", [[0, 0]], [[0.25, 0.75]], {}, [[0.25, -0.25]]),
    ("distribution", "kl_divergence", [[0, 0], [1e4, 0]], [[1, 0], [0, 1]], {}, [[-0.5, 0.5], [1, -1]]),
    ("embedding", "contrastive", [[0, 0], [0, 0]], [0, 1], {}, [[0, 0], [0, 0]]),
    ("embedding", "contrastive", [[1, 0], [0, 0]], [0, 1], {}, [[0, 0], [0, 0]]),
    ("embedding", "contrastive", [[0.5], [0]], [0, 1], {}, [[-2], [2]]),
    ("embedding", "contrastive", [[3, 4], [0, 0]], [0, 0], {}, [[12, 16], [-12, -16]]),
    ("embedding", "triplet", [[1, 2]], [0], {}, [[0, 0]]),
    ("embedding", "nt_xent", [[1, 0], [0, 1]], [0, 1], {}, [[0, 0], [0, 0]]),
    ("embedding", "ge2e", [[1, 0], [0, 1]], [0, 1], {}, [[0, 0], [0, 0]]),
    ("embedding", "arcface", [[2, 0]], [0], {"weight": I2, "scale": 1},
     [[0, 0.5 * sigmoid(-cos(0.5))]]),
    ("embedding", "sphereface", [[2, 0], [0, 0]], [0, 0], {"weight": I2},
     [[-sigmoid(-2), sigmoid(-2)], [0, 0.5]]),
    ("embedding", "center", [[3, 4]], [0], {"weight": [[0, 0], [0, 0]], "strength": 1}, [[3, 4]]),
    ("pairs", "contrastive", [[[1, 1], [1, 1]]], [0], {}, [[[0, 0], [0, 0]]]),
    ("pairs", "joint_sje", [[[1], [0]], [[0], [0]]], [0, 1], {}, [[[0], [-1]], [[0], [1]]]),
    ("pairs", "info_nce", [[[1, 0], [0, 1]]], [0], {}, [[[0, 0], [0, 0]]]),
    ("ranking", "margin_ranking", [[1, 0], [0, 0]], [1, 1], {}, [[0, 0], [-1, 1]]),
    ("ranking", "knowledge_graph_margin_ranking", [[0, 1], [0, 0]], [1, 0], {}, [[0, 0], [-1, 1]]),
    ("segmentation", "cross_entropy", [[[0, 20]]], [[[1, 0]]], {}, [[[-0.25, sigmoid(20) / 2]]]),
    ("segmentation", "dice", [[[1e4, -1e4]], [[0, 0]]], [[[1, 0]], [[0.5, 0.5]]], {},
     [[[0, 0]], [[0, 0]]]),
    ("sequence", "cross_entropy", [[[0, 0], [0, 20]]], [[[1, 0], [1, 0]]], {},
     [[[0.25, -0.25], [-sigmoid(20) / 2, sigmoid(20) / 2]]]),
    ("sequence", "ctc", [[[0, 0]], [[0, 0]]], [[[0], [1]], [[0], [0]]], {}, [[[0.5, -0.5]], [[-0.5, 0.5]]]),
    ("sequence", "ctc", [[[0, 1], [3, 0]]], [[[0, 0], [1, 1]]], {}, [[[0, 0], [0, 0]]]),
    ("generative", "elbo", [[20, 0, 3, 1e-4]], [[0, 0.5]], ONE,
     [[sigmoid(20), 0, 3, (1e-4 + 1e-8 / 2 + 1e-12 / 6) / 2]]),
    ("generative", "elbo_gaussian", [[3, 0, 1, 0]], [[1, 0]], {"beta": 2, **ONE}, [[2, 0, 2, 0]]),
]
# fmt: on
PI = pi
