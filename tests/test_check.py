"""The conformance suite: it passes valid losses, and fails faulty ones for the right reason."""

from __future__ import annotations

import ast
import copy
import functools
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from support import sampled

from lossbench import registry
from lossbench.check import (
    CHECKS,
    STAGES,
    CheckOutcome,
    CheckReport,
    TaskPart,
    check_loss,
    failed_basics,
    render,
)
from lossbench.check.rows import _where
from lossbench.contract import UserError
from lossbench.testing import loss_checks

HERE = Path(__file__).parent

# file, loss, the check that tells what is wrong
# fmt: off
FAULTY = [
    ("reduction", "mean_inside", "no_reduction_inside"),
    ("reduction", "sum_inside", "no_reduction_inside"),
    ("reduction", "mean_of_everything", "no_reduction_inside"),
    ("reduction", "worst_of_the_batch", "no_reduction_inside"),
    ("reduction", "mean_told_to_the_batch", "rows_independent"),
    ("reduction", "share_of_the_mean", "rows_independent"),
    ("reduction", "focal_of_the_mean", "rows_independent"),
    ("reduction", "root_of_the_mean", "rows_independent"),
    ("reduction", "couples_nothing", "rows_independent"),
    ("axis", "softmax_over_the_batch", "rows_independent"),
    ("axis", "mean_over_the_batch", "shape"),
    ("axis", "keeps_the_classes", "shape"),
    ("axis", "column_against_row", "rows_independent"),
    ("axis", "largest_of_the_batch", "rows_independent"),
    ("rows", "rolled_target", "rows_independent"),
    ("rows", "rolled_target", "batch_order"),
    ("rows", "centred_logits", "rows_independent"),
    ("rows", "sorted_targets", "rows_independent"),
    ("rows", "scaled_by_the_batch", "rows_independent"),
    ("rows", "weighted_by_the_batch", "rows_independent"),
    ("rows", "squares_the_weights", "weights_as_rows"),
    ("saturation", "log_of_sigmoid", "finite_at_extremes"),
    ("saturation", "log_of_softmax", "finite_at_extremes"),
    ("saturation", "naive_soft_margin", "finite_at_extremes"),
    ("saturation", "naive_log_cosh", "finite_at_extremes"),
    ("saturation", "saturated_power", "finite_at_extremes"),
    ("saturation", "root_at_zero", "finite_at_ties_and_kinks"),
    ("saturation", "where_of_nan", "finite_on_ordinary_inputs"),
    ("saturation", "clipped_probability", "float32_agrees"),
    ("gradients", "detached", "gradient_reaches_prediction"),
    ("gradients", "counts_errors", "gradient_reaches_prediction"),
    ("gradients", "through_numpy", "gradient_reaches_prediction"),
    ("gradients", "detached_weight", "gradcheck"),
    ("gradients", "clipped_backward", "gradcheck"),
    ("gradients", "straight_through", "gradcheck"),
    ("hyper_parameters", "ignored_gamma", "hyper_parameters_used"),
    ("hyper_parameters", "ignored_choice", "hyper_parameters_used"),
    ("hyper_parameters", "ignored_weight", "hyper_parameters_used"),
    ("hyper_parameters", "second_ignored", "hyper_parameters_used"),
    ("hyper_parameters", "broken_at_the_end", "hyper_parameter_ranges"),
    ("hyper_parameters", "overflows_when_tuned", "finite_at_extremes"),
    ("effects", "clamps_in_place", "inputs_unchanged"),
    ("effects", "relabels_in_place", "inputs_unchanged"),
    ("effects", "writes_the_true_class", "inputs_unchanged"),
    ("effects", "draws_noise", "no_global_randomness"),
    ("effects", "drops_out", "no_global_randomness"),
    ("effects", "seeds_everything", "no_global_randomness"),
    ("effects", "draws_from_numpy", "no_global_randomness"),
    ("effects", "draws_from_python", "no_global_randomness"),
    ("effects", "remembers", "deterministic"),
    ("effects", "sets_the_default", "no_global_state"),
    ("effects", "RunningCentre", "deterministic"),
    ("effects", "LooseWeights", "own_weights"),
    ("labels", "guesses_the_signs", "labels_not_guessed"),
    ("labels", "guesses_like_keras", "labels_not_guessed"),
    ("labels", "guesses_the_signs_of_many", "labels_not_guessed"),
    ("labels", "forgives_minus_one", "labels_not_guessed"),
    ("labels", "any_sign_above_zero", "labels_not_guessed"),
    ("labels", "many_signs_above_zero", "labels_not_guessed"),
    ("labels", "pixels_above_zero", "labels_not_guessed"),
    ("labels", "clamps_the_label", "labels_not_guessed"),
    ("labels", "not_zero_is_one", "labels_not_guessed"),
    ("labels", "size_of_the_label", "labels_not_guessed"),
    ("labels", "guesses_the_first_class", "labels_not_guessed"),
    ("labels", "counts_from_one", "labels_not_guessed"),
    ("labels", "guesses_probabilities", "labels_not_guessed"),
    ("labels", "guesses_each_probability", "labels_not_guessed"),
    ("labels", "zero_teaches_nothing", "target_used"),
    ("labels", "ignores_the_target", "target_used"),
    ("labels", "rewards_mistakes", "right_costs_less"),
    ("precision", "computes_in_float32", "dtype_kept"),
    ("precision", "returns_float32", "dtype_kept"),
    ("precision", "returns_float64", "dtype_kept"),
    ("precision", "half_of_it", "dtype_kept"),
    ("precision", "rounds_the_target", "dtype_kept"),
    ("declared", "not_convex", "convex"),
    ("declared", "not_convex_for_three", "convex"),
    ("declared", "too_steep", "lipschitz"),
    ("declared", "steeper_by_a_class", "lipschitz"),
    ("declared", "unbounded_slope", "lipschitz"),
    ("declared", "not_proper", "minimiser"),
    ("declared", "smoothed_is_biased", "minimiser"),
    ("declared", "wrong_link", "minimiser"),
    ("declared", "median_not_mean", "minimiser"),
    ("declared", "swapped_quantile", "minimiser"),
    ("declared", "not_that_neighbour", "identities"),
    ("declared", "neighbour_but_for_a_factor", "identities"),
    ("declared", "tunes_a_typo", "declaration"),
    ("declared", "lying_example", "docstring_example"),
    ("form", "positional_gamma", "signature"),
    ("form", "target_first", "signature"),
    ("form", "takes_anything", "signature"),
    ("form", "reduces_on_request", "signature"),
    ("form", "untyped", "signature"),
    ("form", "no_default", "signature"),
    ("form", "AsksForTheEpoch", "signature"),
    ("form", "outside_its_interval", "signature"),
    ("form", "no_docstring", "docstring"),
    ("form", "returns_a_number", "runs"),
    ("form", "returns_nothing", "runs"),
]
# fmt: on


