"""What the committed studies measured of a loss: their tables and the claims that name it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby

import numpy as np
import pandas as pd

from lossbench import registry
from lossbench.configuration.claims import Claim, Equivalence, Identity
from lossbench.configuration.experiments import Experiment, read_experiment
from lossbench.contract import UserError
from lossbench.paths import packaged

ALWAYS = ("dataset", "corruption", "model")
UNSHOWN = ("trainer", "optimizer", "model.")
BASELINE = "baseline"
CALIBRATION = ("ece", "adaptive_ece")


@dataclass(frozen=True)
class Studied:
    """The settings of one study in which a loss was shown better or worse than others, or neither.

    against: the losses that it was held against; empty where it is the one for the others.
    """

    study: str
    question: str
    better: tuple[str, ...]
    worse: tuple[str, ...]
    open: tuple[str, ...]
    against: tuple[str, ...]

    @property
    def words(self) -> str:
        """How often it was shown better or worse."""
        if not self.against:
            return "the loss that others are held against"
        counts = [(len(self.better), "better"), (len(self.worse), "worse")]
        shown = " and ".join(f"{verdict} in {count}" for count, verdict in counts if count)
        settings = sum(count for count, _ in counts) + len(self.open)
        of = f"of {settings} setting{'s' * (settings > 1)}"
        return f"shown {shown} {of}" if shown else f"neither better nor worse in any {of}"


@cache
def names_of_studies() -> tuple[str, ...]:
    """Every experiment that has been run and written up."""
    return tuple(f.parent.name for f in sorted(packaged("experiments").glob("*/README.md")))


@cache
def read_study(name: str) -> Experiment | None:
    """The experiment's question and claims; None where a study has none."""
    folder = packaged("experiments") / name
    return read_experiment(name) if (folder / "experiment.yaml").is_file() else None


@cache
def read_rows(name: str) -> tuple[dict[str, str], ...]:
    """The lines of a study's table that hold a verdict on a loss, with their setting."""
    file = packaged("experiments") / name / "table.csv"
    if not file.is_file():
        return ()
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    if not {"verdict", "loss", "dataset"} <= {*table.columns}:
        return ()
    table = table[table["verdict"] != ""]
    columns = list(table.columns)
    setting = [c for c in columns[: columns.index("loss")] if not c.startswith(UNSHOWN)]
    varies = [c for c in setting if c in ALWAYS or table[c].nunique() > 1]
    rows = [dict(zip(columns, row, strict=True)) for row in table.itertuples(index=False)]
    if "data" in columns:  # words for a setting, each with the metric of its task
        return tuple({**row, "setting": f"{row['data']} · {row['metric']}"} for row in rows)
    return tuple(row | dict.fromkeys(("data", "setting"), _setting(row, varies)) for row in rows)


def _setting(row: dict[str, str], columns: Sequence[str]) -> str:
    """A dataset, its corruption and its model, each with what differs between settings."""
    shown = []
    for part in ALWAYS:
        given = [(c, row[c]) for c in columns if c.startswith(f"{part}.") and row[c] != "-"]
        facts = ", ".join(f"{c.partition('.')[2]} {value}" for c, value in given)
        if not (part == "corruption" and row[part] == "none"):
            shown.append(row[part] + (f" ({facts})" if facts else ""))
    return " · ".join(shown)


def group_by_setting(name: str) -> list[list[dict[str, str]]]:
    """The rows of a study's table, those of each setting together."""
    rows = sorted(read_rows(name), key=lambda row: row["setting"])
    return [list(same) for _, same in groupby(rows, key=lambda row: row["setting"])]


@cache
def task_of_dataset(dataset: str) -> str:
    """The task that a dataset poses; empty where it is of a package that is not installed."""
    try:
        draw = registry.load(registry.find("dataset", dataset)[0])
        return str(draw(np.random.default_rng(0)).task)
    except (UserError, TypeError):
        return ""


def find_evidence(loss: str, task: str) -> list[Studied]:
    """What each study measured of a loss for a task."""
    return [
        _finding(study, rows)
        for study in names_of_studies()
        if (rows := [row for row in read_rows(study) if row["loss"] == loss and _is_of(row, task)])
    ]


def _is_of(row: dict[str, str], task: str) -> bool:
    return (row.get("task") or task_of_dataset(row["dataset"])) == task


def _finding(study: str, rows: Sequence[dict[str, str]]) -> Studied:
    judged = [row for row in rows if row["verdict"] != BASELINE]
    experiment = read_study(study)
    shown: dict[str, dict[str, None]] = {"better": {}, "worse": {}, "open": {}}
    for row in judged:
        verdict = row["verdict"]  # "better here" is of the data at hand and not of others like them
        shown[verdict if verdict in shown else "open"][row["data"]] = None
    return Studied(
        study,
        experiment.question if experiment else study,
        better=tuple(shown["better"]),
        worse=tuple(shown["worse"]),
        open=tuple(shown["open"]),
        against=tuple(dict.fromkeys(row["baseline"] for row in judged)),
    )


def find_claims(loss: str) -> list[tuple[str, Claim]]:
    """The claims that say something of a loss, with their study."""
    return [
        (study, claim)
        for study in names_of_studies()
        if (experiment := read_study(study))
        for claim in experiment.claims
        if loss in _losses_of(claim)
    ]


def find_refuted_calibration(loss: str, task: str) -> list[tuple[str, str]]:
    """The studies that refuted that its probabilities are as calibrated as another's, and what."""
    return [
        (study, claim.text)
        for study, claim in find_claims(loss)
        if claim.verdict == "REFUTED"
        and any(
            isinstance(test, Equivalence)
            and test.first.metric in CALIBRATION
            and test.first.filters.get("loss") == loss
            and task_of_dataset(str(test.first.filters.get("dataset"))) == task
            for test in claim.tests
        )
    ]


def _losses_of(claim: Claim) -> set[str]:
    """The losses that a claim says something of, not those that they are held against."""
    names = [
        test.loss if isinstance(test, Identity) else test.first.filters.get("loss")
        for test in claim.tests
    ]
    named = [n.get("name", n.get("loss")) if isinstance(n, dict) else n for n in names]
    return {str(name) for name in named}


def count_verdicts(claims: Sequence[Claim]) -> str:
    """How many claims came to which verdict."""
    verdicts = Counter(claim.verdict or "undecided" for claim in claims)
    return ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
