"""The schema of the sections that are ours and not a plugin's; their values stand in `conf/`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal


@dataclass(frozen=True)
class Trainer:
    """How a stack is trained.

    batch_size is the most examples in a batch; an epoch is cut into batches of equal size (+-1).
    max_replicas is the most replicas trained as one; more seeds are trained stack after stack.
    auto is as many as cache and memory hold well; results do not depend on it.
    checkpoint is the epochs between two checkpoints, from which a killed run goes on; null is none.
    """

    max_epochs: Annotated[int, "[1, inf)"]
    batch_size: Annotated[int, "[1, inf)"]
    device: Literal["auto", "cpu", "gpu"]
    precision: Literal["32-true", "64-true", "bf16-mixed"]
    max_replicas: Literal["auto"] | Annotated[int, "[1, inf)"]
    checkpoint: Annotated[int, "[1, inf)"] | None


@dataclass(frozen=True)
class Tracking:
    """Where MLflow keeps its runs; uri null keeps none."""

    uri: str | None
    experiment: str


@dataclass(frozen=True)
class Results:
    """The folder that is the truth."""

    dir: str


@dataclass(frozen=True)
class Launcher:
    """How a sweep is dealt out; workers null is one for each core.

    retries is how often a run is tried again whose worker died or took longer than timeout.
    """

    workers: Annotated[int, "[1, inf)"] | None
    timeout: Annotated[float, "(0, inf)"] | None
    retries: Annotated[int, "[0, inf)"]


@dataclass(frozen=True)
class Tune:
    """The budget with which each loss's hyper-parameters are chosen; 0 trials choose nothing.

    seeds is how many trainings a candidate is judged by, on seeds that no result uses.
    sampler "sobol" tries the same learning rates for every loss, "tpe" is Optuna's.
    """

    trials: Annotated[int, "[0, 10000]"]
    seeds: Annotated[int, "[1, 10000]"]
    sampler: Literal["sobol", "tpe"]


SECTIONS = {
    "trainer": Trainer,
    "tune": Tune,
    "tracking": Tracking,
    "results": Results,
    "launcher": Launcher,
}


def masked(text: str) -> str:
    """The text with the credentials in its addresses hidden.

    >>> masked("postgresql://ann:secret@host/runs?sslpassword=more&x=1")
    'postgresql://***@host/runs?sslpassword=***&x=1'
    >>> masked("sqlite:////home/ann@work/mlflow.db")
    'sqlite:////home/ann@work/mlflow.db'
    """
    hidden = re.sub(r"(?<!sqlite)(?<!file)://\S*@", "://***@", text)
    return re.sub(r"(?i)([?&][^=&\s]*(?:password|token|secret|key)=)[^&\s]*", r"\1***", hidden)


def packaged(name: str) -> Path:
    """A folder of data (`conf`, `experiments`): inside the wheel, or beside the package."""
    here = Path(__file__).resolve().parent
    return next(p for p in (here / name, here.parent / name) if p.is_dir())


def experiment_files() -> dict[str, Path]:
    """Every experiment's file by name: those of the working directory, then the packaged ones."""
    folders = [Path("experiments"), packaged("experiments")]
    files = [f for folder in folders for f in sorted(folder.glob("*/experiment.yaml"))]
    return {f.parent.name: f for f in reversed(files)}
