"""`lossbench judge`: one question, one answer, and a campaign that counts its proposals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from made_results import result

from lossbench import statistics
from lossbench.commands.judging import correction_of
from lossbench.comparison import compare

FLAT = """
def flat(logits, target, /, *, size: float = 0.0):
    return size * logits.logsumexp(-1) + 0 * logits.sum(-1)
"""
QUICK = ["dataset=blobs", "trainer.max_epochs=3", "tracking=none", "settle.most_seeds=8"]


@pytest.fixture
def place(here):
    (here / "own.py").write_text(FLAT)
    return here


def test_a_loss_that_is_better_than_one_that_teaches_nothing_is_accepted(command, place):
    judged = command("judge", "cross_entropy", *QUICK, "--against", "own.py:flat")
    assert judged.code == 0, judged
    assert judged.out.startswith("BETTER: cross_entropy is better than own.py:flat in accuracy")
    assert len(judged.out.splitlines()) == 1


def test_a_worse_loss_is_not_and_machines_and_people_read_why(command, place):
    words = ["judge", "own.py:flat", "loss.size=0.5", *QUICK]
    judged = command(*words, "--format", "json")
    assert judged.code == 3, judged
    answer = json.loads(judged.out)
    assert answer["better"] is False
    assert answer["line"].startswith("NOT BETTER: own.py:flat is worse than cross_entropy")
    (looks,) = {row["looks"] for row in answer["rows"]} - {None}
    assert answer["line"].endswith(f"Counted in p are {looks} looks at growing numbers of seeds.")
    assert " judge own.py:flat loss.size=0.5 dataset=blobs" in answer["command"]
    assert {"rows", "conclusions", "versions"} <= set(answer)
    markdown = command(*words, "--format", "markdown")
    assert markdown.code == 3
    assert "\nblobs (samples 1000, " in markdown.out
    assert ": accuracy\n\n| loss |" in markdown.out
    assert "Versions: lossbench" in markdown.out


def test_a_campaign_shares_the_level_among_all_that_it_judged(command, place):
    """The second proposal pays six times; the first, judged again, what it paid before."""
    words = [*QUICK, "--campaign", "tries", "--against", "own.py:flat"]
    first = command("judge", "cross_entropy", *words)
    second = command("judge", "brier", *words)
    again = command("judge", "cross_entropy", *words)
    assert "Proposal 1 of campaign tries: p is multiplied by 2 for it." in first.out
    assert "Proposal 2 of campaign tries: p is multiplied by 6 for it." in second.out
    assert again.out == first.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["cross_entropy"], "cross_entropy is the yardstick here"),
        (["focal", "--against", "focal"], "focal is the yardstick here"),
        (["focal", "seeds=5"], "leave seeds out"),
        (["focal", "loss=poly"], "judge LOSS names the loss"),
        (["focl"], "Did you mean focal?"),
        (["focal", "--campaign", "a/b"], "--campaign a/b: expected letters"),
        (["huber", "dataset=blobs"], "huber"),
        (["triplet", "dataset=digit_identities"], "--against LOSS"),
    ],
)
def test_a_faulty_question_gets_one_line(words, said, command, place):
    judged = command("judge", *words, "tracking=none")
    assert judged.code == 2, judged
    assert said in judged.err
    assert "Traceback" not in judged.err


def test_a_better_loss_is_found_however_many_were_tried_before():
    """One deviation better on 60 seeds, as the hundredth proposal, looks counted."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal(60)
    both = result("cross_entropy", base), result("focal", base + 1 + rng.standard_normal(60))
    for each in both:
        each.summary["planned_looks"] = 4
    (comparison,) = compare(both, tried=correction_of(100))
    assert comparison.row("focal").verdict == "better"
    assert sum(1 / correction_of(number) for number in range(1, 1_000)) <= 1


def test_hundreds_of_proposals_without_effect_are_rarely_accepted():
    """Of 300 campaigns of 200 proposals on 16 normal seeds at most 5 % accept one."""
    rng, accepted = np.random.default_rng(0), 0
    for _ in range(300):
        d = rng.standard_normal((200, 16))
        t = np.abs(d.mean(1)) / (d.std(1, ddof=1) / 4)
        for number in np.flatnonzero(t > 2.5) + 1:
            p = statistics.mean_test(d[number - 1])
            if correction_of(number) * p <= 0.05 and d[number - 1].mean() > 0:
                accepted += 1
                break
    assert accepted / 300 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 300)
