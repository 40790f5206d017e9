"""Losses that break what a loss must hold: refused by name before training, or contained."""

from __future__ import annotations

import re

import pandas as pd
import pytest
from support import QUICK, sampled

HEAD = "import ctypes, os, sys, torch\ndef mine(p, t, /, *, a: float = 1.0):\n    "

INVALID = [
    ("F25", "sys.exit(0)", "SystemExit: 0"),
    ("F29-vector", "return p.sum() * torch.ones(3)", "returned shape (3,); expected one number"),
    ("F29-float", "return 1.0", "returned float; expected one number per example"),
    ("F29-numpy", "return p.detach().numpy()", "returned ndarray; expected"),
    ("F29-none", "return None", "returned NoneType; expected"),
    ("F29-detached", "return p.detach()", "cut off from the prediction"),
    ("F29-whole", "return (p * 0).long()", "returned torch.int64; expected real"),
    ("F29-complex", "return p.to(torch.complex64)", "returned torch.complex64; expected real"),
    ("F30", "return (p[:, None] - t) ** 2", "returned shape (8, 8)"),
    ("F36-prediction", "p.mul_(2); return p", "in-place operation"),
    ("F36-target", "t.mul_(0); return p", "changes its arguments in place"),
    ("F29-constant", "return torch.zeros(len(p), requires_grad=True)", "cut off from the pred"),
    ("F29-raises", "raise ValueError('no\\nluck\\nat all')", "ValueError: no luck at all"),
]


@pytest.mark.parametrize(("body", "said"), sampled(INVALID, 3, named=True))
def test_an_invalid_loss_is_refused_by_name(body, said, refused):
    told = refused("run", *QUICK, "loss=mine.py:mine", files={"mine.py": HEAD + body + "\n"})
    assert "loss=mine.py:mine" in told
    assert said in told


SIGNATURES = [
    ("interval", "a: Annotated[float, '[0, one]'] = 1.0", "'[0, one]' is not an interval such as"),
    ("annotation", "a: 'float(' = 1.0", "its signature cannot be read: '(' was never closed"),
    ("name", "name: str = 'a'", "no keyword may be called name; rename it"),
]


@pytest.mark.parametrize(("key", "said"), [pytest.param(k, s, id=i) for i, k, s in SIGNATURES])
def test_a_signature_that_no_configuration_can_hold_is_refused(key, said, refused):
    text = (
        f"import torch\nfrom typing import Annotated\ndef mine(p, t, /, *, {key}):\n    return p\n"
    )
    told = refused("run", "--cfg", "loss=mine.py:mine", files={"mine.py": text})
    assert "loss=mine.py:mine" in told
    assert said in told


def test_a_default_that_no_configuration_can_hold_is_refused_but_of_a_loss(refused, command):
    """Of a loss in a file, which may be of no contract, it is no key."""
    text = "import torch\ndef mine({}, /, *, a=torch.zeros(3)):\n    return 0 * a.sum()\n"
    files = {"mine.py": text.format("weights"), "loss.py": text.format("p, t")}
    told = refused("run", "--cfg", "regularizer=mine.py:mine", files=files)
    assert "the default of a is a Tensor; expected a number, a string" in told
    assert "a:" not in command("run", "--cfg", "loss=loss.py:mine").out.split()


def test_a_note_that_is_no_interval_is_no_fault(command):
    text = (
        "from typing import Annotated\ndef mine(p, t, /, *, a: Annotated[float, 'metres'] = 1.0):\n"
    )
    said = command("run", "--cfg", "loss=mine.py:mine", files={"mine.py": text + "    return p\n"})
    assert said.code == 0, said


def test_a_loss_that_is_an_object_is_known_by_its_file(command):
    """Of a functools.partial or an instance there is no source text but the file's."""
    text = (
        HEAD + "return a * (p - t) ** 2\nimport functools\nhalf = functools.partial(mine, a=0.5)\n"
    )
    said = command("run", *QUICK, "loss=mine.py:half", files={"mine.py": text})
    assert said.code == 0, said


def test_a_loss_that_interrupts_or_leaves_ends_only_its_own_run(command):
    body = "if len(p) > 8: raise KeyboardInterrupt\n    return (p - t) ** 2\n"
    words = ("run", "-m", *QUICK, "loss=cross_entropy,mine.py:mine", "trainer.max_epochs=1")
    said = command(*words, files={"mine.py": HEAD + body})
    assert said.code == 3, said
    assert "a plugin raised KeyboardInterrupt" in said.err
    assert "Traceback" not in said.err
    assert "[2/2]" in said.out


def test_a_loss_that_leaves_has_not_passed_its_check(command):
    said = command(
        "check", "mine.py:mine", "--task", "binary", files={"mine.py": HEAD + "sys.exit(0)\n"}
    )
    assert said.code == 3
    assert "SystemExit" in said.out + said.err


