"""The inspection's plots: its figures go in; maps of every layer, curves over layers and CKA come
out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.inspection.languages import by_family, colours, language_name
from distill.inspection.projection import Projection
from distill.inspection.wording import LAYER_LABELS, short_name
from distill.report.canvas import BLACK, BLUE, GREEN, GREY, ORANGE, SOFT
from distill.report.trade_off import STYLES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MARKS = "os^Dv*XphP<>"
"""One for each sentence, as matplotlib calls them."""
_OTHERS = (BLUE, ORANGE, GREEN, "#CC79A7", GREY, BLACK)


def layers_plot(models: Sequence[Mapping[str, Any]], languages: int, sentences: int) -> Figure:
    """Every figure against depth, a curve a model: layers as a share of all, since students have
    fewer.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10.4, 5.6), layout="constrained")
    layers = models[0]["layers"]
    best = max(layers, key=lambda row: row["retrieval"])
    title = (
        f"{short_name(models[0]['model'])} finds {best['retrieval']:.0%} of translations in "
        f"layer {best['layer']}"
    )
    title += (
        ", its last"
        if best is layers[-1]
        else f" of {len(layers) - 1}, {layers[-1]['retrieval']:.0%} in the last"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, weight="bold", color=BLACK)
    chance = {
        "retrieval": 1 / sentences,
        "retrieval_centred": 1 / sentences,
        "language_accuracy": 1 / languages,
    }
    for axes, (key, label) in zip(figure.subplots(2, 3).flat, LAYER_LABELS.items(), strict=True):
        axes.set_title(label, loc="left", fontsize=9.5, color=BLACK)
        for position, model in enumerate(models):
            depth = len(model["layers"]) - 1
            x, y = (
                [row["layer"] / depth for row in model["layers"]],
                [row[key] for row in model["layers"]],
            )
            colour = (
                STYLES[model["model"]][1]
                if model["model"] in STYLES
                else _OTHERS[position % len(_OTHERS)]
            )
            axes.plot(
                x,
                y,
                color=colour,
                marker=MARKS[position % len(MARKS)],
                markersize=3.5,
                linewidth=1.5,
                label=short_name(model["model"]),
            )
        if key in chance:
            axes.axhline(chance[key], color=GREY, linewidth=0.8, linestyle=":")
        axes.set_ylim(min(0.0, axes.get_ylim()[0]), 1.04)
        axes.set_xticks([0, 0.5, 1], ["embeddings", "half way", "last layer"])
        for tick, side in zip(axes.get_xticklabels(), ("left", "center", "right"), strict=True):
            tick.set_ha(side)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="#eeeeee")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower left",
        ncols=min(4, len(labels)),
        frameon=False,
        fontsize=9,
    )
    return figure


def cka_plot(model: Mapping[str, Any], first: str) -> Figure:
    """Which layer of the first model each layer became: CKA, the nearest one of each row framed."""
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    values = np.array(model["cka"])
    rows, columns = values.shape
    figure = Figure(figsize=(1.6 + 0.46 * columns, 1.5 + 0.4 * rows), layout="constrained")
    name = short_name(model["model"])
    title = (
        f"{name}'s last layer is most like layer {int(values[-1].argmax())} of {short_name(first)}"
    )
    figure.suptitle(title, x=0.01, ha="left", fontsize=11, weight="bold", color=BLACK)
    axes = figure.subplots()
    axes.imshow(values, cmap="cividis", vmin=0, vmax=1, origin="lower", aspect="auto")
    for i, j in np.ndindex(rows, columns):
        text = f"{values[i, j]:.2f}".replace("0.", ".", 1)
        axes.text(
            j,
            i,
            text,
            ha="center",
            va="center",
            fontsize=7,
            color="white" if values[i, j] < 0.6 else BLACK,
        )
    for i, nearest in enumerate(values.argmax(axis=1)):
        axes.add_patch(
            Rectangle((nearest - 0.5, i - 0.5), 1, 1, fill=False, edgecolor=ORANGE, linewidth=2)
        )
    axes.set_xticks(range(columns))
    axes.set_yticks(range(rows))
    axes.set_xlabel(f"layer of {short_name(first)} (0: embeddings)", color=BLACK)
    axes.set_ylabel(f"layer of {name}", color=BLACK)
    axes.spines[:].set_visible(False)
    return figure


