"""The list of mistakes that tests must notice is of the code as it is."""

from __future__ import annotations

from pathlib import Path

from mutate import ROOT, read_mutants


def test_every_mistake_can_be_made_in_one_place():
    mutants = [*read_mutants(Path(__file__).with_name("mutants.txt").read_text())]
    faulty = [m for m in mutants if (ROOT / "lossbench" / m.file).read_text().count(m.old) != 1]
    assert not faulty
    assert len(mutants) > 200
