"""What the plots share: colours, an empty figure, and figures as SVG for the page and PNG for
MLflow.

Colours are Okabe and Ito's, told apart by colour-blind eyes.
"""

from __future__ import annotations

import re
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, SOFT, BLACK = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#9a9a9a",
    "#666677",
    "#222222",
)
WIDTH, HEIGHT = 5.2, 3.3


def empty_figure(title: str, x: str, y: str, height: float = HEIGHT) -> tuple[Figure, Any]:
    """A figure with one pair of axes, and the axes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, weight="bold", color=BLACK)
    axes = figure.subplots()
    axes.set_xlabel(x, color=BLACK)
    axes.set_ylabel(y, color=BLACK)
    clear_axes(axes)
    return figure, axes


def clear_axes(axes: Any) -> None:
    """Leave of the axes what is read."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", color="#eeeeee")
    axes.set_axisbelow(True)


def to_svg(figure: Figure, name: str) -> str:
    """The figure as an SVG element that can stand in a page; its ids begin with `name`, which no
    other figure there has.
    """
    import matplotlib as mpl

    text = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    with mpl.rc_context({"svg.hashsalt": name}):  # the same figure, the same text
        figure.savefig(text, format="svg", metadata=nothing)
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    return re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", svg)


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    content = BytesIO()
    figure.savefig(content, format="png", dpi=160)
    return content.getvalue()
