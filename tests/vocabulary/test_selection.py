from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st

from distill.recipe import VocabularySection
from distill.runtime.errors import UserError
from distill.vocabulary.segments import Segments
from distill.vocabulary.selection import DEFAULT_MIN_COUNT, Ranking, choose_size, find_pieces

COUNTS = np.array([0, 0, 9, 5, 5, 3, 2, 1, 0, 0])


def section(**values: Any) -> VocabularySection:
    return VocabularySection.model_validate({"floor": 0, **values})


def kept(ranking: Ranking, heldout: list[list[int]] | None = None, **target: Any) -> list[int]:
    optional = choose_size(
        ranking, section(**target), Segments.of(heldout or []).deepest(ranking.rank)
    )
    return [int(i) for i in ranking.kept(optional)]


@pytest.fixture
def ranking() -> Ranking:
    """Ten pieces by falling frequency; the first and the last are always kept."""
    return Ranking(counts=COUNTS, required=frozenset({0, 9}))


@st.composite
def rankings(draw: st.DrawFn) -> Ranking:
    """Any counts and required pieces; the last three pieces are characters that the others may
    need.
    """
    size = draw(st.integers(5, 30))
    counts = np.array(draw(st.lists(st.integers(0, 20), min_size=size, max_size=size)))
    required = draw(
        st.frozensets(st.integers(0, 1), min_size=1)
        | st.frozensets(st.integers(size - 3, size - 1), min_size=1)
    )
    pairs = draw(
        st.lists(
            st.tuples(st.integers(0, size - 4), st.integers(size - 3, size - 1)), max_size=size
        )
    )
    needs = np.array([pair for pair in pairs if pair[0] not in required], dtype=np.int64).reshape(
        -1, 2
    )
    return Ranking(counts=counts, required=required, needs=needs)


@pytest.mark.parametrize(
    ("count", "expected"),
    [(1, [0, 2, 3, 4, 5, 6, 7, 9]), (2, [0, 2, 3, 4, 5, 6, 9]), (5, [0, 2, 3, 4, 9]), (10, [0, 9])],
)
def test_min_count_keeps_what_was_seen_at_least_so_often(
    ranking: Ranking, count: int, expected: list[int]
) -> None:
    assert kept(ranking, min_count=count) == expected


def test_without_a_target_the_default_count_holds(ranking: Ranking) -> None:
    assert kept(ranking) == kept(ranking, min_count=DEFAULT_MIN_COUNT)


@pytest.mark.parametrize(
    ("coverage", "expected"),
    [
        (0.01, [0, 2, 9]),
        (0.36, [0, 2, 9]),
        (0.37, [0, 2, 3, 9]),
        (0.75, [0, 2, 3, 4, 9]),
        (0.77, [0, 2, 3, 4, 5, 9]),
    ],
)
def test_coverage_keeps_the_fewest_frequent_pieces_that_make_up_the_share(
    ranking: Ranking, coverage: float, expected: list[int]
) -> None:
    assert kept(ranking, coverage=coverage) == expected


def test_coverage_keeps_nothing_more_where_the_required_pieces_suffice() -> None:
    assert kept(Ranking(counts=COUNTS, required=frozenset({2, 3, 4})), coverage=0.5) == [2, 3, 4]


@given(ranking=rankings(), coverage=st.floats(0.01, 0.99))
def test_coverage_is_reached_and_one_piece_less_would_not_do(
    ranking: Ranking, coverage: float
) -> None:
    assume(ranking.counts.sum() > 0)
    ids = kept(ranking, coverage=coverage)
    wanted = coverage * ranking.counts.sum()
    assert ranking.counts[ids].sum() >= wanted
    optional = len(ids) - len(ranking.required)
    assert optional == 0 or ranking.counts[ranking.kept(optional - 1)].sum() < wanted


@given(ranking=rankings(), data=st.data())
def test_size_is_met_exactly(ranking: Ranking, data: st.DataObject) -> None:
    size = data.draw(st.integers(len(ranking.required), len(ranking.counts)))
    ids = kept(ranking, size=size)
    assert len(ids) == len(set(ids)) == size


@pytest.mark.parametrize(
    ("size", "message"),
    [(1, "fewer than the 2 pieces that are always kept"), (11, "more than the teacher's 10")],
)
def test_an_impossible_size_is_refused(ranking: Ranking, size: int, message: str) -> None:
    with pytest.raises(UserError, match=f"vocabulary.size: {size} is {message}"):
        kept(ranking, size=size)


