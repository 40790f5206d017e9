"""What a notebook shows of a comparison."""

from __future__ import annotations

from html import escape

import pandas as pd

from lossbench.comparison import Comparison
from lossbench.comparison.answers import answer
from lossbench.drawing import Figure, compose, render_inline
from lossbench.report.figures import IN_FILES, assign_looks, draw_pictures
from lossbench.report.sheets import build_primary


def draw_first(comparison: Comparison) -> Figure:
    """The pictures that a file of figures has, on one figure."""
    pictures = draw_pictures(comparison, assign_looks([comparison]))[:IN_FILES]
    return compose([drawing for picture in pictures for drawing in picture.drawings])


def render_first(comparison: Comparison) -> str:
    """The answer, its table, and the first picture."""
    shown, sheet = answer([comparison]), build_primary(comparison)
    table = pd.DataFrame(sheet.rows, columns=list(sheet.columns)).to_html(index=False, border=0)
    drawn = [
        render_inline(drawing, picture.words)
        for picture in draw_pictures(comparison, assign_looks([comparison]))[:1]
        for drawing in picture.drawings
    ]
    words = f"<h3>{escape(shown.headline)}</h3><p>{escape(' '.join(shown.details))}</p>"
    return f"<div>{words}{table}{''.join(drawn)}</div>"
