"""Command-line words and YAML -> validated configurations, by Hydra's composition and our schemas.

A configuration is a plain dict of sections. It holds names and values, never code.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import functools
import itertools
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lossbench import registry
from lossbench.claims import Claim, read_claims
from lossbench.contract import UserError
from lossbench.schema import REQUIRED, choices, parameters_of_object, unknown_key, validate
from lossbench.settings import SECTIONS, experiment_files, packaged

Config = dict[str, Any]
CHOICES = ("dataset", "corruption", "model", "loss", "regularizer", "optimizer")
SCHEME = "lossbench"
PLAIN_REFERENCE = re.compile(r"\$\{(\w+)(?:\.\w+)*\}")


class PluginSource(ConfigSource):
    """Config groups whose options are the installed plugins and whose keys are their keywords."""

    @staticmethod
    def scheme() -> str:
        return SCHEME

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path.strip("/") in ("", *CHOICES)

    def is_config(self, config_path: str) -> bool:
        group, name = _split(config_path)
        if name.partition(":")[0].endswith(".py"):
            return group in CHOICES
        return group in CHOICES and name.rpartition(":")[2] in registry.names(group)

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        group = config_path.strip("/")
        if group == "":
            return [] if results_filter == ObjectType.CONFIG else list(CHOICES)
        listed = group in CHOICES and results_filter != ObjectType.GROUP
        return registry.names(group) if listed else []

    def load_config(self, config_path: str) -> ConfigResult:
        group, name = _split(config_path)
        plugin = registry.find(group, name)[0]
        defaults = {
            p.name: "???" if p.default is REQUIRED else p.default
            for p in registry.parameters(plugin)
        }
        node = OmegaConf.create({"name": name, **defaults})
        return ConfigResult(plugin.package, f"{SCHEME}://{config_path}", node, {"package": None})


def _split(config_path: str) -> tuple[str, str]:
    group, _, name = config_path.strip("/").partition("/")
    return group, name.removesuffix(".yaml")


class PluginSearchPath(SearchPathPlugin):
    """Looks in `conf/`, the user's folder, among the plugins, then in the folders of plugins."""

    user_folder: str | None = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if self.user_folder:
            search_path.append("command-line", f"file://{self.user_folder}")
        search_path.append("lossbench-plugins", f"{SCHEME}://")
        for package, folder in registry.config_folders():  # last, so that no file hides a plugin
            search_path.append(package, f"file://{folder}")


@contextlib.contextmanager
def hydra(config_dir: str | None = None) -> Iterator[None]:
    """Hydra with our sources, for the compositions inside the block."""
    if config_dir and not Path(config_dir).is_dir():
        raise UserError(f"--config-dir {config_dir}: there is no such folder.")
    PluginSearchPath.user_folder = str(Path(config_dir).resolve()) if config_dir else None
    for plugin in (PluginSource, PluginSearchPath):
        Plugins.instance().register(plugin)
    with initialize_config_dir(str(packaged("conf")), job_name="lossbench", version_base="1.3"):
        yield


@dataclass(frozen=True)
class Experiment:
    """A question and what answers it, from `experiments/NAME/experiment.yaml`.

    sweeps: overrides of a sweep each, on top of those that all share; without any there is one.
    """

    name: str
    question: str = ""
    baseline: str | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    sweeps: list[dict[str, Any]] = field(default_factory=list)
    claims: tuple[Claim, ...] = ()


def read_experiment(name: str) -> Experiment:
    """The experiment of this name; UserError where there is none or its file is not lawful."""
    known = experiment_files()
    if name not in known:
        raise UserError(f"experiment={name}: there is no such experiment. {choices(name, known)}")
    content = _plain(known[name])
    allowed = [own.name for own in fields(Experiment) if own.name != "name"]
    for key in content:
        if key not in allowed:
            raise unknown_key(f"{known[name]}: {key}", key, allowed)
    sweeps = content.get("sweeps", [])
    if not isinstance(sweeps, list) or not all(isinstance(sweep, dict) for sweep in sweeps):
        raise UserError(f"{known[name]}: sweeps: expected a list of mappings like `overrides`.")
    claims = read_claims(content.pop("claims", []), str(known[name]))
    return Experiment(name, **content, claims=claims)