def losses_in(folder: str) -> list[tuple[str, str]]:
    """(file, loss) of every public function and class in a folder's files."""
    return [
        (file.stem, node.name)
        for file in sorted((HERE / folder).glob("*.py"))
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_")
    ]


def task_said(folder: str, file: str, loss: str) -> str | None:
    """The task that the docstring names."""
    tree = ast.parse((HERE / folder / f"{file}.py").read_text(encoding="utf-8"))
    node = next(n for n in tree.body if getattr(n, "name", "") == loss)
    names = [name for name in registry.names("task") if name != "counts"]  # a verb as well
    found = re.search("|".join(names), ast.get_docstring(node) or "")
    return found[0] if found else None


def failed(report: CheckReport) -> dict[str, str]:
    return {outcome.check: outcome.reason for outcome in report.failed}


def file_of(folder: str, file: str, loss: str) -> str:
    return f"{HERE / folder / file}.py:{loss}"


@functools.cache
def report_of(folder: str, file: str, loss: str) -> CheckReport:
    """The report on a loss in a file here, made once."""
    return check_loss(file_of(folder, file, loss))


# ---- what it finds -----------------------------------------------------------------------------
BUILT_IN = [(p.name, p.task) for p in registry.installed("loss") if p.package == "lossbench"]


@pytest.mark.parametrize(("name", "task"), sampled(BUILT_IN, 32))
def test_every_built_in_loss_is_valid(name, task):
    """A built-in loss passes every check, and most checks do run; a skip says why."""
    report = check_loss(name, task)
    assert all((o.verdict == "passed") == (o.reason == "") for o in report.outcomes)
    found = [o.check for o in report.outcomes if o.verdict in ("failed", "hint")]
    assert found == ["certainty_costs_nothing"] * (name == "max_entropy")  # by design
    assert sum(outcome.verdict == "passed" for outcome in report.outcomes) > len(CHECKS) / 2


