"""Curves as pictures: a file for each loss, or parts of a page."""

from __future__ import annotations

from pathlib import Path

from lossbench.contract import UnusableError, UserError
from lossbench.drawing import Graph, Trace, render_inline, save
from lossbench.looks import choose_look
from lossbench.show.anatomy import find_entries
from lossbench.show.curves import Panel, choose_window, draw_panels, label_curves

FORMATS = (".svg", ".png")
FEW = 3  # panels that stand below each other


def draw(name: str, path: Path, *, task: str | None = None) -> Path:
    """Write the picture of a loss, for all its tasks or the one asked for; the suffix says how.

    UserError where there is no such loss, no such format, or nothing that would mean something.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"{path}: a picture ends in {' or '.join(FORMATS)}.")
    graphs, reasons = [], []
    for entry in find_entries(name, task):
        drawn = draw_panels(entry)
        for panel in drawn.panels:
            title = f"{entry.place}: {panel.title}".rstrip(": ")
            graphs += [_graph(panel, title, gradient=gradient) for gradient in (False, True)]
        reasons += [f"{entry.place}: {drawn.reason}"] if drawn.reason else []
    if not graphs:
        raise UserError(f"loss={name}: nothing is drawn. {' '.join(reasons)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(graphs, path, title=name, columns=2 if len(graphs) <= 2 * FEW else 4)
    except OSError as error:
        raise UnusableError(f"{path} cannot be written: {error.strerror}. Name another.") from error
    return path


def draw_both(panel: Panel, name: str) -> list[str]:
    """A panel's values and its gradients, each as an SVG element; name: of what they are."""
    pictures = []
    for gradient in (False, True):
        graph = _graph(panel, "", gradient=gradient)
        curves = ", ".join(line.label for line in graph.lines)
        pictures.append(render_inline(graph, f"{name}, {graph.y} against {panel.axis}: {curves}"))
    return pictures


def _graph(panel: Panel, title: str, *, gradient: bool) -> Graph:
    """Value or gradient of each curve, within a window that leaves the first one visible."""
    values = [each.gradient if gradient else each.value for each in panel.curves]
    lines = [
        Trace(label, each.x.numpy(), value.numpy(), choose_look(number))
        for number, (each, value, label) in enumerate(
            zip(panel.curves, values, label_curves(panel, values), strict=True)
        )
    ]
    low, high = choose_window(values)
    pad = 0.05 * (high - low)
    slope = panel.slope if gradient else "value"
    return Graph(title, panel.axis, slope, tuple(lines), y_range=(low - pad, high + pad))
