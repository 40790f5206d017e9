"""Is this loss valid? Each check is a function whose one sentence is what it demands."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager

import torch

from lossbench.check import (
    basics,
    effects,
    form,
    hyper,
    identities,
    minimiser,
    numbers,
    properties,
    rows,
)
from lossbench.check.cost import describe_cost
from lossbench.check.find import in_form, object_of, plugins_of, tasks_of
from lossbench.check.findings import (
    CheckOutcome,
    CheckReport,
    NotPassed,
    TaskPart,
    Verdict,
    render,
)
from lossbench.check.narrow import narrowed
from lossbench.check.subject import PROGRESS, Subject, one_line
from lossbench.registry import Plugin
from lossbench.tasks import Task
from lossbench.tasks.calls import outside_training
from lossbench.tasks.composed import with_samples
from lossbench.undisturbed import Snapshot, undisturbed

__all__ = [
    "CHECKS",
    "CheckOutcome",
    "CheckReport",
    "TaskPart",
    "check_loss",
    "failed_basics",
    "render",
]

Check = Callable[[Subject], None]
# A stage is skipped where the one before it failed, but for the first, which only reads.
STAGES: tuple[tuple[Check, ...], ...] = (
    form.CHECKS,
    (basics.runs,),
    (basics.shape,),
    (
        rows.inputs_unchanged,
        effects.no_global_randomness,
        effects.no_global_state,
        effects.deterministic,
        basics.gradient_reaches_prediction,
    ),
    (
        basics.no_reduction_inside,
        *rows.CHECKS,
        *numbers.CHECKS,
        *hyper.CHECKS,
        *properties.CHECKS,
        *minimiser.CHECKS,
        *identities.CHECKS,
        *effects.CHECKS,
    ),
)
# Without which a training is worthless, whoever wrote the loss; of few calls, for each run.
BASICS: tuple[tuple[Check, ...], ...] = (
    (basics.runs,),
    (basics.gradient_reaches_prediction,),
    (
        rows.target_used,
        rows.right_costs_less,
        numbers.finite_on_ordinary_inputs,
        numbers.finite_at_extremes,
    ),
)
OF_DIGITS = (numbers.dtype_kept, numbers.gradcheck, numbers.float32_agrees)
FOR_AUTHORS = (*form.CHECKS, basics.no_reduction_inside)  # of what is written for lossbench
CHECKS: tuple[str, ...] = tuple(check.__name__ for stage in STAGES for check in stage)


def check_loss(name: str, task: str | None = None) -> CheckReport:
    """Hold a loss against every rule, on one task or on each that it is for.

    name: as in `loss=name`, or `package.module:loss`. UserError where there is no such loss.
    """
    parts = tuple(_part(plugin, task, STAGES) for plugin in plugins_of(name, task))
    return CheckReport(name, parts)


def failed_basics(name: str, task: str) -> list[str]:
    """The basic rules that a loss breaks; none where it only runs with hyper-parameters set."""
    parts = tuple(_part(plugin, task, BASICS) for plugin in plugins_of(name, task))
    broken = [outcome.check for outcome in CheckReport(name, parts).failed]
    return [] if basics.runs.__name__ in broken else broken


def _part(plugin: Plugin, task: str | None, stages: tuple[tuple[Check, ...], ...]) -> TaskPart:
    with _quiet(), undisturbed():
        before = Snapshot()
        loss = object_of(plugin)
        moved, changed = (before.changed(generators=which) for which in (True, False))
        before.restore()
        torch.set_num_threads(1)
        with undisturbed():
            posed, *others = tasks_of(plugin, loss, task)
            plugin = with_samples(plugin, posed)
            loss = outside_training(in_form(plugin, loss, posed), PROGRESS)
        subject = narrowed(Subject(plugin, loss, posed, tuple(moved), tuple(changed)))
        outcomes: list[CheckOutcome] = []
        broken = ""
        for stage in stages:
            stage_outcomes = [
                _outcome(check, subject, broken or _not_asked(check, subject)) for check in stage
            ]
            failed = [
                o.check
                for o in stage_outcomes
                if o.verdict == "failed" and stage is not form.CHECKS
            ]
            broken = broken or (f"{failed[0]} failed." if failed else "")
            outcomes += stage_outcomes
        cost = describe_cost(subject, outcomes) if stages is STAGES else ""
    notes = tuple(_notes(subject, others))
    return TaskPart(posed.name, plugin.origin, tuple(outcomes), notes, cost)


def _not_asked(check: Check, subject: Subject) -> str:
    """Why a rule for authors, or one of float64, does not hold for the loss, or nothing."""
    if check in OF_DIGITS and subject.is_narrow:
        return "it computes in float32."
    if check not in FOR_AUTHORS or not subject.is_foreign:
        return ""
    return "it is the library's own." if subject.plugin.library else "it is called as it is."


def _notes(subject: Subject, others: Iterable[Task]) -> Iterator[str]:
    """How the loss is called, that its task was guessed, and in which unit it takes numbers."""
    if words := getattr(subject.loss, "words", ""):
        yield f"It is given {words}; what only losses written for lossbench must hold is skipped."
    if tasks := [task.name for task in others]:
        more = f" and {len(tasks) - 1} more" if tasks[1:] else ""
        yield f"The task is a guess: it runs on {tasks[0]}{more} as well; --task says which."
    if names := subject.declaration.unit:
        yield f"In a run {describe_unit(names)}."


def describe_unit(names: Sequence[str]) -> str:
    """In what hyper-parameters that have the unit of the target are given."""
    verb = "is" if len(names) == 1 else "are"
    return (
        f"{' and '.join(names)} {verb} in deviations of the training targets, "
        "or with task.unit=target in the target's unit"
    )


def _outcome(check: Check, subject: Subject, broken: str) -> CheckOutcome:
    verdict: Verdict = "passed"
    reason = ""
    if broken:
        return CheckOutcome(check.__name__, _sentence(check), "skipped", broken)
    with _quiet(), undisturbed():
        try:
            check(subject)
        except NotPassed as why:
            verdict, reason = why.verdict, str(why)
        except (Exception, SystemExit) as error:
            verdict, reason = "failed", f"it raised {one_line(error)}"
    return CheckOutcome(check.__name__, _sentence(check), verdict, reason)


def _sentence(check: Check) -> str:
    return " ".join((check.__doc__ or "").split())


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
