"""Comparisons -> the paragraph on methods of a paper, with versions, seeds, tests and references.

A reference stands as `[@key]`, as Pandoc's Markdown writes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from lossbench.comparison import Comparison, Row
from lossbench.comparison.sentences import RULES
from lossbench.registry.parts import in_words
from lossbench.results import Result

CITED = re.compile(r" \[@(\w+)\]")
REFERENCES = {
    "lossbench": """@software{lossbench,
  author = {{the lossbench contributors}},
  title = {lossbench: a benchmark of loss functions with honest statistics},
  url = {https://github.com/lossbench/lossbench}
}""",
    "paszke2019": """@inproceedings{paszke2019,
  author = {Paszke, Adam and others},
  title = {{PyTorch}: An imperative style, high-performance deep learning library},
  booktitle = {Advances in Neural Information Processing Systems},
  volume = {32}, year = {2019}
}""",
    "nadeau2003": """@article{nadeau2003,
  author = {Nadeau, Claude and Bengio, Yoshua},
  title = {Inference for the generalization error},
  journal = {Machine Learning}, volume = {52}, pages = {239-281}, year = {2003}
}""",
    "holm1979": """@article{holm1979,
  author = {Holm, Sture},
  title = {A simple sequentially rejective multiple test procedure},
  journal = {Scandinavian Journal of Statistics}, volume = {6}, pages = {65-70}, year = {1979}
}""",
    "hall1992": """@article{hall1992,
  author = {Hall, Peter},
  title = {On the removal of skewness by transformation},
  journal = {Journal of the Royal Statistical Society B},
  volume = {54}, pages = {221-228}, year = {1992}
}""",
    "demsar2006": r"""@article{demsar2006,
  author = {Dem{\v{s}}ar, Janez},
  title = {Statistical comparisons of classifiers over multiple data sets},
  journal = {Journal of Machine Learning Research}, volume = {7}, pages = {1-30}, year = {2006}
}""",
}


def describe_methods(
    comparisons: Sequence[Comparison], settings: Sequence[str], *, ranked: bool
) -> str:
    """The paragraph; settings: each in words. ranked: whether losses are ranked over data sets."""
    parts = [_training(comparisons, settings), *_tests(comparisons)]
    if ranked:
        parts.append(
            "Losses are ranked over data sets by Friedman's test with Nemenyi's [@demsar2006]."
        )
    return " ".join(parts)


def list_references(text: str) -> list[str]:
    """The BibTeX entries of what a text cites, in its order."""
    return [REFERENCES[key] for key in dict.fromkeys(CITED.findall(text))]


def _training(comparisons: Sequence[Comparison], settings: Sequence[str]) -> str:
    """What was trained, with what, how often."""
    runs = [result for c in comparisons for result in c.results.values()]
    rows = [row for c in comparisons for row in c.rows]
    seeds = sorted({seed for run in runs for seed in run.seeds.seed.tolist()})
    numbered = f"{seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"{seeds[0]}"
    losses = dict.fromkeys(_in_full(name, r) for c in comparisons for name, r in c.results.items())
    budgets = ", ".join(dict.fromkeys(row.budget for row in rows))
    return (
        f"We trained {', '.join(losses)} with lossbench {_versions(runs, 'lossbench')} "
        f"[@lossbench] (PyTorch {_versions(runs, 'torch')} [@paszke2019], Python "
        f"{_versions(runs, 'python')}) on {'; '.join(dict.fromkeys(settings))}: {_epochs(runs)}, "
        f"{_seed_counts(rows)} (numbers {numbered}), {budgets}. A seed decides the data, their "
        "split, the initial weights and the order of batches, alike for all losses."
    )


def _in_full(label: str, result: Result) -> str:
    """A loss with the hyper-parameters that its label lacks, but for those that were tuned."""
    tuned = result.summary.get("tuning", {}).get("chosen", {})
    others = [
        f"{key}={value}"
        for key, value in in_words(result.config.loss.values).items()
        if value is not None and f" {key}=" not in label and f"loss.{key}" not in tuned
    ]
    return f"{label} ({', '.join(others)})" if others else label


def _versions(runs: Sequence[Result], name: str) -> str:
    return ", ".join(dict.fromkeys(run.versions.get(name, "?") for run in runs))


def _epochs(runs: Sequence[Result]) -> str:
    counts = sorted({run.config.trainer.max_epochs for run in runs})
    return f"{' or '.join(map(str, counts))} epochs"


def _seed_counts(rows: Sequence[Row]) -> str:
    counts = sorted({min(row.seeds for row in rows), max(row.seeds for row in rows)})
    word = "seed" if counts == [1] else "seeds"
    return f"{' to '.join(map(str, counts))} {word}"


def _tests(comparisons: Sequence[Comparison]) -> Iterator[str]:
    """What is measured, which test decides, and what is corrected for."""
    metrics, baselines, rules = (
        ", ".join(dict.fromkeys(each))
        for each in (
            [c.metric for c in comparisons],
            [c.baseline for c in comparisons],
            [RULES[c.at] for c in comparisons],
        )
    )
    paired = "paired by seed" if all(c.paired for c in comparisons) else "not all paired by seed"
    yield f"Losses are compared to {baselines} by {metrics} on the test split {rules}, {paired}."
    family = max(c.family for c in comparisons)
    if not family:
        return
    drawn = {c.origin.get("drawn") for c in comparisons}
    test = "two-sided p values are of the exact paired sign-flip test"
    if "split" in drawn:
        test += ", on new data of the corrected resampled t test [@nadeau2003]"
    if "held out" in drawn:
        test += ", on new data of a t test whose variance has the test examples drawn again, too"
    several = f", corrected by Holm's method [@holm1979] over {family} comparisons"
    yield f"Intervals are 95 % and simultaneous; {test}{several if family > 1 else ''}."
    yield "Strongly skewed differences must pass Hall's transformed t test [@hall1992] as well."
    if lost := sum(row.diverged for c in comparisons for row in c.rows):
        yield f"{lost} trainings diverged, and count as failures and not as missing values."