def _plain(file: Path) -> dict[str, Any]:
    try:
        content = OmegaConf.to_container(OmegaConf.load(file))
    except (yaml.YAMLError, OmegaConfBaseException, OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file}: {_one_line(error)}") from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: expected a mapping of keys to values.")
    return {str(key): value for key, value in content.items()}


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]


def configurations(
    overrides: Sequence[str], *, sweep: bool = False, config_dir: str | None = None
) -> tuple[list[Config], Experiment | None]:
    """Every configuration that the words ask for, validated, without doubles."""
    words = [w for w in overrides if not w.startswith("experiment=")]
    named = [w.partition("=")[2] for w in overrides if w.startswith("experiment=")]
    experiment = read_experiment(named[-1]) if named else None
    with hydra(config_dir):
        composer = _Composer()
        configs = [
            composer.compose(run)
            for fixed in _sweeps(experiment)
            for run in itertools.product(*_axes(fixed, words, sweep or bool(named)).values())
        ]
    unique = {json.dumps(c, sort_keys=True): c for c in configs}
    return list(unique.values()), experiment


def _sweeps(experiment: Experiment | None) -> list[dict[str, Any]]:
    """The overrides of each sweep of an experiment; a single empty one without."""
    if experiment is None:
        return [{}]
    shared = {"tracking.experiment": experiment.name, **experiment.overrides}
    return [{**shared, **own} for own in experiment.sweeps or [{}]]


def _axes(fixed: dict[str, Any], words: list[str], sweep: bool) -> dict[str, list[str]]:
    """Each key's overrides, one for each value; the command line's replace the experiment's."""
    axes: dict[str, list[str]] = {}
    for key, value in fixed.items():
        values = value if isinstance(value, list) else [value]
        axes[key] = [f"{key}={_word(v)}" for v in values]
    for word in _parsed(words):
        key = word.get_key_element()
        if not word.is_sweep_override():
            axes[key] = [word.input_line or ""]
        elif sweep:
            axes[key] = [f"{key}={value}" for value in word.sweep_string_iterator()]
        else:
            raise UserError(
                f"{word.input_line} names several runs: add -m to sweep over them, or quote the "
                f"value, '{key}=\"…\"', if it is one."
            )
    return axes


def _word(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _parsed(words: Sequence[str]) -> list[Override]:
    try:
        return OverridesParser.create().parse_overrides(list(words))
    except HydraException as error:
        bad = next((w for w in words if "=" not in w), None)
        reason = f"'{bad}' is not of the form key=value." if bad else _one_line(error)
        raise UserError(
            f"{reason} Example: lossbench run loss=focal loss.gamma=1 seeds=20"
        ) from error


@functools.cache
def _override(word: str) -> Override:
    return _parsed([word])[0]


class _Composer:
    """Composes once for each distinct choice of groups; values are set on a copy."""

    def __init__(self) -> None:
        self.loader = GlobalHydra.instance().config_loader()
        self.groups = set(self.loader.list_groups(""))
        self.composed: dict[tuple[str, ...], Config] = {}

    def compose(self, words: Sequence[str]) -> Config:
        parsed = [_override(word) for word in words]
        chosen = [o for o in parsed if self._is_choice(o)]
        key = tuple(str(o.input_line) for o in chosen)
        if key not in self.composed:
            self.composed[key] = self._compose(chosen)
        config = copy.deepcopy(self.composed[key])
        for override in parsed:
            if not self._is_choice(override):
                _set(config, override)
        return check(_resolve(config))

    def _is_choice(self, override: Override) -> bool:
        group = override.key_or_group
        return group in self.groups or "/" in group or group == "hydra"

    def _compose(self, chosen: Sequence[Override]) -> Config:
        for override in chosen:
            self._known(override.key_or_group, override.value())
        try:
            config = compose("config", [str(o.input_line) for o in chosen])
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, UnicodeError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, UserError) else None
            raise cause or UserError(_one_line(error)) from error
        return OmegaConf.to_container(config)  # type: ignore[return-value]

    def _known(self, group: str, name: Any) -> None:
        options = self.loader.get_group_options(group)
        if name in options:
            _refuse_two_files(group, name)
            return
        if group in CHOICES and isinstance(name, str) and ":" in name:
            registry.find(group, name)
        else:
            raise UserError(f"{group}={name}: there is no such {group}. {choices(name, options)}")


