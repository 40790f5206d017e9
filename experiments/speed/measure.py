"""Seconds per trained seed of lossbench, of other ways to train, and of the machine's floor.

python experiments/speed/measure.py          all, some ten minutes; writes next to this file
python experiments/speed/measure.py --quick  the smallest problem, shortened; a look, not a result
"""

from __future__ import annotations

import argparse
import functools
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import contestants
import matplotlib.pyplot as plt
import pandas as pd
import torch
from problems import SIZES, Problem, problem, where_measured, write_between

HERE = Path(__file__).parent
REPLICAS = [1, 8, 32, 128, 512]
FLOOR_STEPS = 10
LONG = 10.0  # seconds after which a measurement is not repeated
STACKS = ["lossbench", "floor"]
MARK = "<!-- written by measure.py -->"


SINGLES = {
    "bare loop": (contestants.bare, 3),
    "bare loop, DataLoader": (contestants.bare_loader, 2),
    "usual way": (contestants.usual, 2),
}


def ways(posed: Problem, replicas: list[int]) -> Iterator[tuple[str, int, Callable[[], None]]]:
    """(name, seeds, what trains them), made ready one after the other."""
    for name, (train, seeds) in SINGLES.items():
        yield name, seeds, functools.partial(train, posed, list(range(seeds)))
    for seeds in replicas:
        yield "lossbench", seeds, functools.partial(contestants.stacked, posed, list(range(seeds)))
        yield "floor", seeds, contestants.floor(posed, seeds, FLOOR_STEPS)


def seconds(train: Callable[[], None], device: str) -> float:
    """Wall clock until all is trained."""
    began = time.perf_counter()
    train()
    if device != "cpu":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def measure(posed: Problem, replicas: list[int], rounds: int) -> pd.DataFrame:
    """Every way in turn, round after round, so that all meet the same disturbances."""
    contestants.usual(posed, [0])  # creates the store and its tables, outside the clock
    taken: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for name, seeds, train in ways(posed, replicas):
            known = taken.setdefault((name, seeds), [])
            if not known or known[0] * seeds < LONG:
                scale = posed.steps / FLOOR_STEPS if name == "floor" else 1
                known.append(scale * seconds(train, posed.device) / seeds)
    rows = [(name, r, min(t), pd.Series(t).median(), len(t)) for (name, r), t in taken.items()]
    table = pd.DataFrame(rows, columns=["way", "seeds", "best_s", "median_s", "rounds"])
    order = [*SINGLES, *STACKS].index
    return table.sort_values("way", key=lambda way: way.map(order), kind="stable")


def with_ratios(table: pd.DataFrame) -> pd.DataFrame:
    """How much cheaper a seed is than in the loop and in the usual way; how far from the floor."""
    best = table.groupby("way").best_s.min()
    table["cheaper_than_bare"] = best["bare loop"] / table.best_s
    table["cheaper_than_loader"] = best["bare loop, DataLoader"] / table.best_s
    table["cheaper_than_usual"] = best["usual way"] / table.best_s
    table["above_floor"] = table.best_s / best["floor"]
    return table


def everything(options: argparse.Namespace) -> pd.DataFrame:
    """The table of all sizes, thread counts and devices."""
    cores = os.cpu_count() or 1
    places = [("cpu", 1), ("cpu", cores), *([("gpu", 1)] if torch.cuda.is_available() else [])]
    sizes, replicas, rounds = list(SIZES), REPLICAS, 5
    if options.quick:
        places, sizes, replicas, rounds = places[:1], sizes[:1], [1, 8], 1
    tables = []
    for size in sizes:
        for device, threads in places:
            torch.set_num_threads(threads)
            posed = problem(size, max(replicas), device, shorter=10 if options.quick else 1)
            table = with_ratios(measure(posed, replicas, rounds))
            table.insert(0, "size", size)
            table.insert(1, "place", "GPU" if device == "gpu" else f"CPU, threads: {threads}")
            table.insert(2, "steps", posed.steps)
            print(table.round(4).to_string(index=False), flush=True)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def draw(table: pd.DataFrame, file: Path) -> None:
    """Cost of a seed against R, a panel for each size and place."""
    groups = list(table.groupby(["size", "place"], sort=False))
    columns = table.place.nunique()
    figure, axes = plt.subplots(
        len(groups) // columns,
        columns,
        figsize=(4.5 * columns, 3 * len(groups) // columns),
        squeeze=False,
        layout="constrained",
    )
    for axis, ((size, place), rows) in zip(axes.flat, groups, strict=True):
        for way, group in rows.groupby("way", sort=False):
            if way in STACKS:
                axis.loglog(group.seeds, 1000 * group.best_s, "o-", label=way)
            else:
                colour = {"usual way": "tab:red", "bare loop": "tab:gray"}.get(way, "tab:purple")
                axis.axhline(1000 * group.best_s.iloc[0], ls="--", color=colour, label=way)
        axis.set(title=f"{size}\n{place}", xlabel="seeds R", ylabel="ms per trained seed")
        axis.title.set_fontsize(9)
        axis.set_xticks(sorted(set(rows.seeds[rows.way == "floor"])))
        axis.get_xaxis().set_major_formatter(matplotlib.ticker.ScalarFormatter())
        axis.minorticks_off()
    axes.flat[0].legend(fontsize=7)
    figure.savefig(file, dpi=130)


def as_markdown(table: pd.DataFrame) -> str:
    """The README's tables: milliseconds per seed and what they are to the other ways."""
    lines = [where_measured()]
    head = "| way | R | ms per seed | : bare loop | : DataLoader | : usual way | of the floor |"
    for (size, place, steps), rows in table.groupby(["size", "place", "steps"], sort=False):
        lines += ["", f"**{size}**, {place}, {steps} steps", "", head, "|" + " --- |" * 7]
        for row in rows.itertuples():
            ratios = (row.cheaper_than_bare, row.cheaper_than_loader, row.cheaper_than_usual)
            told = " | ".join(f"{ratio:.3g}x" for ratio in (*ratios, row.above_floor))
            shown = row.seeds if row.way in STACKS else 1
            lines.append(f"| {row.way} | {shown} | {1000 * row.best_s:.3g} | {told} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one size, shortened, in seconds")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write into")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    table = everything(options)
    table.round(6).to_csv(options.out / "table.csv", index=False)
    draw(table, options.out / "cost.png")
    write_between(options.out / "README.md", MARK, as_markdown(table))


if __name__ == "__main__":
    main()
