"""Losses that are one function, at their defaults or at a setting, are found by their numbers."""

from __future__ import annotations

import json

import pytest
from support import put

from lossbench.check.twins import find_twins
from lossbench.cli import main

TWINS = {
    "binary": [
        "logistic is cross_entropy",
        "clipped_cross_entropy is cross_entropy, but for large predictions",
        "focal(gamma=0) is cross_entropy",
        "smooth_hinge(gamma=2) is 0.25 * modified_huber",
        "smooth_hinge(gamma=0) tends to hinge",
    ],
    "regression": [
        "quantile is 0.5 * absolute_error",
        "expectile is 0.5 * squared_error",
        "smooth_l1 is huber",
        "smooth_l1(beta=0) is absolute_error",
        "huber(delta=inf) tends to squared_error, scaled",
    ],
    "counts": ["tweedie(power=1) tends to poisson"],
    "distribution": ["kl_divergence is cross_entropy -0.618416"],
    "ranking": ["cdpo(smoothing=0) is dpo"],
    "semantic_segmentation": ["tversky(alpha=0.5, beta=0.5) is dice_linear(smooth=2)"],
}


@pytest.mark.parametrize("task", TWINS)
def test_known_identities_are_found(task):
    twins, compared = find_twins([task])
    told = [str(twin) for twin in twins]
    assert set(TWINS[task]) <= set(told)
    assert len(told) == len(set(told))
    assert all(each.startswith(f"{task} ") for each in compared)


def test_a_loss_of_a_library_is_compared_by_its_name(capsys):
    words = ["--twins", "--task", "distribution"]
    assert main(["check", "torch.nn:KLDivLoss", *words]) == 0
    assert "torch.nn:KLDivLoss is 0.25 * cross_entropy" in capsys.readouterr().out
    assert main(["check", "torch.nn:CTCLoss", *words]) == 2
    assert "serves no task with its defaults" in capsys.readouterr().err


def test_losses_that_differ_are_no_twins():
    twins, _ = find_twins(["regression"])
    pairs = {frozenset((twin.loss, twin.other)) for twin in twins if not twin.limit}
    assert frozenset(("huber", "log_cosh")) not in pairs
    assert frozenset(("squared_error", "absolute_error")) not in pairs


def test_a_loss_that_has_twins_is_told_with_them(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["check", "expectile", "--twins", "--task", "regression"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("1 twin")
    assert max(map(len, out.splitlines())) <= 60
    assert out.endswith("regression\n  expectile is 0.5 * squared_error\n")
    assert main(["check", "--twins", "--task", "regression", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    twin = next(twin for twin in found["twins"] if twin["loss"] == "expectile")
    assert (twin["other"], twin["factor"], twin["constant"]) == ("squared_error", 0.5, 0.0)
    assert "regression huber" in found["compared"]


LIBRARY = """
import torch
from torch.nn import functional as F

def half_squared_loss(input, target):
    return 0.5 * (input - target) ** 2
"""


def test_losses_of_libraries_are_compared_too(here, monkeypatch):
    info = "made_up-1.0.dist-info"
    record = {f"{info}/METADATA": "Metadata-Version: 2.1\nName: made-up\nVersion: 1.0\n"}
    record |= {f"{info}/RECORD": "made_up_losses.py,,\n", "made_up_losses.py": LIBRARY}
    put(here, {f"site-packages/{name}": text for name, text in record.items()})
    monkeypatch.syspath_prepend(here / "site-packages")
    named = "made_up_losses:half_squared_loss"
    monkeypatch.setattr("lossbench.check.twins.offered", lambda: [Named(named)])
    told = [str(twin) for twin in find_twins(["regression"], everything=True)[0]]
    assert f"{named} is 0.5 * squared_error" in told


class Named:
    """What a library offers, by name alone."""

    def __init__(self, name: str) -> None:
        self.name = name


@pytest.mark.parametrize("words", [["check"], ["check", "huber", "--all"]])
def test_a_check_names_a_loss_and_all_is_of_twins(words, capsys):
    assert main(words) == 2
    assert "--all is of --twins" in capsys.readouterr().err


def test_what_a_check_found_can_be_read_by_a_program(capsys):
    assert main(["check", "hinge", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    (part,) = found["parts"]
    assert (found["loss"], found["ok"], part["task"]) == ("hinge", True, "binary")
    assert {each["verdict"] for each in part["outcomes"]} <= {"passed", "skipped", "hint"}
