"""For the tests of a plugin: every check of a loss, one test each.

from lossbench.testing import loss_checks
test_my_loss = loss_checks("my_package.losses:my_loss", task="multiclass")
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping

import pytest

from lossbench.check import CHECKS, CheckOutcome, check_loss
from lossbench.contract import UserError
from lossbench.registry.hints import choices


def loss_checks(
    loss: str, *, task: str | None = None, expected_failures: Mapping[str, str] | None = None
) -> Callable[[str], None]:
    """A test for each check of a loss.

    loss: a name as in `loss=name`, `package.module:loss` or `file.py:loss`.
    expected_failures: check -> the reason why the loss cannot pass it; one that passes fails.
    """
    expected = dict(expected_failures or {})
    for name, reason in expected.items():
        if name not in CHECKS:
            raise UserError(f"expected_failures: {name} is no check. {choices(name, CHECKS)}")
        if not isinstance(reason, str) or not reason.strip():
            raise UserError(f"expected_failures: {name} has no reason; say why it must fail.")

    @functools.cache
    def outcomes() -> tuple[CheckOutcome, ...]:
        return check_loss(loss, task).outcomes

    @pytest.mark.parametrize("check", CHECKS)
    def test(check: str) -> None:
        """The loss passes the check, or fails it as expected."""
        _judge([o for o in outcomes() if o.check == check], expected.get(check))

    return test


def _judge(outcomes: list[CheckOutcome], expected: str | None) -> None:
    """Fail, skip or pass the running test; a loss for several tasks has an outcome for each."""
    failed = [outcome for outcome in outcomes if outcome.verdict == "failed"]
    first = outcomes[0]
    if expected and failed:
        pytest.xfail(f"{expected} ({failed[0].reason})")
    if expected:
        was = f"was {first.verdict}{f' ({first.reason})' if first.reason else ''}"
        pytest.fail(f"{first.check} {was}, though it is expected to fail: {expected}", False)
    if failed:
        pytest.fail(f"{first.check}: {first.sentence}\n{failed[0].reason}", False)
    if all(outcome.verdict == "skipped" for outcome in outcomes):
        pytest.skip(first.reason)
