"""The command line: words -> a function of `commands`, its exit code, its errors in a line."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import time
import traceback
from typing import Any, NoReturn

import click
from click.exceptions import Exit, NoSuchCommand, NoSuchOption

from lossbench.commands import comparing, installed, judging, running, stores, suggesting
from lossbench.commands.completion import VARIABLE, completed, completion
from lossbench.commands.options import Command
from lossbench.commands.terminal import complain, drop_output
from lossbench.configuration import ALLOWED
from lossbench.configuration.settings import masked
from lossbench.contract import UserError
from lossbench.registry.hints import choices

COMMANDS = (
    running.run,
    comparing.compare,
    judging.judge,
    suggesting.suggest,
    running.reproduce,
    installed.check,
    installed.show,
    installed.list_installed,
    stores.ui,
    stores.sync,
    stores.doctor,
    installed.new,
    completion,
)
WELCOME = """\
lossbench: which loss should I train with? Try one of these:

  lossbench run experiment=quickstart   five losses compared, in a minute
  lossbench list losses                 what there is to choose from
  lossbench --help                      all commands"""
REPEATED_SECONDS = 0.5  # within which a second signal is the first one sent again
RESUMED = ("run", "sync")  # commands that leave out what is done already
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Commands(Command, click.Group):
    """The commands in the order in which they are added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names."""
        return list(self.commands)


@click.group(cls=Commands, invoke_without_command=True)
@click.version_option(package_name="lossbench", message="%(prog)s %(version)s")
@click.pass_context
def lossbench(context: click.Context) -> int:
    """Which loss should I train with? Trains many seeds as one, compares honestly.

    \b
    Examples:
      lossbench run experiment=quickstart
      lossbench run loss=focal loss.gamma=1 dataset=blobs seeds=20
      lossbench run -m loss=cross_entropy,focal,poly dataset=digits
      lossbench compare quickstart
      lossbench list losses
    """
    if context.invoked_subcommand is None:
        click.echo(WELCOME)
    return 0


for each in COMMANDS:
    lossbench.add_command(each)


class Interrupted(BaseException):
    """A signal asked for an end."""

    def __init__(self, number: int) -> None:
        self.number = number


def main(arguments: list[str] | None = None) -> int:
    """Run a command and give its exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if VARIABLE in os.environ:
        return completed(lossbench)
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal of ASCII has no "±"
    try:
        code = _invoke(words)
        if sys.stdout:
            sys.stdout.flush()
        return code
    except UserError as error:
        complain(f"error: {error}")
        if "--debug" in words:
            traceback.print_exc()
        return error.exit_code
    except Interrupted as stop:
        resumes = any(word in RESUMED for word in words[:2])  # --debug may stand before
        complain(f"interrupted{'; the same command resumes with what is missing' * resumes}.")
        return 128 + stop.number
    except BrokenPipeError:
        drop_output()
        return 0
    except Exception as error:
        if "--debug" in words:
            raise
        return _report_unforeseen(error)


def _invoke(words: list[str]) -> int:
    """Run the command that the words name; UserError where they do not fit one."""
    try:
        with lossbench.make_context("lossbench", list(words)) as context:
            code: int = lossbench.invoke(context)
            return code
    except Exit as end:  # --help and --version
        return end.exit_code
    except click.UsageError as error:
        name = error.ctx.command_path if error.ctx else "lossbench"
        raise UserError(f"{_misuse(error, words)} See {name} --help.") from error


def _misuse(error: click.UsageError, words: list[str]) -> str:
    """What is wrong with the words, and what was perhaps meant."""
    name = error.ctx.info_name if error.ctx else "lossbench"
    match error:
        case NoSuchCommand(command_name=word):
            meant = choices(word, lossbench.commands)
            return f"{word}: there is no such command. {meant}"
        case NoSuchOption(option_name=word):
            return _misuse_of_flag(next(w for w in words if w.startswith(word)), error)
        case click.MissingParameter(param=click.Parameter() as parameter):
            return f"{name}: {parameter.human_readable_name} is missing."
        case click.BadParameter(param=click.Option(opts=[flag, *_])):
            return f"{flag}: {error.message}"
        case click.BadParameter(param=click.Argument()):
            return f"{name}: {error.message}"
    return f"{name}: {error.format_message().rstrip('.')}."


def _misuse_of_flag(word: str, error: NoSuchOption) -> str:
    """What to say of a flag that the command does not have."""
    key, _, value = word.lstrip("-").partition("=")
    section = key.partition(".")[0]
    if error.ctx and error.ctx.command is running.run and section in ("experiment", *ALLOWED):
        return f"{word}: a key has no dashes: {key}={value or '…'}."
    near = f" Did you mean {error.possibilities[0]}?" if error.possibilities else ""
    return f"{word}: there is no such flag.{near}"


def _report_unforeseen(error: Exception) -> int:
    """Print in a line what nobody caught, and give the exit code."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        complain(f"error: {str(error.filename)[:60]}…: the name is too long for a file or folder.")
        return 2
    if isinstance(error, OSError) and error.strerror:
        drop_output()
        lost = isinstance(error, FileNotFoundError)
        place = error.filename or ("the working directory" if lost else "a file or the output")
        complain(f"error: {place}: {error.strerror}.")
        return 4
    complain(
        masked(f"a bug of ours: {type(error).__name__}: {error}\n")
        + "Run it again with --debug for the traceback, and please report it."
    )
    return 1


def _interrupt(number: int, _frame: Any) -> NoReturn:
    began = time.monotonic()

    def end_at_once(number: int, _frame: Any) -> None:
        """Where it is not the same one: `timeout` and some shells send it to a process twice."""
        if time.monotonic() - began > REPEATED_SECONDS:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for signal_number in SIGNALS:
        signal.signal(signal_number, end_at_once)
    raise Interrupted(number)


if __name__ == "__main__":
    sys.exit(main())
