"""How a loss looks wherever it is drawn: its colour, its dashes and the shape of its marks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from zlib import crc32

INK = "#0a0b0c"  # stands for the colour of the page's text
# Those of Okabe and Ito, told apart by colour-blind readers; their orange and sky blue are darker
# here, for a contrast of 3 to 1 with paper, which their yellow cannot have.
COLOURS = ("#0072b2", "#c07f00", "#009e73", "#cc79a7", "#d55e00", "#2b93d1", "#767676")
DASHED = (0, (5, 1.6))
# One for each colour; colours that share one differ for colour-blind readers, too.
DASHES: tuple[Any, ...] = (
    *("-", DASHED, (0, (1.2, 1.4)), (0, (6, 1.5, 1.2, 1.5))),
    *("-", DASHED, "-"),
)
KINDS = tuple(dict.fromkeys(DASHES))
SHAPES = {
    "o": "●",
    "s": "■",
    "^": "▲",
    "D": "◆",
    "v": "▼",
    "P": "✚",
    "p": "⬟",
}  # matplotlib's name, and as a letter
BASELINE = "x"


@dataclass(frozen=True)
class Look:
    """How a loss is drawn, wherever it is drawn."""

    colour: str = INK
    dashes: Any = "-"
    shape: str = "o"

    @property
    def mark(self) -> str:
        """The shape as a letter."""
        return SHAPES.get(self.shape, "✕")


PLAIN = Look()


def choose_looks(labels: Iterable[str], baseline: str | None = None) -> dict[str, Look]:
    """A look for each label; the baseline has the colour of the text.

    A label asks for the colour that its letters choose, and has the next one where that is taken,
    so that a loss has mostly the same look in unlike reports. As many labels as there are colours,
    from the first on, have each their own.
    """
    others = [label for label in dict.fromkeys(labels) if label != baseline]
    chosen: dict[str, Look] = {}
    for place, label in enumerate(others):
        turn, first = divmod(place, len(COLOURS))
        taken = {chosen[other].colour for other in others[place - first : place]}
        wanted = crc32(label.encode())
        free = (wanted + step for step in range(len(COLOURS)))
        number = next(n for n in free if COLOURS[n % len(COLOURS)] not in taken)
        chosen[label] = choose_look(number % len(COLOURS) + turn * len(COLOURS))
    return {**chosen, baseline: Look(INK, DASHED, BASELINE)} if baseline else chosen


def shade_repeated(colours: Mapping[str, str]) -> dict[str, str]:
    """The same, but a colour that is taken is darker, twice: where no dashes tell them apart.

    Never paler, which white would swallow.

    >>> shade_repeated({"a": "#0072b2", "b": "#0072b2", "c": "#0072b2"})
    {'a': '#0072b2', 'b': '#004f7c', 'c': '#003757'}
    """
    seen: Counter[str] = Counter()
    shaded = {}
    for label, colour in colours.items():
        share = 0.7 ** (seen[colour] % 3)
        parts = (int(share * int(colour[start : start + 2], 16)) for start in (1, 3, 5))
        shaded[label] = "#" + "".join(f"{part:02x}" for part in parts)
        seen[colour] += 1
    return shaded


def choose_look(number: int) -> Look:
    """The look of the n-th of several, from 0.

    A colour that comes again has other dashes and another shape.
    """
    turn, place = divmod(number, len(COLOURS))
    shapes = list(SHAPES)
    dashes = KINDS[(KINDS.index(DASHES[place]) + turn) % len(KINDS)]
    return Look(COLOURS[place], dashes, shapes[(place + turn) % len(shapes)])
