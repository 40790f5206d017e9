"""Results of experiment=atlas -> table.csv: one row for each setting and loss, with its shape.

python experiments/atlas/table.py [RESULTS] from the repository's root; RESULTS is results.
"""

import sys
from pathlib import Path

import pandas as pd

from lossbench import atlas, registry, results
from lossbench.comparison import Comparison, compare
from lossbench.configuration import Choice
from lossbench.configuration.experiments import read_experiment
from lossbench.statistics import Interval


def words(kind: str, choice: Choice) -> str:
    """A plugin and what differs from its defaults."""
    plugin = registry.find(kind, choice.name)[0]
    usual = {p.name: p.default for p in registry.parameters(plugin)}
    given = [f"{k}={v}" for k, v in choice.values.items() if v != usual.get(k)]
    return " ".join([choice.name, *given])


def gain(comparison: Comparison, score: float) -> float:
    """How much less error than the baseline, as a share of the baseline's error."""
    base = comparison.row(comparison.baseline).score
    error = 1 - base if comparison.direction > 0 else -base
    return (score - base) / error


def rows(comparison: Comparison) -> list[dict[str, object]]:
    """The rows of one setting, best loss first."""
    result = comparison.results[comparison.baseline]
    config = result.config
    data = words("dataset", config.dataset)
    if config.corruption.name != "none":
        data += f", {words('corruption', config.corruption)}"
    shape = {k: float(f"{v:.4g}") for k, v in atlas.shape_of(config).items()}
    table = []
    for row in comparison.rows:
        numbers = {
            **numbers_of("", row.metrics[comparison.metric]),
            **numbers_of("difference_", row.difference),
            "gain": gain(comparison, row.score),
            "p_holm": row.p,
            "seconds": row.seconds,
        }
        table.append(
            {
                "task": result.summary["task"],
                "dataset": config.dataset.name,
                "corruption": config.corruption.name,
                "model": config.model.name,
                "data": data,
                **shape,
                "loss": row.label,
                "tuning": row.budget,
                "seeds": row.seeds,
                "diverged": row.diverged,
                "metric": comparison.metric,
                "baseline": comparison.baseline,
                **{k: None if v is None else float(f"{v:.5g}") for k, v in numbers.items()},
                "verdict": row.verdict,
            }
        )
    return table


def numbers_of(prefix: str, interval: Interval | None) -> dict[str, float | None]:
    """Mean and ends of an interval; None where there is none."""
    ends = (interval.estimate, interval.low, interval.high) if interval else (None,) * 3
    return dict(zip((f"{prefix}mean", f"{prefix}low", f"{prefix}high"), ends, strict=True))


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results").absolute()
    configs = read_experiment("atlas").configurations()
    stored = [result for config in configs if (result := results.stored(config, folder))]
    print(f"{len(stored)} of {len(configs)} runs", file=sys.stderr)
    table = [row for comparison in compare(stored) for row in rows(comparison)]
    pd.DataFrame(table).to_csv(Path(__file__).parent / "table.csv", index=False)
