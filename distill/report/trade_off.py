"""The picture: a scoreboard goes in; accuracy against size comes out, latency as the area of the
mark, a panel a task.

Models are told apart by the shape of their marks and by labels, not by colour alone.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.report.canvas import BLACK, BLUE, GREEN, GREY, ORANGE, SOFT, clear_axes
from distill.report.formats import format_count
from distill.report.labels import Box, distances, place_labels
from distill.report.panels import Mark, Panel, letter_keys, list_panels, score_range, short_names
from distill.report.scoreboard import Scoreboard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STYLES = {
    "student": ("o", ORANGE),
    "student_int8": ("v", "#E69F00"),
    "teacher": ("s", BLUE),
    "trimmed": ("D", "#56B4E9"),
    "scratch": ("^", GREEN),
    "initial": ("X", GREY),
    "untrained": ("P", GREY),
}
"""Shape and colour of the marks of a run's own models."""
OTHER_STYLE = ("h", "#CC79A7")
_LARGEST, _SMALLEST, _UNTIMED = 260.0, 14.0, 60.0
"""Areas in square points: of the slowest, at least, and of what has no time."""
_LEADER = 5.0
"""A label farther from its mark than this, in points, is tied to it by a line."""
_LETTERS_AN_INCH = 11
"""Of the line that names models, so that it leaves room for the key on its right."""
_CORNERS = 1.25
"""How much farther than a disc of their area the corners of marks reach."""
_NARROW, _WIDE, _HEIGHT, _KEY_HEIGHT = 3.5, 5.2, 2.6, 0.36


def trade_off_figures(board: Scoreboard) -> dict[str, Figure]:
    """A small figure a panel, by name: for a page, which lays them out as its width allows."""
    from matplotlib.figure import Figure

    panels = list_panels(board)
    figures: dict[str, Figure] = {}
    for panel in panels:
        has_key = panel is panels[0]
        size = (_NARROW if len(panels) > 2 else _WIDE, _HEIGHT + (_KEY_HEIGHT if has_key else 0.0))
        figure = Figure(figsize=size, layout="constrained")
        _draw(figure, [figure.subplots()], [panel], board, has_key=has_key)
        figures[panel.name] = figure
    return figures


def trade_off_overview(board: Scoreboard) -> Figure | None:
    """All panels in one figure: for a README. None without any."""
    from matplotlib.figure import Figure

    panels = list_panels(board)
    if not panels:
        return None
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    width = columns * (_NARROW if len(panels) > 2 else _WIDE)
    figure = Figure(figsize=(width, rows * _HEIGHT + _KEY_HEIGHT), layout="constrained")
    every = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in every[len(panels) :]:
        axes.set_visible(False)
    letters = letter_keys(board)
    if letters:
        named = "   ".join(f"{letter}\u00a0{model}" for model, letter in letters.items())
        lines = textwrap.wrap(named, round(width * _LETTERS_AN_INCH), break_on_hyphens=False)
        figure.supxlabel(
            "\n".join(lines), x=0.01, ha="left", fontsize=8, color=SOFT, parse_math=False
        )
    _draw(figure, every[: len(panels)], panels, board, has_key=True)
    return figure


def _draw(
    figure: Figure,
    every: Sequence[Any],
    panels: Sequence[Panel],
    board: Scoreboard,
    *,
    has_key: bool,
) -> None:
    """Draw the panels into their axes; labels last, when the layout has said how large those
    are.
    """
    shown = [mark for panel in list_panels(board) for mark in panel.marks]
    slowest = max(mark.median_ms or 0.0 for mark in shown)
    sizes = [mark.parameters for mark in shown]
    for axes, panel in zip(every, panels, strict=True):
        axes.set_title(
            f"{panel.title}, {panel.metric}",
            loc="left",
            fontsize=9,
            weight="bold",
            color=BLACK,
            parse_math=False,
        )
        axes.set_xscale("log")
        axes.set_xlim(min(sizes) / 1.7, max(sizes) * 1.7)
        axes.set_ylim(*score_range(panel.marks))
        axes.xaxis.set_major_formatter(lambda value, _: format_count(value).replace(".0", ""))
        axes.xaxis.set_minor_formatter("")
        axes.xaxis.set_major_locator(_locator(min(sizes), max(sizes)))
        axes.tick_params(labelsize=8, colors=SOFT)
        axes.set_xlabel("parameters", fontsize=8, color=SOFT)
        clear_axes(axes)
        for mark in panel.marks:
            _draw_mark(axes, mark, slowest)
    if has_key:
        _draw_key(figure, slowest, any(mark.median_ms is None for mark in shown))
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # labels are placed for the axes as they are now
    names = short_names([line.model for line in board.lines]) | letter_keys(board)
    for axes, panel in zip(every, panels, strict=True):
        _label(figure, axes, panel.marks, names, slowest)


