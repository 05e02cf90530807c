from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from distill.recipe import VocabularySection
from distill.runtime.errors import UserError
from distill.vocabulary.languages import choose_pieces
from distill.vocabulary.segments import Segments
from distill.vocabulary.selection import Ranking

SIZE = 24
Texts = list[list[int]]
sentences = st.lists(st.lists(st.integers(0, SIZE - 1), max_size=6), min_size=1, max_size=12)


def share(kept: np.ndarray, texts: Texts) -> float:
    return float(np.mean([set(text) <= set(kept.tolist()) for text in texts]))


def ranking(texts: Texts) -> Ranking:
    counts = np.bincount([i for text in texts for i in text], minlength=SIZE)
    return Ranking(counts, {0, 1})


@given(first=sentences, second=sentences, target=st.sampled_from([0.3, 0.5, 0.9, 0.99]))
def test_the_target_holds_in_each_language_with_fewer_pieces_than_one_after_the_other(
    first: Texts, second: Texts, target: float
) -> None:
    rankings, heldout = [ranking(first), ranking(second)], [Segments.of(first), Segments.of(second)]
    section = VocabularySection(identical=target)
    kept = choose_pieces(rankings, section, heldout, ["sv", "en"])
    assert share(kept, first) >= target and share(kept, second) >= target
    alone = [
        choose_pieces([one], section, [text], [""])
        for one, text in zip(rankings, heldout, strict=True)
    ]
    assert len(kept) <= len(np.union1d(*alone))


def test_a_piece_that_serves_both_languages_is_counted_once() -> None:
    swedish, english = [[2, 3], [2, 4]], [[2, 5], [2, 3]]
    section = VocabularySection(identical=0.9)
    kept = choose_pieces(
        [ranking(swedish), ranking(english)],
        section,
        [Segments.of(swedish), Segments.of(english)],
        ["sv", "en"],
    )
    assert kept.tolist() == [0, 1, 2, 3, 4, 5]


def test_a_language_that_cannot_reach_the_target_is_named() -> None:
    rankings = [ranking([[2, 3]]), ranking([[4]])]
    heldout = [Segments.of([[2]]), Segments.of([[4], [9]])]
    with pytest.raises(UserError, match=r"0.9 is out of reach in en; .* leaves 0.5000"):
        choose_pieces(rankings, VocabularySection(identical=0.9), heldout, ["sv", "en"])


def test_other_targets_hold_in_each_language_and_a_size_is_that_of_all() -> None:
    many, few = ranking([[2]] * 90 + [[3]] * 9), ranking([[4]] * 3 + [[5]])
    none = [Segments.of([]), Segments.of([])]

    def kept(**target: float) -> list[int]:
        section = VocabularySection.model_validate(target)
        return choose_pieces([many, few], section, none, ["sv", "en"]).tolist()

    assert kept(min_count=3) == [0, 1, 2, 3, 4]
    assert kept(coverage=0.7) == [0, 1, 2, 4]
    assert kept(size=4) == [0, 1, 2, 4]
    assert kept(size=5) == [0, 1, 2, 4, 5]
