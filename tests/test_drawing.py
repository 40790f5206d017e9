"""Drawings: what they show is the data, and as parts of a page they are whole and small."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from lossbench.drawing import (
    Estimate,
    Forest,
    Graph,
    Plane,
    Trace,
    cover,
    render_inline,
    save,
)
from lossbench.drawing.graphs import _spread
from lossbench.drawing.sizes import Array, fold
from lossbench.looks import COLOURS, DASHES, INK, choose_look, choose_looks, shade_repeated
from lossbench.report.pages import TEMPLATES
from lossbench.statistics import Interval

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '<script>alert(1)</script>"& $x$ 0.123456 #0072b2'


def points(svg: str, number: int = 0) -> list[tuple[float, float]]:
    """The points of the line that has the n-th colour."""
    (path,) = re.findall(rf'd="([^"]+)"[^>]*stroke: var\(--c{number},[^>]*stroke-width: 1.7', svg)
    return [(float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", path)]


def test_a_curve_that_leaves_the_frame_is_cut_there_and_not_moved_into_it():
    x, y = np.arange(5.0), np.array([0.0, 0.2, 0.9, 0.95, 1.0])
    svg = render_inline(
        Graph("", "epoch", "", (Trace("a", x, y, choose_look(0)),), (0, 4), (0.9, 1.0)), "a"
    )
    assert 'clip-path="url(#' in svg
    flat = [(a, b) for a, b in pairwise(points(svg)) if a[1] == b[1]]
    assert not flat
    whole = points(render_inline(Graph("", "epoch", "", (Trace("a", x, y, choose_look(0)),)), "a"))
    rises = -np.diff(whole, axis=0)[:, 1]
    assert rises / rises.sum() == pytest.approx(np.diff(y), abs=1e-3)


def test_a_long_name_of_a_line_is_broken_after_an_underscore_and_joined_to_where_the_line_ends():
    lines = [Trace("generalized_cross_entropy", [0, 3.6], [0, 1], choose_look(0))]
    lines += [Trace("b", [0, 1], [0, 4], choose_look(1))]
    axes = Figure().subplots()
    Graph("", "x", "y", tuple(lines), (0, 4), (0, 4)).onto(axes)
    assert [text.get_text() for text in axes.texts] == ["generalized_cross_\nentropy", "b"]
    joins = [line.get_xydata()[0] for line in axes.lines if line.get_gid().startswith("part:")]
    assert np.allclose(joins, [[0.9, 0.25], [1, 1]])


def test_a_class_is_named_where_it_has_most_room():
    classes = np.zeros((9, 9))
    classes[:, 6:] = 1
    axes = Figure().subplots()
    Plane("", (0, 9), classes.ravel(), np.ones(81), np.empty((3, 0))).onto(axes)
    assert {each.get_text(): each.get_position()[0] for each in axes.texts} == {"0": 2.5, "1": 7.5}


@pytest.mark.parametrize("count", [3, 12, 40])
def test_an_axis_of_whole_numbers_is_marked_at_whole_numbers(count):
    lines = (Trace("a", np.arange(1, count + 1), np.linspace(0.11, 0.97, count)),)
    axes = Figure().subplots()
    Graph("", "trials", "y", lines).onto(axes)
    assert all(tick == round(tick) for tick in axes.get_xticks())


def test_names_at_the_ends_of_lines_do_not_cover_each_other():
    heights = np.array([0.1, 0.2, 0.1, 0.1])
    places = _spread([0.95, 0.95, 0.0, 1.0], heights)
    order = np.argsort(places)
    gaps = np.diff(places[order])
    assert (gaps >= (heights[order][1:] + heights[order][:-1]) / 2 - 1e-9).all()
    assert places.max() <= 1
    assert places[2] == 0


@pytest.mark.parametrize(
    "drawing",
    [
        Graph(
            "",
            HOSTILE,
            HOSTILE,
            tuple(Trace(HOSTILE, [0, 1], [0, n], choose_look(n)) for n in (0, 1)),
        ),
        Forest("", HOSTILE, (Estimate(HOSTILE, Interval(0, -1, 1), [0.0, 0.0, np.nan]),)),
        Plane("", (-1, 1), np.zeros(4), np.ones(4), np.zeros((3, 2))),
    ],
    ids=["graph", "forest", "plane"],
)
def test_a_part_of_a_page_is_whole_and_text_is_text(drawing):
    tree = ElementTree.fromstring(render_inline(drawing, HOSTILE))
    assert tree.get("aria-label") == HOSTILE
    assert not list(tree.iter(f"{SVG}script"))
    if not isinstance(drawing, Plane):
        texts = " ".join(" ".join(each.itertext()) for each in tree.iter(f"{SVG}text"))
        assert "0.123456" in texts
        assert "$x$" in texts


def test_an_axis_of_logarithms_holds_all_values_and_names_them_as_numbers():
    line = Trace("a", [0.01, 1.0, 100.0], [1.0, 2.0, 3.0], choose_look(0))
    svg = render_inline(Graph("", "x", "y", (line,), log=True), "a")
    steps = np.diff([x for x, _ in points(svg)])
    assert steps == pytest.approx([steps[0]] * 2, abs=0.2)
    assert steps[0] > 70
    texts = [each.strip() for each in ElementTree.fromstring(svg).itertext() if each.strip()]
    assert {"0.01", "1", "100"} <= {*texts}
    assert not any("$" in text for text in texts)


def test_a_page_sets_the_colours():
    svg = render_inline(Graph("", "x", "y", (Trace("a", [0, 1], [0, 1], choose_look(0)),)), "a")
    assert INK not in svg
    assert "currentColor" in svg
    assert f"var(--c0, {COLOURS[0]})" in svg


def test_more_lines_than_colours_are_split_over_graphs_with_the_baseline_in_each():
    labels = [f"loss {number}" for number in range(len(COLOURS) + 2)]
    look = choose_looks(labels, "loss 0")
    lines = tuple(Trace(label, [0, n], [0, n], look[label]) for n, label in enumerate(labels))
    first, second = Graph("", "x", "y", lines).split()
    assert [len(graph.lines) for graph in (first, second)] == [len(COLOURS) + 1, 2]
    assert all(graph.lines[-1].label == "loss 0" for graph in (first, second))
    assert first.y_range == second.y_range
    assert len({line.look.colour for line in first.lines}) == len(first.lines)


def contrast(first: str, second: str) -> float:
    """As WCAG 2 has it."""
    lights = []
    for colour in (first, second):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        lights.append(np.dot([0.2126, 0.7152, 0.0722], linear))
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_sixty_runs_in_mlflow_stand_out_from_white_in_as_many_colours_as_it_can_tell_apart():
    looks = choose_looks([f"loss {number}" for number in range(60)], "loss 0")
    shades = shade_repeated({label: look.colour for label, look in looks.items()})
    assert min(contrast(shade, "#ffffff") for shade in shades.values()) >= 3
    assert len({*shades.values()}) == 3 * len(COLOURS) + 1


# Machado, Oliveira and Fernandes 2009, on linear RGB
COLOUR_BLIND = {
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def seen(colour: str, matrix: list[list[float]]) -> Array:
    """A colour as a colour-blind reader sees it, in CIELAB."""
    linear = np.clip(np.array(matrix) @ np.array(to_rgb(colour)) ** 2.2, 0, 1)
    to_xyz = [[0.434, 0.376, 0.190], [0.213, 0.715, 0.072], [0.018, 0.109, 0.873]]
    x, y, z = np.cbrt(np.array(to_xyz) @ linear)
    return np.array([116 * y, 500 * (x - y), 200 * (y - z)])


def test_a_colour_that_comes_again_has_other_dashes_and_another_shape():
    looks = [choose_look(number) for number in range(3 * len(COLOURS))]
    assert len({(look.colour, look.dashes) for look in looks}) == len(looks)
    assert len({(look.colour, look.shape) for look in looks}) == len(looks)


@pytest.mark.parametrize("matrix", COLOUR_BLIND.values(), ids=COLOUR_BLIND)
def test_colours_that_share_their_dashes_differ_for_colour_blind_readers(matrix):
    shades = re.findall(r"--c\d: (#\w+)", (TEMPLATES / "base.html").read_text())
    for colours in (COLOURS, shades):
        for one, other in combinations(range(len(COLOURS)), 2):
            if DASHES[one] == DASHES[other]:
                gap = seen(colours[one], matrix) - seen(colours[other], matrix)
                assert np.linalg.norm(gap) > 20, (one, other)


def test_every_colour_stands_out_from_light_and_from_dark_paper():
    base = (TEMPLATES / "base.html").read_text()
    light, dark = re.findall(r"--paper: (#\w+)", base)
    assert min(contrast(colour, light) for colour in COLOURS) >= 3
    shades = re.findall(r"--c\d: (#\w+)", base)
    assert len(shades) == len(COLOURS)
    assert min(contrast(colour, dark) for colour in shades) >= 3


def test_a_loss_has_the_same_look_next_to_other_losses():
    few = choose_looks(["focal", "poly", "cross_entropy"], "cross_entropy")
    more = choose_looks(["brier", "focal", "poly", "hinge", "cross_entropy"], "cross_entropy")
    assert {label: more[label] for label in few} == few
    assert len({(look.colour, look.shape) for look in more.values()}) == len(more)


def test_files_are_the_same_each_time(tmp_path):
    forest = Forest("", "x", (Estimate("a", Interval(0, -1, 1), [0.5], margin=0.1),))
    for name in ("one.svg", "two.svg", "one.png"):
        save([forest], tmp_path / name, title="a")
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    assert (tmp_path / "one.png").read_bytes().startswith(b"\x89PNG")


def test_a_range_holds_all_that_is_finite():
    low, high = cover([0.0, np.nan, 2.0], [np.inf])
    assert low < 0 < 2 < high < 2.2
    assert cover([]) == (0.0, 1.0)
    assert cover([3.0])[0] < 3 < cover([3.0])[1]


def test_a_long_name_of_an_axis_is_folded_after_its_underscores():
    name = "validation root_mean_squared_error_of_the_logarithm"
    lines = fold(name, 2.5).split("\n")
    assert max(map(len, lines)) <= 30
    assert "".join(lines).replace(" ", "") == name.replace(" ", "")
    assert all(line.endswith("_") for line in lines[:-1])