@pytest.mark.parametrize(("file", "loss"), sampled(losses_in("valid_losses"), 3))
def test_valid_losses_pass(file, loss):
    """A loss from the papers, written as the contract says, fails nothing."""
    report = report_of("valid_losses", file, loss)
    assert failed(report) == {}
    said = task_said("valid_losses", file, loss)
    assert said in (None, report.parts[0].task)


@pytest.mark.parametrize(("file", "loss", "check"), sampled(FAULTY, 3))
def test_faulty_losses_fail_by_the_check_that_names_the_fault(file, loss, check):
    """A faulty loss fails the check that is named after its fault, and says where."""
    report = report_of("faulty_losses", file, loss)
    assert not report.ok
    assert check in failed(report)
    assert len(failed(report)[check]) > 10


def test_every_faulty_loss_is_in_the_table():
    """No loss of the folder is forgotten."""
    assert {(file, loss) for file, loss, _ in FAULTY} == set(losses_in("faulty_losses"))


def test_every_check_that_judges_has_a_faulty_loss():
    """A check that nothing has ever failed proves nothing; these few guard what torch can hide."""
    told = {check for _, _, check in FAULTY}
    untried = {"any_memory_layout", "half_precision", "copies_and_pickles", "maps_over_replicas"}
    hints = {"certainty_costs_nothing", "ignored_left_out"}
    assert set(CHECKS) - told == untried | {"any_device", "link"} | hints


BRANCHES = """
from torch import Tensor
from torch.nn import functional as F

def branches(prediction: Tensor, target: Tensor, /) -> Tensor:
    \"\"\"Decides by a value.\"\"\"
    part = prediction if float(prediction.sum()) > -1e9 else 0 * prediction
    return (part - target).square().reshape(len(target), -1).mean(1)

def counted(prediction: Tensor, target: Tensor, /, *, class_counts: Tensor) -> Tensor:
    \"\"\"Decides by a fact that each replica has of its own.\"\"\"
    scale = float(class_counts.sum())
    return F.cross_entropy(prediction, target, reduction="none") / scale
"""


def test_a_loss_that_cannot_be_mapped_is_said_to_be_folded_or_looped(tmp_path):
    """Folded where rows are independent and replicas share all that it is called with."""
    file = write(tmp_path, BRANCHES)
    for loss, task, road in (
        ("branches", "regression", "it is called once on the rows of all replicas"),
        ("counted", "multiclass", "it is run replica by replica"),
    ):
        (part,) = check_loss(f"{file}:{loss}", task).parts
        (outcome,) = [o for o in part.outcomes if o.check == "maps_over_replicas"]
        assert outcome.verdict == "skipped"
        assert road in outcome.reason
        assert road in part.cost


def write(folder: Path, source: str) -> Path:
    file = folder / "mine.py"
    file.write_text(
        "import torch\nfrom torch import Tensor\nfrom torch.nn import functional as F\n"
    )
    with file.open("a") as end:
        end.write("from lossbench.contract import declare\n" + source)
    return file


def hints(report: CheckReport) -> dict[str, str]:
    return {
        outcome.check: outcome.reason for outcome in report.outcomes if outcome.verdict == "hint"
    }


