"""Losses that cannot be mapped: one call on the rows of all replicas, against the loop over them.

python experiments/speed/folds.py    a minute; writes folds.csv and its table in README.md
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch
from problems import where_measured, write_between
from unmapped import UNMAPPED

from lossbench import training
from lossbench.configuration.experiments import configurations
from lossbench.training.roads import choose_road
from lossbench.training.stack import Stack

HERE = Path(__file__).parent
MARK = "<!-- written by folds.py -->"
REPLICAS, BATCH, REPEATS = 32, 64, 15
SETTING = ["model.hidden=[64,64]", f"trainer.batch_size={BATCH}", "trainer.device=cpu"]


def stack_of(data: str, loss: str, replicas: int) -> Stack:
    """Untrained replicas of the small MLP, their road chosen as a run chooses it."""
    words = [data, f"loss={HERE / 'unmapped.py'}:{loss}", *SETTING, "tracking=none"]
    config, seeds = configurations(words)[0][0], list(range(replicas))
    splits = training.data(config, seeds)
    stack = Stack(training.make_recipe(config, splits), splits, seeds)
    choose_road(stack)
    if not stack.folded:
        raise SystemExit(f"{loss} is not folded: {stack.unmapped or 'it is mapped'}")
    return stack


def stacks(replicas: int, most: int) -> Iterator[tuple[str, str, Stack]]:
    """So many losses of each data set, with the data."""
    for data, losses in UNMAPPED.items():
        for loss in losses[:most]:
            yield data, loss.__name__, stack_of(data, loss.__name__, replicas)


def gradients(values: torch.Tensor, leaves: list[torch.Tensor]) -> list[torch.Tensor]:
    """The values of the replicas and the gradient of their sum in each leaf."""
    return [values.detach(), *torch.autograd.grad(values.sum(), leaves)]


def ways(stack: Stack) -> dict[tuple[str, str], Callable[[], list[torch.Tensor]]]:
    """(what, how) -> the loss with its gradient, or a training step up to it, folded or looped."""
    inputs, target = stack.splits.first("train", BATCH)
    state = stack.state
    prediction = stack.predictions(state, inputs).detach().requires_grad_()

    def looped() -> torch.Tensor:
        """As anyone would write it, with nothing of ours between two calls."""
        pairs = zip(prediction, target, strict=True)
        return torch.stack([stack.form[1](*pair).mean() for pair in pairs])

    def step(unmapped: str | None) -> list[torch.Tensor]:
        stack.unmapped = unmapped
        return gradients(stack.objectives(state, inputs, target), list(stack.stacked))

    return {
        ("loss", "folded"): lambda: gradients(stack.folded_loss(prediction, target), [prediction]),
        ("loss", "looped"): lambda: gradients(looped(), [prediction]),
        ("step", "folded"): lambda: step(None),
        ("step", "looped"): lambda: step("for comparison"),
    }


def measure(stack: Stack, repeats: int) -> dict[str, float]:
    """Milliseconds for all replicas, each way's best of turns, and the largest difference."""
    calls, best, found = ways(stack), {}, {}
    for _ in range(repeats):
        for way, call in calls.items():
            found[way] = call()
            count = 10 if way[1] == "folded" else 2
            began = time.process_time()
            for _ in range(count):
                call()
            best[way] = min(best.get(way, 1e9), (time.process_time() - began) / count)
    row = {f"{what}_{how}_ms": 1000 * seconds for (what, how), seconds in best.items()}
    for what in ("loss", "step"):
        row[f"{what}_ratio"] = row[f"{what}_looped_ms"] / row[f"{what}_folded_ms"]
    pairs = [zip(found[w, "folded"], found[w, "looped"], strict=True) for w in ("loss", "step")]
    row["difference"] = max(apart(one, other) for pair in pairs for one, other in pair)
    return row


def apart(one: torch.Tensor, other: torch.Tensor) -> float:
    """The largest difference, relative to the largest number."""
    return ((one - other).abs().max() / other.abs().max()).item()


def measure_all(replicas: int, repeats: int, most: int) -> pd.DataFrame:
    """A row for each loss; SystemExit where the numbers are not the loop's to rounding."""
    rows = []
    for data, loss, stack in stacks(replicas, most):
        rows.append({"loss": loss, "data": data, "seeds": replicas, **measure(stack, repeats)})
        if not rows[-1]["difference"] < 1e-5:
            raise SystemExit(f"{loss}: folded and looped differ by {rows[-1]['difference']:.1e}")
    return pd.DataFrame(rows)


def as_markdown(table: pd.DataFrame) -> str:
    """Milliseconds, ratios, and the smallest and median ratio."""
    lines = [where_measured(), ""]
    lines += ["| loss | loop, ms | folded, ms | ratio | step looped, ms | folded, ms | ratio |"]
    lines += ["|" + " --- |" * 7]
    for row in table.itertuples():
        parts = [
            f"{getattr(row, f'{what}_looped_ms'):.3g} | {getattr(row, f'{what}_folded_ms'):.3g} | "
            f"{getattr(row, f'{what}_ratio'):.3g}x"
            for what in ("loss", "step")
        ]
        lines.append(f"| `{row.loss}` | {parts[0]} | {parts[1]} |")
    for what, words in (("loss", "Loss with gradient"), ("step", "Training step")):
        ratios = table[f"{what}_ratio"]
        words += f": {ratios.min():.3g}x to {ratios.max():.3g}x the loop, median"
        lines += ["", f"{words} {ratios.median():.3g}x."]
    lines += ["", f"Largest relative difference of a number: {table.difference.max():.1e}."]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="two replicas, one loss a data set; no result"
    )
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write into")
    options = parser.parse_args()
    torch.set_num_threads(1)
    table = measure_all(*((2, 1, 1) if options.quick else (REPLICAS, REPEATS, 100)))
    print(table.round(4).to_string(index=False))
    table.round(6).to_csv(options.out / "folds.csv", index=False)
    write_between(options.out / "README.md", MARK, as_markdown(table))


if __name__ == "__main__":
    main()
