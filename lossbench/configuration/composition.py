"""Words and YAML -> validated configurations, by Hydra's composition. Only this file knows Hydra.

Hydra looks in `conf/`, in the user's folder, among the installed plugins and in their folders. A
group's option is a plugin, its keys are the plugin's keywords; values are set on a copy of what was
composed for the same choices, so that a thousand runs are composed once.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import itertools
import json
import re
from collections.abc import Container, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml
from hydra import compose, initialize_config_dir

# Hydra offers no public source of files that can be extended; this one is what file:// is.
from hydra._internal.core_plugins.file_config_source import FileConfigSource
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
from lossbench.configuration import ALLOWED, Configuration, validated
from lossbench.configuration.settings import GROUPS, SECTIONS, set_value
from lossbench.configuration.strict import (
    FastLoader,
    lines_of,
    refuse_secrets,
    refuse_two_files,
)
from lossbench.contract import UserError
from lossbench.paths import packaged
from lossbench.registry.hints import as_grammar_has_it
from lossbench.registry.kinds import CHOICES
from lossbench.registry.schema import REQUIRED, Faults, unknown_key

SCHEME = "lossbench"
MOST_VALUES = 100_001  # of one axis
PLAIN_REFERENCE = re.compile(r"\$\{(\w+)(?:\.\w+)*\}")
Sections = dict[str, Any]
Axes = dict[str, list[str]]  # a key's overrides, one for each value


# ---- where Hydra looks -------------------------------------------------------------------------
class PluginSource(ConfigSource):
    """Config groups whose options are the installed plugins and whose keys are their keywords."""

    @staticmethod
    def scheme() -> str:
        return SCHEME

    def available(self) -> bool:
        return True

    def is_group(self, config_path: str) -> bool:
        return config_path.strip("/") in ("", *GROUPS)

    def is_config(self, config_path: str) -> bool:
        group, name = _split(config_path)
        return group in GROUPS and (":" in name or name in registry.names(group))

    def list(self, config_path: str, results_filter: ObjectType | None) -> list[str]:
        group = config_path.strip("/")
        if group == "":
            return [] if results_filter == ObjectType.CONFIG else list(GROUPS)
        hidden = group not in GROUPS or results_filter == ObjectType.GROUP
        return [] if hidden else registry.names(group)

    def load_config(self, config_path: str) -> ConfigResult:
        group, name = _split(config_path)
        plugin = registry.find(group, name)[0]
        defaults: Sections = {
            p.name: {} if p.kind.loss == "named" else "???" if p.default is REQUIRED else p.default
            for p in registry.parameters(plugin)
        }
        node, place = OmegaConf.create({"name": name, **defaults}), f"{SCHEME}://{config_path}"
        return ConfigResult(plugin.package, place, node, {"package": None})


def _split(config_path: str) -> tuple[str, str]:
    group, _, name = config_path.strip("/").partition("/")
    return group, name.removesuffix(".yaml")


class FileSource(FileConfigSource):
    """A folder of the user's or of a plugin, whose files are held against `strict` first.

    places: the file and line of each key that was read.
    """

    places: ClassVar[dict[str, str]] = {}

    @staticmethod
    def scheme() -> str:
        return "strict"

    def load_config(self, config_path: str) -> ConfigResult:
        file = Path(self.path, self._normalize_file_name(config_path))
        group = config_path.strip("/").rpartition("/")[0]
        if not file.resolve().is_relative_to(Path(self.path).resolve()):
            raise UserError(f"{config_path}: it leads out of the folder {self.path}.")
        for key, line in lines_of(file).items():
            self.places[f"{group}.{key}".lstrip(".")] = f"{file}:{line}"
        return super().load_config(config_path)


class PluginSearchPath(SearchPathPlugin):
    """Looks in `conf/`, the user's folder, among the plugins, then in the folders of plugins."""

    user_folder: str | None = None

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        if self.user_folder:
            search_path.append("command-line", f"{FileSource.scheme()}://{self.user_folder}")
        search_path.append("lossbench-plugins", f"{SCHEME}://")
        for package, folder in registry.config_folders():  # last, so that no file hides a plugin
            search_path.append(package, f"{FileSource.scheme()}://{folder}")


@contextlib.contextmanager
def hydra(config_dir: str | None = None) -> Iterator[None]:
    """Hydra with our sources, for the compositions inside the block."""
    if config_dir and not Path(config_dir).is_dir():
        raise UserError(f"--config-dir {config_dir}: there is no such folder.")
    PluginSearchPath.user_folder = str(Path(config_dir).resolve()) if config_dir else None
    FileSource.places.clear()
    for plugin in (PluginSource, FileSource, PluginSearchPath):
        Plugins.instance().register(plugin)
    with initialize_config_dir(str(packaged("conf")), job_name="lossbench", version_base="1.3"):
        yield