# what is made of logits before the loss, its task, and what a certain, right answer still costs
PROBABILITIES_FIRST = [
    ("multiclass", "F.cross_entropy(logits.softmax(-1), target, reduction='none')", "0.74"),
    ("multiclass", "F.cross_entropy(logits.sigmoid(), target, reduction='none')", "0.74"),
    (
        "binary",
        "F.binary_cross_entropy_with_logits(logits.sigmoid(), target, reduction='none')",
        "0.69",
    ),
    ("multilabel", "F.softplus(-(2 * target - 1) * logits.sigmoid()).sum(-1)", "2.4"),
    ("segmentation", "F.softplus(-(2 * target - 1) * logits.sigmoid()).flatten(1).mean(1)", "0.69"),
    ("distribution", "-(target * logits.softmax(-1).log_softmax(-1)).sum(-1)", "0.74"),
]


@pytest.mark.parametrize(("task", "formula", "cost"), PROBABILITIES_FIRST)
def test_probabilities_before_a_loss_of_logits_get_a_hint(task, formula, cost, tmp_path):
    """The least that a right answer can cost is said, and what may be wrong."""
    file = write(
        tmp_path,
        "def mine(logits: Tensor, target: Tensor, /) -> Tensor:\n"
        f'    """Rewards probability on what happened; {task}."""\n'
        f"    return {formula}\n",
    )
    report = check_loss(f"{file}:mine", task)
    hint = hints(report)["certainty_costs_nothing"]
    assert f"still costs {cost}" in hint
    assert "softmax or sigmoid" in hint
    assert "with a hint" in render(report)


LINKS = [
    ("prediction", 'target="[0, inf)"', "is -"),
    ("prediction, /, *, slope", "outputs=1", "asks for slope"),
]


@pytest.mark.parametrize(("arguments", "declared", "words"), LINKS)
def test_a_link_fits_the_targets_and_the_keywords_of_its_loss(tmp_path, arguments, declared, words):
    file = write(
        tmp_path,
        f"def same({arguments}):\n"
        "    return prediction\n"
        f"@declare(link=same, {declared})\n"
        "def mine(prediction: Tensor, target: Tensor, /) -> Tensor:\n"
        '    """Rewards a rate near the target; regression."""\n'
        "    return prediction.exp() - target * prediction\n",
    )
    failed = {o.check: o.reason for o in check_loss(f"{file}:mine", "regression").parts[0].outcomes}
    assert words in failed["link"]


PLAIN = """
class Poly(torch.nn.Module):
    def __init__(self, epsilon=1.0, reduction="mean"):
        super().__init__()
        self.epsilon, self.reduction = epsilon, reduction

    def forward(self, input, target):
        log_p = F.log_softmax(input, 1).gather(1, target[:, None]).squeeze(1)
        values = self.epsilon * (1 - log_p.exp()) - log_p
        return values.mean() if self.reduction == "mean" else values

class LogCosh(torch.nn.Module):
    def forward(self, y_pred, y_true):
        d = y_pred - y_true
        return torch.mean(d + F.softplus(-2 * d))

def unstable(input, target, size_average=None):
    return -(target * input.sigmoid().log() + (1 - target) * (1 - input.sigmoid()).log()).mean()
"""


@pytest.mark.parametrize(
    ("loss", "task", "words"),
    [
        ("Poly", "multiclass", "raw predictions and targets, reduction=none; what only"),
        ("LogCosh", "regression", "raw predictions and targets; what only"),
    ],
)
def test_a_plain_loss_is_held_to_what_its_use_needs(loss, task, words, tmp_path):
    """What a run calls through an adapter passes; how it is called and the guess are said."""
    report = check_loss(f"{write(tmp_path, PLAIN)}:{loss}")
    assert failed(report) == {}
    (part,) = report.parts
    called, guess = part.notes
    assert words in called
    assert part.task == task
    assert "; --task says which." in guess
    assert called in render(report, 200)


def test_a_plain_loss_fails_what_its_use_needs(tmp_path):
    """An adapter does not mend the logarithm of 0."""
    report = check_loss(f"{write(tmp_path, PLAIN)}:unstable", "binary")
    assert failed(report).keys() == {"finite_at_extremes", "float32_agrees"}


ELSEWHERE = [
    ("any_memory_layout", "torch.as_strided(prediction, prediction.shape, (1,))"),
    ("any_device", "prediction * torch.ones(len(target))"),
]


