"""The command line as a user meets it: real processes in an empty folder."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml

QUICK = ("dataset=moons", "trainer=short", "seeds=3", "launcher.workers=2")

LONG_NAME = "a" * 300
# Of a corruption for classes alone; what does not supply a fact is told with the package.
NO_CLASSES = "(lossbench.datasets.corruptions:label_noise) cannot be used: the task regression does"
FAULTS = [
    ("loss=foccal", 2, "Did you mean focal?"),
    ("loss.gama=1 loss=focal", 2, "Did you mean gamma?"),
    ("+loss.gama=1 loss=focal", 2, "Did you mean gamma?"),
    ("lrr=0.1", 2, "Did you mean optimizer.lr?"),
    ("dataset=digit", 2, "Did you mean digits?"),
    ("corruption=imbalance corruption.kind=stap", 2, "Did you mean step?"),
    ("trainer=shrt", 2, "Did you mean short?"),
    ("experiment=quick", 2, "Did you mean quickstart?"),
    ("seeds=0", 2, "seeds=0: expected a count of at least 1"),
    ("seeds=[1,1]", 2, "different whole numbers"),
    (
        "corruption=imbalance corruption.ratio=-1",
        2,
        "corruption.ratio=-1.0: expected a number in (0, 1]",
    ),
    ("loss=focal loss.gamma=abc", 2, "loss.gamma=abc: expected a number in [0, inf)"),
    ("loss=focal loss.gamma=nan", 2, "loss.gamma=nan: expected a number"),
    ("optimizer.lr=", 2, "optimizer.lr=: expected a number"),
    ("trainer.max_epochs=1.5", 2, "trainer.max_epochs=1.5: expected a whole number"),
    ("model.hidden=[64,0]", 2, "model.hidden[1]=0"),
    ("loss=focal,poly", 2, "add -m"),
    ("loss", 2, "key=value"),
    ("loss=nowhere.py:mine", 2, "there is no file"),
    ("dataset=csv", 2, "dataset.path is required"),
    ("dataset=csv dataset.path=nowhere.csv dataset.target=y", 2, "nowhere.csv: there is no such"),
    ("results.dir=/proc/nowhere", 4, "cannot be written"),
    ("--config-dir nowhere", 2, "there is no such folder"),
    ("loss=focal --seeds=20", 2, "--seeds=20: a key has no dashes: seeds=20"),
    (f"loss={LONG_NAME}", 2, f"loss={LONG_NAME}: there is no such loss."),
    (f"loss={LONG_NAME}.py:f", 2, "the name is too long for a file or folder"),
    (f"--config-dir {LONG_NAME}", 2, "the name is too long for a file or folder"),
]


@pytest.mark.parametrize(("words", "code", "said"), FAULTS, ids=[f[0][:60] for f in FAULTS])
def test_a_faulty_request_gets_one_or_two_lines_and_leaves_nothing(
    words, code, said, command, tmp_path
):
    done = command("run", *words.split())
    assert done.code == code
    assert said in done.err
    assert len(done.err.splitlines()) <= 2
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())


TRIED = [
    ("loss=huber", "loss=huber is for the task regression; the data pose the task multiclass"),
    ("dataset=diabetes corruption=label_noise loss=huber", NO_CLASSES),
    ("dataset=csv dataset.path=own.csv dataset.target=wealth", "Did you mean health?"),
    ("dataset=csv dataset.path=broken.csv dataset.target=y", "broken.csv"),
]


@pytest.mark.parametrize(("words", "said"), TRIED, ids=[t[0] for t in TRIED])
def test_what_only_the_data_can_tell_is_said_before_training(words, said, command, tmp_path):
    (tmp_path / "own.csv").write_text("age,health\n" + "1,2\n3,4\n" * 10)
    (tmp_path / "broken.csv").write_bytes(b"\xff\xfe\x00y")
    done = command("run", *words.split())
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) <= 2
    assert not list((tmp_path / "results").iterdir())


def test_a_sweep_prints_a_table_that_scipy_confirms_and_a_second_call_trains_nothing(
    command, tmp_path
):
    words = ("run", "-m", "loss=cross_entropy,hinge", "seeds=6", *QUICK[:2], "tracking=none")
    first = command(*words)
    assert first.code == 0, first.err
    again = command(*words, "--format", "json")
    assert "2 of 2 runs are done already" in again.err
    assert [run["status"] for run in json.loads(again.out)["runs"]] == ["read", "read"]
    table = first.out[first.out.index("moons (") :].split("Results")[0]
    assert table in again.err
    lines = [line for line in first.out.splitlines() if "lossbench run" not in line]
    assert max(map(len, lines)) <= 100
    means = {}
    for folder in (tmp_path / "results").glob("*/config.yaml"):
        config = yaml.safe_load(folder.read_text())
        rows = pd.read_parquet(folder.parent / "seeds.parquet")
        assert list(rows.seed) == config["seeds"] == [0, 1, 2, 3, 4, 5]
        means[config["loss"]["name"]] = rows["test/accuracy"].mean()
    for loss, mean in means.items():
        (percent,) = re.findall(rf"{loss} +([\d.]+) ±", table)
        assert float(percent) == pytest.approx(100 * mean, abs=0.06)
    compared = command("compare", "--metric", "log_loss")
    assert compared.code == 0
    assert "log_loss on the test split after the last epoch, less is better" in compared.out


def test_more_seeds_train_only_the_new_ones(command, tmp_path):
    words = ("run", "loss=focal", *QUICK[:2], "tracking=none")
    command(*words, "seeds=2")
    before = {f: f.stat().st_mtime_ns for f in (tmp_path / "results").glob("*/seeds.parquet")}
    command(*words, "seeds=4")
    after = sorted((tmp_path / "results").glob("*/seeds.parquet"))
    assert [list(pd.read_parquet(f).seed) for f in after] == [[0, 1], [2, 3]]
    assert all(f.stat().st_mtime_ns == time for f, time in before.items())


def test_a_failing_run_of_a_sweep_is_reported_and_the_others_finish(command, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def late(logits, target, /, *, power: float = 2.0):\n"
        "    assert len(logits) < 9, 'too many'\n"
        "    return (logits - target).abs() ** power\n"
    )
    words = ("loss=cross_entropy,mine.py:late", *QUICK, "tracking=none")
    done = command("run", "-m", *words, "--format", "json")
    assert done.code == 3
    assert "1 of 2 runs failed" in done.err
    assert "AssertionError: too many" in done.err
    (place,) = (tmp_path / "results").glob("*/seeds.parquet")
    said = json.loads(done.out)
    trained, failed = said["runs"]
    assert said["exit_code"] == 3
    assert trained["status"] == "trained"
    assert trained["folders"] == [str(place.parent)]
    assert trained["metric"] == "accuracy"
    mean = pd.read_parquet(place)["test/accuracy"].mean()
    assert trained["mean"] == said["rows"][0]["mean"] == pytest.approx(mean)
    assert (failed["status"], failed["folders"]) == ("failed", [])
    assert failed["error"] == "AssertionError: too many"
    assert Path(said["report"]).is_file()


def test_a_diverged_replica_is_an_outcome_and_the_exit_code_says_so(command, tmp_path):
    words = ("dataset=diabetes", "loss=squared_error", "optimizer=sgd", "optimizer.lr=1e20")
    done = command("run", *words, "trainer=short", "seeds=2", "tracking=none")
    assert done.code == 3
    assert "2 replicas diverged" in done.out
    (file,) = (tmp_path / "results").glob("*/seeds.parquet")
    rows = pd.read_parquet(file)
    assert list(rows.status) == ["diverged", "diverged"]
    assert rows.diverged_epoch.notna().all()
    assert rows.filter(like="test").isna().all(axis=None)


def test_a_loss_from_a_file_is_trained_without_packaging(command, tmp_path):
    (tmp_path / "mine.py").write_text(
        "def brier(logits, target, /, *, power: float = 2.0):\n"
        "    return (logits.sigmoid() - target).abs() ** power\n"
    )
    words = ("loss=mine.py:brier", "loss.power=1.5", *QUICK, "tracking=none")
    done = command("run", *words)
    assert done.code == 0, done.err
    assert "mine.py:brier" in done.out


def test_a_folder_of_ones_own_gives_names_to_combinations(command, tmp_path):
    (tmp_path / "mine" / "loss").mkdir(parents=True)
    (tmp_path / "mine" / "loss" / "sharp.yaml").write_text("defaults: [focal]\ngamma: 5\n")
    done = command("run", "--config-dir", "mine", "--cfg", "loss=sharp")
    assert yaml.safe_load(done.out)["loss"] == {"name": "focal", "gamma": 5.0, "alpha": None}


def test_a_key_of_the_previous_loss_does_not_survive_another_choice(command):
    words = ("run", "--cfg", "-m", "loss=focal,huber,cross_entropy")
    configs = [*yaml.safe_load_all(command(*words).out)]
    assert json.loads(command(*words, "--format", "json").out) == configs
    losses = [config["loss"] for config in configs]
    assert [sorted(loss) for loss in losses] == [
        ["alpha", "gamma", "name"],
        ["delta", "name"],
        ["class_weight", "name"],
    ]


def test_overrides_may_stand_before_between_and_after_flags(command):
    words = ("dataset=moons", "--cfg", "seeds=3", "-m", "loss=hinge,focal")
    done = command("run", *words)
    configs = list(yaml.safe_load_all(done.out))
    assert [config["loss"]["name"] for config in configs] == ["hinge", "focal"]
    assert all(config["seeds"] == [0, 1, 2] for config in configs)


def test_lossbench_alone_names_three_commands_to_try_next(command):
    done = command()
    assert done.code == 0
    assert sum(line.startswith("  lossbench ") for line in done.out.splitlines()) == 3
    assert len(done.out.splitlines()) <= 6


def test_help_and_list_import_nothing_heavy():
    code = (
        "import sys; from lossbench.cli import main\n"
        "assert main({!r}) == 0\n"
        "heavy = {{'torch', 'mlflow', 'numpy', 'hydra', 'pandas'}} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for words in (["--help"], ["list", "losses"], ["run", "--help"]):
        subprocess.run([sys.executable, "-c", code.format(words)], check=True, capture_output=True)


def test_compare_imports_neither_torch_nor_mlflow(command, tmp_path):
    words = ("dataset=moons", "trainer=short", "seeds=2", "tracking=none")
    assert command("run", *words).code == 0
    code = (
        "import sys; from lossbench.cli import main\n"
        "assert main(['compare']) == 0\n"
        "heavy = {'torch', 'lightning', 'mlflow', 'sklearn', 'hydra', 'matplotlib'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "moons" in done.stdout


def test_configurations_are_checked_without_importing_torch():
    code = (
        "import sys; from lossbench.configuration.experiments import configurations\n"
        "configurations(['loss=focal', 'dataset=blobs', 'corruption=label_noise'])\n"
        "heavy = {'torch', 'lightning', 'mlflow', 'numpy', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
