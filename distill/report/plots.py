"""The report's plots: figures of a run go in, by name; what a plot shows best stands in its
title.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from distill.report.canvas import BLUE, GREEN, GREY, ORANGE, SOFT, empty_figure
from distill.report.scoreboard import build_scoreboard
from distill.report.trade_off import trade_off_overview

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_AXES_POINTS = 165.0
"""About how high the axes are within a figure of that height: what tells whether two labels would
touch.
"""
_LABEL_POINTS = 12.0


def draw_plots(content: Mapping[str, Any], history: Mapping[str, Any] | None) -> dict[str, Figure]:
    """Every plot that the report has figures for, by name."""
    figures: dict[str, Figure] = {}
    overview = trade_off_overview(build_scoreboard(content))
    if overview is not None:
        figures["trade-off"] = overview
    if history and history["losses"]:
        figures["distillation"] = loss_plot(history["losses"])
    if history and history["fidelity"]:
        figures["fidelity"] = fidelity_plot(history["fidelity"])
    if content["vocabulary"]:
        figures["vocabulary"] = vocabulary_plot(content["vocabulary"])
    return figures


def vocabulary_plot(vocabulary: Mapping[str, Any]) -> Figure:
    """Pieces kept against held-out sentences unchanged, with the chosen point."""
    curve = sorted(vocabulary["curve"], key=lambda point: point["pieces"])
    title = f"{vocabulary['heldout_identical']:.1%} of held-out sentences are segmented as before"
    figure, axes = empty_figure(title, "pieces kept", "held-out sentences unchanged")
    pieces, unchanged = (
        [point["pieces"] for point in curve],
        [point["heldout_identical"] for point in curve],
    )
    kept = (vocabulary["kept"], vocabulary["heldout_identical"])
    if noisy := sorted(vocabulary.get("unfiltered_curve") or [], key=lambda point: point["pieces"]):
        axes.plot(
            *zip(*[(p["pieces"], p["heldout_identical"]) for p in noisy], strict=True),
            color=GREY,
            linestyle="--",
        )
        last = (noisy[-1]["pieces"], noisy[-1]["heldout_identical"])
        axes.annotate(
            "without the\nlanguage filter",
            last,
            (-4, -30),
            textcoords="offset points",
            color=SOFT,
            fontsize=8,
        )
    texts = [*vocabulary.get("languages", []), *vocabulary.get("checks", [])]
    for number, text in enumerate(texts):
        _draw_text(axes, text, GREEN if number < len(vocabulary.get("languages", [])) else SOFT)
    axes.plot(pieces, unchanged, color=BLUE, marker="o", markersize=3)
    axes.plot(*kept, "o", color=ORANGE, markersize=8)
    labelled = [vocabulary["kept"]]
    for point in reversed(curve):
        near = min(abs(point["pieces"] - other) for other in labelled) <= 0.08 * (
            pieces[-1] - pieces[0]
        )
        if point["min_count"] in (1, 3, 10, 50) and not near:
            labelled.append(point["pieces"])
            position = (point["pieces"], point["heldout_identical"])
            label = f"seen {point['min_count']}+ times"
            axes.annotate(
                label, position, (7, -11), textcoords="offset points", fontsize=8, color=SOFT
            )
    # The curve rises from left to right: above it there is room on the left, below it on the right.
    above = kept[0] > (pieces[0] + pieces[-1]) / 2
    axes.annotate(
        f"kept: {vocabulary['kept']:,} of {vocabulary['original']:,}",
        kept,
        (-8, 8) if above else (8, -12),
        textcoords="offset points",
        ha="right" if above else "left",
        color=ORANGE,
        weight="bold",
    )
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}" if value < 1.001 else "")
    axes.xaxis.set_major_formatter(
        lambda value, _: f"{value / 1000:,.0f}k" if pieces[-1] >= 10_000 else f"{value:,.0f}"
    )
    lowest = (point["heldout_identical"] for text in texts for point in text["curve"])
    axes.set_ylim(min(*unchanged, *lowest, kept[1], 0.9) - 0.07, 1.08)
    axes.set_xlim(right=max(*pieces, kept[0], *(point["pieces"] for point in noisy)) * 1.16)
    return figure


def _draw_text(axes: Axes, text: Mapping[str, Any], color: str) -> None:
    """The curve of one language, or of a text that nothing was chosen by, with its name."""
    points = sorted(text["curve"], key=lambda point: point["pieces"])
    places = [(point["pieces"], point["heldout_identical"]) for point in points]
    axes.plot(*zip(*places, strict=True), color=color, linestyle=":", marker="o", markersize=2)
    chosen = (text["chosen"]["pieces"], text["chosen"]["heldout_identical"])
    axes.plot(*chosen, "o", color=color, markersize=5)
    axes.annotate(
        text["name"],
        places[0],
        (0, -11),
        textcoords="offset points",
        color=color,
        fontsize=8,
    )


def loss_plot(losses: Sequence[Mapping[str, float]]) -> Figure:
    """Loss of each objective against tokens seen, smoothed, on a logarithmic axis."""
    curves = {
        name: _smoothed([point[name] for point in losses])
        for name in losses[0]
        if name not in ("tokens", "loss")
    }
    tokens, unit = _tokens_axis(losses)
    figure, axes = empty_figure("What the student still gets wrong", unit, "loss of each objective")
    marker = "o" if len(tokens) < 20 else None
    for values, colour in zip(curves.values(), (BLUE, ORANGE, GREEN), strict=False):
        axes.plot(tokens, values, color=colour, marker=marker, markersize=3)
    if min(map(min, curves.values())) > 0:
        from matplotlib.ticker import LogLocator

        axes.set_yscale("log")
        low, high = axes.get_ylim()
        axes.set_ylim(bottom=min(low, high / 5))  # wide enough for two ticks
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.minorticks_off()
    axes.set_xlim(left=0)
    _label_ends(
        axes,
        [
            (name, v[-1], c)
            for (name, v), c in zip(curves.items(), (BLUE, ORANGE, GREEN), strict=False)
        ],
    )
    return figure


def fidelity_plot(fidelity: Sequence[Mapping[str, float]]) -> Figure:
    """Closeness to the teacher on held-out text against tokens seen."""
    centred = all("pooled_centred_cosine" in point for point in fidelity)
    of = "_centred_cosine" if centred else "_cosine"  # runs of earlier versions have no other
    labels = {
        f"hidden{of}": ("hidden states", BLUE),
        f"pooled{of}": ("sentence vectors", ORANGE),
        "neighbour_agreement": ("nearest\nneighbour", GREEN),
    }
    answers = {"answer_agreement": ("answers", GREEN), "answer_correlation": ("scores", GREEN)}
    for name in answers.keys() & fidelity[-1].keys():  # what a fine-tuned teacher's student is for
        labels = {name: answers[name], **dict(list(labels.items())[:2])}
    labels = {name: label for name, label in labels.items() if name in fidelity[-1]}
    tokens, unit = _tokens_axis(fidelity)
    title = (
        f"Held-out sentences: {fidelity[-1]['neighbour_agreement']:.0%} have the teacher's "
        "nearest neighbour"
    )
    if f"pooled{of}" in fidelity[-1]:
        cosine = f"{'centred ' if centred else ''}cosine {fidelity[-1][f'pooled{of}']:.3f}"
        title = f"Held-out vectors: {cosine} to the teacher's"
    if "answer_agreement" in fidelity[-1]:
        title = (
            f"Held-out texts: {fidelity[-1]['answer_agreement']:.1%} of the answers are the "
            "teacher's"
        )
    if "answer_correlation" in fidelity[-1]:
        correlation = fidelity[-1]["answer_correlation"]
        title = f"Held-out texts: scores' correlation {correlation:.3f}"
    figure, axes = empty_figure(title, unit, "cosine, or share in agreement")
    for name, (_, colour) in labels.items():
        axes.plot(
            tokens, [point[name] for point in fidelity], color=colour, marker="o", markersize=3
        )
    axes.set_ylim(min(0.0, *(point[name] * 1.1 for point in fidelity for name in labels)), 1.05)
    axes.set_xlim(left=0)
    _label_ends(
        axes, [(label, fidelity[-1][name], colour) for name, (label, colour) in labels.items()]
    )
    return figure


def _label_ends(axes: Any, ends: Sequence[tuple[str, float, str]]) -> None:
    """Names curves, (name, last value, colour), to the right of the axes, each as near its end as
    the others leave room.
    """
    heights = _spread([_height(axes, value) for _, value, _ in ends])
    for (label, _, colour), height in zip(ends, heights, strict=True):
        axes.text(1.02, height, label, transform=axes.transAxes, va="center", color=colour)


def _height(axes: Any, value: float) -> float:
    """Where `value` lies between the bottom, 0, and the top, 1, of the axes."""
    return float(
        axes.transAxes.inverted().transform(axes.transData.transform((axes.get_xlim()[1], value)))[
            1
        ]
    )


def _spread(heights: Sequence[float]) -> list[float]:
    """The heights moved apart by as little as lines of text need, in the same order, and below the
    top where that goes.
    """
    gap = _LABEL_POINTS / _AXES_POINTS
    order = sorted(range(len(heights)), key=heights.__getitem__)
    spread = list(heights)
    for below, above in pairwise(order):
        spread[above] = max(spread[above], spread[below] + gap)
    ceiling = 1.0
    for i in reversed(order):
        spread[i] = min(spread[i], ceiling)
        ceiling = spread[i] - gap
    return spread


def _tokens_axis(points: Sequence[Mapping[str, float]]) -> tuple[list[float], str]:
    """The tokens of each point in thousands or millions, and what to call them."""
    unit, factor = ("million", 1e6) if points[-1]["tokens"] >= 1e6 else ("thousand", 1e3)
    return [point["tokens"] / factor for point in points], f"{unit} tokens seen"


def _smoothed(values: Sequence[float]) -> list[float]:
    smoothed: list[float] = []
    for value in values:
        smoothed.append(value if not smoothed else 0.8 * smoothed[-1] + 0.2 * value)
    return smoothed
