"""Peak memory of training, each case in a fresh process.

python experiments/speed/memory.py [CASE ...]
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

MADE = Path(__file__).with_name("made.py")
FEW = 2_000  # examples of the run that a case is held against: model, batch and interpreter alone
ROOM = 192  # MiB
SMALL = ["dataset=blobs", "dataset.features=20", "dataset.samples=1065", "trainer.max_epochs=2"]
ONE_EPOCH = ["model=linear", "trainer.max_epochs=1", "trainer.batch_size=128"]


def train(words: list[str], room: int | None = None) -> float:
    """Peak resident memory in MiB after training a configuration.

    room: MiB of memory of its own, files it has mapped not counted, that the process may add.
    """
    from lossbench import training
    from lossbench.configuration.experiments import configurations

    config = configurations([*words, "trainer.device=cpu"])[0][0]
    if room is not None:
        status = Path("/proc/self/status").read_text()
        limit = int(status.partition("VmData:")[2].split()[0]) * 1024 + room * 2**20
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    training.train(config, list(config.seeds))
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def peak(*words: str) -> float:
    """The same, in a process of its own."""
    command = [sys.executable, __file__, "train", *words]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def small() -> None:
    """Many seeds of the small model."""
    print("| seeds | peak |\n| --- | --- |")
    for seeds in (20, 200, 2000):
        print(f"| {seeds:,} | {peak(*SMALL, f'seeds={seeds}'):.0f} MiB |", flush=True)


def held_against(few: list[str], many: list[str], examples: int, data: int) -> None:
    """What more examples cost, and what of it is not the data themselves."""
    print("| seeds | few examples | all | data | bytes per example and seed beyond |")
    print("| --- | --- | --- | --- | --- |")
    for seeds in (1, 5, 20):
        words = [*ONE_EPOCH, f"seeds={seeds}"]
        before, after = peak(*words, *few), peak(*words, *many)
        beyond = (after - before) * 2**20 - data
        print(
            f"| {seeds} | {before:.0f} MiB | {after:.0f} MiB | {data / 2**20:.0f} MiB "
            f"| {beyond / examples / seeds:.1f} |",
            flush=True,
        )


def images() -> None:
    """60,000 images of 3 x 32 x 32 bytes."""
    words = [f"dataset={MADE}:images", "trainer.max_replicas=20"]
    few, many = ([*words, f"dataset.samples={n}"] for n in (FEW, 60_000))
    held_against(few, many, 60_000, 60_000 * (3 * 32 * 32 + 8))


def table() -> None:
    """A Parquet file of 1,000,000 rows of 40 numbers in double precision."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["dataset=csv", "dataset.target=y", "trainer.max_replicas=20"]
        paths = [Path(folder, f"{rows}.parquet") for rows in (FEW, 1_000_000)]
        for path in paths:
            rng = np.random.default_rng(0)
            columns = {f"x{i}": rng.normal(size=int(path.stem)) for i in range(40)}
            pq.write_table(pa.table({**columns, "y": columns["x0"] + columns["x1"] > 0}), path)
        few, many = ([*words, f"dataset.path={path}"] for path in paths)
        held_against(few, many, 1_000_000, 1_000_000 * (40 * 8 + 8))


def mapped() -> None:
    """200,000 images in a .npy of 586 MiB, by a process that may take 192 MiB beyond its start."""
    with tempfile.TemporaryDirectory() as folder:
        shape = (200_000, 3, 32, 32)
        x = np.lib.format.open_memmap(f"{folder}/x.npy", "w+", np.uint8, shape)
        rng = np.random.default_rng(0)
        for start in range(0, len(x), 10_000):
            x[start : start + 10_000] = rng.integers(0, 256, (10_000, *shape[1:]), np.uint8)
        np.save(f"{folder}/y.npy", np.arange(len(x)) % 10)
        np.savez(f"{folder}/xy.npz", x=x, y=np.arange(len(x)) % 10)
        pair = [f"dataset.path={folder}/x.npy", f"dataset.target_path={folder}/y.npy"]
        for words in (pair, [f"dataset.path={folder}/xy.npz"]):
            given = [*ONE_EPOCH, "seeds=2", "dataset=arrays", "trainer.batch_size=256", *words]
            command = [sys.executable, __file__, "limited", *given]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            last = (done.stderr.splitlines() or ["trained"])[-1]
            print(f"- {Path(words[0]).name}: {last}", flush=True)


CASES = {"small": small, "images": images, "table": table, "mapped": mapped}

if __name__ == "__main__":
    if sys.argv[1:2] == ["train"]:
        print(train(sys.argv[2:]))
    elif sys.argv[1:2] == ["limited"]:
        train(sys.argv[2:], ROOM)
    else:
        for case in sys.argv[1:] or CASES:
            print(f"\n{CASES[case].__doc__}\n")
            CASES[case]()