# ---- the override grammar ----------------------------------------------------------------------
def axes_of(words: Sequence[str], sweep: bool) -> Axes:
    """Each key's overrides, one for each value of the command line."""
    axes: Axes = {}
    for word in _parsed(words):
        key = word.get_key_element()
        if word.is_delete():
            raise UserError(f"{word.input_line}: nothing can be removed; give it another value.")
        if not word.is_sweep_override():
            axes[key] = [word.input_line or ""]
        elif sweep:
            axes[key] = [f"{key}={value}" for value in _values(word)]
        else:
            raise UserError(
                f"{word.input_line} names several runs: add -m to sweep over them, or quote the "
                f"value, '{key}=\"…\"', if it is one."
            )
    return axes


def _values(word: Override) -> list[str]:
    """The values that a sweep over one key stands for, no more than MOST_VALUES of them."""
    try:
        values = list(itertools.islice(word.sweep_string_iterator(), MOST_VALUES))
    except (HydraException, ValueError) as error:  # an interval, a step of 0
        raise UserError(
            f"{word.input_line}: give the values with commas between them, or "
            "range(first, end, step) with a step that is not 0."
        ) from error
    if not values:
        raise UserError(f"{word.input_line} stands for no value.")
    return values


def word_of(value: Any) -> str:
    """A value of YAML as the grammar writes it."""
    plain = isinstance(value, str) and _parses(f"key={value}")
    return value if plain else json.dumps(value, ensure_ascii=False)


@functools.cache
def override_of(word: str) -> Override:
    """What one word says."""
    return _parsed([word])[0]


def _parsed(words: Sequence[str]) -> list[Override]:
    loader = GlobalHydra.instance().config_loader() if GlobalHydra().is_initialized() else None
    try:
        return OverridesParser.create(loader).parse_overrides(list(words))
    except HydraException as error:
        bad = next(word for word in words if not _parses(word))
        key, equals, value = bad.partition("=")
        reason = f"'{bad}' is not of the form key=value. Example: lossbench run loss=focal seeds=20"
        raise UserError(f"{bad}: {as_grammar_has_it(key, value)}" if equals else reason) from error
    except ValueError as error:  # Python reads no number of more than 4,300 digits
        raise UserError(f"{max(words, key=len)[:60]}…: the number is too large.") from error


def _parses(word: str) -> bool:
    try:
        OverridesParser.create().parse_overrides([word])
    except HydraException:
        return False
    return True


