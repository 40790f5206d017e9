"""An MLflow experiment as the window on results: each configuration has one run.

A run appears when its result is written, or earlier where training takes long: such a run shows
curves, and is replaced by the one with the result. What was killed meanwhile is closed as KILLED by
the next store that opens.
"""

from __future__ import annotations

import contextlib
import functools
import json
import math
import os
import platform
import tempfile
import time
import zlib
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
from mlflow.entities import Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import MlflowException

from lossbench import results
from lossbench.configuration import Configuration, digest
from lossbench.configuration.settings import store_address
from lossbench.contract import UnusableError
from lossbench.nested import leaves
from lossbench.results import Result, bands
from lossbench.statistics import t_interval
from lossbench.tracking.connection import FAILURES, experiment_id, locked, unusable
from lossbench.tracking.shown import digests
from lossbench.tracking.view import state

AT_ONCE = 1000  # metrics that MLflow takes in one call
MOST_POINTS = 500  # of a curve
VIEW = "losses"
SHARED = "mlflow.sharedViewState."  # how tags of an experiment that hold views begin
SETTING = "lossbench.setting"  # a tag of runs: what they must share to be compared
REPORT = "report.html"
PARAM = 500  # characters of a parameter's value
REASON = 5000  # characters of a tag's value
NOTE = 4900  # characters; the description of an experiment holds 5,000
SILENT_SECONDS = 6 * 3600  # after which a run that another machine trains counts as killed

Point = tuple[int, dict[str, float]]  # an epoch and the value of each curve