@pytest.mark.parametrize(("check", "formula"), ELSEWHERE)
def test_the_other_checks_fail_too(check, formula, tmp_path):
    """What only looks at one place in memory, or at one device, is found."""
    file = write(
        tmp_path,
        "def mine(prediction: Tensor, target: Tensor, /) -> Tensor:\n"
        '    """Punishes the square of the residual; regression."""\n'
        f"    return (target - {formula}).square()\n",
    )
    assert check in failed(check_loss(f"{file}:mine", "regression"))


def test_a_lambda_cannot_be_pickled(tmp_path):
    """What has no name of its own cannot reach a worker."""
    file = write(tmp_path, "mine = lambda prediction, target: (target - prediction).square()\n")
    found = failed(check_loss(f"{file}:mine", "regression"))
    assert {"copies_and_pickles", "docstring"} <= found.keys()


def test_a_link_that_leaves_the_simplex_fails(tmp_path):
    """A link for classes must give probabilities."""
    file = write(
        tmp_path,
        "@declare(link=torch.sigmoid)\n"
        "def mine(logits: Tensor, target: Tensor, /) -> Tensor:\n"
        '    """Rewards probability on the true class; multiclass, logits (B, C)."""\n'
        '    return F.cross_entropy(logits, target, reduction="none")\n',
    )
    assert "link" in failed(check_loss(f"{file}:mine"))


def test_a_loss_that_sees_its_replicas_fails(tmp_path):
    """Mapped over replicas a loss must not notice it."""
    file = write(
        tmp_path,
        "def mine(prediction: Tensor, target: Tensor, /) -> Tensor:\n"
        '    """Punishes the square of the residual; regression."""\n'
        "    mapped = torch._C._functorch.is_batchedtensor(target)\n"
        "    return (target - prediction).square() * (2.0 if mapped else 1.0)\n",
    )
    assert set(failed(check_loss(f"{file}:mine"))) == {"maps_over_replicas"}


def test_an_import_with_side_effects_fails(tmp_path):
    """A file that seeds everybody's generator or changes a default when imported is found."""
    body = (
        "def mine(prediction: Tensor, target: Tensor, /) -> Tensor:\n"
        '    """Punishes the square of the residual; regression."""\n'
        "    return (target - prediction).square()\n"
    )
    file = write(tmp_path, "torch.manual_seed(0)\ntorch.set_default_dtype(torch.float64)\n" + body)
    assert set(failed(check_loss(f"{file}:mine"))) == {"no_global_randomness", "no_global_state"}
    assert torch.get_default_dtype() == torch.float32


def test_every_setting_that_an_import_changes_is_named(tmp_path, monkeypatch):
    """The first mended alone would only bring the next to light."""
    monkeypatch.setenv("NOT_CHANGED", "1")
    file = write(
        tmp_path,
        "import os\nos.environ['NOT_CHANGED'] = '2'\ntorch.set_default_dtype(torch.float64)\n"
        "def mine(prediction: Tensor, target: Tensor, /) -> Tensor:\n"
        '    """Punishes the square of the residual; regression."""\n'
        "    return (target - prediction).square()\n",
    )
    reason = failed(check_loss(f"{file}:mine"))["no_global_state"]
    assert reason == "its import changes the environment, torch's default dtype."


