from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from distill.inspection.plots import (
    MARKS,
    cka_plot,
    clusters_by_language,
    layers_plot,
    projection_plot,
)
from distill.inspection.wording import short_name
from distill.report.canvas import to_svg
from tests.inspection.examples import example

CONTENT, PROJECTION = example()


def words(figure: Figure) -> str:
    figure.draw_without_rendering()
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return "\n".join([figure.get_suptitle(), *titles, *texts, *legends])


def test_curves_have_every_model_and_say_what_is_best() -> None:
    figure = layers_plot(CONTENT["models"], 3, 3)
    assert figure.get_suptitle() == "teacher finds 100% of translations in layer 4, its last"
    assert [len(axes.get_lines()) for axes in figure.axes] == [
        3,
        3,
        2,
        2,
        3,
        2,
    ]  # the third is chance
    assert "student" in words(figure)


def test_a_best_layer_in_the_middle_is_held_against_the_last() -> None:
    content, _ = example()
    content["models"][0]["layers"][2]["retrieval"] = 1.5
    assert (
        layers_plot(content["models"], 3, 3)
        .get_suptitle()
        .endswith("in layer 2 of 4, 100% in the last")
    )


def test_the_likeliest_layer_of_each_row_is_framed() -> None:
    student = {**CONTENT["models"][1], "cka": [[0.9, 0.1, 0.2], [0.1, 0.3, 0.95]]}
    figure = cka_plot(student, "teacher")
    frames = [patch for patch in figure.axes[0].patches if isinstance(patch, Rectangle)]
    assert [(frame.get_x() + 0.5, frame.get_y() + 0.5) for frame in frames] == [(0, 0), (2, 1)]
    assert figure.get_suptitle() == "student's last layer is most like layer 2 of teacher"


@pytest.mark.parametrize("model", [0, 1])
def test_every_layer_has_a_map_with_its_figures_and_a_key_of_languages(model: int) -> None:
    figure = projection_plot(PROJECTION, CONTENT["models"][model])
    said = words(figure)
    for layer in range(1, len(CONTENT["models"][model]["layers"])):
        assert f"layer {layer}" in said
    assert said.count("nearest: translation") == len(CONTENT["models"][model]["layers"])
    assert all(language in said for language in ("en English", "sv Swedish", "zh Chinese"))
    assert to_svg(figure, "a").startswith("<svg")


def test_maps_know_whether_languages_or_sentences_lie_together() -> None:
    points = PROJECTION.points["teacher"][0] * 0.01
    languages = points.copy()
    languages += [[[0, 0]], [[5, 0]], [[0, 5]]]
    sentences = points + np.array([[0, 0], [5, 0], [0, 5]])
    assert clusters_by_language(languages) and not clusters_by_language(sentences)


def test_a_sentence_has_a_mark_of_its_own() -> None:
    assert len(set(MARKS)) == len(MARKS) == 12


def test_long_paths_are_named_by_their_end() -> None:
    assert [short_name(name) for name in ("/a/b/runs/sv/export", "org/name", "package:x")] == [
        "sv/export",
        "org/name",
        "package:x",
    ]
