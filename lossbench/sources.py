"""Where Hydra looks for configurations: `conf/`, the user's folder, installed plugins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from hydra import initialize_config_dir
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.object_type import ObjectType
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigResult, ConfigSource
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import OmegaConf

from lossbench import registry
from lossbench.contract import UserError
from lossbench.registry import CHOICES
from lossbench.schema import REQUIRED
from lossbench.settings import packaged
from lossbench.strict import lines_of

SCHEME = "lossbench"


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
