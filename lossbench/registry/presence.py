"""What plugins name and whether it is there, found without importing anything."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lossbench.registry.lookup import Plugin, installed
from lossbench.registry.modules import file_of, spec_of


def missing_modules(plugins: Iterable[Plugin]) -> dict[Plugin, str]:
    """The plugins whose module or folder is not there, or that name no object; imports nothing."""
    faults = {}
    for plugin in plugins:
        if spec_of(plugin.module) is None:
            faults[plugin] = f"there is no module {plugin.module}"
        elif not plugin.attribute:
            faults[plugin] = "the entry point names no object; expected module:object"
        elif plugin.kind == "config" and not config_folder(plugin).is_dir():
            faults[plugin] = f"there is no folder {plugin.attribute} next to {plugin.module}"
    return faults


def config_folder(plugin: Plugin) -> Path:
    """The folder of YAML that a plugin of the kind config names, whether it is there or not."""
    return Path(file_of(plugin.module) or "nowhere").parent / plugin.attribute


def config_folders() -> list[tuple[str, Path]]:
    """Those that are there, with their packages; none is imported."""
    folders = [(p.package, config_folder(p)) for p in installed("config") if p.attribute]
    return [(package, folder) for package, folder in folders if folder.is_dir()]
