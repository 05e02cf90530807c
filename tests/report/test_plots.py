from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from distill.report.canvas import to_png, to_svg
from distill.report.plots import draw_plots, fidelity_plot, loss_plot, vocabulary_plot
from tests.report.examples import example_history, example_report, example_results


@pytest.fixture(autouse=True)
def no_warnings() -> Iterator[None]:
    """Matplotlib warns where it cannot do what was asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def labels_of(figure: Any) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def boxes_of(figure: Any, texts: list[Any]) -> list[tuple[str, Any]]:
    """Each text with the box that it fills, without the line from a label to its mark."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return [
        (text.get_text(), Text.get_window_extent(text, canvas.get_renderer())) for text in texts
    ]


def overlapping_labels(figure: Any) -> list[tuple[str, str]]:
    """Pairs of labels that cover one another."""
    boxes = boxes_of(figure, figure.axes[0].texts)
    return [
        (a, b)
        for i, (a, one) in enumerate(boxes)
        for b, other in boxes[i + 1 :]
        if one.overlaps(other)
    ]


def cropped_labels(figure: Any) -> list[str]:
    """Labels that reach beyond the figure."""
    axes = figure.axes[0]
    low, high = axes.get_ylim()
    ticks = [tick.label1 for tick in axes.yaxis.get_major_ticks() if low <= tick.get_loc() <= high]
    texts = [*axes.texts, figure._suptitle, axes.xaxis.label, axes.yaxis.label, *ticks]
    boxes = boxes_of(figure, texts)
    width, height = figure.canvas.get_width_height()
    return [
        name
        for name, box in boxes
        if name and not (box.x0 > -1 < box.y0 and box.x1 < width + 1 and box.y1 < height + 1)
    ]


def drawn(figure: Any) -> bool:
    return to_svg(figure, "plot").startswith("<svg") and to_png(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("points", [1, 2, 40])
def test_the_course_of_the_distillation_draws_from_its_first_point_on(points: int) -> None:
    history = example_history(points)
    for figure in (loss_plot(history["losses"]), fidelity_plot(history["fidelity"])):
        assert drawn(figure)
        assert cropped_labels(figure) == []
        assert overlapping_labels(figure) == []


def test_losses_that_end_alike_keep_their_labels_apart() -> None:
    losses = [
        {"tokens": 100 * i, "loss": 1.0, "hidden": 0.3, "relations": 0.3, "embedding": 0.301}
        for i in range(1, 5)
    ]
    assert overlapping_labels(loss_plot(losses)) == []


def test_a_loss_of_zero_draws() -> None:
    assert drawn(loss_plot([{"tokens": 100 * i, "loss": 0.0, "hidden": 0.0} for i in range(1, 5)]))


@pytest.mark.parametrize("kept", [100, 300, 499])
def test_the_vocabulary_plot_names_its_chosen_point_wherever_it_lies(kept: int) -> None:
    vocabulary = example_results()["vocabulary"] | {"kept": kept}
    figure = vocabulary_plot(vocabulary)
    assert f"kept: {kept} of 605" in labels_of(figure)
    assert cropped_labels(figure) == []


def test_a_flat_vocabulary_curve_draws() -> None:
    vocabulary = example_results()["vocabulary"]
    vocabulary["curve"] = [
        {"min_count": count, "pieces": 605, "heldout_identical": 1.0} for count in (1, 3, 10)
    ]
    vocabulary |= {"kept": 605, "heldout_identical": 1.0}
    assert drawn(vocabulary_plot(vocabulary))


def test_a_full_run_has_all_plots() -> None:
    assert list(draw_plots(example_report(), example_history())) == [
        "trade-off",
        "distillation",
        "fidelity",
        "vocabulary",
    ]


def test_a_run_without_tasks_has_the_plots_of_the_rest() -> None:
    content = example_report()
    content["evaluation"] = []
    assert list(draw_plots(content, example_history())) == [
        "distillation",
        "fidelity",
        "vocabulary",
    ]


def test_a_run_without_validations_has_no_plot_of_fidelity() -> None:
    history = example_history() | {"fidelity": []}
    assert "fidelity" not in draw_plots(example_report(), history)


def test_a_run_that_only_read_text_has_no_plots() -> None:
    assert draw_plots(example_report("corpus"), None) == {}


def test_ids_of_one_figure_are_not_those_of_another() -> None:
    vocabulary = example_results()["vocabulary"]
    one, other = (to_svg(vocabulary_plot(vocabulary), name) for name in ("one", "other"))
    assert 'id="one-' in one and 'id="one-' not in other
    assert one.replace("one-", "other-") != one