def projection_plot(projection: Projection, model: Mapping[str, Any]) -> Figure:
    """Every layer's map, small: colour is language, mark is sentence; written on it is what it
    clusters by.
    """
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    points = projection.points[model["model"]]
    columns = min(5, len(points))
    rows = -(-len(points) // columns)
    families = by_family(projection.languages)
    figure = Figure(
        figsize=(2.5 * columns, 2.65 * rows + 0.6 + 0.19 * max(map(len, families.values()))),
        layout="constrained",
    )
    figure.suptitle(
        f"{short_name(model['model'])}: {len(projection.ids)} sentences in "
        f"{len(projection.languages)} languages, "
        "layer by layer (UMAP of each)",
        x=0.01,
        ha="left",
        fontsize=12,
        weight="bold",
        color=BLACK,
    )
    shades = colours(projection.languages)
    panels = figure.subplots(rows, columns, squeeze=False)
    for layer, axes in enumerate(panels.flat):
        axes.set_axis_off()
        if layer < len(points):
            _draw_map(axes, points[layer], projection, shades)
            figures = model["layers"][layer]
            name = "embeddings" if layer == 0 else f"layer {layer}"
            axes.set_title(name, loc="left", fontsize=10, weight="bold", color=BLACK, pad=14)
            nearest = (
                f"nearest: translation {figures['neighbour_translation']:.0%}, language "
                f"{figures['neighbour_language']:.0%}"
            )
            axes.text(0, 1.02, nearest, transform=axes.transAxes, fontsize=7.2, color=SOFT)
    handles: list[Any] = []
    tallest = max(map(len, families.values()))
    for members in families.values():  # a column a family
        handles += [
            Line2D(
                [],
                [],
                linestyle="",
                marker="o",
                markersize=6,
                color=shades[code],
                label=f"{code} {language_name(code)}",
            )
            for code in members
        ]
        handles += [Line2D([], [], linestyle="", label=" ") for _ in range(tallest - len(members))]
    figure.legend(
        handles=handles,
        loc="outside lower left",
        ncols=len(families),
        frameon=False,
        fontsize=8,
        handletextpad=0.1,
        columnspacing=1.2,
        labelspacing=0.25,
    )
    return figure


def _draw_map(
    axes: Any, points_LS2: np.ndarray, projection: Projection, shades: Mapping[str, str]
) -> None:
    for sentence in range(points_LS2.shape[1]):
        mark = MARKS[sentence]
        axes.scatter(
            *points_LS2[:, sentence].T,
            marker=mark,
            s=30 if mark == "*" else 14,
            linewidths=0.25,
            edgecolors="white",
            c=[shades[code] for code in projection.languages],
        )
    halo = {"boxstyle": "round,pad=0.08", "facecolor": "white", "edgecolor": "none", "alpha": 0.6}
    label = partial(
        axes.annotate,
        textcoords="offset points",
        weight="bold",
        ha="center",
        va="center",
        bbox=halo,
    )
    centres = points_LS2.mean(axis=1), points_LS2.mean(axis=0)
    if clusters_by_language(points_LS2):
        for code, centre in zip(projection.languages, centres[0], strict=True):
            label(code, centre, (0, 7), color=shades[code], fontsize=6.5)
    else:
        for number, centre in enumerate(centres[1], 1):
            label(str(number), centre, (0, 8), color=BLACK, fontsize=7.5)
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.09)


def clusters_by_language(points_LS2: np.ndarray) -> bool:
    """Whether points lie nearer to the middle of their language than to that of their sentence."""
    spread = [
        np.linalg.norm(points_LS2 - points_LS2.mean(axis=axis, keepdims=True), axis=-1).mean()
        for axis in (1, 0)
    ]
    return bool(spread[0] < spread[1])
