"""What cannot be trained is refused before anything trains, by run and by --dry-run alike."""

from __future__ import annotations

import time

import pytest

from lossbench import registry
from lossbench.configuration.experiments import configurations
from lossbench.contract import UserError
from lossbench.registry.posed import metrics_of, posed_tasks
from lossbench.sweep import forecast, trial
from lossbench.sweep.plan import plan
from lossbench.sweep.trial import _pieces, refuse_faulty
from lossbench.tasks import task_class

MODELS = """\
import time
from torch import nn

def column(input_shape, output_shape, /):
    return nn.Linear(input_shape[0], 1)

class Slow(nn.Linear):
    def forward(self, inputs):
        time.sleep(0.005 * len(inputs))
        return super().forward(inputs)

def slow(input_shape, output_shape, /):
    return Slow(input_shape[0], 3)
"""
SHORT = ("trainer=short", "seeds=2", "tracking=none")


@pytest.fixture
def here(here):
    (here / "models.py").write_text(MODELS)
    return here


def test_run_and_dry_run_refuse_alike(command, here):
    """One run, and one of several: the same code and the same words."""
    words = ("loss=squared_error", "dataset=diabetes", *SHORT)
    for more in (["model=models.py:column"], ["-m", "model=mlp,models.py:column"]):
        done, dry = command("run", *words, *more), command("run", *words, *more, "--dry-run")
        assert done.code == dry.code == 2
        assert "model=models.py:column gives (N, 1) for regression" in done.err
        assert done.err == dry.err
    assert "1 of 2 runs cannot be trained, so none was started." in done.err
    assert not list(here.glob("results/*/seeds.parquet"))


def test_a_results_folder_that_cannot_be_is_refused_alike(command, here):
    words = ("run", "dataset=moons", *SHORT, "results.dir=models.py/results")
    done, dry = command(*words), command(*words, "--dry-run")
    assert done.code == dry.code == 4
    assert done.err == dry.err
    assert "models.py/results cannot be written: Not a directory" in dry.err


def test_a_loss_for_another_task_is_refused_by_reading_alone(here):
    """A single run is not tried but in its worker, which is not started."""
    configs, _ = configurations(["loss=huber", "dataset=blobs", *SHORT])
    with pytest.raises(UserError, match="task regression; the data pose the task binary or multi"):
        refuse_faulty(plan(configs))
    known = {plugin.name: posed_tasks(plugin) for plugin in registry.installed("dataset")}
    own = {name for name, tasks in known.items() if not tasks}
    assert own >= {"arrays", "csv", "folder", "hub", "openml"}
    assert known["wine"] == ["multiclass"]


@pytest.mark.parametrize("losses", ["huber,squared_log_error", "focal,squared_log_error,huber"])
def test_each_loss_is_tried_on_targets_as_it_is_trained_on_them(here, losses):
    """Standardised ones have other signs than those that a loss takes as they are."""
    configs, _ = configurations([f"loss={losses}", "dataset=diabetes", *SHORT], sweep=True)
    for config, error in zip(configs, trial._try_out(configs, None), strict=True):
        assert (error is None) == (config.loss.name != "focal"), error


@pytest.mark.parametrize("losses", ["focal", "focal,poly"])
def test_a_metric_that_no_task_of_the_data_has_is_refused_by_reading_alone(
    here, losses, monkeypatch
):
    monkeypatch.setattr(trial, "_tried", lambda jobs: pytest.fail("a worker was started"))
    words = [f"loss={losses}", "dataset=digits", "metric=acuracy", *SHORT]
    configs, _ = configurations(words, sweep=True)
    with pytest.raises(UserError, match=r"metric=acuracy: .* Did you mean accuracy"):
        refuse_faulty(plan(configs))


def test_the_metrics_of_each_task_are_read_as_they_are():
    """But for those of a regression, some of which are made in a loop."""
    for plugin in registry.installed("task"):
        declared = [metric.name for metric in task_class(plugin.name).metrics]
        assert metrics_of(plugin) == ([] if plugin.name == "regression" else declared)


SHARED = [
    ("launcher.workers=1,2", "launcher.workers=1,2: the runs of one command share it"),
    ("results.dir=a,b", "results.dir=a,b"),
    ("tracking.uri='sqlite:///a.db','sqlite:///b.db'", "tracking.uri=sqlite:///a.db,sqlite:"),
]


@pytest.mark.parametrize(("word", "refusal"), SHARED, ids=lambda value: value[:12])
def test_what_is_one_for_a_command_cannot_be_swept_over(word, refusal, here):
    with pytest.raises(UserError, match=refusal):
        plan(configurations(["dataset=blobs", word], sweep=True)[0])
    assert list(here.iterdir()) == [here / "models.py"]


def test_a_slow_model_is_priced_in_seconds(here):
    """An epoch reads 600 examples, and 200 to score them: 4 s of sleep, shared by both seeds."""
    words = ("dataset=blobs", "model=models.py:slow", "seeds=2", "trainer.max_epochs=30")
    (job,) = plan(configurations(words)[0], dry=True)
    began = time.monotonic()
    pace = forecast._timed(job.config, job.seeds, None)
    assert time.monotonic() - began < 15
    assert 60 < pace.seconds(job) < 360


def test_a_price_that_is_not_found_soon_is_unknown(command, here, monkeypatch):
    monkeypatch.setattr(forecast, "LIMIT_SECONDS", 0.2)
    done = command("run", "dataset=blobs", "model=models.py:slow", *SHORT, "--dry-run")
    assert done.code == 0, done
    assert "2 seeds: how long they take is unknown" in done.out


def test_of_many_runs_on_a_cluster_a_thousand_are_tried_some_of_each_loss(here, monkeypatch):
    """Ten thousand would take minutes; a run that was not tried before is by its worker."""
    monkeypatch.setattr(trial, "AT_ONCE", 5)  # for 50, so that a hundred stand for a thousand
    words = ("loss=focal,poly", "optimizer.lr=range(1,71,1)", "dataset=moons", "seeds=2")
    for launcher, tried in (("local", 140), ("ray", 70)):
        configs, _ = configurations((*words, f"launcher={launcher}"), sweep=True)
        pieces = _pieces(plan(configs, dry=True))
        assert sum(map(len, pieces)) == tried
        assert max(map(len, pieces)) == 5
        assert all({job.config.loss.name for job in piece} == {"focal", "poly"} for piece in pieces)
