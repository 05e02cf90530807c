"""The report's plots: figures of a run go in, SVG for the page and PNG for MLflow come out.

Colours are Okabe and Ito's, told apart by colour-blind eyes; what a plot shows best stands in its title.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from io import BytesIO, StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#9a9a9a", "#222222"
COLOURS = {"student": ORANGE, "teacher": BLUE, "trimmed": "#56B4E9", "initial": GREY, "untrained": "#c8c8c8"}
_SIZE = (6.4, 3.6)


def draw_plots(content: Mapping[str, Any], history: Mapping[str, Any] | None) -> dict[str, Figure]:
    """Every plot that the report has figures for, by name."""
    figures: dict[str, Figure] = {}
    if content["evaluation"]:
        figures["scores"] = scores_plot(content["evaluation"])
    if content["evaluation"] and content["benchmark"]:
        figure = trade_off_plot(content["evaluation"], content["benchmark"])
        if figure is not None:
            figures["trade-off"] = figure
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
    figure, axes = _canvas(title, "pieces kept", "held-out sentences unchanged")
    axes.plot([p["pieces"] for p in curve], [p["heldout_identical"] for p in curve], color=BLUE, marker="o", markersize=3)
    for point in curve:
        if point["min_count"] in (1, 3, 10, 50):
            place = (point["pieces"], point["heldout_identical"])
            axes.annotate(
                f"seen {point['min_count']}+ times", place, (8, -11), textcoords="offset points", fontsize=8, color=GREY
            )
    axes.plot(vocabulary["kept"], vocabulary["heldout_identical"], "o", color=ORANGE, markersize=8)
    label = f"kept: {vocabulary['kept']:,} of {vocabulary['original']:,}"
    place = (vocabulary["kept"], vocabulary["heldout_identical"])
    axes.annotate(label, place, (-8, 8), textcoords="offset points", ha="right", color=ORANGE, weight="bold", fontsize=9)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_ylim(top=min(1.08, axes.get_ylim()[1] + 0.08))
    axes.set_xlim(right=max(p["pieces"] for p in curve) * 1.16)
    return figure


def loss_plot(losses: Sequence[Mapping[str, float]]) -> Figure:
    """Loss of each objective against tokens seen, smoothed, on a logarithmic axis."""
    names = [name for name in losses[0] if name not in ("tokens", "loss")]
    tokens = [point["tokens"] / 1e6 for point in losses]
    figure, axes = _canvas("What the student still gets wrong", "million tokens seen", "loss of each objective")
    for name, colour in zip(names, (BLUE, ORANGE, GREEN), strict=False):
        values = _smoothed([point[name] for point in losses])
        axes.plot(tokens, values, color=colour)
        axes.annotate(name, (tokens[-1], values[-1]), (5, 0), textcoords="offset points", va="center", color=colour)
    axes.set_yscale("log")
    axes.set_xlim(right=tokens[-1] * 1.17)
    return figure


def fidelity_plot(fidelity: Sequence[Mapping[str, float]]) -> Figure:
    """Closeness to the teacher on held-out text against tokens seen."""
    labels = {
        "hidden_cosine": ("hidden states", BLUE),
        "pooled_cosine": ("sentence vectors", ORANGE),
        "neighbour_agreement": ("nearest neighbour", GREEN),
    }
    tokens = [point["tokens"] / 1e6 for point in fidelity]
    title = f"Held-out sentence vectors reach a cosine of {fidelity[-1]['pooled_cosine']:.3f} to the teacher's"
    figure, axes = _canvas(title, "million tokens seen", "cosine, or share in agreement")
    for name, (label, colour) in labels.items():
        values = [point[name] for point in fidelity]
        axes.plot(tokens, values, color=colour, marker="o", markersize=3)
        offset = {"hidden_cosine": -6, "pooled_cosine": 6}.get(name, 0)
        axes.annotate(
            label, (tokens[-1], values[-1]), (6, offset), textcoords="offset points", va="center", color=colour, fontsize=9
        )
    axes.set_ylim(0, 1.05)
    axes.set_xlim(right=max(tokens[-1], 0.01) * 1.28)
    return figure


def scores_plot(evaluation: Sequence[Mapping[str, Any]]) -> Figure:
    """Every model's score on the first metric of the first task, with its interval."""
    task, metric = evaluation[0]["task"], evaluation[0]["metric"]
    rows = [row for row in evaluation if (row["task"], row["metric"]) == (task, metric)]
    rows.sort(key=lambda row: row["mean"])
    kept = next((row["retention"] for row in rows if row["model"] == "student"), None)
    title = f"The student keeps {kept:.0%} of its teacher's {metric}" if kept is not None else f"{metric} on {task}"
    figure, axes = _canvas(title, f"{metric} on {task}, with 95% interval", "")
    for place, row in enumerate(rows):
        colour = COLOURS.get(row["model"], GREY)
        axes.barh(place, row["mean"], color=colour, height=0.62)
        axes.plot([row["low"], row["high"]], [place, place], color=BLACK, linewidth=1.2)
        axes.annotate(f"{row['mean']:.3f}", (row["high"], place), (6, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(rows)), [row["model"] for row in rows])
    axes.set_xlim(0, max(row["high"] for row in rows) * 1.14)
    return figure


