"""`lossbench run` on CIFAR-10 against a plain PyTorch script of the same protocol.

python experiments/speed/cifar.py               a small made set in CIFAR-10's files, some minutes
python experiments/speed/cifar.py --root DATA --width 16 --epochs 100 --batch 128
                                                the user's own cifar-10-batches-py; on a CPU, days
"""

from __future__ import annotations

import argparse
import contextlib
import pickle
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import mean

import numpy as np
import pandas as pd
import plain_cifar
import psutil
import torch
from problems import where_measured, write_between
from scipy import stats
from torch import Tensor

from lossbench import training
from lossbench.configuration.experiments import configurations
from lossbench.training.sampling import orders_of
from lossbench.training.stack import Stack

HERE = Path(__file__).parent
MARK = "<!-- written by cifar.py -->"
ROWS = 400  # of each of the five files of a made set, and of its test
STEPS = 20  # that the two are held against each other for
PRECISIONS = "32-true", "64-true"
PROTOCOL = [
    *("dataset=torchvision", "dataset.set=CIFAR10", "model=resnet", "schedule=cosine"),
    *("optimizer=sgd", f"optimizer.lr={plain_cifar.LR}", "tracking=none", "trainer.device=cpu"),
    *(f"optimizer.momentum={plain_cifar.MOMENTUM}", "results.predictions=0"),
    f"optimizer.weight_decay={plain_cifar.WEIGHT_DECAY}",
]
NOISE = ["augmentation=crop_flip", "corruption=label_noise", f"corruption.rate={plain_cifar.RATE}"]


# --- a set that looks like CIFAR-10 ---------------------------------------------------------------


def make_set(root: Path, rows: int) -> Path:
    """Five outlines, full or striped, of any place, size and colours under noise, in its files."""
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    for number, name in enumerate(names):
        rng = np.random.default_rng(number)
        labels = rng.permutation(np.arange(rows) % 10)
        data = _draw_images(labels, rng).reshape(rows, -1)
        batch = {b"batch_label": name.encode(), b"labels": labels.tolist(), b"data": data}
        (folder / name).write_bytes(pickle.dumps(batch, protocol=2))
    return root


def _draw_images(labels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N, 3, 32, 32) bytes."""
    count = len(labels)
    size = rng.uniform(6, 11, (count, 1, 1))
    row = np.arange(32)[:, None] - rng.uniform(11, 21, (count, 1, 1))
    column = np.arange(32) - rng.uniform(11, 21, (count, 1, 1))
    round_ = np.hypot(row, column)
    outlines = [
        round_ < size,
        np.maximum(abs(row), abs(column)) < 0.85 * size,
        (round_ < size) & (round_ > 0.5 * size),
        (np.minimum(abs(row), abs(column)) < 0.3 * size) & (round_ < 1.2 * size),
        (abs(column) < 0.6 * (row + size)) & (row < 0.8 * size),
    ]
    inside = np.choose(labels[:, None, None] % 5, outlines)
    striped = (row + column) % 5 < 2.5
    inside &= (labels[:, None, None] < 5) | striped
    ink, paper = rng.uniform(0, 255, (2, count, 3, 1, 1))
    pixels = np.where(inside[:, None], ink, paper) + rng.normal(0, 25, (count, 3, 32, 32))
    return pixels.clip(0, 255).astype(np.uint8)


# --- both ways ------------------------------------------------------------------------------------


def watch(command: list[str]) -> tuple[float, float, str]:
    """CPU seconds of a command and its children, the most memory they had (MiB), its output.

    A clock on the wall would count whatever else the machine does.
    """
    seconds, peak = dict[int, float](), 0.0
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            memory = 0
            for each in _family(process.pid):
                with contextlib.suppress(psutil.Error):  # it has ended meanwhile
                    used = each.cpu_times()
                    seconds[each.pid] = used.user + used.system
                    memory += each.memory_full_info().pss  # what several share counts once
            peak = max(peak, memory / 2**20)
            time.sleep(0.5)
        output = process.stdout.read()
    if process.returncode:
        raise SystemExit(f"{command[:2]} ended with {process.returncode}")
    return sum(seconds.values()), peak, output


def _family(number: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(number)
        return [process, *process.children(recursive=True)]
    return []


def plain(root: Path, options: argparse.Namespace) -> dict[str, list[float]]:
    """Accuracy, CPU seconds and memory of the script, seed by seed."""
    rows = []
    for seed in range(options.seeds):
        numbers = map(str, (seed, options.epochs, options.width, options.batch))
        script = [sys.executable, str(HERE / "plain_cifar.py"), str(root), *numbers]
        seconds, peak, output = watch(script)
        rows.append((float(output), seconds, peak))
    return dict(zip(("accuracy", "seconds", "peak"), zip(*rows, strict=True), strict=True))


def stacked(root: Path, options: argparse.Namespace, seeds: int) -> dict[str, list[float]]:
    """The same of `lossbench run`, its seconds divided by its seeds."""
    with tempfile.TemporaryDirectory() as folder:
        words = [*words_of(root, options), *NOISE, f"seeds={seeds}", f"results.dir={folder}"]
        seconds, peak, _ = watch([str(Path(sys.executable).with_name("lossbench")), "run", *words])
        (file,) = Path(folder).glob("*/seeds.parquet")
        accuracy = pd.read_parquet(file)["test/accuracy"]
    return {
        "accuracy": accuracy.tolist(),
        "seconds": [seconds / seeds],
        "peak": [peak],
    }


def words_of(root: Path, options: argparse.Namespace) -> list[str]:
    """What is configured alike for all that is measured."""
    return [
        *PROTOCOL,
        f"dataset.root={root}",
        f"model.width={options.width}",
        f"trainer.max_epochs={options.epochs}",
        f"trainer.batch_size={options.batch}",
    ]


# --- the same numbers -----------------------------------------------------------------------------


class Watched(Stack):
    """A stack of which the losses of all steps are kept."""

    def __init__(self, *arguments: object) -> None:
        super().__init__(*arguments)
        self.losses: list[Tensor] = []

    def objective(self, *arguments: object) -> Tensor:
        loss = super().objective(*arguments)
        if loss.requires_grad:
            self.losses.append(loss.detach())
        return loss


def differences(
    root: Path, options: argparse.Namespace, precision: str
) -> tuple[list[float], list[float]]:
    """Of a loss of each of the first steps, relative: from the same weights, on the same batches.

    Without mislabelled images and augmentation, of which each draws its own. Second, of the script
    from itself where all weights are the next larger numbers.
    """
    words = [*words_of(root, options), f"trainer.precision={precision}", "trainer.max_epochs=1"]
    config = configurations([*words, "schedule=constant"])[0][0]
    splits = training.data(config, [0])
    stack = Watched(training.make_recipe(config, splits), splits, [0])
    dtype = getattr(torch, "float" + precision[:2])
    weights = [value[0].detach().to(dtype, copy=True) for value in stack.stacked]
    training.fit(stack, config, lambda done: None, test=False)
    batches = [*stack.train_batches(orders_of(splits, stack.seeds, 0, balanced=False))][:STEPS]
    losses = plain_losses(weights, batches, options.width)
    rounded = [weight.nextafter(torch.tensor(torch.inf).to(weight)) for weight in weights]
    own = plain_losses(rounded, batches, options.width)
    pairs = zip(stack.losses, losses, strict=False)
    return (
        [abs(ours.item() / theirs - 1) for ours, theirs in pairs],
        [abs(one / other - 1) for one, other in zip(own, losses, strict=True)],
    )


def plain_losses(
    weights: list[Tensor], batches: list[tuple[Tensor, Tensor]], width: int
) -> list[float]:
    """The script's loss at each of the first steps, from these weights."""
    model = plain_cifar.ResNet20(width).to(weights[0].dtype)
    for parameter, weight in zip(model.parameters(), weights, strict=True):
        parameter.data = weight.clone()
    optimizer = plain_cifar.optimizer_of(model)
    return [plain_cifar.step(model, optimizer, x[0], y[0]) for x, y in batches]


