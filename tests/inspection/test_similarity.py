from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from distill.inspection.similarity import (
    anisotropy,
    centred_by_language,
    cosines,
    neighbour_shares,
    translation_accuracy,
)

SEEDS = st.integers(0, 2**32 - 1)


def drawn(seed: int = 0, languages: int = 3, sentences: int = 30, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(languages, sentences, width)).astype(np.float32)


def same_in_all(seed: int = 0) -> np.ndarray:
    return np.repeat(drawn(seed, languages=1), 3, axis=0)


def off_diagonal(matrix: np.ndarray) -> np.ndarray:
    return matrix[~np.eye(len(matrix), dtype=bool)]


@given(seed=SEEDS, noise=st.floats(0, 0.05))
def test_translations_that_lie_together_are_all_found(seed: int, noise: float) -> None:
    vectors = same_in_all(seed) + noise * drawn(seed + 1)
    assert (off_diagonal(translation_accuracy(cosines(vectors))) == 1).all()


def test_random_vectors_find_a_translation_as_often_as_chance() -> None:
    found = [np.nanmean(translation_accuracy(cosines(drawn(seed)))) for seed in range(40)]
    assert np.mean(found) == pytest.approx(1 / 30, abs=0.01)


def test_a_language_into_itself_is_no_number() -> None:
    assert np.isnan(np.diag(translation_accuracy(cosines(drawn())))).all()


def test_one_vector_for_everything_finds_nothing() -> None:
    accuracy = translation_accuracy(cosines(np.ones((3, 30, 16), np.float32)))
    assert (off_diagonal(accuracy) == 0).all()


def test_both_directions_are_measured() -> None:
    # In the second language one sentence is where two of the first are: from the first both find
    # it, back it finds one.
    first = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    second = np.array([[1, 0, 0], [0.1, 1, 0], [1, 0, 0.2]], np.float32)
    accuracy = translation_accuracy(cosines(np.stack([first, second])))
    assert accuracy[0, 1] == pytest.approx(1) and accuracy[1, 0] == pytest.approx(2 / 3)


@given(seed=SEEDS)
def test_centring_takes_out_what_a_language_adds_to_all_its_sentences(seed: int) -> None:
    planted = same_in_all(seed) + 50 * np.random.default_rng(seed).normal(size=(3, 1, 16)).astype(
        np.float32
    )
    assert (off_diagonal(translation_accuracy(cosines(centred_by_language(planted)))) == 1).all()
    assert np.nanmean(translation_accuracy(cosines(planted))) < 1


def test_vectors_of_zeros_are_like_nothing_and_give_no_warning() -> None:
    vectors = drawn()
    vectors[0, 0] = 0
    found = cosines(vectors)
    assert np.isfinite(found).all() and (found[0, 0] == 0).all()


def test_the_nearest_vector_is_of_the_language_where_languages_are_apart() -> None:
    apart = drawn() + 100 * np.eye(3, 16, dtype=np.float32)[:, None]
    assert neighbour_shares(cosines(apart)) == (1.0, 0.0)


def test_the_nearest_vector_is_a_translation_where_meanings_are_together() -> None:
    assert neighbour_shares(cosines(same_in_all() + 0.01 * drawn(1))) == (0.0, 1.0)


def test_anisotropy_is_0_of_directions_spread_evenly_and_1_of_one() -> None:
    assert anisotropy(
        cosines(np.concatenate([np.eye(8), -np.eye(8)]).reshape(2, 8, 8))
    ) == pytest.approx(-1 / 15)
    assert anisotropy(cosines(drawn(languages=4, sentences=100))) == pytest.approx(0, abs=0.01)
    assert anisotropy(cosines(np.ones((2, 8, 4)))) == pytest.approx(1)
