"""Every row of the catalogue, F01 to F68 and S1 to S7, has its test, here or named below."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
ELSEWHERE = {
    "F52": "test_checkpoint.py::test_a_damaged_checkpoint_is_told_once_and_the_one_before_is_used",
    "F53": "test_checkpoint.py::test_a_checkpoint_is_not_used_for_another_run_even_when_it_lies",
    "F54": "test_checkpoint.py::test_a_process_killed_in_training_goes_on_with_the_same_numbers",
    "F56": "test_tracking.py::test_a_fresh_store_opened_by_eight_processes_at_once_serves_them",
    "S2": "test_checkpoint.py::test_a_pickle_bomb_in_the_place_of_a_checkpoint_does_not_go_off",
    "S5": "test_tracking.py::test_the_interface_shows_the_losses_side_by_side",
}
ROWS = [*(f"F{n:02}" for n in range(1, 69)), *(f"S{n}" for n in range(1, 8))]


def test_no_row_is_left_out():
    named = set(ELSEWHERE)
    for file in Path(__file__).parent.glob("test_faults_*.py"):
        named |= set(re.findall(r"\"([FS]\d+)(?=[\"-])", file.read_text()))
        for name in re.findall(r"def test_(\w+)", file.read_text()):
            named |= {row.upper() for row in re.findall(r"(?:^|_)([fs]\d+)(?=_)", name)}
    matrix = (Path(__file__).parent / "test_kill_matrix.py").read_text()
    named |= {row.upper() for row in re.findall(r"_(f\d+)", matrix)}
    assert not set(ROWS) - named


@pytest.mark.parametrize("row", ELSEWHERE)
def test_what_is_shown_elsewhere_is_there(row):
    file, _, name = ELSEWHERE[row].partition("::")
    assert f"def {name}" in (TESTS / file).read_text()
