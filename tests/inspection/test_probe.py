from __future__ import annotations

import numpy as np
import pytest

from distill.inspection.probe import language_accuracy


def drawn(seed: int, languages: int = 4, sentences: int = 60, width: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(languages, sentences, width)).astype(np.float32)


def test_a_direction_for_each_language_is_found() -> None:
    planted = drawn(0)
    planted[np.arange(4), :, np.arange(4)] += 8
    assert language_accuracy(planted) > 0.97


def test_without_any_trace_of_the_language_it_is_at_chance() -> None:
    assert np.mean([language_accuracy(drawn(seed)) for seed in range(20)]) == pytest.approx(
        1 / 4, abs=0.03
    )


def test_a_sentence_is_not_known_by_its_translations() -> None:
    """Were translations spread over the folds, what marks a sentence alone would pass for its
    language.
    """
    sentences = np.repeat(drawn(1, languages=1, sentences=40, width=400), 4, axis=0)
    assert language_accuracy(sentences) <= 1 / 4 + 1e-9


def test_equal_vectors_are_at_chance_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    assert language_accuracy(np.ones((4, 20, 8), np.float32)) == pytest.approx(1 / 4)
    assert not recwarn.list


def test_the_same_seed_gives_the_same_figure() -> None:
    assert language_accuracy(drawn(3), seed=5) == language_accuracy(drawn(3), seed=5)
