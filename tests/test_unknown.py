"""Targets of which a part is unknown, and outputs that depend on the size of a problem."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lossbench import get_loss, registry
from lossbench.check import check_loss
from lossbench.contract import Declaration, UserError, declare
from lossbench.metrics import metrics_of, score
from lossbench.models.headed import headed
from lossbench.models.linear import linear
from lossbench.tasks import task_class
from lossbench.tasks.multiclass import Multiclass
from lossbench.tasks.segmentation import Segmentation
from lossbench.training.boundary import check_ignored

MASKS = Segmentation((1, 3, 4), (3, 4))
LOSSES = [
    p.name
    for p in registry.installed("loss")
    if (p.task, p.package) == ("segmentation", "lossbench")
]


def unknown_in_the_last_column():
    """Logits and masks, and both without the last column, which is unknown."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, 4, generator=generator, dtype=torch.float64)
    target = torch.randint(2, (6, 3, 4), generator=generator).double()
    cut = logits[..., :3], target[..., :3].clone()
    target[..., 3] = 255
    return (logits, target), cut


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_masks_leaves_unknown_pixels_out(name):
    """They are as if cut out; an image without a known pixel costs 0 and teaches nothing."""
    loss = get_loss(name, task="segmentation")
    (logits, target), cut = unknown_in_the_last_column()
    torch.testing.assert_close(loss(logits, target), loss(*cut), rtol=1e-12, atol=0)
    target[2] = 255
    leaf = logits.clone().requires_grad_()
    values = loss(leaf, target)
    (slope,) = torch.autograd.grad(values.sum(), leaf)
    assert values[2] == 0
    assert not slope[2].any()
    assert not slope[..., 3].any()
    assert slope[0, :, 0].all()


def test_metrics_of_masks_leave_unknown_pixels_out():
    (logits, target), cut = unknown_in_the_last_column()
    metrics = metrics_of(MASKS)
    scores = score(metrics, torch.sigmoid(logits)[None], target[None])
    expected = score(metrics, torch.sigmoid(cut[0])[None], cut[1][None])
    for name, value in scores.items():
        torch.testing.assert_close(value, expected[name], msg=name)


def test_a_library_loss_that_counts_unknown_pixels_is_told_its_key():
    loss = get_loss("torch.nn:CrossEntropyLoss", task="semantic_segmentation")
    posed = task_class("semantic_segmentation").small()
    with pytest.raises(UserError, match=r"Set loss\.ignore_index=255, or choose a loss that"):
        check_ignored("torch.nn:CrossEntropyLoss", lambda facts: loss, {}, posed, 1)


def test_a_loss_that_counts_unknown_pixels_is_refused():
    """On data that have some; 255 would else be learnt as a probability."""

    def foreign(logits, target):
        return F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2))

    with pytest.raises(UserError, match="loss=foreign counts targets of 255"):
        check_ignored("foreign", lambda facts: foreign, {}, MASKS, 1)
    known = get_loss("dice", task="segmentation")
    check_ignored("dice", lambda facts: known, {}, MASKS, 1)


def test_a_check_says_that_unknown_pixels_are_counted(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text(
        "from torch.nn.functional import softplus\n"
        "def mine(logits, target, /):\n"
        "    'Segmentation: the mean over (B, H, W) masks.'\n"
        "    return (softplus(logits, threshold=40) - target * logits).flatten(1).mean(1)\n"
    )
    report = check_loss(f"{file}:mine", "segmentation")
    hints = {o.check: o.reason for o in report.outcomes if o.verdict == "hint"}
    assert "targets of 255 are unknown" in hints["ignored_left_out"]


def test_outputs_may_be_a_function_of_the_classes():
    declaration = declare(outputs=lambda classes: classes - 1)(lambda p, t: p).declaration
    assert Multiclass((2,), 5).outputs_of(declaration) == 4
    assert Multiclass((2,), 5).outputs_of(Declaration(outputs=2)) == 2


def test_a_head_makes_the_outputs_of_one_score():
    """The inputs move the score alone; the free numbers are parameters."""
    model = headed(linear, (3,), 4, lambda score, free: score.unsqueeze(-1) + free)
    with torch.no_grad():
        model.free.copy_(torch.arange(4.0))
    outputs = model(torch.randn(6, 3))
    assert outputs.shape == (6, 4)
    torch.testing.assert_close(outputs - outputs[:, :1], torch.arange(4.0).expand(6, 4))
    assert len(list(model.parameters())) == 3