# --- the table ------------------------------------------------------------------------------------


def as_markdown(root: Path, options: argparse.Namespace) -> str:
    """Both ways in a table, and what of their difference is more than the seeds' noise."""
    ways = {
        "plain script": plain(root, options),
        f"lossbench, {options.seeds} seeds": stacked(root, options, options.seeds),
        "lossbench, 1 seed": stacked(root, options, 1),
    }
    base, many = [*ways.values()][:2]
    head = "| way | accuracy | CPU seconds a seed | peak memory, MiB |"
    lines = [where_measured(), "", head, "|" + " --- |" * 4]
    for way, known in ways.items():
        cells = [f"{mean(known['accuracy']):.4f}"]
        for name in ("seconds", "peak"):
            value = mean(known[name])
            cells.append(f"{value:.3g} ({value / mean(base[name]):.2f}x)")
        lines.append(f"| {way} | {' | '.join(cells)} |")
    pairs = zip(many["accuracy"], base["accuracy"], strict=True)
    gains = np.array([ours - theirs for ours, theirs in pairs])
    low, high = stats.t.interval(0.95, len(gains) - 1, gains.mean(), stats.sem(gains))
    lines += [
        "",
        f"Accuracy of lossbench less that of the script, paired by seed: {gains.mean():+.4f}, "
        f"95 % interval {low:+.4f} to {high:+.4f}.",
        "",
        same_numbers(root, options),
    ]
    return "\n".join(lines)


def same_numbers(root: Path, options: argparse.Namespace) -> str:
    """How far the losses of the first steps are apart, in words."""
    parts = []
    for precision in PRECISIONS:
        apart, own = differences(root, options, precision)
        shown = [f"{x[0]:.0e}, {x[4]:.0e} and {x[-1]:.0e}" for x in (apart, own)]
        parts.append(f"float{precision[:2]} by {shown[0]} (the script from itself: {shown[1]})")
    return (
        "From the same weights, on the same clean batches, the losses of the first, fifth and "
        f"{len(apart)}th step differ in {', in '.join(parts)}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="the folder that has cifar-10-batches-py")
    parser.add_argument("--rows", type=int, default=ROWS, help="of each file of a made set")
    for name, value in (("seeds", 5), ("epochs", 8), ("width", 8), ("batch", 64)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--out", type=Path, default=HERE, help="folder to write into")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = options.root or make_set(Path(folder), options.rows)
        text = as_markdown(root, options)
    print(text)
    write_between(options.out / "README.md", MARK, text)


if __name__ == "__main__":
    main()
