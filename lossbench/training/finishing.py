"""What is read once, when a stack is trained: scores of both splits, details, predictions."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lossbench.metrics import OF_TRAINING, WEIGHT, score
from lossbench.training.details import collect_details
from lossbench.training.keeping import bytes_of_kept, keep, keep_models

if TYPE_CHECKING:
    from lossbench.training.stack import Stack


def finish(stack: Stack) -> None:
    """Score the last and the best-validation parameters; the history gets what a result keeps."""
    history, splits = stack.history, stack.splits
    if stack.keeps_models:
        keep_models(history.models, stack.state, stack.best, splits)
    for split, place in (("validation", "val"), ("test", "test")):
        for state, suffix in ((stack.state, ""), (stack.best, "_best")):
            validated = stack.validated.get(suffix)
            estimate, targets, facts = stack.for_metrics(state, split, validated)
            scored = score(stack.recipe.metrics, estimate, targets, splits.target_scale, facts)
            history.final |= {f"{place}{suffix}/{n}": v.cpu() for n, v in scored.items()}
            if (split, suffix) == ("test", ""):
                first = partial(splits.first, "train")
                of_state = partial(stack.estimate, stack.state)
                history.details = collect_details(stack.task, of_state, first, estimate, targets)
            if bytes_of_kept(splits, estimate, targets) <= stack.room:
                kept = {f"{split}{suffix}": estimate, f"{split}_target": targets}
                known = {f"{split}_weight": facts.get(WEIGHT), "target_scale": splits.target_scale}
                known |= {name: stack.training_facts.get(name) for name in OF_TRAINING}
                keep(history.predictions, {**kept, **known})