def _refuse_two_files(group: str, name: Any) -> None:
    """UserError where two packages bring a file of this name, and nothing stands before them."""
    file, user = Path(group, f"{name}.yaml"), PluginSearchPath.user_folder
    before = [packaged("conf"), *([Path(user)] if user else [])]
    if any((folder / file).is_file() for folder in before):
        return
    if group in CHOICES and name in registry.names(group):
        return
    found = [f"{p} ({d / file})" for p, d in registry.config_folders() if (d / file).is_file()]
    if len(found) > 1:
        raise UserError(
            f"{group}={name} is ambiguous: {' and '.join(found)} both provide it.\n"
            "Copy one into a folder of your own and name that with --config-dir."
        )


def _set(config: Config, override: Override) -> None:
    """Set one value; UserError where the key is not there."""
    path = override.key_or_group.split(".")
    node: Any = config
    for i, key in enumerate(path):
        if not isinstance(node, dict) or key not in node:
            raise UserError(
                f"{'.'.join(path[: i + 1])}: there is no such key. {_meant(key, node, config)}"
            )
        if i == len(path) - 1:
            if isinstance(node[key], dict):
                raise UserError(
                    f"{override.input_line}: {'.'.join(path)} is a group of keys: "
                    f"{', '.join(node[key])}."
                )
            node[key] = override.value()
        else:
            node = node[key]


def _meant(key: str, node: Any, config: Config) -> str:
    """The nearest key: beside it, or for one at the top anywhere."""
    if node is config:
        last = {path.rpartition(".")[2]: path for path in _paths(config)}
        close = difflib.get_close_matches(key, last, 1, 0.6)
        if close:
            return f"Did you mean {last[close[0]]}?"
    return choices(key, [k for k in node if k != "name"] if isinstance(node, dict) else [])


def _paths(node: Config, prefix: str = "") -> Iterator[str]:
    for key, value in node.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")


def _resolve(config: Config) -> Config:
    """The configuration with its references resolved, by OmegaConf where there are some."""
    texts = {key: repr(value) for key, value in config.items()}
    using = {key: text for key, text in texts.items() if "${" in text}
    names = [name for text in using.values() for name in PLAIN_REFERENCE.findall(text)]
    if len(names) == sum(text.count("${") for text in using.values()):
        config, rest = {k: config[k] for k in config if k in using or k in names}, config
    else:
        rest = {}  # a reference of another form may mean any section
    try:
        resolved = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(_one_line(error)) from error
    return {**rest, **resolved}  # type: ignore[dict-item]


def check(config: Config) -> Config:
    """The configuration with every key known, every value typed and in its range."""
    for key in config:
        if key not in ("seeds", *CHOICES, *SECTIONS):
            raise unknown_key(key, key, ["seeds", *CHOICES, *SECTIONS])
    checked: Config = {"seeds": _seeds(config["seeds"])}
    for kind in CHOICES:
        values = dict(config[kind])
        name = values.pop("name", None)
        if not isinstance(name, str):
            raise UserError(f"{kind}.name is missing: expected the name of a {kind}.")
        parameters = registry.parameters(registry.find(kind, name)[0])
        checked[kind] = {"name": name, **validate(parameters, values, kind)}
    for section, record in SECTIONS.items():
        checked[section] = validate(parameters_of_object(record), config[section], section)
    return checked


def _seeds(value: Any) -> list[int]:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return list(range(value))
    whole = isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)
    if whole and value and len(set(value)) == len(value):
        return value
    raise UserError(
        f"seeds={value}: expected a count of at least 1, or a list of different whole numbers "
        f"from 0, such as seeds=20 or seeds=[3,7]."
    )
