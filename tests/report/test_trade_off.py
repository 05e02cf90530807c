from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.text import Text

from distill.report.canvas import to_png, to_svg
from distill.report.scoreboard import Scoreboard, build_scoreboard
from distill.report.trade_off import STYLES, trade_off_figures, trade_off_overview
from tests.report.examples import (
    MODELS,
    example_recipe,
    example_report,
    example_results,
    report_content,
)

MANY = (
    *MODELS,
    "student_int8",
    "scratch",
    *(f"organisation/a-rather-long-name-of-an-encoder-{i}" for i in range(7)),
)


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """Matplotlib warns where it cannot do what was asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def board_of(
    models: tuple[str, ...] = MODELS, tasks: tuple[str, ...] = ("faq",), **score: Any
) -> Scoreboard:
    results = example_results(models=models, tasks=tasks)
    for row in results["evaluation"]["scores"]:
        row |= score
    return build_scoreboard(report_content(example_recipe(), results))


def boxes_of(figure: Any) -> list[tuple[str, Any]]:
    """The labels of a panel, each with the box that it fills."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [text for text in figure.axes[0].texts if text.get_text()]
    return [
        (text.get_text(), Text.get_window_extent(text, canvas.get_renderer())) for text in texts
    ]


def marks_of(figure: Any) -> list[PathCollection]:
    return [artist for artist in figure.axes[0].collections if isinstance(artist, PathCollection)]


@pytest.mark.parametrize(
    "models", [("student",), MODELS, MANY[:7], MANY], ids=["one", "five", "seven", "many"]
)
@pytest.mark.parametrize("tasks", [("faq",), ("faq", "news", "topics")], ids=["wide", "narrow"])
def test_every_mark_has_a_label_that_covers_no_other_and_is_not_cut_off(
    models: tuple[str, ...], tasks: tuple[str, ...]
) -> None:
    figure = next(iter(trade_off_figures(board_of(models, tasks)).values()))
    boxes = boxes_of(figure)
    assert len(boxes) == len(models)
    assert not [(one, other) for (one, a), (other, b) in combinations(boxes, 2) if a.overlaps(b)]
    width, height = figure.canvas.get_width_height()
    assert all(box.x0 >= 0 <= box.y0 and box.x1 <= width and box.y1 <= height for _, box in boxes)


def test_models_of_equal_size_and_score_keep_their_labels_apart() -> None:
    boxes = boxes_of(trade_off_figures(board_of(mean=0.5, low=0.4, high=0.6))["task-0"])
    assert not [(one, other) for (one, a), (other, b) in combinations(boxes, 2) if a.overlaps(b)]


def test_the_area_of_a_mark_is_the_latency_whatever_its_shape() -> None:
    def area(mark: PathCollection) -> float:
        (path,), size = mark.get_paths(), mark.get_sizes()[0]
        (points,) = path.to_polygons()
        x, y = points[:, 0], points[:, 1]
        return float(size * abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2)

    teacher, trimmed, student, *_ = (
        area(mark) for mark in marks_of(trade_off_figures(board_of())["task-0"])
    )
    assert student / trimmed == pytest.approx(6 / 12, rel=0.02)  # a disc is a polygon of curves
    assert teacher / trimmed == pytest.approx(12.1 / 12, rel=0.02)


def test_what_has_no_latency_is_hollow() -> None:
    marks = marks_of(trade_off_figures(board_of())["task-0"])
    assert [to_hex(mark.get_facecolor()[0]) == "#ffffff" for mark in marks] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_the_runs_own_models_differ_in_shape_and_not_in_colour_alone() -> None:
    shapes = [shape for shape, _ in STYLES.values()]
    assert len(set(shapes)) == len(shapes)


def test_sizes_are_on_a_logarithmic_axis() -> None:
    assert trade_off_figures(board_of())["task-0"].axes[0].get_xscale() == "log"


def test_the_overview_has_all_panels_and_names_the_letters() -> None:
    figure = trade_off_overview(board_of(MANY, ("faq", "news", "topics")))
    assert figure is not None
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == [
        "Mean of 3 tasks, score", "faq, MRR@10", "news, MRR@10", "topics, MRR@10",
    ]  # fmt: skip
    assert "A\u00a0organisation/a-rather-long-name-of-an-encoder-0" in figure.get_supxlabel()
    assert to_png(figure).startswith(b"\x89PNG")


def test_a_run_without_scores_or_latency_draws_what_it_has() -> None:
    assert trade_off_overview(build_scoreboard(example_report("distillation"))) is None
    figures = trade_off_figures(build_scoreboard(example_report("evaluation")))
    assert [to_svg(figure, name).startswith("<svg") for name, figure in figures.items()] == [True]


@pytest.mark.parametrize("mean", [0.0, -0.3, 1.0])
def test_scores_at_and_below_the_ends_of_the_scale_draw(mean: float) -> None:
    figure = trade_off_figures(board_of(mean=mean, low=None, high=None))["task-0"]
    low, high = figure.axes[0].get_ylim()
    assert low < mean < high
    assert to_svg(figure, "plot").startswith("<svg")


def test_a_name_that_looks_like_mathematics_is_drawn_as_it_is() -> None:
    name = r"/models/$\frac$"
    figure = trade_off_figures(board_of(("student", name)))["task-0"]
    assert r"$\frac$" in [text for text, _ in boxes_of(figure)]
