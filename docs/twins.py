"""What `lossbench check --twins --all` finds, and values of the focal losses, for the catalogue.

python docs/twins.py    minutes; in an environment with the libraries that are to be compared
"""

from __future__ import annotations

import datetime
import json
import warnings
from pathlib import Path
from typing import Any

import torch

from lossbench import registry
from lossbench.check.subject import Subject
from lossbench.check.twins import find_twins, subjects_of
from lossbench.registry.offers import offered
from lossbench.tasks import task_class

FILE = Path(__file__).parent.parent / "lossbench/show/twins.json"
SHARES = (0.9, 0.5, 0.1)  # probabilities of the true class


def batch_of(task: str, share: float, label: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One example whose true class has this probability, and the others alike."""
    if task == "binary":
        logit = torch.logit(torch.tensor([share], dtype=torch.float64))
        return (logit if label else -logit), torch.tensor([float(label)], dtype=torch.float64)
    others = torch.full((1, 4), (1 - share) / 3, dtype=torch.float64)
    others[0, label] = share
    return others.log(), torch.tensor([label])


def row_of(subject: Subject) -> dict[str, Any]:
    """What a focal loss takes, its numbers' defaults, and its values on one example each."""
    task = subject.task.name
    values = {}
    for label in (1, 0) if task == "binary" else (1,):
        for share in SHARES:
            loss = subject.made()
            values[f"{share:g} {label}"] = round(loss(*batch_of(task, share, label)).item(), 6)
    numbers = {p.name: p.default for p in subject.parameters}
    return {
        "task": task,
        "loss": subject.plugin.name,
        "form": getattr(subject.loss, "words", ""),
        "defaults": {n: v for n, v in numbers.items() if n in ("alpha", "gamma")},
        "values": values,
    }


def main() -> None:
    warnings.simplefilter("ignore")
    libraries = offered()
    twins, compared = find_twins(registry.names("task"), everything=True)
    focal = []
    for task in ("binary", "multiclass"):
        names = [each.name for each in libraries if "focal" in each.name.lower()]
        for subject in subjects_of(task_class(task).small(), names):
            if "focal" in subject.plugin.name.lower():
                focal.append(row_of(subject))
    used = {each.partition(" ")[2] for each in compared}
    packages = {each.package: each.version for each in libraries if each.name in used}
    packages["lossbench"] = registry.installed("loss")[0].version
    told = [[twin.task, twin.loss, twin.other, str(twin)] for twin in twins]
    parts = {
        "date": str(datetime.date.today()),
        "packages": dict(sorted(packages.items())),
        "compared": len(compared),
        "twins": told,
        "focal": focal,
    }
    FILE.write_text(_with_a_row_a_line(parts), encoding="utf-8")


def _with_a_row_a_line(parts: dict[str, Any]) -> str:
    lines = []
    for name, value in parts.items():
        rows = [json.dumps(row) for row in value] if isinstance(value, list) else []
        text = "[\n  " + ",\n  ".join(rows) + "\n ]" if rows else json.dumps(value)
        lines.append(f' "{name}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


if __name__ == "__main__":
    main()
