"""Shell completion: what can follow, from names and signatures alone, importing nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lossbench import registry
from lossbench.contract import UserError
from lossbench.experiments import experiment_files
from lossbench.paths import packaged
from lossbench.registry import CHOICES
from lossbench.schema import parameters_of_object
from lossbench.settings import SECTIONS

COMMANDS = [
    "run",
    "compare",
    "reproduce",
    "list",
    "show",
    "check",
    "new",
    "ui",
    "sync",
    "doctor",
    "completion",
]
SHELLS = ("bash", "zsh", "fish")

SCRIPTS = {
    "bash": """\
_lossbench() {
    local line=${COMP_LINE:0:COMP_POINT} IFS=$'\\n' word
    word=${line##* }
    COMPREPLY=($(lossbench complete "$line" 2>/dev/null))
    # readline splits words at = and :, so what stands before the last of them is not repeated
    local head=${word%"${word##*[=:]}"}
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -F _lossbench lossbench
""",
    "zsh": """\
#compdef lossbench
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u; }
_lossbench() {
    local -a found
    found=("${(@f)$(lossbench complete "$LBUFFER" 2>/dev/null)}")
    compadd -Q -S '' -- $found
}
compdef _lossbench lossbench
""",
    "fish": """\
complete -c lossbench -f -a '(lossbench complete (commandline -cp) 2>/dev/null)'
""",
}


def complete(line: str) -> list[str]:
    """What could stand in the place of the line's last word.

    >>> complete("lossbench ru")
    ['run']
    >>> complete("lossbench run loss=squared_l")
    ['loss=squared_log_error']
    """
    _, *words = line.split(" ")
    words = [w for w in words[:-1] if w] + words[-1:]
    if len(words) <= 1:
        found: Iterable[str] = COMMANDS
    elif words[0] == "run":
        found = _run(words[1:-1], words[-1])
    else:
        found = _arguments(words[0])
    return sorted(name for name in found if name.startswith(words[-1] if words else ""))


def _arguments(command: str) -> Iterable[str]:
    if command in ("check", "show"):
        return registry.names("loss")
    if command == "compare":
        return experiment_files()
    if command == "reproduce":
        return [file.parent.name for file in Path("results").glob("[!.]*/seeds.parquet")]
    if command == "list":
        return [*registry.PLURALS.values(), "experiments"]
    return SHELLS if command == "completion" else ()


def _run(before: list[str], word: str) -> Iterable[str]:
    if word.startswith("-"):
        return (
            "-m",
            "--multirun",
            "--config-dir",
            "--cfg",
            "--info",
            "--dry-run",
            "--rerun",
            "--yes",
        )
    key, equals, value = word.partition("=")
    if not equals:
        return [f"{key}=" for key in _keys(before)]
    head = f"{key}={value.rpartition(',')[0]}{',' if ',' in value else ''}"
    return [head + option for option in _values(key, before)]


def _keys(before: list[str]) -> Iterable[str]:
    yield from ("experiment", "seeds", *CHOICES, "trainer", "tracking")
    for kind in CHOICES:
        yield from (f"{kind}.{p.name}" for p in _parameters(kind, before))
    for section, record in SECTIONS.items():
        yield from (f"{section}.{p.name}" for p in parameters_of_object(record))


def _parameters(kind: str, before: list[str]) -> tuple[registry.Parameter, ...]:
    """The keywords of the plugin that the line has chosen for a kind."""
    chosen = [w.partition("=")[2] for w in before if w.startswith(f"{kind}=")]
    try:
        return registry.parameters(registry.find(kind, chosen[-1].split(",")[-1])[0])
    except (IndexError, UserError):
        return ()


def _values(key: str, before: list[str]) -> Iterable[str]:
    kind, _, name = key.partition(".")
    if key == "experiment":
        return experiment_files()
    if key in CHOICES:
        return {*registry.names(key), *_presets(key)}
    if key in ("trainer", "tracking"):
        return _presets(key)
    for parameter in _parameters(kind, before) if kind in CHOICES else ():
        if parameter.name == name:
            return [str(choice) for choice in parameter.kind.choices]
    return ()


def _presets(group: str) -> list[str]:
    folders = [packaged("conf"), *(folder for _, folder in registry.config_folders())]
    return [file.stem for folder in folders for file in (folder / group).glob("*.yaml")]
