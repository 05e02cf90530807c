from __future__ import annotations

import numpy as np

from distill.corpus.shared_words import Passages

PASSAGES = ["en röd båt på havet", "ett tåg till staden", "båten seglar på havet", "42 !"]


def test_the_passages_that_share_most_words_come_first() -> None:
    nearest = Passages(PASSAGES).nearest(["tåg till havet", "båten på havet"], 2)
    assert nearest.tolist() == [[1, 2], [2, 0]]


def test_a_query_without_a_known_word_has_the_first_passages() -> None:
    assert Passages(PASSAGES).nearest(["katt", "?"], 2).tolist() == [[0, 1], [0, 1]]


def test_passages_without_words_are_alike() -> None:
    (likeness,) = Passages(["!", "?"]).likeness(["en båt"])
    assert np.array_equal(likeness, np.zeros((1, 2)))


def test_no_query_has_no_passage() -> None:
    assert Passages(PASSAGES).nearest([], 2).shape == (0, 2)
