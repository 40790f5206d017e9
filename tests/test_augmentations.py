"""Augmentations: what they do to a batch, and that they do it to training batches alone."""

from __future__ import annotations

from functools import partial

import pandas as pd
import pytest
import torch
from test_stack import configured, tables
from torch.nn import functional as F

from lossbench import training
from lossbench.augmentations import crop_flip, cutout, noise
from lossbench.contract import UserError
from lossbench.training.draws import drawing

KEY = torch.tensor(5)
IMAGES = torch.rand(200, 3, 6, 5)
TARGETS = torch.arange(200)


def test_crop_flip_gives_windows_of_the_padded_image_each_place_and_side_alike():
    moved, targets = drawing(crop_flip, KEY, IMAGES, TARGETS)
    assert targets is TARGETS
    padded = F.pad(IMAGES, [4] * 4)
    windows = padded.unfold(2, 6, 1).unfold(3, 5, 1)  # (B, C, 9, 9, H, W)
    both = torch.stack([windows, windows.flip(-1)], 2)
    hits = (both == moved[:, :, None, None, None]).all(-1).all(-1).all(1)  # (B, 2, 9, 9)
    assert (hits.flatten(1).sum(1) >= 1).all()
    sides, down, right = (hits.any(dim=axes).sum(0) for axes in ((2, 3), (1, 3), (1, 2)))
    assert sides.min() > 70
    assert min(down.min(), right.min()) > 8


def test_masks_move_with_their_images():
    moved, masks = drawing(crop_flip, KEY, IMAGES, IMAGES[:, 0])
    assert torch.equal(moved[:, 0], masks)
    assert not torch.equal(masks, IMAGES[:, 0])


def test_cutout_hides_one_square_of_all_channels():
    changed, _ = drawing(cutout, KEY, IMAGES + 1, TARGETS)
    hidden = changed == 0
    assert (hidden == hidden[:, :1]).all()
    assert (hidden[:, 0].flatten(1).sum(1) >= 16).all(), "half of 8 x 8 is always within 6 x 5"
    small = partial(cutout, size=2)
    few = drawing(small, KEY, IMAGES + 1, TARGETS)[0][:, 0] == 0
    assert few.flatten(1).sum(1).max() == 4
    assert few.any(0).all(), "every pixel is hidden now and then"


def test_noise_has_its_deviation_and_differs_between_keys():
    changed, _ = drawing(noise, KEY, IMAGES, TARGETS)
    assert (changed - IMAGES).std().item() == pytest.approx(0.1, rel=0.05)
    assert not torch.equal(changed, drawing(noise, KEY + 1, IMAGES, TARGETS)[0])


def test_training_batches_alone_are_changed_and_a_seed_has_its_own_numbers():
    words = ["dataset=digit_images", "model=linear", "trainer.max_epochs=2"]
    plain, changed = (configured(*words, f"augmentation={name}") for name in ("none", "crop_flip"))
    (_, before), (rows, curves) = (tables(config, [*range(5)]) for config in (plain, changed))
    first = curves.epoch == 0
    pd.testing.assert_frame_equal(curves[first], before[first], check_exact=True)
    assert not curves[~first].value.equals(before[~first].value)
    own_rows, own_curves = tables(changed, [3])
    among = rows[rows.seed == 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(own_rows, among, check_exact=True)
    expected = curves[curves.seed == 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(own_curves, expected, check_exact=True)


def test_images_that_are_their_own_targets_are_not_moved():
    with pytest.raises(UserError, match="the targets are the images"):
        drawing(crop_flip, KEY, IMAGES, IMAGES.flatten(1))


REFUSED = [
    ("dataset=moons", "crop_flip", r"needs images .* inputs of shape \(2,\)"),
    ("dataset=moons", "{file}:shuffled", "fails on a batch: .*random"),
    ("dataset=moons", "{file}:alone", "fails on a batch: .*\nIt is given inputs and targets"),
    ("dataset=moons", "{file}:halved", r"gives shapes \[\(8, 1\), \(8,\)\] for"),
]
FILE = """
import torch

def shuffled(inputs, targets, /):
    return inputs[torch.randperm(len(inputs))], targets

def alone(inputs, targets, /):
    return inputs

def halved(inputs, targets, /):
    return inputs[:, :1], targets
"""


@pytest.mark.parametrize(("dataset", "name", "reason"), REFUSED)
def test_what_cannot_be_done_to_a_batch_is_refused_before_training(dataset, name, reason, tmp_path):
    (file := tmp_path / "mine.py").write_text(FILE)
    config = configured(dataset, f"augmentation={name.format(file=file)}")
    with pytest.raises(UserError, match=reason):
        training.tried_recipe(config, training.data(config, [0]))
