"""The adapter gives what MONAI gives when it is called directly."""

from __future__ import annotations

from importlib.metadata import distribution

import pytest
import torch

losses = pytest.importorskip("monai.losses", reason="monai is not installed")
from lossbench import get_loss  # noqa: E402
from lossbench.testing import loss_checks  # noqa: E402

TASK = "semantic_segmentation"
SWITCHES = {"softmax": True, "to_onehot_y": True}


def of_library(kind, **fixed):
    """The library's loss of a batch as a user of it writes it, with its mean."""
    return lambda p, t, **hyper: kind(**fixed, **hyper)(p, t.unsqueeze(1))


def nacl(p, t, **hyper):
    return losses.NACLLoss(classes=p.shape[1], dim=2, **hyper)(p, t)


# name, the library's own call, other hyper-parameters
TABLE = [
    ("dice", of_library(losses.DiceLoss, **SWITCHES), {"squared_pred": True, "smooth_nr": 1.0}),
    ("dice", of_library(losses.DiceLoss, **SWITCHES), {"jaccard": True, "smooth_dr": 1.0}),
    ("generalized_dice", of_library(losses.GeneralizedDiceLoss, **SWITCHES),
     {"w_type": "simple", "include_background": False}),
    ("tversky", of_library(losses.TverskyLoss, **SWITCHES), {"alpha": 0.3, "beta": 0.7}),
    ("dice_ce", of_library(losses.DiceCELoss, **SWITCHES),
     {"lambda_ce": 2.0, "label_smoothing": 0.1}),
    ("soft_cldice", of_library(losses.SoftclDiceLoss, **SWITCHES), {"iter_": 1}),
    ("hausdorff_dt", of_library(losses.HausdorffDTLoss, **SWITCHES),
     {"alpha": 1.0, "include_background": True}),
    ("nacl", nacl, {"alpha": 0.5, "distance_type": "l2", "kernel_ops": "gaussian"}),
]  # fmt: skip

SLOW = ("hausdorff_dt", "nacl")  # image after image
for name, *_ in TABLE:
    checks = loss_checks(f"monai_{name}", task=TASK)
    globals()[f"test_monai_{name}_is_valid"] = pytest.mark.slow(checks) if name in SLOW else checks


def images(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, 4, 6, 5, dtype=torch.float64, generator=generator)
    return logits.requires_grad_(), torch.randint(4, (3, 6, 5), generator=generator)


def test_the_table_has_every_loss_that_is_registered():
    entries = distribution("lossbench-monai").entry_points
    named = {f"monai_{name}" for name, *_ in TABLE}
    assert named == set(entries.select(group=f"lossbench.losses.{TASK}").names)


@pytest.mark.parametrize("given", ["default", "other"])
@pytest.mark.parametrize(("name", "library", "hyper"), TABLE)
def test_value_and_gradient_are_the_librarys(name, library, hyper, given):
    """A value for each image, whose mean is the library's of the batch, to 1e-6."""
    hyper = hyper if given == "other" else {}
    (mine, target), (theirs, _) = images(), images()
    values = get_loss(f"monai_{name}", task=TASK)(mine, target, **hyper)
    expected = library(theirs, target, **hyper)
    assert values.shape == (3,)
    torch.testing.assert_close(values.mean(), expected, rtol=1e-6, atol=1e-8)
    values.mean().backward()
    expected.backward()
    torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", ["dice", "generalized_dice", "tversky", "dice_ce"])
def test_ignored_pixels_are_as_if_cut_out(name):
    loss, (logits, target) = get_loss(f"monai_{name}", task=TASK), images()
    cut = loss(logits[:, :, :4], target[:, :4])
    target[:, 4:] = 255
    torch.testing.assert_close(loss(logits, target), cut)