def trade_off_plot(evaluation: Sequence[Mapping[str, Any]], benchmark: Sequence[Mapping[str, Any]]) -> Figure | None:
    """Score against CPU latency at batch 1; the area of a mark is the model's size."""
    task, metric = evaluation[0]["task"], evaluation[0]["metric"]
    scores = {row["model"]: row for row in evaluation if (row["task"], row["metric"]) == (task, metric)}
    rows = [r for r in benchmark if r["device"] == "cpu" and r["batch_size"] == 1 and r["median_ms"] and r["model"] in scores]
    if not rows:
        return None
    length, threads = max((row["length"], row["threads"]) for row in rows)
    rows = [row for row in rows if (row["length"], row["threads"]) == (length, threads)]
    unit = "thread" if threads == 1 else "threads"
    figure, axes = _canvas(
        "Score against latency; area is size",
        f"milliseconds a sequence of {length} tokens, {threads} CPU {unit}",
        f"{metric} on {task}",
    )
    for row in rows:
        score, colour = scores[row["model"]], COLOURS.get(row["model"], GREY)
        axes.plot([row["median_ms"]] * 2, [score["low"], score["high"]], color=colour, linewidth=1.2, alpha=0.7)
        axes.scatter(row["median_ms"], score["mean"], s=row["parameters"] / 4e5, color=colour, alpha=0.75, linewidths=0)
        below = row["model"] == "trimmed"
        place = (0, -34 if below else 30)
        label = f"{row['model']}, {row['parameters'] / 1e6:.0f}M"
        axes.annotate(
            label, (row["median_ms"], score["mean"]), place, textcoords="offset points", ha="center", va="center", color=colour
        )
    axes.set_xlim(0, max(row["median_ms"] for row in rows) * 1.3)
    axes.set_ylim(0, max(scores[row["model"]]["high"] for row in rows) * 1.3)
    return figure


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element that can stand in a page."""
    text = StringIO()
    figure.savefig(text, format="svg", bbox_inches="tight", metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG file."""
    content = BytesIO()
    figure.savefig(content, format="png", dpi=160, bbox_inches="tight")
    return content.getvalue()


def _canvas(title: str, x: str, y: str) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontsize=11, weight="bold", color=BLACK)
    axes.set_xlabel(x, color=BLACK)
    axes.set_ylabel(y, color=BLACK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="both", color="#eeeeee")
    axes.set_axisbelow(True)
    return figure, axes


def _smoothed(values: Sequence[float]) -> list[float]:
    smoothed: list[float] = []
    for value in values:
        smoothed.append(value if not smoothed else 0.8 * smoothed[-1] + 0.2 * value)
    return smoothed
