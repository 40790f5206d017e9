"""Drawings -> parts of a page, in the colours of the text around them, light or dark."""

from __future__ import annotations

import io
import re
from html import escape

import matplotlib as mpl
from matplotlib.figure import Figure

from lossbench.drawing.graphs import Graph
from lossbench.drawing.saving import Drawing
from lossbench.drawing.sizes import STYLE, TOP
from lossbench.looks import COLOURS, INK


def render_inline(drawing: Drawing, words: str) -> str:
    """The drawing as an SVG element without its title; words say what it shows, and to whom."""
    (width, height), (left, right, bottom) = drawing.size, drawing.margins
    with mpl.rc_context({**STYLE, "svg.hashsalt": words}):
        figure = Figure((width, height))  # fixed margins: a layout costs as much as the drawing
        across, up = width - left - right, height - bottom - TOP
        axes = figure.add_axes((left / width, bottom / height, across / width, up / height))
        drawing.onto(axes)
        figure.set_facecolor("none")
        figure.savefig(stream := io.StringIO(), format="svg", metadata={"Date": None})
        edges = (left, width - right, height - bottom, TOP)
        places = [*axes.get_xlim(), *axes.get_ylim(), *(72 * edge for edge in edges)]  # points
    ends = " ".join(f"{place:.6g}" for place in places)
    kind = ' data-log=""' if axes.get_xscale() == "log" else ""
    kind += ' data-names=""' if isinstance(drawing, Graph) and drawing.ticks else ""
    return _for_page(stream.getvalue(), words, 1.45 * width, f'data-frame="{ends}"{kind}')


def _for_page(svg: str, words: str, width: float, frame: str) -> str:
    """The element, small, and in colours that the page may set; it knows the frame's ends."""
    body = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>|<style.*?</style>", "", svg, flags=re.S)
    body = re.sub(r"<[^>]+>\s*", _tag_for_page, body.partition("<svg ")[2].partition(">")[2])
    box = re.search(r'viewBox="[^"]+"', svg)
    assert box
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    style = f'style="width: {width:.1f}in; max-width: 100%; font-family: system-ui, sans-serif"'
    names += f' role="img" aria-label="{escape(words)}"'
    return f"<svg {names} {frame} {box[0]} {style}>{body.replace('<g/>', '')}"


def _tag_for_page(tag: re.Match[str]) -> str:
    text = re.sub(r' id="([xy])tick_\d+"', r' class="\1-tick"', tag[0].rstrip())
    text = re.sub(r' id="[a-zA-Z0-9.]+_\d+"', "", text)  # numbers nothing refers to
    text = re.sub(r' id="(part|curve):([^"]*)"', r' class="\1" data-loss="\2"', text)
    text = re.sub(r"\d+\.\d{2,}", lambda number: f"{float(number[0]):.1f}", text)
    text = re.sub(r"(?<=\d) \n?L (?=[\d-])", " ", text)  # a line goes on as it began
    text = re.sub(r"font-family: [^;]+; | transform=\"rotate\(-0 [^\"]+\"", "", text)
    for number, colour in enumerate(COLOURS):
        text = text.replace(colour, f"var(--c{number}, {colour})")
    return re.sub(r"\s+", " ", text.replace(INK, "currentColor"))
