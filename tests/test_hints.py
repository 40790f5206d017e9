"""A name that does not exist is refused with the names that may have been meant."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from lossbench import registry
from lossbench.configuration.experiments import configurations
from lossbench.configuration.settings import SECTIONS
from lossbench.contract import UserError
from lossbench.registry.hints import MEANT, _packages, meant
from lossbench.registry.kinds import CHOICES, KINDS
from lossbench.tasks import task_class

MEANT_BY = [
    ("seed=3", "Did you mean seeds?"),
    ("epochs=3", "Did you mean trainer.max_epochs?"),
    ("lr=1", "Did you mean optimizer.lr?"),
    ("los=focal", "Did you mean loss?"),
    ("=3", "=3: there is no such key. Allowed: "),
    ("trainer.device=cuda", "Did you mean gpu?"),
    ("trainer.precision=fp32", "Did you mean 32-true?"),
    ("optimizer.learning_rate=1", "Did you mean lr?"),
    ("loss.terms={'poly': 1}", 'keys in braces stand without quotes: "loss.terms={poly: 1}".'),
    ("loss.terms={'torch.nn:L1Loss': 1}", "a name may be {WORD: {name: torch.nn:L1Loss}}."),
    ("loss.terms.torch.nn:L1Loss=1", "loss.terms.torch.nn:L1Loss is no key: its words are"),
    ("loss=mse", "Did you mean squared_error?"),
    ("loss=mae", "Did you mean absolute_error"),
    ("loss=l1", "Did you mean absolute_error"),
    ("loss=l2", "Did you mean squared_error?"),
    ("loss=rmse", "Did you mean root_mean_squared_error?"),
    ("loss=bce", "Did you mean cross_entropy?"),
    ("loss=ce", "Did you mean cross_entropy?"),
    ("loss=nll", "Did you mean cross_entropy or gaussian_nll?"),
    ("loss=torch.nn.MSELoss", "Did you mean squared_error?"),
    ("loss=Focal", "Did you mean focal?"),
    ("loss=focal_loss", "Did you mean focal?"),
    ("loss=cross-entropy", "Did you mean cross_entropy?"),
    ("loss=mine.Kw", "Did you mean loss=mine.py:Kw?"),
    ("loss=mine:Kw", "Did you mean loss=mine.py:Kw?"),
    ("loss=sub/mine.Kw", "Did you mean loss=sub/mine.py:Kw?"),
    ("loss=sub.mine.Kw", "Did you mean loss=sub/mine.py:Kw?"),
    ("loss=mine.py", "loss=mine.py:NAME"),
    ("loss=mine.py:Focl", "Did you mean mine.py:Focal?"),
    ("loss=gce", "generalized_cross_entropy is in the package lossbench-robust: pip install"),
    ("loss=asymmetric", "asymmetric is in the package lossbench-imbalance: pip install"),
    ("dataset=spirals", "spirals is in the package lossbench-example: pip install"),
    ("loss.gamma=" + "9" * 400, "the number is too large"),
    ("loss.gamma=" + "9" * 5000, "too large"),
]


@pytest.mark.parametrize(("word", "said"), MEANT_BY, ids=[word[:30] for word, _ in MEANT_BY])
def test_what_was_meant_is_said(word, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("sub").mkdir()
    for place in ("mine.py", "sub/mine.py"):
        Path(place).write_text("class Focal:\n    def __init__(self, *, a: int = 1): ...\n")
    package = re.search(r"in the package ([\w-]+)", said)
    if package and any(package[1] == each.package for k in KINDS for each in registry.installed(k)):
        pytest.skip(f"{package[1]} is installed")
    with pytest.raises(UserError) as caught:
        configurations(["loss=focal", word])
    assert said in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 2


@pytest.mark.parametrize(
    ("word", "kind"), [("planet", "dataset"), ("gce", "loss"), ("zzz", "loss"), ("cuda", "model")]
)
def test_nothing_is_proposed_that_is_only_spelt_alike(word, kind):
    assert not meant(word, [p.name for p in registry.installed(kind) if p.package == "lossbench"])


def test_every_name_that_is_proposed_exists():
    proposed = {name for names in MEANT.values() for name in names}
    there = {"seeds", *SECTIONS, *CHOICES, "gpu", "bf16-mixed", "32-true", "64-true"}
    there |= {field.name for record in SECTIONS.values() for field in fields(record)}
    there |= {name for kind in KINDS for name in registry.names(kind)}
    there |= {p.name for kind in CHOICES for q in registry.installed(kind)
              for p in registry.signature(q)}  # fmt: skip
    there |= {m.name for t in registry.installed("task") for m in task_class(t.name).metrics}
    there |= {n for _, groups in _packages().values() for names in groups.values() for n in names}
    assert proposed <= there