# ---- what it leaves alone ----------------------------------------------------------------------
def test_checking_disturbs_nothing():
    """Global generators and settings are as they were, whatever the loss does to them."""
    torch.manual_seed(5)
    np.random.seed(5)
    before = (torch.get_rng_state(), copy.deepcopy(np.random.get_state()[1]))
    threads, mode = torch.get_num_threads(), torch.is_grad_enabled()
    for loss in ("sets_the_default", "seeds_everything", "draws_from_numpy"):
        check_loss(file_of("faulty_losses", "effects", loss))
    assert torch.equal(before[0], torch.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()
    assert (torch.get_num_threads(), torch.is_grad_enabled()) == (threads, mode)
    assert torch.get_default_dtype() == torch.float32


def test_two_reports_of_one_loss_are_equal():
    """The checks draw nothing that is not seeded."""
    assert check_loss("focal", "multiclass") == check_loss("focal", "multiclass")


# ---- names -------------------------------------------------------------------------------------
def test_a_name_for_several_tasks_is_checked_for_each():
    """Without a task every one that has the name is a part of the report."""
    parts = check_loss("one_vs_all_hinge").parts
    assert [part.task for part in parts] == ["multiclass", "multilabel"]


def test_a_loss_can_be_named_by_its_module():
    """`package.module:loss` needs no entry point; its unit, its stacking and its cost are said."""
    report = check_loss("lossbench.losses.regression:huber", "regression")
    assert report.ok
    (part,) = report.parts
    assert part.task == "regression"
    assert part.notes[-1].startswith("In a run delta is in deviations of the training targets, or ")
    assert re.fullmatch(
        r"In a run it is mapped over replicas; value and gradient take [\d.]+ times as long as "
        r"those of squared_error\.",
        part.cost,
    )


@pytest.mark.parametrize(
    ("name", "task", "said"),
    [
        ("focl", None, "focal"),
        ("focal", "regression", "task"),
        ("focal", "regresion", "there is no such task"),
        ("nowhere.py:mine", None, "no file"),
        ("no.such.module:mine", None, "there is no module no.such.module"),
        ("lossbench.losses.binary:no_such", None, "no_such"),
    ],
)
def test_a_wrong_name_is_a_request_refused(name, task, said):
    """What does not exist is named, with what could have been meant."""
    with pytest.raises(UserError, match=said):
        check_loss(name, task)


# ---- the report --------------------------------------------------------------------------------
def test_the_report_fits_the_terminal_and_counts():
    """The last line says how many ran, passed, failed, skipped."""
    report = report_of("faulty_losses", "declared", "swapped_quantile")
    assert max(map(len, render(report, 60, everything=True).splitlines())) <= 60
    lines = render(report).splitlines()
    assert max(map(len, lines)) <= 100
    verdicts = [outcome.verdict for outcome in report.outcomes]
    assert lines[-1] == (
        f"{len(CHECKS)} checks: {len(CHECKS) - verdicts.count('skipped')} ran, "
        f"{verdicts.count('passed')} passed, 1 failed, {verdicts.count('skipped')} skipped."
    )
    assert any("FAILED" in line and "minimiser" in line for line in lines)
    assert not any(line.startswith("  passed") for line in lines)
    everything = render(report, everything=True).splitlines()
    assert sum(line.startswith("  passed") for line in everything) == verdicts.count("passed")


def test_numbers_that_are_next_to_each_other_are_told_apart():
    one, other = torch.tensor([[1.0, 4.0], [1.0, 4.0000002]], dtype=torch.float64)
    said = _where(one, other)
    assert said == "the value of row 1 is 4 instead of 4.0000002"


def test_a_broken_loss_is_said_once():
    """Where a loss does not even run, what builds on that is skipped with this reason."""
    report = check_loss(file_of("faulty_losses", "form", "returns_nothing"), "regression")
    assert set(failed(report)) == {"runs"}
    assert {o.reason for o in report.outcomes if o.check == "gradcheck"} == {"runs failed."}


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("no_default", "regression supplies (num_examples, progress, index, example_weight)"),
        ("AsksForTheEpoch", "a call is not given epoch, but progress, index, example_weight;"),
    ],
)
def test_a_fact_that_nobody_supplies_is_answered_by_those_that_there_are(loss, said):
    report = check_loss(file_of("faulty_losses", "form", loss), "regression")
    assert said in failed(report)["signature"]


def test_each_check_is_a_sentence_and_short():
    """A check's docstring is its sentence: capital, full stop, and it fits two lines."""
    for check in (check for stage in STAGES for check in stage):
        sentence = " ".join((check.__doc__ or "").split())
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert len(sentence) <= 120
    assert len(set(CHECKS)) == len(CHECKS)


# ---- for plugin authors ------------------------------------------------------------------------
SWAPPED = file_of("faulty_losses", "declared", "swapped_quantile")
test_loss_checks_of_a_valid_loss = loss_checks("smooth_l1", task="regression")
test_loss_checks_of_a_known_fault = loss_checks(
    SWAPPED, task="regression", expected_failures={"minimiser": "its q counts from above"}
)


