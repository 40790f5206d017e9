"""Losses of other libraries by name give what the library gives, where it is installed.

pip install --no-deps allrank coral-pytorch dlordinal kornia kornia-rs libauc monai
pip install --no-deps online-triplet-loss pytorch-metric-learning spacecutter-torch timm torchsurv
pip install --no-deps uncertainty-loss
"""

from __future__ import annotations

import importlib

import pytest
import torch
from torch.nn import functional as F

from lossbench import registry
from lossbench.tasks import task_class
from lossbench.tasks.foreign import fit_form
from lossbench.training.boundary import wanted_facts


def planes(target, classes=3):
    return F.one_hot(target, classes).float().movedim(-1, 1)


def levels(target, thresholds):
    return (target.unsqueeze(1) > torch.arange(thresholds)).float()


SOFT = {"softmax": True, "to_onehot_y": True}

# loss, task, its hyper-parameters, the mean of the batch by the library's own call
TABLE = [
    ("monai.losses:DiceLoss", "semantic_segmentation", SOFT,
     lambda m, p, t: m.DiceLoss(**SOFT)(p, t.unsqueeze(1))),
    ("monai.losses:DiceCELoss", "semantic_segmentation", {**SOFT, "lambda_ce": 2.0},
     lambda m, p, t: m.DiceCELoss(**SOFT, lambda_ce=2.0)(p, t.unsqueeze(1))),
    ("monai.losses:GeneralizedDiceLoss", "semantic_segmentation", SOFT,
     lambda m, p, t: m.GeneralizedDiceLoss(**SOFT)(p, t.unsqueeze(1))),
    ("monai.losses:TverskyLoss", "semantic_segmentation", {**SOFT, "alpha": 0.3},
     lambda m, p, t: m.TverskyLoss(**SOFT, alpha=0.3)(p, t.unsqueeze(1))),
    ("monai.losses:FocalLoss", "semantic_segmentation", {"gamma": 1.0},
     lambda m, p, t: m.FocalLoss(gamma=1.0)(p, planes(t))),
    ("monai.losses:DiceLoss", "segmentation", {"sigmoid": True},
     lambda m, p, t: m.DiceLoss(sigmoid=True)(p.unsqueeze(1), t.unsqueeze(1))),
    ("monai.losses:DiceCELoss", "segmentation", {},
     lambda m, p, t: m.DiceCELoss(sigmoid=True)(p.unsqueeze(1), t.unsqueeze(1))),
    ("monai.losses:DiceFocalLoss", "semantic_segmentation", {},
     lambda m, p, t: m.DiceFocalLoss(softmax=True)(p, planes(t))),
    ("timm.loss:AsymmetricLossMultiLabel", "multilabel", {},
     lambda m, p, t: m.AsymmetricLossMultiLabel()(p, t)),
    ("coral_pytorch.losses:CornLoss", "ordinal", {},
     lambda m, p, t: m.CornLoss(p.shape[1] + 1)(p, t)),
    ("allrank.models.losses:listNet", "list_ranking", {}, lambda m, p, t: m.listNet(p, t)),
    ("online_triplet_loss.losses:batch_hard_triplet_loss", "embedding", {"margin": 0.2},
     lambda m, p, t: m.batch_hard_triplet_loss(t, p, 0.2)),
    ("pytorch_metric_learning.losses:SupConLoss", "embedding", {},
     lambda m, p, t: m.SupConLoss()(p, t)),
    ("kornia.losses:TverskyLoss", "semantic_segmentation", {"alpha": 0.3, "beta": 0.7},
     lambda m, p, t: m.TverskyLoss(alpha=0.3, beta=0.7)(p, t)),
    ("kornia.losses:LovaszSoftmaxLoss", "semantic_segmentation", {},
     lambda m, p, t: m.LovaszSoftmaxLoss()(p, t)),
    ("coral_pytorch.losses:CoralLoss", "ordinal", {},
     lambda m, p, t: m.CoralLoss()(p, levels(t, p.shape[1]))),
    ("dlordinal.losses:WKLoss", "ordinal", {"use_logits": True},
     lambda m, p, t: m.WKLoss(p.shape[1], use_logits=True)(p, t)),
    ("dlordinal.losses:CDWCELoss", "ordinal", {"alpha": 2.0},
     lambda m, p, t: m.CDWCELoss(p.shape[1], alpha=2.0)(p, t)),
    ("torchsurv.loss.cox:neg_partial_log_likelihood", "survival", {"ties_method": "breslow"},
     lambda m, p, t: m.neg_partial_log_likelihood(
         p, t[:, 1].bool(), t[:, 0], ties_method="breslow")),
    ("torchsurv:neg_log_likelihood_weibull", "survival", {},
     lambda m, p, t: m.neg_log_likelihood_weibull(p, t[:, 1].bool(), t[:, 0])),
    ("uncertainty_loss:evidential_loss", "multiclass", {},
     lambda m, p, t: m.evidential_loss(F.softplus(p), t)),
    ("spacecutter.losses:cumulative_link_loss", "ordinal", {},
     lambda m, p, t: m.cumulative_link_loss(p.softmax(1), t.unsqueeze(1))),
    ("libauc.losses:PairwiseAUCLoss", "binary", {"surr_loss": "squared_hinge"},
     lambda m, p, t: m.PairwiseAUCLoss("squared_hinge")(p, t)),
]  # fmt: skip


@pytest.mark.parametrize(("name", "task", "hyper", "library"), TABLE)
def test_a_loss_by_name_is_the_librarys(name, task, hyper, library):
    """Values and gradients of a batch, to 1e-6, in the form that was found by trying."""
    module = name.partition(":")[0]
    pytest.importorskip(module, reason=f"{module} is not installed", exc_type=ImportError)
    kind, plugin = task_class(task).small(), registry.find_for_task(name, task)
    facts = wanted_facts(plugin, kind.facts(kind.example()[1]), kind)
    loss = fit_form(plugin, registry.load(plugin), kind, **hyper, **facts)
    prediction, target = kind.example(kind.outputs_of(loss.declaration))
    mine, theirs = (prediction.clone().requires_grad_() for _ in range(2))
    value = loss(mine, target, **hyper, **facts).mean()
    expected = library(importlib.import_module(module), theirs, target)
    torch.testing.assert_close(value, expected.reshape(()), rtol=1e-6, atol=1e-7)
    slopes = (torch.autograd.grad(v.sum(), x)[0] for v, x in ((value, mine), (expected, theirs)))
    torch.testing.assert_close(*slopes, rtol=1e-5, atol=1e-7)
