"""The 64 statements of the articles: what a computation decides, and the table of all of them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from articles_table import ROWS

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "claims.md"
IDS = [f"{number}: {words}" for number, words, *_ in ROWS]


@pytest.mark.parametrize(("number", "words", "holds", "check"), ROWS, ids=IDS)
def test_a_part_of_a_statement_holds_or_fails_as_the_table_has_it(number, words, holds, check):
    assert bool(check()) is holds


def rows() -> dict[int, list[str]]:
    """Statement, verdict and evidence of each number of the page."""
    cells = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \| (.*?) \|$", PAGE.read_text(), re.M)
    assert len(cells) == len({number for number, *_ in cells}), "a number is there twice"
    return {int(number): rest for number, *rest in cells}


def test_the_page_has_all_64_statements_once():
    assert sorted(rows()) == [*range(1, 65)]


@pytest.mark.parametrize("number", sorted({number for number, *_ in ROWS}))
def test_the_page_says_of_each_computed_part_what_was_computed(number):
    """A statement falls with any part; one that is decided in part says what is not."""
    _, verdict, evidence = rows()[number]
    held = [holds for n, _, holds, _ in ROWS if n == number]
    whole = "in part" not in verdict
    assert verdict.startswith("SUPPORTED" if all(held) else "REFUTED")
    assert "tests/articles_table.py" in evidence
    assert whole or "Not decided" in evidence


def test_the_page_has_the_verdict_of_every_claim_of_an_experiment_that_it_names():
    named = 0
    for number, (_, verdict, evidence) in rows().items():
        for folder, claims in re.findall(
            r"\[(\S+)\]\(generated/experiments/\S+\): ([^;]+)", evidence
        ):
            file = ROOT / "experiments" / folder / "experiment.yaml"
            recorded = {c["id"]: c["verdict"] for c in yaml.safe_load(file.read_text())["claims"]}
            for claim, word in re.findall(r"`([\w-]+)` ([A-Z ]+[A-Z])", claims):
                assert recorded[claim] == word, f"{number}: {claim}"
                assert word in verdict, f"{number}: {verdict}"
                named += 1
    assert named >= 20


def test_what_is_not_decided_is_said_to_be_so():
    decided = {number for number, *_ in ROWS}
    for number, (_, verdict, evidence) in rows().items():
        computed = number in decided or "experiments/" in evidence
        assert computed != (verdict == "not decided"), number
