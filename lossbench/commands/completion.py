"""Shell completion: click's, with what follows `run` from plugins' names and signatures alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import (
    CompletionItem,
    ShellComplete,
    add_completion_class,
    get_completion_class,
    shell_complete,
    split_arg_string,
)

from lossbench import registry
from lossbench.commands.options import OneOf, command
from lossbench.configuration import ALLOWED
from lossbench.configuration.settings import SECTIONS
from lossbench.contract import UserError
from lossbench.paths import experiment_files, packaged
from lossbench.registry.kinds import CHOICES, KINDS
from lossbench.registry.schema import parameters_of_object

VARIABLE = "_LOSSBENCH_COMPLETE"
F = TypeVar("F", bound=Callable[..., Any])


class Line(ShellComplete):
    """Completes the line up to the cursor, which the shell's function gives as COMP_WORDS."""

    def get_completion_args(self) -> tuple[list[str], str]:
        """The words before the one to complete, and what there is of that."""
        line = os.environ["COMP_WORDS"]
        words = split_arg_string(line)
        last = "" if not words or line[-1:].isspace() else words.pop()
        return words[1:], last

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """Without files, which are left to the shell."""
        items = super().get_completions(args, incomplete)
        return [item for item in items if item.type == "plain"]

    def format_completion(self, item: CompletionItem[str]) -> str:
        """The word alone."""
        return item.value


class Bash(Line):
    """readline splits words at = and :, so what stands before the last of them is dropped."""

    name = "bash"
    source_template = """\
%(complete_func)s() {
    local line=${COMP_LINE:0:COMP_POINT} IFS=$'\\n' word
    word=${line##* }
    COMPREPLY=($(env COMP_WORDS="$line" %(complete_var)s=bash_complete %(prog_name)s 2>/dev/null))
    local head=${word%%"${word##*[=:]}"}
    COMPREPLY=("${COMPREPLY[@]#"$head"}")
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}
complete -o default -F %(complete_func)s %(prog_name)s
"""


class Zsh(Line):
    """Without a space after a word, since its value follows a key directly."""

    name = "zsh"
    source_template = """\
#compdef %(prog_name)s
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u; }
%(complete_func)s() {
    local -a candidates
    candidates=("${(@f)$(env COMP_WORDS="$LBUFFER" %(complete_var)s=zsh_complete \\
        %(prog_name)s 2>/dev/null)}")
    compadd -Q -S '' -- $candidates
}
compdef %(complete_func)s %(prog_name)s
"""


class Fish(Line):
    """Fish asks with the line up to the cursor."""

    name = "fish"
    source_template = """\
function %(complete_func)s
    env COMP_WORDS=(commandline -cp) %(complete_var)s=fish_complete %(prog_name)s 2>/dev/null
end
complete -c %(prog_name)s -f -a '(%(complete_func)s)'
"""


SHELLS = [add_completion_class(each).name for each in (Bash, Zsh, Fish)]


@command()
@click.argument("shell", type=OneOf("shell", SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the completion script of a shell.

    For bash, put this into ~/.bashrc: eval "$(lossbench completion bash)"
    """
    root = context.find_root()
    made = get_completion_class(shell)
    assert made
    print(made(root.command, {}, "lossbench", VARIABLE).source(), end="")
    return 0


def completed(commands: click.Command) -> int:
    """Answer the shell whose question stands in the environment."""
    return shell_complete(commands, {}, "lossbench", VARIABLE, os.environ[VARIABLE])


def losses(_context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The losses that a word may become."""
    return _starting(registry.names("loss"), word)


def plugins(_context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The plugins of any kind that a word may become."""
    return _starting({name for kind in KINDS for name in registry.names(kind)}, word)


def experiments(_context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The experiments that a word may become."""
    return _starting(experiment_files(), word)


def results(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The results that a word may become, of the results folder that the line has named."""
    folder = Path(context.params.get("results") or "results")
    return _starting((file.parent.name for file in folder.glob("[!.]*/seeds.parquet")), word)


def words_argument(name: str) -> Callable[[F], F]:
    """The words of a configuration, which the shell completes."""
    return click.argument(
        name,
        nargs=-1,
        type=click.UNPROCESSED,
        metavar="[KEY=VALUE]...",
        shell_complete=overrides,
    )


def overrides(context: click.Context, _parameter: click.Parameter, word: str) -> list[str]:
    """The keys or, after a =, the values that a word of `run` may become."""
    before = context.params.get("overrides") or ()
    key, equals, value = word.partition("=")
    if not equals:
        return _starting((f"{key}=" for key in _keys(before)), word)
    head = f"{key}={value.rpartition(',')[0]}{',' if ',' in value else ''}"
    return _starting((head + option for option in _values(key, before)), word)


def _starting(names: Iterable[str], word: str) -> list[str]:
    return sorted(name for name in names if name.startswith(word))


def _keys(before: Iterable[str]) -> Iterator[str]:
    """Every key that a run may be given, of plugins those of the chosen ones."""
    yield "experiment"
    yield from (key for key in ALLOWED if key not in SECTIONS or _presets(key))
    for kind in CHOICES:
        chosen = _chosen(kind, before)
        yield from (f"{kind}.{p.name}" for name in chosen[-1:] for p in _parameters(kind, name))
        if len(chosen) > 1:  # values for one alone
            yield from (f"{kind}.{n}.{p.name}" for n in chosen for p in _parameters(kind, n))
    for section, record in SECTIONS.items():
        yield from (f"{section}.{p.name}" for p in parameters_of_object(record))


def _chosen(kind: str, before: Iterable[str]) -> list[str]:
    """The plugins that the line has chosen for a kind."""
    chosen = [w.partition("=")[2] for w in before if w.startswith(f"{kind}=")]
    return chosen[-1].split(",") if chosen else []


def _parameters(kind: str, name: str) -> tuple[registry.Parameter, ...]:
    """The keywords of a plugin, none where there is no such plugin."""
    try:
        return registry.parameters(registry.find(kind, name)[0])
    except UserError:
        return ()


def _values(key: str, before: Iterable[str]) -> Iterable[str]:
    """The names or choices that a key may be given."""
    section, _, name = key.partition(".")
    if key == "experiment":
        return experiment_files()
    if not name:
        return {*(registry.names(key) if key in KINDS else ()), *_presets(key)}
    plugin, _, name = name.rpartition(".")
    if record := SECTIONS.get(section):
        known: Iterable[registry.Parameter] = parameters_of_object(record)
    else:
        names = [plugin] if plugin else _chosen(section, before)[-1:]
        known = [p for each in names for p in _parameters(section, each)]
    return [str(c) for p in known if p.name == name for c in p.kind.choices]


def _presets(group: str) -> list[str]:
    folders = [packaged("conf"), *(folder for _, folder in registry.config_folders())]
    return [file.stem for folder in folders for file in (folder / group).glob("*.yaml")]
