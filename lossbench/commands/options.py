"""What the commands share: their class, the options of several, and a choice among names."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import click

from lossbench.registry.hints import choices

DEBUG = click.Option(
    ["--debug"], is_flag=True, expose_value=False, help="Show tracebacks; allowed anywhere."
)


class Command(click.Command):
    """A command that takes --debug, which `cli.main` looks for itself."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own parameters, and --debug before --help."""
        *parameters, help_option = super().get_params(ctx)
        return [*parameters, DEBUG, help_option]

    def get_short_help_str(self, limit: int = 45) -> str:
        """Its first sentence, whole: it is wrapped where it is listed."""
        return super().get_short_help_str(max(limit, 200))


class OneOf(click.Choice[str]):
    """One of several names of a kind of thing; another is refused with the nearest of them."""

    def __init__(self, noun: str, names: Iterable[str]) -> None:
        super().__init__(list(names))
        self.noun = noun

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """What is allowed instead."""
        return f"there is no {self.noun} {value}. {choices(str(value), map(str, self.choices))}"


command = functools.partial(click.command, cls=Command)
results_option = click.option(
    "--results", default="results", show_default=True, metavar="DIR", help="The results folder."
)
format_option = click.option(
    "--format", "form", type=OneOf("format", ["text", "json"]), default="text", help="text or json."
)
uri_option = click.option("--uri", help="Another store than the one in the results folder.")
config_dir_option = click.option(
    "--config-dir", metavar="DIR", help="A folder of your own configurations."
)
