"""Whatever is killed whenever: the same command resumes, with the numbers of no kill."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest
from killing import start
from mlflow import MlflowClient
from rich.console import Console
from support import Done

from lossbench.configuration.experiments import configurations
from lossbench.sweep.execution import execute

SWEEP = (
    *("-m", "loss=cross_entropy,focal,hinge,poly", "dataset=moons", "seeds=2"),
    *("trainer.max_epochs=20", "launcher.workers=1"),
)
Command = Callable[..., Done]
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129, signal.SIGKILL: -9}


def finished(folder: Path) -> list[Path]:
    return sorted((folder / "results").glob("[!.]*/seeds.parquet"))


def table(folder: Path) -> dict[str, pd.DataFrame]:
    """Every number of a results folder, by key and kind."""
    return {
        f"{file.parent.name}/{name}": pd.read_parquet(file.with_name(name))
        for file in finished(folder)
        for name in ("seeds.parquet", "curves.parquet")
    }


def before_the_first_run(folder: Path, done: int) -> bool:
    return (folder / "results").is_dir()


def in_training(folder: Path, done: int) -> bool:
    if len(finished(folder)) == done:
        return False
    time.sleep(0.3)  # of the next run, which takes longer
    return True


def while_a_result_is_written(folder: Path, done: int) -> bool:
    return any((folder / "results").glob(".writing-*"))


def while_mlflow_is_written(folder: Path, done: int) -> bool:
    shown = (folder / "results" / "mlartifacts").glob("*/*/artifacts/config.yaml")
    return len(list(shown)) > done


def between_runs(folder: Path, done: int) -> bool:
    return len(finished(folder)) > done


MOMENTS = [
    before_the_first_run,
    in_training,
    while_a_result_is_written,
    while_mlflow_is_written,
    between_runs,
]


def kill(folder: Path, number: signal.Signals, moment: Callable[[Path, int], bool]) -> None:
    """Start the sweep and send it the signal, twice as `timeout` does, at the moment.

    No worker outlives it; what was finished stays as it was.
    """
    before = table(folder)
    process = start(folder, *SWEEP)
    while not moment(folder, len(before) // 2) and process.poll() is None:
        time.sleep(0.002)
    family = psutil.Process(process.pid).children(recursive=True)
    for _ in range(2):
        process.send_signal(number)
        time.sleep(0.001)
    _, said = process.communicate(timeout=120)
    assert process.returncode == CODES[number], said
    assert not psutil.wait_procs(family, timeout=20)[1]
    assert "Traceback" not in said
    if number != signal.SIGKILL:
        assert "the same command resumes with what is missing" in said
        assert not list(folder.glob("results/.claim-*"))
    after = table(folder)
    for name, rows in before.items():
        pd.testing.assert_frame_equal(after[name], rows, check_exact=True)


def resumes(folder: Path, command: Command, undisturbed: dict[str, pd.DataFrame]) -> None:
    """The same command finishes, with the numbers of no kill."""
    done = command("run", *SWEEP)
    assert done.code == 0, done
    after = table(folder)
    assert after.keys() == undisturbed.keys()
    for name, rows in undisturbed.items():
        pd.testing.assert_frame_equal(after[name], rows, check_exact=True)


def shown_whole(folder: Path, undisturbed: dict[str, pd.DataFrame]) -> None:
    """MLflow has each run once, finished, and nobody at work."""
    client = MlflowClient(f"sqlite:///{folder}/results/mlflow.db")
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    shown = [run.data.tags["lossbench.key"] for run in runs if run.info.status == "FINISHED"]
    assert sorted(shown) == sorted({name.partition("/")[0] for name in undisturbed})
    assert not [run for run in runs if run.info.status == "RUNNING"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, pd.DataFrame]:
    """The numbers of the sweep when nobody disturbs it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    words = (*SWEEP[1:], "tracking=none", f"results.dir={folder / 'results'}")
    execute(configurations(words, sweep=True)[0], Console(quiet=True))
    return table(folder)


@pytest.mark.slow
def test_f48_f50_kills_one_after_the_other_change_no_number(with_store, command, undisturbed):
    """The short form of the matrix: three starts of one sweep of four runs."""
    kill(with_store, signal.SIGKILL, while_a_result_is_written)
    kill(with_store, signal.SIGTERM, in_training)
    resumes(with_store, command, undisturbed)
    shown_whole(with_store, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS, ids=lambda moment: moment.__name__)
@pytest.mark.parametrize("number", CODES, ids=lambda number: number.name)
def test_the_whole_matrix(number, moment, here, command, undisturbed):
    """Twenty kills, each followed by the same command: nine minutes on two busy cores."""
    kill(here, number, moment)
    resumes(here, command, undisturbed)
    shown_whole(here, undisturbed)
