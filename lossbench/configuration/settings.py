"""The sections of a configuration that are ours and not a plugin's; their values are in `conf/`."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Annotated, Any, Literal

from lossbench.contract import UserError
from lossbench.nested import dotted_keys
from lossbench.paths import expanded
from lossbench.registry.hints import choices, meant
from lossbench.registry.kinds import CHOICES
from lossbench.registry.parts import set_in_losses
from lossbench.registry.schema import reason_of

CAUSE_CHARACTERS = 300
GROUPS = (*CHOICES, "launcher")  # whose options are plugins
STORES = ("sqlite", "postgresql", "mysql", "mssql", "http", "https", "databricks")  # MLflow's own


@dataclass(frozen=True)
class TaskChoices:
    """What of a task the data leave open.

    embedding_dim is the length of embeddings, of tasks and losses that have some; null is 16.
    unit target takes what a loss declares to have the target's unit, such as huber's delta, in it;
    null in standard deviations of each seed's training targets, as which they are trained on.
    """

    embedding_dim: Annotated[int, "[1, 65536]"] | None = None
    unit: Literal["target"] | None = None


@dataclass(frozen=True)
class Trainer:
    """How a stack is trained.

    batch_size is the most examples in a batch; an epoch is cut into batches of equal size (+-1).
    sampler balanced visits each class as often in an epoch, which has as many examples as before.
    clip_norm is the longest gradient, all parameters of a replica as one vector; null: any length.
    max_replicas is the most replicas trained as one; more seeds are trained stack after stack.
    auto is as many as cache and memory hold well; results do not depend on it.
    checkpoint is the epochs between two checkpoints, from which a killed run resumes; null is none.
    peek keeps the metrics after every epoch apart: of the test split, for `compare --peek`, and of
    the training split, for claims; nothing chooses by them.
    """

    max_epochs: Annotated[int, "[1, inf)"]
    batch_size: Annotated[int, "[1, inf)"]
    sampler: Literal["balanced"] | None
    clip_norm: Annotated[float, "(0, inf)"] | None
    device: Literal["auto", "cpu", "gpu"]
    precision: Literal["32-true", "64-true", "bf16-mixed"]
    max_replicas: Literal["auto"] | Annotated[int, "[1, inf)"]
    checkpoint: Annotated[int, "[1, inf)"] | None
    peek: bool | None


@dataclass(frozen=True)
class Tune:
    """The budget with which each loss's hyper-parameters are chosen; 0 trials choose nothing.

    seeds is how many trainings a candidate is judged by, on seeds that no result uses.
    at is the epoch that it is judged at: null the last, best the one chosen on validation data.
    sampler "sobol" tries the same learning rates for every loss, "tpe" is Optuna's.
    """

    trials: Annotated[int, "[0, 10000]"]
    seeds: Annotated[int, "[1, 10000]"]
    sampler: Literal["sobol", "tpe"]
    at: Literal["best"] | None

    @property
    def budget(self) -> str:
        """The budget in words; results of one budget may be ranked."""
        if not self.trials:
            return "untuned"
        sampler = "" if self.sampler == "sobol" else f" by {self.sampler}"
        at = " at their best epoch" if self.at else ""
        return f"tuned with {self.trials} trials x {self.seeds} seeds{sampler}{at}"


@dataclass(frozen=True)
class Tracking:
    """Where MLflow keeps its runs; uri null keeps none."""

    uri: str | None
    experiment: str


@dataclass(frozen=True)
class Results:
    """The folder that is the truth; the most MiB of predictions of a run in it; models or none."""

    dir: str
    predictions: Annotated[float, "[0, inf)"]
    models: bool = False


@dataclass(frozen=True)
class Launcher:
    """How a sweep is dealt out: what every launcher takes, and all that the local one does.

    workers null is one for each core. retries is how often a run is tried again whose worker died
    or took longer than timeout.
    """

    workers: Annotated[int, "[1, inf)"] | None
    timeout: Annotated[float, "(0, inf)"] | None
    retries: Annotated[int, "[0, inf)"]


@dataclass(frozen=True)
class Dealing:
    """What a launcher that is a plugin is given besides its own: how a run is dealt out.

    split is how many jobs the seeds of one run are dealt to; null is one for each worker that would
    have nothing to do, with at least eight seeds. A run that is tuned is one job.
    """

    split: Annotated[int, "[1, inf)"] | None = None


@dataclass(frozen=True)
class Settle:
    """When seeds=auto stops adding seeds, and which differences matter.

    most_seeds is the most that a loss gets. margin is a difference that does not matter, as for
    `compare --same-within`; null: no losses are called practically the same. looks is how often
    losses are compared on the way, which p is multiplied by; null is as often as it takes if seeds
    grow by half each time.
    """

    most_seeds: Annotated[int, "[6, 100000]"]
    margin: Annotated[float, "(0, inf)"] | None
    looks: Annotated[int, "[1, 100]"] | None


SECTIONS: dict[str, type] = {
    "task": TaskChoices,
    "trainer": Trainer,
    "tune": Tune,
    "tracking": Tracking,
    "results": Results,
    "launcher": Launcher,
    "settle": Settle,
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


def store_address(uri: str) -> str:
    """The address of an MLflow store with an SQLite file's place made absolute.

    UserError where MLflow has no such kind of store, whether or not anything answers there.
    """
    scheme = uri.partition(":")[0].partition("+")[0]
    file = uri.removeprefix("sqlite:///")
    known = scheme in STORES or scheme in entry_points(group="mlflow.tracking_store").names
    if not known or (scheme == "sqlite" and file in (uri, "")):
        raise UserError(
            f"tracking.uri={masked(uri)}: not the address of an MLflow store. Expected "
            "sqlite:///FILE, postgresql://…, mysql://…, mssql://…, http://… or https://…."
        )
    return uri if file == uri else f"sqlite:///{expanded(file).absolute()}"


def cause(error: BaseException) -> str:
    """Why something failed, in a line without credentials; the system's own words if there are."""
    chain = [error]
    while inner := chain[-1].__cause__ or chain[-1].__context__:
        chain.append(inner)
    plain = [each for each in chain if isinstance(each, OSError) or hasattr(each, "orig")]
    last = plain[-1] if plain and not isinstance(error, UserError) else error
    last = getattr(last, "orig", last)  # SQLAlchemy's errors hold those of the database
    words = reason_of(last)
    if isinstance(last, OSError) and last.strerror:
        words = last.strerror + (f": {last.filename}" if last.filename else "")
    return masked(textwrap.shorten(words, CAUSE_CHARACTERS, placeholder=" …"))