# ---- composition -------------------------------------------------------------------------------
def load_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file, its references unresolved; UserError where it is not valid."""
    lines_of(file)
    try:
        content = yaml.load(file.read_text(encoding="utf-8-sig"), Loader=FastLoader)
    except yaml.YAMLError as error:
        raise UserError(f"{file}: {one_line(error)}") from error
    return {str(key): value for key, value in content.items()}


def show_info(words: Sequence[str], config_dir: str | None) -> None:
    """Print how Hydra composes one run."""
    with hydra(config_dir):
        composer = GlobalHydra.instance().hydra
        assert composer
        composer.show_info("all", "config", list(words))


def one_line(error: BaseException) -> str:
    """What an exception of Hydra's or OmegaConf's says, short."""
    text = " ".join(str(error).split()).partition(" Config search path:")[0][:300]
    return text or type(error).__name__


_composed_before: dict[Any, tuple[Sections, dict[str, str], Any]] = {}


def _compose_by_hydra(words: tuple[str, ...]) -> Sections:
    """The sections, composed once in a process while files and plugins are as they were."""
    folders = [*_first_folders(), *(folder for _, folder in registry.config_folders())]
    files = [(file, file.stat().st_mtime_ns) for at in folders for file in at.rglob("*.y*ml")]
    sections, places, keywords = _composed_before.get((words, *files), ({}, {}, None))
    if keywords != _keywords(sections):
        sections, places = _composed_anew(words), dict(FileSource.places)
        _composed_before[(words, *files)] = sections, places, _keywords(sections)
    FileSource.places.update(places)
    return sections


def _keywords(sections: Sections) -> list[Any]:
    """The parameters of the plugins that were chosen."""
    chosen = [(group, sections.get(group, {}).get("name") or "") for group in GROUPS]
    found = [plugin for choice in chosen for plugin in registry.known_as(*choice)]
    return [registry.parameters(plugin) for plugin in found]


def _composed_anew(words: Sequence[str]) -> Sections:
    try:
        config = compose("config", list(words))
    except RecursionError:
        raise UserError(f"{' '.join(words)}: its defaults lead back to itself.") from None
    except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError) as error:
        cause = error.__cause__ if isinstance(error.__cause__, UserError) else None
        raise cause or UserError(one_line(error)) from error
    return OmegaConf.to_container(config)  # type: ignore[return-value]


def _first_folders() -> list[Path]:
    """Those whose files are read before the plugins."""
    own = PluginSearchPath.user_folder
    return [packaged("conf"), *([Path(own)] if own else [])]


class Composer:
    """Composes once for each distinct choice of groups; values are set on a copy."""

    def __init__(self) -> None:
        self.loader = GlobalHydra.instance().config_loader()
        self.groups = set(self.loader.list_groups(""))
        self.composed: dict[tuple[str, ...], Sections] = {}
        self.resolved: dict[str, Sections] = {}
        self.known: set[str | None] = set()
        self.faults = Faults()

    def compose(self, words: Sequence[str]) -> Configuration | None:
        """The configuration of these words; None where its faults are added to `faults`."""
        faults = Faults()
        with faults.gathered():
            return self._composed(words)
        given = {word.partition("=")[0].lstrip("+~") for word in words}
        for line, error in faults.errors.items():
            self.faults.add(type(error)(_placed(line, given)))
        return None

    def _composed(self, words: Sequence[str]) -> Configuration:
        parsed = [override_of(word) for word in words]
        chosen = [o for o in parsed if self._is_choice(o)]
        config, faults = copy.deepcopy(self._compose(chosen)), Faults()
        for override in parsed:
            if not self._is_choice(override):
                line = str(override.input_line)
                with faults.gathered():
                    set_value(config, override.key_or_group, override.value(), line)
        with faults.gathered():
            checked = validated(self._resolve(config))
        faults.tell()
        return checked

    def _is_choice(self, override: Override) -> bool:
        group = override.key_or_group
        return group in self.groups or "/" in group or group == "hydra"

    def _compose(self, chosen: Sequence[Override]) -> Sections:
        faults = Faults()
        for override in chosen:
            if override.input_line in self.known:
                continue
            with faults.gathered():
                if override.key_or_group not in (*CHOICES, *SECTIONS):
                    raise unknown_key(override.key_or_group, override.key_or_group, ALLOWED)
                self._known(override.key_or_group, override.value())
                _refuse_second(override)
                self.known.add(override.input_line)
        faults.tell()
        plain = {str(o.key_or_group): str(o.value()) for o in chosen if _is_plain(o)}
        words = tuple(str(o.input_line) for o in chosen if o.key_or_group not in plain)
        if words not in self.composed:  # Hydra takes long, and no plugin depends on another choice
            self.composed[words] = _compose_by_hydra(words)
        source = PluginSource(SCHEME, f"{SCHEME}://")
        sections = {g: source.load_config(f"{g}/{name}").config for g, name in plain.items()}
        made = {g: OmegaConf.to_container(section) for g, section in sections.items()}
        return {**self.composed[words], **made}

    def _resolve(self, config: Sections) -> Sections:
        """The configuration with its references resolved, by OmegaConf where there are some."""
        refuse_secrets(config)
        texts = {key: repr(value) for key, value in config.items()}
        using = {key: text for key, text in texts.items() if "${" in text}
        names = [name for text in using.values() for name in PLAIN_REFERENCE.findall(text)]
        if len(names) == sum(text.count("${") for text in using.values()):
            config, rest = {k: config[k] for k in config if k in using or k in names}, config
        else:
            rest = {}  # a reference of another form may mean any section
        text = repr(config)  # of a sweep it is mostly that of the run before, and OmegaConf is slow
        try:
            if text not in self.resolved:
                resolved = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
                self.resolved = {text: resolved}  # type: ignore[dict-item]
        except OmegaConfBaseException as error:
            reason = str(error.msg or error).splitlines()[0]
            raise UserError(f"{error.full_key}: {reason}. Give the value itself.") from error
        return {**rest, **copy.deepcopy(self.resolved[text])}

    def _known(self, group: str, name: Any) -> None:
        options = self.loader.get_group_options(group)
        if name in options:
            if not (_has_file(group, name) or (group in GROUPS and name in registry.names(group))):
                refuse_two_files(group, name)
        elif group in GROUPS and isinstance(name, str) and ":" in name:
            registry.find(group, name)
        else:
            file = Path(PluginSearchPath.user_folder or "", group, f"{name}.yml")
            if file.is_file():
                raise UserError(f"{group}={name}: rename {file} to {name}.yaml.")
            raise registry.no_such(group, str(name), options)


def _is_plain(override: Override) -> bool:
    """Whether a plugin is chosen by its name alone, and no file that is read first has it."""
    group, name = override.key_or_group, str(override.value())
    plain = not override.is_add() and override.package is None and group in GROUPS
    return plain and name in registry.names(group) and not _has_file(group, name)


def _has_file(group: str, name: str) -> bool:
    """Whether a file that is read before the plugins has this name."""
    return any((folder / group / f"{name}.yaml").is_file() for folder in _first_folders())


def _refuse_second(override: Override) -> None:
    """UserError where a choice would be added to the one that every run has."""
    if override.is_add() and not override.is_force_add():
        raise UserError(
            f"{override.input_line}: every run has a {override.key_or_group} already: write "
            f"{str(override.input_line).removeprefix('+')}."
        )


def _placed(line: str, given: Container[str]) -> str:
    """A fault of a key, with the file and line that set it, unless the command line did."""
    key = re.match(r"[\w.]*", line)[0]  # type: ignore[index]
    place = FileSource.places.get(key)
    return line if place is None or key in given else f"{place}: {line}"
