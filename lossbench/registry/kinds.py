"""The kinds of plugins, each with how it is named, found and called. A new kind is one line."""

from __future__ import annotations

from dataclasses import dataclass

from lossbench.registry.schema import Kind, Parameter


@dataclass(frozen=True)
class Role:
    """What plugins of a kind are for.

    plural: of the kind, and the group of entry points below "lossbench.". arguments: what they are
    called with, by position. chosen: whether a run names one. by_task: whether each task has a
    group of its own, such as lossbench.losses.binary. has_facts: whether a keyword without default
    is for the task to give; elsewhere it is for the user. default: of a kind that came later, what
    earlier results were trained with; it is in no key, so that they stay valid. parameters: what a
    run may set of any, next to the plugin's own; null where it is not set.
    """

    plural: str
    arguments: tuple[str, ...] = ()
    chosen: bool = False
    by_task: bool = False
    has_facts: bool = False
    default: str = ""
    parameters: tuple[Parameter, ...] = ()


START = (
    Parameter("weights", Kind(str, optional=True, place="file"), None),
    Parameter("frozen", Kind(bool, optional=True), None),
)
KINDS = {
    "dataset": Role("datasets", ("rng",), chosen=True),
    "corruption": Role("corruptions", ("inputs", "targets", "rng"), chosen=True, has_facts=True),
    "augmentation": Role("augmentations", ("inputs", "targets"), chosen=True, default="none"),
    "model": Role("models", ("input_shape", "output_shape"), chosen=True, parameters=START),
    "loss": Role("losses", ("prediction", "target"), chosen=True, by_task=True, has_facts=True),
    "regularizer": Role("regularizers", ("weights",), chosen=True),
    "optimizer": Role("optimizers", ("parameters",), chosen=True),
    "schedule": Role("schedules", ("progress",), chosen=True, default="constant"),
    "metric": Role("metrics", ("estimate", "target"), by_task=True, has_facts=True),
    "task": Role("tasks"),
    "launcher": Role("launchers", ("work", "jobs")),
    "config": Role("configs"),
}
PLURALS = {kind: role.plural for kind, role in KINDS.items()}
CHOICES = tuple(kind for kind, role in KINDS.items() if role.chosen)
LATER = {kind: {"name": role.default} for kind, role in KINDS.items() if role.default}
