"""Experiments: a question and the runs that answer it; words -> configurations."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from lossbench import registry
from lossbench.configuration import Configuration
from lossbench.configuration.claims import Claim, read_claims
from lossbench.configuration.composition import (
    Axes,
    Composer,
    axes_of,
    hydra,
    load_yaml,
    override_of,
    word_of,
)
from lossbench.configuration.expansion import (
    Runs,
    axes_of_yaml,
    check_names,
    expand,
    refuse_shared,
    refuse_too_many,
    words_of,
)
from lossbench.contract import UserError
from lossbench.paths import experiment_files
from lossbench.registry.digests import places_in
from lossbench.registry.hints import choices
from lossbench.registry.kinds import CHOICES
from lossbench.registry.schema import REQUIRED, Kind, convert, unknown_key


@dataclass(frozen=True)
class Experiment:
    """A question and what answers it, from `experiments/NAME/experiment.yaml`.

    metric: what tables are ordered and conclusions drawn by, null for the task's primary metric.
    needs: names of packages of which the plugins take part, beyond those that lossbench installs.
    config_dir: the folder of the user's own configurations that its runs are composed with.
    sweeps: overrides of a sweep each, on top of those that all share; null for a single one, and
    an empty list where nothing is trained and claims are computed.
    """

    name: str
    question: str = ""
    baseline: str | None = None
    metric: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    sweeps: list[dict[str, Any]] | None = None
    claims: tuple[Claim, ...] = ()
    needs: list[str] = field(default_factory=list)
    config_dir: str | None = None

    @property
    def words(self) -> list[str]:
        """What follows `lossbench run` to train it."""
        folder = ["--config-dir", self.config_dir] if self.config_dir else []
        return [*folder, f"experiment={self.name}"]

    @property
    def trains(self) -> bool:
        """Whether it has runs; else its claims are computed."""
        return self.sweeps is None or len(self.sweeps) > 0

    @property
    def missing(self) -> list[str]:
        """The packages among `needs` that are not installed."""
        return [name for name in self.needs if not list(metadata.distributions(name=name))]

    def configurations(self) -> list[Configuration]:
        """Every run of the experiment as it is written."""
        return configurations([f"experiment={self.name}"], config_dir=self.config_dir)[0]


def read_experiment(name: str) -> Experiment:
    """The experiment of this name; UserError where there is none or its file is not valid."""
    known = experiment_files()
    if name not in known:
        raise UserError(f"experiment={name}: there is no such experiment. {choices(name, known)}")
    content = _with_own_code(load_yaml(known[name]), known[name].parent)
    if not isinstance(content.get("overrides", {}), dict):
        raise UserError(f"{known[name]}: overrides: expected a mapping of keys to values.")
    allowed = [e.name for e in fields(Experiment) if e.name not in ("name", "config_dir")]
    for key in content:
        if key not in allowed:
            raise unknown_key(f"{known[name]}: {key}", key, allowed)
    text = Kind(str, optional=True)
    for key, kind in (("question", Kind(str)), ("baseline", text), ("metric", text)):
        if key in content:
            convert(kind, content[key], f"{known[name]}: {key}")
    sweeps = content.get("sweeps") or []
    if not isinstance(sweeps, list) or not all(isinstance(sweep, dict) for sweep in sweeps):
        raise UserError(f"{known[name]}: sweeps: expected a list of mappings like `overrides`.")
    needs = content.get("needs", [])
    if not isinstance(needs, list) or not all(isinstance(name, str) for name in needs):
        raise UserError(f"{known[name]}: needs: expected a list of names of packages.")
    for given in (content.get("overrides", {}), *sweeps):
        for key, value in given.items():
            _refuse_unlisted(f"{known[name]}: {key}", value)
    claims = read_claims(content.pop("claims", []), str(known[name]))
    return Experiment(name, **content, claims=claims)


def _with_own_code(content: Any, folder: Path) -> Any:
    """With each `FILE.py:NAME` looked up in the experiment's folder, where it is not here."""
    if isinstance(content, dict):
        return {key: _with_own_code(value, folder) for key, value in content.items()}
    if isinstance(content, list):
        return [_with_own_code(value, folder) for value in content]
    file = content.rpartition(":")[0] if isinstance(content, str) else ""
    moved = file.endswith(".py") and not Path(file).exists() and (folder / file).exists()
    return str(folder / content) if moved else content


