"""Which mistakes would the tests notice? Makes them one at a time in a copy, and runs some tests.

python tests/mutate.py [PART]    only mutants whose file or text holds PART

Prints a line for each mutant and the share that is caught; exits with 3 below `ENOUGH`, or where a
text that was to be changed is not there any more.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
ENOUGH = 0.95
AT_ONCE = 2
LONGEST = 300  # seconds; an endless loop is noticed as well


class Mutant(NamedTuple):
    """A text of a file below lossbench/, what it becomes, and the tests that should notice."""

    file: str
    old: str
    new: str
    tests: str


STATISTICS = "test_statistics.py test_statistics_ranks.py test_new_data.py"
COMPARISON = "test_comparison.py test_new_data.py test_comparison_tables.py"
CLAIMS = "test_claims.py"
STACK = "test_stack.py"
DATA = "test_datasets.py test_corruptions.py"
RESULTS = "test_comparison_tables.py test_configuration.py test_new_data.py test_predictions.py"

MUTANTS = [
    # --- statistics
    Mutant("statistics/basic.py", "np.std(values, ddof=1)", "np.std(values, ddof=0)", STATISTICS),
    Mutant(
        "statistics/basic.py",
        "if x.size < 3:\n        return Interval",
        "if x.size < 2:\n        return Interval",
        STATISTICS,
    ),
    Mutant("statistics/basic.py", "x.size + extra)", "x.size)", STATISTICS),
    Mutant(
        "statistics/basic.py",
        "(1 - level) / 2, x.size - 1) * error",
        "(1 - level), x.size - 1) * error",
        STATISTICS,
    ),
    Mutant("statistics/basic.py", "max(mean - half, bounds[0])", "mean - half", STATISTICS),
    Mutant(
        "statistics/basic.py",
        "worst = min(sign * failed, *finite)",
        "worst = sign * failed",
        STATISTICS,
    ),
    Mutant(
        "statistics/basic.py", "finite.min() - (np.ptp(finite) or 1.0)", "finite.min()", STATISTICS
    ),
    Mutant(
        "statistics/basic.py",
        "return np.asarray(better - worse)",
        "return np.asarray(worse - better)",
        STATISTICS,
    ),
    Mutant("statistics/basic.py", "np.sqrt(2 / x.size)", "np.sqrt(1 / x.size)", STATISTICS),
    Mutant("statistics/paired.py", "2 * reached.sum()", "reached.sum()", STATISTICS),
    Mutant("statistics/paired.py", "(1 + reached) / (1 + draws)", "reached / draws", STATISTICS),
    Mutant("statistics/paired.py", "np.arange(order.size, 0, -1)", "order.size", STATISTICS),
    Mutant("statistics/paired.py", "np.maximum.accumulate(steps)", "steps", STATISTICS),
    Mutant("statistics/paired.py", "2.0 ** (1 - seeds)", "2.0 ** -seeds", STATISTICS),
    Mutant(
        "statistics/paired.py",
        "return max(p, hall_test(differences))",
        "return min(p, hall_test(differences))",
        STATISTICS,
    ),
    Mutant("statistics/paired.py", "skewness / (6 * d.size)", "0", STATISTICS),
    Mutant("statistics/paired.py", "skewness**2 * ratio**3 / 27", "0", STATISTICS),
    Mutant("statistics/paired.py", "d.size + extra))", "d.size))", STATISTICS),
    Mutant("statistics/paired.py", "for side in sides)\n", "for side in sides[:1])\n", STATISTICS),
    Mutant(
        "statistics/paired.py",
        "max(p, unseen, smallest_p(d.size))",
        "max(p, smallest_p(d.size))",
        STATISTICS,
    ),
    Mutant(
        "statistics/paired.py", "max(p, unseen, smallest_p(d.size))", "max(p, unseen)", STATISTICS
    ),
    Mutant(
        "statistics/paired.py",
        "abs(float(np.mean(d))) >= margin",
        "float(np.mean(d)) >= margin",
        STATISTICS,
    ),
    Mutant("statistics/power.py", "1 / seeds + correlation", "1 / seeds", STATISTICS),
    Mutant(
        "statistics/power.py",
        "alpha / comparisons, power, correlation",
        "alpha, power, correlation",
        STATISTICS,
    ),
    Mutant("statistics/power.py", "- correlation\n", "\n", STATISTICS),
    Mutant(
        "statistics/power.py",
        "mean / deviation, alpha / comparisons",
        "mean / deviation, alpha",
        STATISTICS,
    ),
    Mutant(
        "statistics/ranks.py", "stats.rankdata(-x, axis=1)", "stats.rankdata(x, axis=1)", STATISTICS
    ),
    Mutant("statistics/ranks.py", "order[:, half : 2 * half]", "order[:, :half]", STATISTICS),
    Mutant("statistics/ranks.py", "(6 * datasets)", "(12 * datasets)", STATISTICS),
    # --- comparison
    Mutant(
        "comparison/evidence.py",
        "[statistics.holm(column).tolist() for column in columns]",
        "[list(column) for column in columns]",
        COMPARISON,
    ),
    Mutant(
        "comparison/evidence.py",
        "np.minimum(1.0, times * each)",
        "np.minimum(1.0, each)",
        COMPARISON,
    ),
    Mutant(
        "comparison/evidence.py", "np.maximum(p_here, _widened(gains, extra))", "p_here", COMPARISON
    ),
    Mutant(
        "comparison/evidence.py",
        "return 1.0\n    step",
        "return float('nan')\n    step",
        COMPARISON,
    ),
    Mutant(
        "comparison/evidence.py", 'o["test"] / o["learnt"]', 'o["learnt"] / o["test"]', COMPARISON
    ),
    Mutant(
        "comparison/evidence.py",
        "if p <= ALPHA:\n        return word",
        "if p_here <= ALPHA:\n        return word",
        COMPARISON,
    ),
    Mutant("comparison/evidence.py", "min(low, 0.0), max(high, 0.0)", "low, high", COMPARISON),
    Mutant("comparison/evidence.py", "1 - ALPHA / family /", "1 - ALPHA /", COMPARISON),
    Mutant(
        "comparison/evidence.py",
        "if not pairs * p[label] <= ALPHA",
        "if not p[label] <= ALPHA",
        COMPARISON,
    ),
    Mutant(
        "comparison/evidence.py",
        '"better" if contest.gains(label).mean() > 0',
        '"better" if contest.gains(label).mean() < 0',
        COMPARISON,
    ),
    Mutant("comparison/contests.py", "return chance\n", "return None\n", COMPARISON),
    Mutant(
        "comparison/contests.py",
        "low if direction > 0 else high",
        "high if direction > 0 else low",
        COMPARISON,
    ),
    Mutant(
        "comparison/contests.py",
        "names[label] not in YARDSTICKS, -held[label]",
        "-held[label], names[label] not in YARDSTICKS",
        COMPARISON,
    ),
    Mutant(
        "comparison/contests.py",
        'result.seeds.status != "diverged"',
        'result.seeds.status != "lost"',
        COMPARISON,
    ),
    Mutant("comparison/build.py", "comparisons * looks, share", "1, share", COMPARISON),
    Mutant(
        "comparison/build.py",
        "comparisons=comparisons * (looks + 1))",
        "comparisons=1)",
        COMPARISON,
    ),
    Mutant(
        "comparison/build.py", "key=lambda row: -row.score", "key=lambda row: row.score", COMPARISON
    ),
    Mutant("comparison/build.py", "np.sum(gains > 0)", "np.sum(gains >= 0)", COMPARISON),
    Mutant(
        "comparison/over_datasets.py",
        "if self.p > ALPHA or not behind:",
        "if not behind:",
        COMPARISON,
    ),
    Mutant(
        "comparison/over_datasets.py",
        'comparison.origin.get("drawn") == "anew"',
        "False",
        COMPARISON,
    ),
    Mutant(
        "comparison/sentences.py",
        "1 - ALPHA ** (1 / min(seeds))",
        "ALPHA ** (1 / min(seeds))",
        COMPARISON,
    ),
    # --- claims
    Mutant("verdicts.py", "row.loc[common]", "row.iloc[: len(common)]", CLAIMS),
    Mutant("verdicts.py", "cleared = gains - test.by", "cleared = gains", CLAIMS),
    Mutant("verdicts.py", "iter(statistics.holm(p))", "iter(p)", CLAIMS),
    Mutant(
        "verdicts.py",
        "SUPPORTED if measured.holds else REFUTED",
        "REFUTED if measured.holds else SUPPORTED",
        CLAIMS,
    ),
    Mutant(
        "verdicts.py",
        "if REFUTED in required:\n        return NOT_APPLICABLE",
        "if REFUTED in required:\n        return OPEN",
        CLAIMS,
    ),
    Mutant("verdicts.py", "m.looks * m.p", "m.p", CLAIMS),
    # --- the stack
    Mutant("training/stack.py", 'stream(s, "order", epoch)', 'stream(s, "order", 0)', STACK),
    Mutant("training/stack.py", 'stream(seed, "weights")', 'stream(0, "weights")', STACK),
    Mutant(
        "training/stack.py",
        "        for parameter in self.stacked:\n            finite &=",
        "        for parameter in []:\n            finite &=",
        STACK,
    ),
    Mutant(
        "training/stack.py",
        "(value > history.best_score) & (history.diverged_epoch < 0)",
        "(value > history.best_score)",
        STACK,
    ),
    Mutant("training/stack.py", "value > history.best_score", "value >= history.best_score", STACK),
    Mutant(
        "training/stack.py",
        "        self.form[0].eval()\n        parts",
        "        parts",
        STACK + " test_models.py",
    ),
    Mutant(
        "training/stack.py",
        "diverged_epoch[new] = self.epoch + 1",
        "diverged_epoch[new] = self.epoch",
        STACK,
    ),
    Mutant(
        "training/stack.py",
        'for state, suffix in ((self.state, ""), (self.best, "_best"))',
        'for state, suffix in ((self.state, ""), (self.state, "_best"))',
        STACK,
    ),
    # --- data
    Mutant("datasets/__init__.py", 'stream(seed, "corruption")', 'stream(0, "corruption")', DATA),
    Mutant("datasets/__init__.py", 'stream(seed, "split")', 'stream(0, "split")', DATA),
    Mutant("datasets/splitting.py", "np.argsort(-remainders", "np.argsort(remainders", DATA),
    Mutant("datasets/splitting.py", "torn.any()", "torn.all()", DATA),
    Mutant("datasets/splitting.py", "chosen[:quota]", "chosen", DATA),
    Mutant(
        "datasets/__init__.py",
        "_standardise(inputs, rows[0],",
        "_standardise(inputs, rows[2],",
        DATA,
    ),
    Mutant("datasets/splitting.py", "3: (3, 1, 1)", "3: (2, 2, 1)", DATA),
    Mutant(
        "datasets/__init__.py",
        'return "held out" if (given_parts(sample) == TEST).any() and not used else "split"',
        'return "split"',
        DATA,
    ),
    Mutant("datasets/__init__.py", "rng.bit_generator.state != before", "True", DATA),
    # --- results and configurations
    Mutant("results/folder.py", "if seed not in known]", "]", RESULTS),
    Mutant(
        "results/folder.py",
        "last, *before = reversed(results)",
        "last, *before = results",
        RESULTS + " test_sweep.py",
    ),
    Mutant("results/folder.py", 'result.summary.get("looks", 1)', "1", RESULTS),
    Mutant(
        "results/rescoring.py",
        "estimates = [torch.from_numpy(each[place]) for each in arrays]",
        'estimates = [torch.from_numpy(each["validation"]) for each in arrays]',
        RESULTS,
    ),
    Mutant(
        "configuration/record.py",
        'if name not in ("loss", "tune")',
        'if name not in ("loss", "tune", "regularizer")',
        RESULTS,
    ),
]


def survives(mutant: Mutant) -> bool | None:
    """Whether its tests pass all the same; None where the text is not there."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        shutil.copytree(ROOT / "lossbench", copy / "lossbench")
        shutil.copytree(ROOT / "tests", copy / "tests")
        for name in ("conf", "experiments", "plugins", "pyproject.toml", "README.md", "Makefile"):
            (copy / name).symlink_to(ROOT / name)
        file = copy / "lossbench" / mutant.file
        text = file.read_text()
        if mutant.old not in text:
            return None
        file.write_text(text.replace(mutant.old, mutant.new, 1))
        tests = [f"tests/{name}" for name in mutant.tests.split()]
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
        environment = {**os.environ, "PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
        try:
            done = subprocess.run(
                command,
                cwd=copy,
                env=environment,
                capture_output=True,
                timeout=LONGEST,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0


def main() -> int:
    """Try them all."""
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [m for m in MUTANTS if part in m.file or part in m.old]
    words = {True: "SURVIVES", False: "caught", None: "NOT THERE"}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        outcomes = []
        for mutant, outcome in zip(chosen, pool.map(survives, chosen), strict=True):
            outcomes.append(outcome)
            change = " ".join(f"{mutant.old} -> {mutant.new}".split())
            print(f"{words[outcome]:9}  {mutant.file}  {change[:110]}", flush=True)
    caught = outcomes.count(False) / len(outcomes)
    print(f"{outcomes.count(False)} of {len(outcomes)} mutants are caught: {caught:.0%}.")
    return 0 if caught >= ENOUGH and None not in outcomes else 3


if __name__ == "__main__":
    sys.exit(main())
