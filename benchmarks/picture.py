"""Draws the picture of README.md: accuracy against size, with latency, from a finished run.

    .venv/bin/python benchmarks/picture.py

reads benchmarks/results/swedish-small.json and writes docs/accuracy-size-latency.svg.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from distill.report.canvas import BLUE, GREEN, ORANGE, SOFT

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "benchmarks" / "results" / "swedish-small.json"
TARGET = ROOT / "docs" / "accuracy-size-latency.svg"
COLOURS = {"teacher": BLUE, "trimmed": BLUE, "student": ORANGE, "student_int8": ORANGE}
PLACES = {
    "teacher": ("center", 0, -36),
    "trimmed": ("right", 12, -56),
    "student": ("left", -12, -56),
    "student_int8": ("center", 0, -56),
    "scratch": ("left", 16, 3),
}
"""Where a model's words stand: their side, and points to the right and up of its circle."""


def main() -> None:
    """Write the picture."""
    mpl.rcParams.update({"svg.hashsalt": "distill", "font.size": 10})
    figure = draw(json.loads(SOURCE.read_text(encoding="utf-8")))
    figure.savefig(TARGET, metadata={"Date": None}, bbox_inches="tight")
    print(TARGET)


def draw(kept: dict[str, Any]) -> Figure:
    """Size on disk against the share of the teacher's score that is kept: of each task a dot, of
    their mean a circle whose area is the latency.
    """
    sizes = {row["model"]: row for row in kept["benchmark"] if is_shown(row)}
    sizes["scratch"] = sizes["student"] | {"model": "scratch"}
    figure = Figure(figsize=(8, 4.2))
    axes = figure.add_subplot()
    for model, size in sizes.items():
        shares = shares_of(kept["evaluation"], model)
        add_model(axes, size, shares)
    axes.set_xscale("log")
    axes.set_xlim(900, 13)  # the smaller, the further on the right
    axes.set_xticks([500, 200, 100, 50, 20], ["500", "200", "100", "50", "20"])
    axes.minorticks_off()
    axes.set_ylim(0, 1.2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.set_xlabel("size on disk, MB (smaller to the right)")
    axes.set_ylabel("of the teacher's score")
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    small, large = sizes["student_int8"], sizes["teacher"]
    kept_share = fmean(shares_of(kept["evaluation"], "student_int8"))
    axes.set_title(
        f"{words_of(small)} instead of {words_of(large)}, for {kept_share:.1%} of the score\n",
        loc="left",
        weight="bold",
    )
    axes.text(
        0,
        1.02,
        "five Swedish tasks, two seeds: a dot for each, a circle for their mean, its area the "
        "latency",
        color=SOFT,
        transform=axes.transAxes,
    )
    return figure


def is_shown(row: dict[str, Any]) -> bool:
    """Whether a row is of a model as it is, on both cores, with one text of 128 tokens."""
    own = ("onnx", "int8") if row["model"] == "student_int8" else ("torch", "float32")
    shape = (row["batch_size"], row["length"], row["threads"])
    return shape == (1, 128, 2) and (row["runtime"], row["precision"]) == own


def shares_of(rows: list[dict[str, Any]], model: str) -> list[float]:
    """The share of the teacher's score that a model keeps on each task, by its first metric."""
    first: dict[str, float] = {}
    for row in rows:
        if row["model"] == model:
            first.setdefault(row["task"], row["retention"])
    return list(first.values())


def words_of(size: dict[str, Any]) -> str:
    """A model's size and latency."""
    return f"{size['bytes_on_disk'] / 1e6:.0f} MB and {size['median_ms']:.0f} ms"


def add_model(axes: Axes, size: dict[str, Any], shares: list[float]) -> None:
    """A model's dots and circle, with its name, size and latency in words."""
    model, megabytes, mean = size["model"], size["bytes_on_disk"] / 1e6, fmean(shares)
    colour = COLOURS.get(model, GREEN)
    timed = model != "scratch"  # the student's architecture: it takes as long
    axes.scatter(
        [megabytes] * len(shares),
        shares,
        s=14,
        color="black" if timed else colour,
        edgecolor="white",
        zorder=4,
    )
    axes.scatter(
        megabytes,
        mean,
        s=14 * size["median_ms"],
        facecolor=colour if timed else "white",
        edgecolor=colour,
        alpha=0.85,
        zorder=3,
    )
    words = words_of(size) if timed else "without a teacher"
    side, shift, drop = PLACES[model]
    for text, below, style in (
        (f"{model} {mean:.1%}", drop, {"weight": "bold", "color": colour}),
        (words, drop - 13, {"color": SOFT}),
    ):
        axes.annotate(
            text, (megabytes, mean), (shift, below), textcoords="offset points", ha=side, **style
        )


if __name__ == "__main__":
    main()
