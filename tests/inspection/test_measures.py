from __future__ import annotations

import numpy as np
import pytest

from distill.inspection.measures import measure_languages, measure_layers
from distill.inspection.unknown import Spelling


def layers() -> np.ndarray:
    """Three languages of 20 sentences: a layer that knows languages alone, and one that knows
    meanings alone.
    """
    draw = np.random.default_rng(0)
    language = np.eye(3, 16)[:, None] * 20 + draw.normal(size=(3, 20, 16))
    meaning = draw.normal(size=(1, 20, 16)) + 0.01 * draw.normal(size=(3, 20, 16))
    return np.stack([language.reshape(60, 16), meaning.reshape(60, 16)]).astype(np.float32)


def test_a_layer_of_languages_and_one_of_meanings_are_told_apart() -> None:
    (first, second), _ = measure_layers(layers(), 3, seed=0)
    assert (first.layer, second.layer) == (0, 1)
    assert first.language_accuracy == 1 and first.neighbour_language == 1 and first.retrieval < 0.2
    assert (
        second.retrieval == 1
        and second.neighbour_translation == 1
        and second.language_accuracy < 0.6
    )


def test_progress_adds_up_to_one() -> None:
    shares: list[float] = []
    measure_layers(layers(), 3, seed=0, advance=shares.append)
    assert sum(shares) == pytest.approx(1)


def test_a_languages_figures_are_those_of_the_last_layer_with_the_kept_one_apart() -> None:
    _, matrices = measure_layers(layers(), 3, seed=0)
    matrices.plain[-1] = [[np.nan, 0.5, 0.1], [0.7, np.nan, 0.2], [0.3, 0.4, np.nan]]
    spelling = Spelling(unknown_pieces=0.25, unknown_characters=0.5, pieces_a_sentence=10)
    found = measure_languages(["sv", "fi", "zh"], [spelling] * 3, matrices, "sv")
    assert [row.language for row in found] == ["sv", "fi", "zh"]
    assert [row.retrieval_kept for row in found] == [None, pytest.approx(0.6), pytest.approx(0.2)]
    assert [row.retrieval for row in found] == [
        pytest.approx(0.4),
        pytest.approx(0.45),
        pytest.approx(0.25),
    ]
    assert found[0].unknown_pieces == 0.25


def test_without_a_kept_language_nothing_is_said_of_it() -> None:
    _, matrices = measure_layers(layers(), 3, seed=0)
    spelling = Spelling(unknown_pieces=0, unknown_characters=0, pieces_a_sentence=1)
    assert {
        row.retrieval_kept
        for row in measure_languages(["a", "b", "c"], [spelling] * 3, matrices, None)
    } == {None}