def set_value(config: dict[str, Any], key: str, value: Any, line: str) -> None:
    """Set what a line says of a dotted key; UserError where the key is not there."""
    path = key.split(".")
    if len(path) == 2 and path[0] in GROUPS and path[1] == "name":
        raise UserError(f"{line}: choose with {path[0]}={value}.")
    if path[0] == "loss" and path[1:] and set_in_losses(config["loss"], path[1:], value):
        return
    node: Any = config
    for i, name in enumerate(path):
        if not isinstance(node, dict) or name not in node:
            where = ".".join(path[: i + 1]) or line
            raise UserError(f"{where}: there is no such key. {_meant(name, node, config)}")
        if i == len(path) - 1:
            if isinstance(node[name], dict):
                others = [k for k in dotted_keys(config) if k.endswith(f".{name}")]
                raise UserError(
                    f"{line}: {'.'.join(path)} is a group of keys: {', '.join(node[name])}."
                    + (f" Did you mean {others[0]}?" if others else "")
                )
            node[name] = value
        else:
            node = node[name]


def _meant(key: str, node: Any, config: dict[str, Any]) -> str:
    """The nearest key: next to it, or for one at the top anywhere."""
    if node is config:
        last = {path.rpartition(".")[2]: path for path in [*dotted_keys(config), *config]}
        if likely := meant(key, last):
            return f"Did you mean {last[likely[0]]}?"
    return choices(key, [k for k in node if k != "name"] if isinstance(node, dict) else [])
