"""In which unit the values of a metric are printed, in tables and sentences alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lossbench.comparison.contests import bounds_of

if TYPE_CHECKING:
    from lossbench.comparison.structure import Comparison


@dataclass(frozen=True)
class Scale:
    """In which unit a metric is printed: a share in percentage points, others as they are."""

    factor: float
    unit: str

    def write(self, value: float, sign: str = "") -> str:
        """A value in the unit, with as many digits as say something."""
        scaled = self.factor * value + 0.0
        if self.factor == 1:
            return write_number(scaled, 3, sign)
        return f"{scaled:{sign}.1f}" if abs(scaled) >= 0.1 or not scaled else f"{scaled:{sign}.1g}"

    @property
    def percent(self) -> str:
        """What stands behind the name of a metric whose values are written in this unit."""
        return " %" if self.unit else ""

    def write_with_unit(self, value: float) -> str:
        """A value, and its unit where it has one."""
        return f"{self.write(value)} {self.unit}".rstrip()

    def write_exactly(self, value: float, sign: str = "", places: int = 4) -> str:
        """A value to so many places of what is not a share; too small for them a power of ten.

        From a thousand on it is whole.

        >>> Scale(1, "").write_exactly(-92933.0221), Scale(1, "").write_exactly(0.123456)
        ('-92933', '0.1235')
        """
        scaled, places = self.factor * value + 0.0, places - 2 * (self.factor > 1)
        places = 0 if abs(scaled) >= 1000 else places
        small = 0 < abs(scaled) < 0.5 * 10**-places
        return f"{scaled:{sign}.{'1e' if small else f'{places}f'}}"

    def name(self, value: float) -> str:
        """A number that somebody chose, with its unit."""
        number = f"{self.factor * value:g}"
        return f"{number} {self.unit.removesuffix('s') if number == '1' else self.unit}".rstrip()


def write_number(value: float, digits: int, sign: str = "") -> str:
    """A number in so many digits, of thousands and millions in whole ones.

    >>> write_number(1518.2, 3), write_number(-0.01234, 3, "+")
    ('1,518', '-0.0123')
    """
    return f"{value:{sign},.0f}" if 1000 <= abs(value) < 1e7 else f"{value:{sign}.{digits}g}"


def scale_of(comparison: Comparison, metric: str | None = None) -> Scale:
    """The unit of a metric, of the compared one where none is named."""
    summary = next(iter(comparison.results.values())).summary
    return scale_in(summary, metric or comparison.metric)


def scale_in(summary: dict[str, Any], metric: str) -> Scale:
    """The unit of a metric by what a result says of its bounds."""
    return Scale(100, "points") if bounds_of(summary, metric) == (0, 1) else Scale(1, "")