FLAWLESS = 'from torch import nn, rand\ndef mine(p, t, /):\n    """What is checked."""\n    '
CHECKED = [
    (
        "F31-probabilities",
        "return nn.functional.nll_loss(p.log(), t, reduction='none')",
        ["finite_on_ordinary_inputs"],
    ),
    (
        "F33",
        "return nn.functional.cross_entropy(p.exp(), t, reduction='none')",
        ["finite_at_extremes", "float32_agrees"],
    ),
    ("F35", "return p[:, 0] * rand(len(p))", ["no_global_randomness", "deterministic"]),
    (
        "F38",
        "return nn.functional.cross_entropy(p, t, reduction='sum')",
        ["no_reduction_inside"],
    ),
]


@pytest.mark.parametrize(("body", "failed"), [pytest.param(b, f, id=i) for i, b, f in CHECKED])
def test_what_training_cannot_see_is_found_by_check(body, failed, command):
    """Logits taken for probabilities, an overflow, a draw from the common stream, a sum inside.

    Each by the checks named for it: there is nothing else to blame the loss for. Logits taken for
    log-probabilities are a valid loss, `-z_y`, and no check can tell.
    """
    words = ("check", "mine.py:mine", "--task", "multiclass")
    told = command(*words, files={"mine.py": FLAWLESS + body + "\n"})
    assert told.code == 3
    found = re.findall(r"FAILED +(\w+)", told.out)
    assert set(failed) <= set(found)
    assert not {"docstring", "hyper_parameters_used"} & set(found)


DIVERGING = [
    ("F33-gradient", "return (p * 0).sqrt() + p * 0"),
    ("F33-overflow", "return (p.abs() * 1e4 + 100).exp()"),
    ("F40", "return p * torch.nan"),
]


@pytest.mark.parametrize("body", sampled(DIVERGING, 3, named=True))
def test_a_loss_that_is_not_finite_diverges_and_others_go_on(body, command, here):
    words = ("run", "-m", *QUICK, "loss=cross_entropy,mine.py:mine", "trainer.max_epochs=2")
    said = command(*words, files={"mine.py": HEAD + body + "\n"})
    assert said.code == 3, said
    assert "2 replicas diverged" in said.out
    rows = pd.concat(map(pd.read_parquet, here.glob("results/*/seeds.parquet")))
    diverged = rows[rows.status == "diverged"]
    assert list(diverged.diverged_epoch) == [1, 1]
    assert diverged.filter(like="test/").isna().all(axis=None)
    assert (rows.status == "finished").sum() == 2


def test_f34_the_weights_of_a_loss_are_trained(command, here):
    """A loss that is a module: its parameter, wrong at the start, is learnt."""
    loss = (
        "import torch\n"
        "class Shifted(torch.nn.Module):\n"
        "    def __init__(self, *, start: float = 9.0):\n"
        "        super().__init__()\n"
        "        self.shift = torch.nn.Parameter(torch.tensor(start))\n"
        "    def forward(self, p, t):\n"
        "        return (p.detach() * 0 + self.shift) ** 2 + 0 * p\n"
    )
    words = ("loss=mine.py:Shifted", "optimizer.lr=0.5", "trainer.max_epochs=20")
    assert command("run", *QUICK, *words, files={"mine.py": loss}).code == 0
    (file,) = here.glob("results/*/curves.parquet")
    curve = pd.read_parquet(file).query("metric == 'train/loss'").groupby("epoch").value.mean()
    assert curve.iloc[-1] < 1 < curve.iloc[0]


DYING = [
    ("F46", "os.kill(os.getpid(), 9)", "signal SIGKILL (out of memory?)"),
    ("F47", "ctypes.string_at(0)", "signal SIGSEGV"),
    ("F47-exit", "os._exit(0)", "its process died: exit code 0"),
]


@pytest.mark.parametrize(("body", "said"), sampled(DYING, 3, named=True))
def test_a_worker_that_dies_takes_only_its_own_run(body, said, command, here):
    words = ("run", "-m", *QUICK, "loss=cross_entropy,mine.py:mine", "launcher.retries=0")
    told = command(*words, files={"mine.py": HEAD + body + "\n"})
    assert told.code == 3, told
    assert "1 of 2 runs failed" in told.err
    assert said in told.err
    assert len(list(here.glob("results/*/seeds.parquet"))) == 1


@pytest.mark.slow
def test_f39_a_loss_that_hangs_is_stopped_and_others_finish(command, here):
    """It hangs in training only: what hangs at once is left to its own run as well."""
    loss = HEAD + "import time\n    if len(p) > 8: time.sleep(600)\n    return (p - t) ** 2\n"
    words = ("loss=cross_entropy,mine.py:mine", "launcher.timeout=10", "launcher.retries=0")
    said = command("run", "-m", *QUICK, *words, files={"mine.py": loss})
    assert said.code == 3, said
    assert "mine.py:mine on moons: stopped after launcher.timeout=10 s" in said.err
    assert len(list(here.glob("results/*/seeds.parquet"))) == 1


def test_f37_what_cannot_be_mapped_is_run_replica_by_replica_and_said(command):
    loss = HEAD + "return (p - t) ** 2 if p.sum().item() < 1e9 else p\n"
    said = command("run", *QUICK, "loss=mine.py:mine", files={"mine.py": loss})
    assert said.code == 0, said
    assert "mine.py:mine was run replica by replica" in said.out
