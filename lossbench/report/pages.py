"""Templates -> pages; whatever is put into one is escaped."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

TEMPLATES = Path(__file__).parent / "templates"


def render(
    template: str,
    values: Mapping[str, Any],
    folder: Path = TEMPLATES,
    filters: Mapping[str, Callable[..., Any]] | None = None,
) -> str:
    """The page of a template, of the folder or of those that all pages share."""
    environment = _environment(folder)
    environment.filters.update(filters or {})
    return environment.get_template(template).render(values)


def break_names(text: str) -> Markup:
    """Names that may be broken after an underscore, a slash or a colon."""
    return Markup(re.sub(r"([_/:])", r"\1<wbr>", str(escape(text))))


@cache  # a template that was read once is not compiled again
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([folder, TEMPLATES]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breaking"] = break_names
    return environment
