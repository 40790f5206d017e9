"""CPU seconds of a trained seed of ResNet-20 and a U-Net: lossbench to a bare PyTorch loop.

python experiments/speed/convolutions.py          ten minutes; writes between the marks of README
python experiments/speed/convolutions.py --quick  the U-Net, shortened; a look, not a result
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import contestants
import torch
from problems import IMAGES, problem, where_measured, write_between

HERE = Path(__file__).parent
MARK = "<!-- written by convolutions.py -->"
REPLICAS = [1, 5, 20]
BARE = 3  # seeds of the bare loop
ROUNDS = 1  # of which the fastest counts; more where the machine is not quiet


def rows(name: str, replicas: list[int], shorter: int) -> Iterator[str]:
    """A row for the bare loop and for each number of seeds; the ways take turns."""
    posed = problem(name, max(*replicas, BARE), "cpu", shorter)
    ways = [("bare loop", BARE, contestants.bare)]
    ways += [("lossbench", seeds, contestants.stacked) for seeds in replicas]
    taken: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for way, seeds, train in ways:
            seconds = cpu_seconds(partial(train, posed, list(range(seeds))))
            taken.setdefault((way, seeds), []).append(seconds / seeds)
    bare = min(taken["bare loop", BARE])
    for (way, seeds), each in taken.items():
        shown = seeds if way == "lossbench" else 1
        yield f"| {way} | {shown} | {min(each):.3g} | {min(each) / bare:.2f}x |"


def cpu_seconds(train: partial[None]) -> float:
    """Of this process; a clock on the wall would count whatever else the machine does."""
    began = time.process_time()
    train()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one model, shortened, in seconds")
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write into")
    options = parser.parse_args()
    torch.set_num_threads(1)
    names, replicas, shorter = [*IMAGES], REPLICAS, 1
    if options.quick:
        names, replicas, shorter = names[1:], [1, 2], 4
    lines = [where_measured()]
    for name in names:
        lines += ["", f"**{name}**, one thread", "", "| way | R | CPU seconds a seed | to bare |"]
        lines += ["|" + " --- |" * 4, *rows(name, replicas, shorter)]
        print("\n".join(lines[-len(replicas) - 3 :]), flush=True)
    write_between(options.out / "README.md", MARK, "\n".join(lines))


if __name__ == "__main__":
    main()