def _refuse_unlisted(place: str, value: Any) -> None:
    """UserError where an experiment gives a key neither a value nor a list of values."""
    values = value if isinstance(value, list) else [value]
    if not values or any(isinstance(each, dict) for each in values):
        raise UserError(
            f"{place}: {json.dumps(value)}: expected a value, or a list of values; a key within a "
            "group is written with a dot, such as trainer.max_epochs: 5."
        )
    for each in values:
        if override_of(f"key={word_of(each)}").is_sweep_override():
            raise UserError(f"{place}: {each}: write several values as a list, such as [a, b].")


def configurations(
    overrides: Sequence[str],
    *,
    sweep: bool = False,
    config_dir: str | None = None,
    most: int | None = None,
) -> tuple[list[Configuration], Experiment | None]:
    """Every configuration that the words ask for, validated, without duplicates.

    UserError where there would be more than `most`, before they are composed.
    """
    registry.refresh()
    words = [w for w in overrides if not w.startswith("experiment=")]
    named = [w.partition("=")[2] for w in overrides if w.startswith("experiment=")]
    experiment = replace(read_experiment(named[-1]), config_dir=config_dir) if named else None
    if experiment and experiment.missing:
        raise UserError(
            f"experiment={experiment.name} takes plugins from {' and '.join(experiment.missing)}, "
            "which is not installed. Those of this project lie in plugins/ of its repository: "
            f"pip install -e plugins/{experiment.missing[0]}"
        )
    with hydra(config_dir):
        composer = Composer()
        sweeps = _expanded(experiment, axes_of(words, sweep or bool(named)), composer)
        refuse_too_many(sweeps, most)
        composed = [composer.compose(run) for places in sweeps for run in words_of(places)]
        composer.faults.tell()
    configs = [config for config in composed if config is not None]
    if experiment:
        configs = [_with_own_files(config, experiment) for config in configs]
    return list({json.dumps(c.mapping, sort_keys=True): c for c in configs}.values()), experiment


def short_words(config: Configuration) -> list[str]:
    """The words of a configuration but for defaults; all where a part of it is not there."""
    words = {word.partition("=")[0]: word for word in config.words}
    try:
        required = {
            f"{kind}.{parameter.name}"
            for kind in CHOICES
            for parameter in registry.parameters(registry.find(kind, config.choice(kind).name)[0])
            if parameter.default is REQUIRED
        }
        plain = configurations([])[0][0].words
        kept = {k for k in required & words.keys() if words[k] not in plain}
        kept |= {"dataset", "loss", *(k for k in words if k.count(".") > 1)}  # of a loss of losses
        asked = [word for key, word in words.items() if key in {*CHOICES, *kept}]
        usual = configurations(asked)[0][0].words
    except UserError:
        return config.words
    return [w for k, w in words.items() if k in kept or w not in (plain if k in CHOICES else usual)]


def _expanded(experiment: Experiment | None, given: Axes, composer: Composer) -> list[Runs]:
    """The runs of each sweep, where the command line's axes replace the experiment's."""

    def default_of(kind: str) -> str:
        config = composer.compose([])
        assert config
        return config.choice(kind).name

    written = [axes_of_yaml(fixed) for fixed in _sweeps(experiment)]
    sweeps = [{**axes, **given} for axes in written]
    place = f"{experiment_files()[experiment.name]}: " if experiment else ""
    check_names([key for axes in written for key in axes], written, default_of, place)
    check_names(given, sweeps, default_of)
    for axes in sweeps:
        refuse_shared(axes, default_of)
    return [expand(axes, default_of) for axes in sweeps]


def _with_own_files(config: Configuration, experiment: Experiment) -> Configuration:
    """The configuration with the files that an experiment names looked up in its folder first."""
    folder = experiment_files()[experiment.name].parent
    mapping = copy.deepcopy(config.mapping)
    for kind in CHOICES:
        values = mapping[kind]
        parameters = registry.parameters(registry.find(kind, values["name"])[0])
        for name, paths in places_in(parameters, values).items():
            here = [path for path in paths if (folder / path).exists()]
            if here and not any(Path(path).exists() for path in paths):
                given = values[name]
                moved = [str(folder / path) for path in paths]
                values[name] = moved if isinstance(given, list) else moved[0]
    return Configuration.read(mapping)


def _sweeps(experiment: Experiment | None) -> list[dict[str, Any]]:
    """The overrides of each sweep of an experiment; a single empty one without."""
    if experiment is None:
        return [{}]
    shared = {"tracking.experiment": experiment.name, **experiment.overrides}
    if experiment.metric:
        shared = {"metric": experiment.metric, **shared}
    sweeps = [{}] if experiment.sweeps is None else experiment.sweeps
    return [{**shared, **given} for given in sweeps]
