"""The layout's promises, read from the sources."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parent.parent / "lossbench"
# Each name may import from those of its own line and of the lines above it.
LAYERS = [
    "contract streams losses statistics optimizers augmentations undisturbed nested paths"
    " looks drawing",
    "registry",
    "tasks models augmentations optimizers schedules",
    "datasets configuration metrics",
    "results check testing",
    "tracking comparison verdicts report training",
    "show sweep publish api doctor reproduce atlas",
    "cli commands new __init__",
]
OWNERS = {
    "lightning": {"stack", "fitting"},
    "mlflow": {"tracking"},
    "hydra": {"composition"},
    "omegaconf": {"composition"},
    "pebble": {"sweep"},
    "ray": {"on_ray", "ray_joining"},
    "submitit": {"on_slurm"},
    "matplotlib": {"drawing"},
}
FILES = sorted(ROOT.rglob("*.py"))


def room(file: Path) -> str:
    """The part of the package that a file belongs to."""
    first = file.relative_to(ROOT).parts[0]
    return first.removesuffix(".py")


@functools.cache
def nodes(file: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(file.read_text())))


def imported(file: Path) -> set[str]:
    """Every module that a file imports, at the top or inside."""
    found = set()
    for node in nodes(file):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def layer(name: str) -> int:
    return next(i for i, rooms in enumerate(LAYERS) if name in rooms.split())


def test_imports_run_downwards():
    for file in FILES:
        for module in imported(file):
            package, _, rest = module.partition(".")
            target = rest.partition(".")[0]
            if package == "lossbench" and target and target != room(file):
                assert layer(target) <= layer(room(file)), f"{file} imports {module}"


def test_each_library_is_known_in_few_places():
    for file in FILES:
        for module in imported(file):
            owners = OWNERS.get(module.partition(".")[0])
            assert owners is None or owners & {room(file), file.stem}, f"{file} imports {module}"


def test_no_module_and_no_class_has_a_name_twice():
    """But for a task and its losses, which share a module's name, as do the parts of one room."""
    places, classes = defaultdict(list), defaultdict(list)
    for file in FILES:
        if file.parent.name != "losses" and file.stem != "__init__":
            places[file.stem].append(file)
        for node in nodes(file):
            if isinstance(node, ast.ClassDef):
                classes[node.name].append(file)
    for folder in (file.parent for file in FILES if file.stem == "__init__"):
        places[folder.name].append(folder)
    twice = {**places, **classes}
    assert not {name: found for name, found in twice.items() if len(found) > 1}


def test_losses_import_torch_the_contract_and_each_other_only():
    for file in (ROOT / "losses").glob("*.py"):
        ours = {m for m in imported(file) if m.startswith("lossbench")}
        ours = {m for m in ours if not m.startswith("lossbench.losses.")}
        assert ours <= {"lossbench.contract.declare", "lossbench.contract.Loss"}, file.name


def test_the_registry_meets_losses_through_entry_points():
    for file in (ROOT / "registry").glob("*.py"):
        assert not any("lossbench.losses" in module for module in imported(file)), file.name


def test_files_stay_short_enough_to_read():
    lines = {str(file): len(file.read_text().splitlines()) for file in FILES}
    assert {file: count for file, count in lines.items() if count > 400} == {}