@given(ranking=rankings())
def test_what_is_kept_never_lacks_what_it_needs(ranking: Ranking) -> None:
    for optional in range(len(ranking.optional) + 1):
        ids = set(ranking.kept(optional).tolist())
        assert all(needed in ids for piece, needed in ranking.needs.tolist() if piece in ids)


def test_a_piece_that_is_needed_comes_before_the_one_that_needs_it() -> None:
    ranking = Ranking(
        counts=np.array([0, 7, 9, 0]), required=frozenset({0}), needs=np.array([[1, 3]])
    )
    assert ranking.optional.tolist() == [2, 3, 1]


@given(ranking=rankings(), count=st.integers(1, 20))
def test_every_required_piece_and_every_piece_seen_often_enough_is_kept(
    ranking: Ranking, count: int
) -> None:
    ids = set(kept(ranking, min_count=count))
    often = set(np.flatnonzero(ranking.counts >= count).tolist())
    assert ranking.required | often <= ids
    assert ids <= ranking.required | often | set(ranking.needs[:, 1].tolist())


@given(ranking=rankings(), data=st.data(), share=st.floats(0.05, 0.95))
def test_identical_is_reached_with_the_fewest_pieces_or_refused(
    ranking: Ranking, data: st.DataObject, share: float
) -> None:
    piece = st.integers(0, len(ranking.counts) - 1)
    heldout = data.draw(st.lists(st.lists(piece, max_size=5), min_size=1, max_size=12))

    def identical(ids: list[int] | np.ndarray) -> float:
        return sum(set(sentence) <= set(ids) for sentence in heldout) / len(heldout)

    try:
        ids = kept(ranking, heldout, identical=share)
    except UserError as error:
        assert "More text is the main lever" in str(error)
        assert identical(ranking.kept(ranking.seen)) < share
        assert f"leaves {identical(ranking.kept(ranking.seen)):.4f} of" in str(error)
        return
    assert identical(ids) >= share
    optional = len(ids) - len(ranking.required)
    assert optional == 0 or identical(ranking.kept(optional - 1)) < share + 1e-9


def test_what_a_required_piece_needs_is_required_too() -> None:
    ranking = Ranking(COUNTS, {0, 5}, needs=np.array([[5, 8], [4, 7]]))
    assert ranking.required == {0, 5, 8}


def test_in_a_chain_of_needs_the_first_link_comes_first() -> None:
    """Piece 1 is built from 2, which is built from 3: closed, so 1 needs both."""
    ranking = Ranking(np.array([0, 7, 0, 0, 9]), {0}, needs=np.array([[1, 2], [1, 3], [2, 3]]))
    assert ranking.optional.tolist() == [4, 3, 2, 1]


def test_an_id_that_no_piece_has_is_never_kept() -> None:
    ranking = Ranking(COUNTS, {0}, existing=[0, 2, 4, 9])
    assert ranking.whole == 4
    assert ranking.kept(len(ranking.optional)).tolist() == [0, 2, 4, 9]


def test_counts_may_be_weighed() -> None:
    ranking = Ranking(np.array([0.0, 0.5, 2.5, 3.0]), {0})
    assert kept(ranking, min_count=2) == [0, 2, 3]
    assert kept(ranking, min_count=3) == [0, 3]


IDS = {"<s>": 0, "▁kung": 1, "en": 2, "12": 3, "▁7": 4}


def test_pieces_are_found_by_name_and_by_a_pattern_that_matches_them_whole() -> None:
    assert find_pieces(IDS, ["en", "▁kung"], None) == {1, 2}
    assert find_pieces(IDS, [], "▁?[0-9]+") == {3, 4}
    assert find_pieces(IDS, [], None) == set()


@pytest.mark.parametrize(("piece", "near"), [("kung", "▁kung"), ("▁kunk", "▁kung")])
def test_a_piece_that_does_not_exist_is_refused_with_a_near_one(piece: str, near: str) -> None:
    with pytest.raises(
        UserError,
        match=f"vocabulary.keep.pieces: the teacher has no piece '{piece}'; did you mean '{near}'",
    ):
        find_pieces(IDS, [piece], None)


def test_a_pattern_that_nothing_matches_is_refused() -> None:
    with pytest.raises(
        UserError, match=r"vocabulary.keep.pattern: no piece of the teacher matches 'kung' whole"
    ):
        find_pieces(IDS, [], "kung")