class Store:
    """An MLflow experiment, in which each configuration has one run."""

    def __init__(self, uri: str, experiment: str) -> None:
        """Open or create; UnusableError says why it cannot be used."""
        self.uri = store_address(uri)
        self.training: dict[str, str] = {}  # by key, the runs that show what is in training
        try:
            with locked(self.uri) as self.client:
                self.experiment = experiment_id(self.client, self.uri, experiment)
                for run in self._search("attributes.status = 'RUNNING'"):
                    if not _of_another_command(run):
                        self._end(run, "KILLED")
        except FAILURES as error:
            raise unusable(uri, error) from error

    # ---- one run for each configuration --------------------------------------------------------
    def deliver(self, places: Sequence[Path], name: str) -> bool:
        """Show a result with all its seeds as its configuration's only run, if it is not yet.

        places: the result's parts in the results folder. Gives whether anything was written.
        """
        key, content = digests(places)
        if self._contents.get(key) == content:
            return False
        tags = {"key": key, "configuration": results.configured_at(places[-1])}
        shown = [run for run in self._runs(tags) if _shows(run, content)]
        if not shown:
            self._write(places, content, name, tags)
        self._keep_one(tags, content)
        self._contents[key] = content
        return not shown

    def fail(self, config: Configuration, name: str, reason: str) -> None:
        """Show why a configuration gave no result; one that it has from before stays."""
        tags = _tags_of(config)
        runs = self._runs(tags)
        run_id = runs[0].info.run_id if runs else self._create(config, name, tags)
        self.client.set_tag(run_id, "lossbench.reason", reason[:REASON])
        if not any(run.info.status == "FINISHED" for run in runs):
            self.client.set_terminated(run_id, "FAILED")

    def show_training(
        self, config: Configuration, name: str, points: Sequence[Point], progress: str
    ) -> None:
        """Add points to the curves of a configuration that is in training."""
        if config.key not in self.training:
            self.training[config.key] = self._begin(config, name)
        now = int(time.time() * 1000)
        metrics = [Metric(n, v, now, e) for e, values in points for n, v in values.items()]
        self.client.log_batch(
            self.training[config.key],
            metrics=[metric for metric in metrics if math.isfinite(metric.value)],
            tags=[RunTag("lossbench.progress", progress), RunTag("lossbench.seen", str(now))],
        )

    def end(self, key: str, status: str) -> None:
        """End what shows a training that gave no result."""
        if run_id := self.training.pop(key, None):
            self._end(self.client.get_run(run_id), status)

    def _begin(self, config: Configuration, name: str) -> str:
        """A run for a training; it takes the place of what was shown before until it has ended."""
        tags = _tags_of(config)
        runs = self._runs(tags)
        replaced = [r.info.run_id for r in runs if r.info.status == "FINISHED"][:1]
        run_id = self._create(config, name, {**tags, "replaces": "".join(replaced)})
        self._delete(run for run in runs if not _of_another_command(run))
        self._contents.pop(config.key, None)
        return run_id

    def _end(self, run: Run, status: str) -> None:
        """End a run that gave no result; what it took the place of is shown again."""
        tags = {name: _tag(run, name) for name in ("key", "configuration")}
        others = [other for other in self._runs(tags) if other.info.run_id != run.info.run_id]
        replaced = _tag(run, "replaces")
        if replaced and not others:
            with contextlib.suppress(MlflowException):  # it was deleted for good
                self.client.restore_run(replaced)
                others = [self.client.get_run(replaced)]
        if others:
            self._delete([run])
        else:
            self.client.set_terminated(run.info.run_id, status)

    def _keep_one(self, tags: Mapping[str, str], content: str) -> None:
        """Delete all runs of a configuration but one with this content.

        Two commands that write it at once both keep the same one, whoever looks first.
        """
        runs = self._runs(tags)
        kept = min((run for run in runs if _shows(run, content)), key=lambda run: run.info.run_id)
        self._delete(run for run in runs if run is not kept and not _of_another_command(run))
        self.training.pop(tags["key"], None)

    def _delete(self, runs: Iterable[Run]) -> None:
        for run in runs:
            with contextlib.suppress(MlflowException):  # another command was faster
                self.client.delete_run(run.info.run_id)

    def _create(
        self, config: Configuration, name: str, ours: Mapping[str, str], began: int | None = None
    ) -> str:
        """A run with the parameters of a configuration, and tags of ours."""
        chosen = {kind: config.choice(kind).name for kind in ("loss", "dataset", "corruption")}
        ours = {**ours, **_this_process()}
        tags = chosen | {f"lossbench.{tag}": value for tag, value in ours.items() if value}
        run_id: str = self.client.create_run(self.experiment, began, tags, name).info.run_id
        values = [(k, str(v)[:PARAM]) for k, v in leaves(config.mapping)]
        params = [Param(*each) for each in values if not each[0].startswith("tracking.")]
        self.client.log_batch(run_id, params=params)
        return run_id

    def _write(
        self, places: Sequence[Path], content: str, name: str, tags: Mapping[str, str]
    ) -> None:
        """Write a result into a run of its own, which counts once it is whole."""
        result = results.whole(places)
        ended = int((places[-1] / "seeds.parquet").stat().st_mtime * 1000)
        began = ended - int(result.summary["seconds"] * 1000)
        run_id = self._create(result.config, name, tags, began)
        metrics = [Metric(*m, ended, e) for e, m in _measured(result) if math.isfinite(m[1])]
        for start in range(0, len(metrics), AT_ONCE):
            self.client.log_batch(run_id, metrics=metrics[start : start + AT_ONCE])
        with tempfile.TemporaryDirectory() as temporary:
            # Predictions and models are large, and of no use in a browser.
            bare = replace(result, predictions=(), models=())
            folder = results.write(bare, Path(temporary))
            self.client.log_artifacts(run_id, str(folder))
        self.client.log_batch(run_id, tags=[*_tags(result), RunTag("lossbench.content", content)])
        self.client.set_terminated(run_id, "FINISHED", ended)
        self._save_view(result)

    @functools.cached_property
    def _contents(self) -> dict[str, str]:
        """By key, what the finished runs show that are the only one of their key."""
        runs: dict[str, list[Run]] = {}
        for run in self._search(""):
            runs.setdefault(_tag(run, "configuration") or _tag(run, "key"), []).append(run)
        alone = [same[0] for same in runs.values() if len(same) == 1]
        return {_tag(r, "key"): _tag(r, "content") for r in alone if r.info.status == "FINISHED"}

    def _runs(self, tags: Mapping[str, str]) -> list[Run]:
        """The runs of a configuration: of its key, and of what its files held before."""
        queries = [f"tags.`lossbench.{name}` = '{value}'" for name, value in tags.items() if value]
        runs = {run.info.run_id: run for query in queries for run in self._search(query)}
        return list(runs.values())

    def _search(self, query: str) -> Iterator[Run]:
        token = None
        while True:
            page = self.client.search_runs(
                [self.experiment], query, ViewType.ACTIVE_ONLY, 1000, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    # ---- the experiment's page -----------------------------------------------------------------
    def publish(self, report: Path, conclusion: str, shown: Mapping[str, tuple[str, str]]) -> None:
        """Keep the report with the last of these runs, and show the conclusion above all runs.

        shown: by key the colour of a run and what is concluded of it. Of the conclusion the first
        line is seen unopened.
        """
        runs = [
            r for r in self._search("attributes.status = 'FINISHED'") if _tag(r, "key") in shown
        ]
        if not runs:
            raise UnusableError("it does not show any of the runs yet")
        for run in runs:
            colour, words = shown[_tag(run, "key")]
            tags = [RunTag("mlflow.runColor", colour), RunTag("mlflow.note.content", words[:NOTE])]
            self.client.log_batch(run.info.run_id, tags=tags)
        run = max(runs, key=lambda run: run.info.end_time)
        self.client.log_text(run.info.run_id, report.read_text(encoding="utf-8"), REPORT)
        place = f"#/experiments/{self.experiment}/runs/{run.info.run_id}/artifacts/{REPORT}"
        note = f"[The report]({place}): {conclusion}"
        if len(note) > NOTE:
            note = f"{note[:NOTE].rpartition(chr(10))[0]}\n\n… and more in the report."
        self.client.set_experiment_tag(self.experiment, "mlflow.note.content", note)

    def _save_view(self, result: Result) -> None:
        """Save a view of charts of all runs, and one of those that can be compared with this one.

        MLflow's format for it is not documented, but tested.
        """
        setting = digest(result.setting)
        names = [result.config.choice(k).name for k in ("dataset", "corruption", "model")]
        name = " · ".join(each for each in names if each != "none")
        for key, shown, search in (
            (VIEW, VIEW, ""),
            (f"{VIEW}-{setting}", name, f"tags.`{SETTING}` = '{setting}'"),
        ):
            packed = b64encode(zlib.compress(json.dumps(state(result, search)).encode())).decode()
            now = int(time.time() * 1000)
            view = {"name": shown, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"}
            self.client.set_experiment_tag(self.experiment, f"{SHARED}{key}", json.dumps(view))

    @property
    def page(self) -> str:
        """The part of MLflow's address that shows a view: of all runs, or of the last setting."""
        tags = self.client.get_experiment(self.experiment).tags
        views = {n.removeprefix(SHARED): json.loads(tags[n]) for n in tags if n.startswith(SHARED)}
        settings = [key for key in views if key.startswith(f"{VIEW}-")]
        last = max(settings, key=lambda key: views[key]["updatedAt"], default=VIEW)
        key = last if len(settings) > 1 else VIEW
        query = f"workflowType=machine_learning&compareRunsMode=CHART&viewStateShareKey={key}"
        return f"#/experiments/{self.experiment}/runs?{query}"


def _tag(run: Run, name: str) -> str:
    return str(run.data.tags.get(f"lossbench.{name}", ""))


def _shows(run: Run, content: str) -> bool:
    return run.info.status == "FINISHED" and _tag(run, "content") == content


def _tags_of(config: Configuration) -> dict[str, str]:
    """The tags that find the runs of a configuration."""
    return {"key": config.key, "configuration": results.configured(config, config.numbers)}


def _this_process() -> dict[str, str]:
    """What tells this process from every other, also from one that gets its number later."""
    began = psutil.Process().create_time()
    return {"host": platform.node(), "pid": str(os.getpid()), "began": str(began)}


def _of_another_command(run: Run) -> bool:
    """Whether another process is still writing a run; of another machine, what it wrote counts."""
    process = {name: _tag(run, name) for name in _this_process()}
    if run.info.status != "RUNNING" or process == _this_process():
        return False
    if process["host"] != platform.node():
        seen = int(_tag(run, "seen") or run.info.start_time) / 1000
        return time.time() - seen < SILENT_SECONDS
    try:
        return process["began"] == str(psutil.Process(int(process["pid"])).create_time())
    except (psutil.Error, ValueError):
        return False


def _tags(result: Result) -> Iterator[RunTag]:
    """What the table of runs can show of a result besides its choices and metrics."""
    yield RunTag("task", result.summary["task"])
    yield RunTag(SETTING, digest(result.setting))
    chosen = result.summary.get("tuning", {"chosen": {}})["chosen"]
    yield from (RunTag(f"tuned.{key}", str(value)) for key, value in chosen.items())
    if result.diverged:
        yield RunTag("diverged", f"{result.diverged} of {len(result.seeds)} seeds")


def _measured(result: Result) -> Iterator[tuple[int, tuple[str, float]]]:
    """(epoch, (name, value)): mean curves with the ends of their intervals, and test metrics.

    Curves that are longer than a chart is wide are thinned.
    """
    curves = result.curves
    epochs = np.unique(curves.epoch)
    kept = epochs[np.unique(np.linspace(0, len(epochs) - 1, MOST_POINTS).round().astype(int))]
    for row in bands(curves[curves.epoch.isin(kept)]).to_dict("records"):
        for suffix, end in (("", "mean"), ("_low", "low"), ("_high", "high")):
            yield row["epoch"], (f"{row['metric']}{suffix}", row[end])
    for name in result.seeds.columns[result.seeds.columns.str.startswith("test")]:
        values = result.seeds[name].dropna()
        if len(values):
            interval = t_interval(values)
            ends = (("", interval.estimate), ("_low", interval.low), ("_high", interval.high))
            yield from ((0, (f"{name}{suffix}", float(value))) for suffix, value in ends)
    yield 0, ("diverged", float(result.diverged))