@pytest.mark.parametrize(
    ("expected", "said"),
    [
        ({"minimizer": "a typo"}, "minimiser"),
        ({"minimiser": ""}, "no reason"),
        ({"minimiser": "  "}, "no reason"),
    ],
)
def test_an_expected_failure_needs_a_check_and_a_reason(expected, said):
    """What is expected to fail is named rightly and explained."""
    with pytest.raises(UserError, match=said):
        loss_checks(SWAPPED, task="regression", expected_failures=expected)


@pytest.mark.parametrize(
    ("expected", "check", "raised"),
    [
        ({}, "minimiser", "Failed"),
        ({"minimiser": "known"}, "minimiser", "XFailed"),
        ({"gradcheck": "known"}, "gradcheck", "Failed"),
        ({"own_weights": "known"}, "own_weights", "Failed"),
        ({}, "own_weights", "Skipped"),
    ],
)
def test_an_expected_failure_that_does_not_fail_is_a_failure(expected, check, raised):
    """Failing, failing as expected, passing or skipping against expectation, and skipping."""
    with pytest.raises(BaseException) as found:  # noqa: PT011 (pytest's own outcomes)
        loss_checks(SWAPPED, task="regression", expected_failures=expected)(check)
    assert type(found.value).__name__ == raised


def test_three_lines_test_a_plugin(pytester):
    """The helper works in a test file of somebody else's."""
    pytester.makepyfile(
        "from lossbench.testing import loss_checks\n\n"
        'test_huber = loss_checks("huber", task="regression")\n'
    )
    outcomes = pytester.runpytest_inprocess("-p", "no:cacheprovider").parseoutcomes()
    assert outcomes["passed"] > len(CHECKS) / 2
    assert not outcomes.keys() - {"passed", "skipped"}


def test_report_records_are_plain():
    """A report can be built by hand, compared, and says whether all is well."""
    bad = CheckOutcome("convex", "It is convex.", "failed", "it is not.")
    report = CheckReport("mine", (TaskPart("binary", "mine.py", (bad,)),))
    assert not report.ok
    assert report.failed == (bad,)
    assert CheckReport("mine", ()).ok


# ---- what `run` says of a loss from a file -----------------------------------------------------
WRITTEN = """
from torch.nn import functional as F

def upside_down(logits, target, /):
    return -F.binary_cross_entropy_with_logits(logits, target, reduction="none")

def steps(logits, target, /):
    return (logits.sign() - target).square() + 0 * logits

def takes_the_logarithm_of_0(logits, target, /):
    p = logits.sigmoid()
    return -target * p.log() - (1 - target) * (1 - p).log()

def average(logits, target):
    return F.binary_cross_entropy_with_logits(logits, target)
"""
BASIC = [
    ("upside_down", ["right_costs_less"]),
    ("steps", ["gradient_reaches_prediction"]),
    ("takes_the_logarithm_of_0", ["finite_at_extremes"]),
    ("average", []),  # has neither a docstring nor a value for each row, and trains well
]


@pytest.mark.parametrize(("loss", "broken"), BASIC)
def test_only_basic_rules_are_held_against_a_loss_that_is_trained(tmp_path, loss, broken):
    assert failed_basics(f"{write(tmp_path, WRITTEN)}:{loss}", "binary") == broken


def test_a_run_says_which_basic_rule_its_loss_from_a_file_breaks(command):
    words = ["loss=mine.py:upside_down,cross_entropy", "dataset=moons", "trainer.max_epochs=1"]
    options = ["seeds=2", "tracking=none"]
    done = command("run", "-m", *words, *options, files={"mine.py": WRITTEN})
    assert done.code == 0, done
    sentence = (
        "loss=mine.py:upside_down breaks a rule, right_costs_less; see lossbench check "
        "mine.py:upside_down --task binary."
    )
    assert " ".join(done.out.split()).count(sentence) == 1
    assert done.out.count("breaks a rule") == 1
