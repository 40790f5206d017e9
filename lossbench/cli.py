"""The command line: words -> a function of `commands`, its exit code, its errors in a line."""

from __future__ import annotations

import argparse
import io
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from lossbench.commands import plugins, stored, training
from lossbench.commands.terminal import drop_output
from lossbench.contract import UserError
from lossbench.settings import masked

EXAMPLES = """\
examples:
  lossbench run experiment=quickstart
  lossbench run loss=focal loss.gamma=1 dataset=blobs corruption=label_noise seeds=20
  lossbench run -m loss=cross_entropy,focal,poly dataset=digits corruption=imbalance
  lossbench compare quickstart
  lossbench list losses
"""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
Command = Callable[[str, Any, str], argparse.ArgumentParser]  # name, function, words


class Interrupted(BaseException):
    """A signal asked for an end."""

    def __init__(self, number: int) -> None:
        self.number = number


def main(arguments: list[str] | None = None) -> int:
    """Run a command and give its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if words[:1] == ["complete"]:
        from lossbench.completion import complete

        print("\n".join(complete(" ".join(words[1:]))))
        return 0
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of ASCII has no "±"
    options = _parsed(words)
    try:
        code: int = options.command(options)
        if sys.stdout:
            sys.stdout.flush()
        return code
    except UserError as error:
        print(f"lossbench: error: {error}", file=sys.stderr)
        if options.debug:
            traceback.print_exc()
        return error.exit_code
    except Interrupted as stop:
        print(
            "lossbench: interrupted; the same command goes on with what is missing.",
            file=sys.stderr,
        )
        return 128 + stop.number
    except BrokenPipeError:
        drop_output()
        return 0
    except Exception as error:
        if options.debug:
            raise
        return _unforeseen(error)


def _unforeseen(error: Exception) -> int:
    """Say in a line what nobody caught, and give the exit code."""
    if isinstance(error, OSError) and error.strerror:
        drop_output()
        lost = isinstance(error, FileNotFoundError)
        place = error.filename or ("the working directory" if lost else "a file or the output")
        print(f"lossbench: error: {place}: {error.strerror}.", file=sys.stderr)
        return 4
    print(
        masked(f"lossbench: a bug of ours: {type(error).__name__}: {error}\n")
        + "Run it again with --debug for the traceback, and report it please.",
        file=sys.stderr,
    )
    return 1


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in a line, without the whole usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"lossbench: error: {message}. See {self.prog} --help.\n")


def _interrupt(number: int, _frame: Any) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_DFL)  # the second one ends it at once
    raise Interrupted(number)


def _parsed(words: list[str]) -> argparse.Namespace:
    """The options of a command; overrides may stand before, between and after its flags."""
    parser = _parser()
    options, left = parser.parse_known_args(words)
    flags = [word for word in left if word.startswith("-")]
    if left and (flags or "overrides" not in options):
        hint = " (a key has no dashes: seeds=20)" if "overrides" in options else ""
        parser.error(f"unrecognized arguments: {' '.join(flags or left)}{hint}")
    if left:
        options.overrides += left
    return options


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lossbench",
        description="Which loss should I train with? Trains many seeds as one, compares honestly.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, function: Any, words: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(name, help=words, description=words)
        added.set_defaults(command=function)
        added.add_argument("--debug", action="store_true", default=argparse.SUPPRESS)
        return added

    _add_training(command)
    _add_compare(command("compare", stored.compare, "tables and conclusions from results"))
    _add_plugins(command)
    _add_stores(command)
    return parser


def _add_training(command: Command) -> None:
    run = command(
        "run", training.run, "train a run, or with -m or experiment=NAME many, and compare them"
    )
    run.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="Hydra's override grammar")
    run.add_argument("-m", "--multirun", action="store_true", help="sweep over values with commas")
    run.add_argument("--config-dir", metavar="DIR", help="a folder of your own configurations")
    run.add_argument("--cfg", action="store_true", help="print the resolved configuration and stop")
    run.add_argument("--info", action="store_true", help="print how Hydra composes it and stop")
    run.add_argument("--dry-run", action="store_true", help="list the runs and what they will cost")
    run.add_argument("--yes", action="store_true", help="more than 1000 runs are meant")
    run.add_argument("--rerun", action="store_true", help="train again what is done already")

    reproduce = command(
        "reproduce", training.reproduce, "run a result again and say whether it is the same"
    )
    reproduce.add_argument(
        "run", metavar="RUN", help="a folder in the results, or an MLflow run id"
    )
    reproduce.add_argument("--results", default="results", metavar="DIR")
    reproduce.add_argument("--uri", help="another store than the one in the results folder")


def _add_plugins(command: Command) -> None:
    listing = command("list", plugins.list_plugins, "what is installed")
    listing.add_argument(
        "kind", nargs="?", choices=[*plugins.KINDS, "experiments"], default="losses"
    )
    listing.add_argument("--verify", action="store_true", help="import each, and say what fails")

    show = command(
        "show", plugins.show, "formula, source, parameters, properties, picture of a loss"
    )
    show.add_argument("loss", nargs="?")
    show.add_argument("--task", help="the task to show first, where the loss is for several")
    show.add_argument("--picture", metavar="FILE", help="draw it to an SVG or PNG file instead")
    show.add_argument("--all", metavar="DIR", help="write every loss as a static page into DIR")

    check = command("check", plugins.check, "hold a loss against what every loss must hold")
    check.add_argument("loss", help="a name, package:name, or file.py:function")
    check.add_argument("--task", help="the task, where the loss is for several or in a file")

    new = command("new", plugins.new_package, "write a plugin package that passes its own check")
    new.add_argument("name", help="such as my-losses")

    completion = command("completion", plugins.completion, "print a shell's completion script")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])


def _add_stores(command: Command) -> None:
    doctor = command("doctor", stored.doctor, "versions, plugins, results and store: a line each")
    doctor.add_argument("--results", default="results", metavar="DIR")

    ui = command("ui", stored.ui, "open MLflow's interface on the store, at the losses' view")
    ui.add_argument("--results", default="results", metavar="DIR")
    ui.add_argument("--uri", help="another store than the one in the results folder")
    ui.add_argument("--experiment", help="the experiment to open (default: the latest)")
    ui.add_argument("--port", type=int, default=5000)

    sync = command("sync", stored.sync, "deliver to MLflow the results that it missed")
    sync.add_argument("--results", default="results", metavar="DIR")
    sync.add_argument("--uri", help="another store than the one that a result names")


def _add_compare(compare: argparse.ArgumentParser) -> None:
    compare.add_argument("experiment", nargs="?", help="an experiment; default: all results")
    compare.add_argument("--results", default="results", metavar="DIR")
    compare.add_argument(
        "--baseline",
        help="the loss to compare with (default: the experiment's, cross_entropy, "
        "squared_error, or the first)",
    )
    compare.add_argument("--metric", help="default: the task's primary metric")
    compare.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only these, such as dataset=digits,wine or corruption.ratio=0.2; repeatable",
    )
    compare.add_argument(
        "--by", metavar="KEY", help="a line for each value of dataset, corruption.ratio, …"
    )
    compare.add_argument(
        "--same-within",
        type=float,
        metavar="DIFFERENCE",
        help="a difference that does not matter: what is shown to be less is called the same",
    )
    compare.add_argument(
        "--mixed-budgets",
        action="store_true",
        help="rank losses against each other that were tuned with different budgets",
    )
    compare.add_argument(
        "--check", action="store_true", help="exit code 3 where a claim is not as on record"
    )
    compare.add_argument(
        "--format", choices=["table", "markdown", "latex", "csv", "json"], default="table"
    )
    compare.add_argument("--html", metavar="FILE", help="write it all as one page, with pictures")


if __name__ == "__main__":
    sys.exit(main())
