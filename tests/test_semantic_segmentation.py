"""Masks of several classes: the losses, their neighbours and unknown pixels, metrics, data."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.special import ndtr
from sklearn.metrics import f1_score, jaccard_score
from structured_equations import along, exact, mean, mp, softmax

from lossbench import get_loss, registry
from lossbench.contract import UserError
from lossbench.datasets import images
from lossbench.losses import segmentation, semantic_overlaps
from lossbench.losses import semantic_segmentation as losses
from lossbench.metrics import metrics_of, score
from lossbench.models.convolutional import unet
from lossbench.tasks.segmentation import Segmentation
from lossbench.tasks.semantic_segmentation import SemanticSegmentation

TASK = SemanticSegmentation((1, 3, 4), 3, (3, 4))
LOSSES = [
    p.name
    for p in registry.installed("loss")
    if (p.package, p.task) == ("lossbench", "semantic_segmentation")
]
OVERLAPS = ("dice", "dice_linear", "generalized_dice", "jaccard", "tversky", "focal_tversky")


# ---- the equations, in 60 digits and plain loops -------------------------------------------------
def pixels(z, y):
    """Of one image the probabilities and the class of each known pixel."""
    rows, columns = range(len(y)), range(len(y[0]))
    places = [(i, j) for i in rows for j in columns if y[i][j] != 255]
    return [(softmax([k[i][j] for k in z]), y[i][j]) for i, j in places]


def sums(image, k):
    """I, P, Q and G of a class."""
    p = [(p[k], int(label == k)) for p, label in image]
    return [
        mp.fsum(values)
        for values in zip(*[(x * g, x, x * x, mp.mpf(g)) for x, g in p], strict=True)
    ]


def of_images(function):
    """Of a function of the pixels of an image and the number of classes: one of the batch."""

    def batched(z, y, **hyper):
        return [function(pixels(*part), len(part[0]), **hyper) for part in along(z, y)]

    return batched


def _cross_entropy(image, classes, class_weight=None):
    return mean(-(class_weight or [1] * classes)[t] * mp.log(p[t]) for p, t in image)


def _focal(image, classes, gamma=2):
    return mean(-((1 - p[t]) ** mp.mpf(gamma)) * mp.log(p[t]) for p, t in image)


def _dice(image, classes, smooth=1):
    return mean(
        mp.fsum((p[k] - (t == k)) ** 2 for p, t in image) / (q + g + smooth)
        for k in range(classes)
        for _, _, q, g in [sums(image, k)]
    )


def _dice_linear(image, classes, smooth=1):
    parts = [sums(image, k) for k in range(classes)]
    return mean((p + g - 2 * i) / (p + g + smooth) for i, p, _, g in parts)


def _generalized_dice(image, classes):
    parts = [sums(image, k) for k in range(classes)]
    above = mp.fsum(i / max(g, 1) ** 2 for i, _, _, g in parts)
    return 1 - 2 * above / mp.fsum((p + g) / max(g, 1) ** 2 for _, p, _, g in parts)


def _jaccard(image, classes, smooth=1):
    parts = [sums(image, k) for k in range(classes)]
    return mean((p + g - 2 * i) / (p + g - i + smooth) for i, p, _, g in parts)


def _focal_tversky(image, classes, gamma=4 / 3, alpha=0.7, beta=0.3, smooth=1):
    values = []
    for i, p, _, g in (sums(image, k) for k in range(classes)):
        wrong = mp.mpf(alpha) * (g - i) + mp.mpf(beta) * (p - i)
        values.append((wrong / (i + wrong + smooth)) ** (1 / mp.mpf(gamma)))
    return mean(values)


def _tversky(image, classes, **hyper):
    return _focal_tversky(image, classes, gamma=1, **hyper)


def _lovasz_softmax(image, classes):
    values = []
    for k in range(classes):
        size = sum(t == k for _, t in image)
        errors = sorted(((abs((t == k) - p[k]), t == k) for p, t in image), reverse=True)
        value = before = mp.mpf(0)
        for n in range(len(errors)):
            hits = sum(g for _, g in errors[: n + 1])
            lost = 1 - (size - hits) / mp.mpf(size + (n + 1) - hits)
            value, before = value + errors[n][0] * (lost - before), lost
        values += [value] * bool(size)
    return mean(values)


def _dice_cross_entropy(image, classes, dice_weight=1, smooth=1):
    return _cross_entropy(image, classes) + dice_weight * _dice_linear(image, classes, smooth)


def _dice_focal(image, classes, gamma=2, dice_weight=1, smooth=1):
    return _focal(image, classes, gamma) + dice_weight * _dice_linear(image, classes, smooth)


def nacl(z, y, strength=0.1):
    values = []
    for logits, labels in along(z, y):
        total, known = mp.mpf(0), 0
        for i, row in enumerate(labels):
            for j, label in enumerate(row):
                around = [
                    labels[a][b]
                    for a in range(max(0, i - 1), min(len(labels), i + 2))
                    for b in range(max(0, j - 1), min(len(row), j + 2))
                    if labels[a][b] != 255
                ]
                if label != 255:
                    known += 1
                    for k, plane in enumerate(logits):
                        share = mp.mpf(around.count(k)) / len(around)
                        total += abs(share - plane[i][j])
        values.append(total / known * mp.mpf(strength))
    return [a + b for a, b in along(of_images(_cross_entropy)(z, y), values)]


EQUATIONS = {name: of_images(globals()[f"_{name}"]) for name in LOSSES if name != "nacl"}
EQUATIONS["nacl"] = nacl
HYPER = {
    "cross_entropy": [{}, {"class_weight": (1.0, 3.0, 0.5)}],
    "focal": [{}, {"gamma": 0.5}],
    "dice": [{}, {"smooth": 0.1}],
    "jaccard": [{"smooth": 3.0}],
    "tversky": [{}, {"alpha": 0.2, "beta": 1.0, "smooth": 0.1}],
    "focal_tversky": [{}, {"gamma": 2.0}],
    "dice_cross_entropy": [{}, {"dice_weight": 0.3, "smooth": 2.0}],
    "dice_focal": [{"gamma": 1.0, "dice_weight": 0.3}],
    "nacl": [{}, {"strength": 0.7}],
}


def batch(seed, count=2, scale=2.0, classes=3, unknown=True):
    """Logits on a grid that float32 holds, and masks with a few unknown pixels."""
    generator = torch.Generator().manual_seed(seed)
    z = torch.randn(count, classes, 3, 4, generator=generator, dtype=torch.float64) * scale
    y = torch.randint(classes, (count, 3, 4), generator=generator)
    if unknown:
        y[torch.rand(count, 3, 4, generator=generator) < 0.2] = 255
    return (z * 64).round() / 64, y


def call(name, z, y, **hyper):
    module = losses if hasattr(losses, name) else semantic_overlaps
    return getattr(module, name)(z, y, **hyper)


def gradient(name, z, y, **hyper):
    leaf = z.clone().requires_grad_()
    return torch.autograd.grad(call(name, leaf, y, **hyper).sum(), leaf)[0]


def same(actual, expected, rtol=1e-9, atol=1e-13):
    expected = torch.as_tensor(expected, dtype=actual.dtype)
    torch.testing.assert_close(actual, expected, rtol=rtol, atol=atol)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("scale", [0.5, 5.0])
def test_a_loss_is_its_equation(name, scale):
    """Value and gradient are those in 60 digits, in float64 and in float32."""
    for hyper in HYPER.get(name, [{}]):
        z, y = batch(1, 1, scale)
        values, slopes = exact(EQUATIONS[name], z.tolist(), y.tolist(), **hyper)
        for dtype, digits in ((torch.float64, 1e-9), (torch.float32, 2e-5)):
            same(call(name, z.to(dtype), y, **hyper), values, digits, digits / 100)
            same(gradient(name, z.to(dtype), y, **hyper).flatten(), slopes, digits, digits / 10)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_extremes_are_finite(name, dtype):
    """At 0 and at 1e4, mixed and equal, value and gradient are finite."""
    for seed in range(4):
        z, y = batch(seed, 4)
        sizes = torch.tensor([0.0, 1.0, 30.0, 1e4])[torch.arange(4) * seed % 4]
        far = (z.sign() * sizes[:, None, None, None]).to(dtype)
        assert call(name, far, y).isfinite().all()
        assert gradient(name, far, y).isfinite().all()
        if name in (*OVERLAPS, "lovasz_softmax"):
            assert ((call(name, far, y) >= 0) & (call(name, far, y) <= 1 + 1e-6)).all()


@pytest.mark.parametrize("name", LOSSES)
def test_unknown_pixels_do_not_count(name):
    """They are as if cut out; an image of them alone costs 0 and teaches nothing."""
    z, y = batch(2, 4, unknown=False)
    cut = call(name, z[..., :3], y[..., :3])
    y[..., 3] = 255
    same(call(name, z, y), cut)
    assert not gradient(name, z, y)[..., 3].any()
    y[1] = 255
    assert call(name, z, y)[1] == 0
    assert not gradient(name, z, y)[1].any()


@pytest.mark.parametrize("name", LOSSES)
def test_the_order_of_pixels_counts_for_one_loss_only(name):
    z, y = batch(3, 4)
    order = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    moved = call(
        name, z.flatten(2)[..., order].reshape(z.shape), y.flatten(1)[:, order].reshape(y.shape)
    )
    if name == "nacl":
        assert not torch.allclose(moved, call(name, z, y))
    else:
        same(moved, call(name, z, y))


def _neighbours():
    z, y = batch(4, 20)
    ce, focal, linear = (call(n, z, y) for n in ("cross_entropy", "focal", "dice_linear"))
    two, mask = batch(5, 20, classes=2)
    binary = torch.stack([torch.zeros_like(two[:, 0]), two[:, 0]], 1)
    hard = torch.nn.functional.one_hot(z.argmax(1), 3).movedim(-1, 1) * 1e4
    each = zip(y.flatten(1).numpy(), z.argmax(1).flatten(1).numpy(), strict=True)
    wrong = [
        1 - jaccard_score(t[t != 255], p[t != 255], labels=np.unique(t[t != 255]), average="macro")
        for t, p in each
    ]
    return {
        "two classes": (call("cross_entropy", binary, mask),
                        segmentation.cross_entropy(two[:, 0], mask.double())),
        "two classes, focal": (call("focal", binary, mask),
                               segmentation.focal(two[:, 0], mask.double())),
        "focal 0": (call("focal", z, y, gamma=0.0), ce),
        "tversky 1/2": (call("tversky", z, y, alpha=0.5, beta=0.5, smooth=0.5), linear),
        "tversky 1": (call("tversky", z, y, alpha=1.0, beta=1.0), call("jaccard", z, y)),
        "focal_tversky 1": (call("focal_tversky", z, y, gamma=1.0), call("tversky", z, y)),
        "dice_cross_entropy 0": (call("dice_cross_entropy", z, y, dice_weight=0.0), ce),
        "dice_focal 0": (call("dice_focal", z, y, dice_weight=0.0), focal),
        "nacl 0": (call("nacl", z, y, strength=0.0), ce),
        "lovasz of hard predictions": (call("lovasz_softmax", hard.double(), y),
                                       torch.tensor(wrong, dtype=torch.float64)),
    }  # fmt: skip


NEIGHBOURS = _neighbours()


@pytest.mark.parametrize("case", NEIGHBOURS)
def test_limits_are_the_neighbours(case):
    """A loss equals what its docstring says that it equals."""
    same(*NEIGHBOURS[case])


# ---- the task ------------------------------------------------------------------------------------
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_those_of_scikit_learn(seed):
    """Over the known pixels of all images of each replica, of the classes that occur."""
    rng = np.random.default_rng(seed)
    p = np.moveaxis(rng.dirichlet(np.ones(3), (2, 5, 3, 4)), -1, -3)
    y = rng.integers(0, 2 + (seed > 0), (2, 5, 3, 4))
    p[:, :, 2] *= seed > 0  # at seed 0 a class is neither predicted nor true
    y[rng.random(y.shape) < 0.2] = 255
    scores = score(metrics_of(TASK), torch.from_numpy(p), torch.from_numpy(y))
    for r in range(2):
        known = y[r] != 255
        true, decided = y[r][known], p[r].argmax(1)[known]
        own = np.take_along_axis(p[r], np.where(known, y[r], 0)[:, None], 1)[:, 0][known]
        expected = {
            "mean_iou": jaccard_score(true, decided, average="macro"),
            "dice": f1_score(true, decided, average="macro"),
            "pixel_accuracy": (true == decided).mean(),
            "log_loss": -np.log(own).mean(),
        }
        assert list(scores) == list(expected)
        for name, value in expected.items():
            assert scores[name][r].item() == pytest.approx(value, abs=1e-12), name


@pytest.mark.parametrize(
    ("value", "words"), [(-100, "-100; give classes .* 255 .*torch's -100"), (3, "class 3")]
)
def test_what_is_no_class_is_refused(value, words):
    z, y = torch.zeros(1, 3, 3, 4), torch.zeros(1, 3, 4, dtype=torch.int64)
    loss = get_loss("dice", task="semantic_segmentation")
    y[0, 0, 0] = 255
    assert loss(z, y).isfinite().all()
    y[0, 0, 1] = value
    with pytest.raises(UserError, match=words):
        loss(z, y)


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        (np.full((4, 3, 3), 255), "hold the 0 classes"),
        (np.arange(36).reshape(4, 3, 3) % 2 * 2, "the 2 classes 0, 2"),
        (np.zeros((4, 3, 4), int), "masks"),
    ],
)
def test_invalid_masks_pose_no_task(masks, words):
    with pytest.raises(UserError, match=words):
        SemanticSegmentation.of(np.zeros((4, 1, 3, 3)), masks)


def test_unet_has_a_mask_for_each_class():
    assert unet((1, 5, 6), (3, 5, 6))(torch.zeros(2, 1, 5, 6)).shape == (2, 3, 5, 6)
    assert unet((1, 5, 6), (5, 6))(torch.zeros(2, 1, 5, 6)).shape == (2, 5, 6)
    with pytest.raises(UserError, match="model=unet"):
        unet((1, 5, 6), (3, 6, 5))


# ---- data ----------------------------------------------------------------------------------------
def test_kinds_of_discs_are_as_likely_as_said():
    """Phi of the brightness, which the mean of a disc without noise is."""
    sample = images.shape_kinds(np.random.default_rng(0), samples=4000, noise=0.0)
    kind = sample.targets.max((1, 2))
    bright, disc = sample.inputs.max((1, 2, 3)), kind > 1
    for low in (0.6, 0.8, 0.95, 1.1, 1.3):
        near = disc & (np.abs(bright - low) < 0.05)
        expected = ndtr((bright[near] - 1) / 0.2).mean()
        error = 4 * math.sqrt(expected * (1 - expected) / near.sum()) + 1e-3
        assert (kind[near] == 3).mean() == pytest.approx(expected, abs=error)
    assert (kind == 1).sum() == 1200
    void = images.shape_kinds(np.random.default_rng(0), samples=50, void=0.5).targets
    assert 0.01 < (void == 255).mean() < 0.3


def test_scenes_of_digits_do_not_share_digits_between_splits():
    """Three digits, whole, in classes from 1; unclear ink is unknown."""
    sample = images.digit_scenes(np.random.default_rng(0), samples=60)
    assert set(np.unique(sample.targets)) == {*range(11), 255}
    assert sample.held_out.sum() == 12
    task = SemanticSegmentation.of(sample.inputs, sample.targets)
    assert (task.classes, task.mask_shape) == (11, (24, 24))
    assert (sample.targets[sample.inputs[:, 0] < 0.2] == 0).all()
    classes = [len(set(np.unique(t)) - {0, 255}) for t in sample.targets]
    assert max(classes) == 3


def test_masks_of_more_classes_are_refused_with_the_task_that_takes_them():
    masks = np.arange(27).reshape(3, 3, 3) % 3
    with pytest.raises(UserError, match=r"hold 2 .*; of more classes give dataset.task=semantic_s"):
        Segmentation.of(np.zeros((3, 1, 3, 3)), masks)
