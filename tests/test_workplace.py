"""What crosses machines: files whole, and only from a machine that has the same code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rich.console import Console

from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.sweep.execution import execute
from lossbench.sweep.workplace import (
    UnfitMachineError,
    Watch,
    Workplace,
    code_here,
    packed,
    receive,
    refuse_other_code,
    refuse_without_gpu,
    trained_since,
    unpack,
)

CSV = "a,b,target\n" + "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(40))


def test_files_go_with_a_job_and_come_home_with_what_was_deleted(tmp_path):
    there, home = tmp_path / "there", tmp_path / "home"
    unpack({".checkpoints/run/1": b"one", ".checkpoints/other/1": b""}, home)
    place = Workplace(home, "run", (".checkpoints/run/*",))
    assert place.files() == {".checkpoints/run/1": b"one"}
    unpack(place.files(), there)
    watch = Watch(there)
    unpack({".checkpoints/run/2": b"two", ".checkpoints/run/1": None}, there)
    changes = watch.changes()
    assert changes == {".checkpoints/run/1": None, ".checkpoints/run/2": b"two"}
    assert watch.changes() == {}
    unpack(changes, home)
    assert place.files() == {".checkpoints/run/2": b"two"}
    unpack({".checkpoints/run/2": None, ".checkpoints/other/1": None}, home)
    assert not list(home.iterdir())


def test_a_result_that_was_changed_on_the_way_is_refused_and_one_that_is_there_is_not_made_again(
    here,
):
    words = ("dataset=moons", "trainer=short", "seeds=2", "tracking=none", "loss=focal")
    (job,) = execute(configurations(words)[0], Console(quiet=True))
    files = packed(job.place)
    assert receive(files, here / "other", job.key) == here / "other" / job.key
    with pytest.raises(UserError, match="is not as it was written"):
        receive({**files, "seeds.parquet": files["curves.parquet"]}, here / "third", job.key)
    assert not list((here / "third").iterdir())
    assert trained_since(job.config, Workplace(job.folder, "", held=0)) == job.place
    assert trained_since(job.config, Workplace(job.folder, "", held=1)) is None, "--rerun trains"
    assert trained_since(job.config, Workplace(here / "third", "")) is None


def test_a_machine_with_other_code_or_data_is_refused_by_name(here):
    (here / "data.csv").write_text(CSV)
    words = (
        "dataset=csv",
        "dataset.path=data.csv",
        "dataset.target=target",
        "loss=focal",
        "tracking=none",
    )
    config = configurations(words)[0][0]
    code, _ = code_here(config), config.key  # kept with it, as when it is sent
    refuse_other_code(config, code)
    with pytest.raises(UnfitMachineError, match=r"torch [\d.+a-z]+, not 1.0"):
        refuse_other_code(config, {**code, "torch": "1.0"})
    with pytest.raises(UnfitMachineError, match="the code of loss=focal differs"):
        refuse_other_code(config, {**code, "loss=focal": "another"})
    (here / "data.csv").write_text(CSV.replace("3", "4"))
    with pytest.raises(UnfitMachineError, match="dataset has other files"):
        refuse_other_code(config, code)
    Path("data.csv").unlink()
    with pytest.raises(UnfitMachineError, match=r"on .+: dataset.path=data.csv"):
        refuse_other_code(config, code)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
@pytest.mark.parametrize("engine", ["ray", "slurm"])
def test_a_machine_whose_gpu_torch_does_not_see_is_refused(engine):
    """Ray and Slurm count the GPUs that they are told of; a run would train without, slowly."""
    words = ("loss=focal", "dataset=moons", f"launcher={engine}", "launcher.gpus=1")
    with pytest.raises(UnfitMachineError, match=r"launcher.gpus=1: torch .* sees no CUDA device"):
        refuse_without_gpu(configurations(words)[0][0])
    refuse_without_gpu(configurations((*words, "trainer.device=cpu"))[0][0])
    refuse_without_gpu(configurations(words[:3])[0][0])
