"""What `check` says of losses of other libraries, written here as those libraries have them."""

from __future__ import annotations

import importlib

import pytest
from foreign import installed

from lossbench import registry
from lossbench.check import check_loss

LIBRARY = """
import torch
from torch.nn import functional as F

class Own(torch.Tensor):  # as fastai has
    pass

class Overlap(torch.nn.Module):  # of monai
    def __init__(self, sigmoid=False, batch=False, reduction="mean"):
        super().__init__()
        self.sigmoid, self.batch, self.reduction = sigmoid, batch, reduction

    def forward(self, input, target):
        assert input.shape == target.shape and input.ndim == 4
        share = input.sigmoid() if self.sigmoid else input
        axes = [0, 2, 3] if self.batch else [2, 3]
        both = (share * target).sum(axes)
        values = 1 - (2 * both + 1) / (share.sum(axes) + target.sum(axes) + 1)
        return values if self.reduction == "none" else values.mean()

def in_single(x, target):  # of timm
    return F.binary_cross_entropy_with_logits(x.float(), target.float(), reduction="none").sum(1)

def single_alone(x, target):  # of segmentation_models_pytorch, whose Lovasz loss has a dot product
    errors = F.softplus(-(2 * target - 1) * x).flatten(1)
    return errors @ torch.ones_like(errors[0], dtype=torch.float32) / errors.shape[1]

def balanced(x, target, reduction="mean"):  # of pytorch_toolbelt
    share = 0.5 + target.mean() / 4
    values = F.binary_cross_entropy_with_logits(x, target, reduction="none")
    values = values * torch.where(target > 0.5, 1 - share, share)
    return values if reduction == "none" else values.mean()

def own_tensors(x, target):
    return F.cross_entropy(x, target).as_subclass(Own)
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A package of these losses as pip puts it."""
    with installed(tmp_path, "checked_losses", LIBRARY, monkeypatch) as library:
        yield library


@pytest.mark.parametrize(
    ("name", "task", "narrow"),
    [
        ("Overlap", "segmentation", False),
        ("in_single", "multilabel", True),
        ("single_alone", "segmentation", True),
        ("own_tensors", "multiclass", False),
    ],
)
def test_nothing_fails_of_a_sound_loss(library, name, task, narrow):
    """One with a switch to a number for the batch, of float32 alone, of tensors of its own."""
    (part,) = check_loss(f"{library}:{name}", task).parts
    assert [(o.check, o.reason) for o in part.outcomes if o.verdict == "failed"] == []
    assert ("it computes in float32." in [o.reason for o in part.outcomes]) == narrow
    hints = {o.check: o.reason for o in part.outcomes if o.verdict == "hint"}
    assert "sigmoid" not in hints.get("hyper_parameters_used", "")
    assert part.cost


def test_what_a_library_mixes_is_hinted_at(library):
    """It cannot declare that it compares the examples of a batch."""
    (part,) = check_loss(f"{library}:balanced", "binary").parts
    (mixed,) = (o for o in part.outcomes if o.check == "rows_independent")
    assert mixed.verdict == "hint"
    assert mixed.reason.endswith("rows of the batch are mixed.")


def test_a_package_may_set_its_places_as_paths(library, tmp_path):
    """As transformers does when it is imported."""
    package = tmp_path / "site-packages" / "placed_losses"
    package.mkdir()
    (package / "__init__.py").write_text(
        "from pathlib import Path\n"
        "__spec__.submodule_search_locations = [Path(place) for place in __path__]\n"
    )
    (package / "inner.py").write_text(LIBRARY)
    importlib.invalidate_caches()
    for _ in range(2):
        registry.load(registry.find("loss", "placed_losses.inner:in_single")[0])
        registry.refresh()