def _draw_mark(axes: Any, mark: Mark, slowest: float) -> None:
    shape, colour = STYLES.get(mark.model, OTHER_STYLE)
    axes.plot(
        [mark.parameters] * 2,
        [mark.low, mark.high],
        color=colour,
        linewidth=1.2,
        alpha=0.8,
        zorder=2,
    )
    timed = mark.median_ms is not None
    axes.scatter(
        mark.parameters,
        mark.mean,
        s=_area(mark, slowest) / _fill(shape),
        marker=shape,
        facecolor=colour if timed else "white",
        edgecolor="white" if timed else colour,
        linewidth=0.8 if timed else 1.3,
        zorder=3,
    )


def _draw_key(figure: Figure, slowest: float, untimed: bool) -> None:
    """What the areas mean."""
    from matplotlib.lines import Line2D

    def disc(area: float, label: str, face: str) -> Line2D:
        return Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            markersize=_diameter(area),
            color=SOFT,
            markerfacecolor=face,
            label=label,
        )

    times = [float(f"{slowest * share:.1g}") for share in (0.25, 1.0)] if slowest else []
    handles = [disc(_LARGEST * time / slowest, f"{time:,g} ms", GREY) for time in times]
    handles += [disc(_UNTIMED, "not timed", "white")] if untimed else []
    figure.legend(
        handles=handles,
        loc="outside lower right",
        ncols=3,
        frameon=False,
        fontsize=8,
        labelcolor=SOFT,
        borderpad=0.5,
    )


def _label(
    figure: Figure, axes: Any, marks: Sequence[Mark], names: dict[str, str], slowest: float
) -> None:
    """Name every mark beside it, or near it with a line to it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    renderer = FigureCanvasAgg(figure).get_renderer()
    points = 72.0 / figure.dpi

    def position_of(mark: Mark, value: float) -> tuple[float, float]:
        x, y = axes.transData.transform((mark.parameters, value))
        return float(x) * points, float(y) * points

    texts = [
        axes.annotate(
            names[mark.model],
            (mark.parameters, mark.mean),
            (0, 0),
            textcoords="offset points",
            fontsize=7.5,
            linespacing=1.0,
            color=BLACK,
            weight="bold" if mark.model == "student" else "normal",
            parse_math=False,
            bbox={"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0},
            zorder=5,
        )
        for mark in marks
    ]
    sizes = [
        (box.width * points, box.height * points)
        for box in (text.get_window_extent(renderer) for text in texts)
    ]
    centres = [
        (*position_of(mark, mark.mean), _diameter(_area(mark, slowest)) / 2 * _CORNERS)
        for mark in marks
    ]
    lines = [(*position_of(mark, mark.low), *position_of(mark, mark.high)) for mark in marks]
    frame = axes.get_window_extent(renderer)
    within = (frame.x0 * points, frame.y0 * points, frame.x1 * points, frame.y1 * points)
    thin = [(left - 1, bottom, right + 1, top) for left, bottom, right, top in lines]
    for text, centre, box in zip(
        texts, centres, place_labels(centres, sizes, within, thin), strict=True
    ):
        text.xyann = (box[0] - centre[0], box[1] - centre[1])
        _tie(axes, text.xy, centre, box)


def _tie(axes: Any, at: tuple[float, float], centre: tuple[float, float, float], box: Box) -> None:
    """A line from a mark to a label that is not beside it."""
    if distances(np.array([box]), centre)[0] <= _LEADER:
        return
    x, y = (min(max(centre[axis], box[axis]), box[axis + 2]) - centre[axis] for axis in (0, 1))
    arrow = {"arrowstyle": "-", "color": GREY, "linewidth": 0.7, "shrinkA": 0, "shrinkB": centre[2]}
    axes.annotate("", at, (x, y), textcoords="offset points", arrowprops=arrow, zorder=4)


def _locator(smallest: float, largest: float) -> Any:
    from matplotlib.ticker import LogLocator

    return LogLocator(subs=(1, 2, 5) if largest / smallest < 50 else (1,))


def _area(mark: Mark, slowest: float) -> float:
    return (
        _UNTIMED if mark.median_ms is None else max(_SMALLEST, _LARGEST * mark.median_ms / slowest)
    )


def _diameter(area: float) -> float:
    """Of the disc of that area."""
    return float(2 * (area / np.pi) ** 0.5)


def _fill(shape: str) -> float:
    """The area of a shape of size 1: matplotlib sizes shapes by their width, which makes a square
    larger than a disc.
    """
    from matplotlib.markers import MarkerStyle

    style = MarkerStyle(shape)
    points = np.asarray(style.get_path().transformed(style.get_transform()).to_polygons()[0])
    x, y = points[:, 0], points[:, 1]
    return float(abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2)
