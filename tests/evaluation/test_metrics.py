from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays

from distill.evaluation.metrics import first_hits, ranks_of_answers, reciprocal_ranks


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Similarities in steps of 0.1, so that ties are common, and an answer for each query."""
    queries, passages = draw(st.integers(1, 8)), draw(st.integers(2, 15))
    steps = draw(arrays(np.int64, (queries, passages), elements=st.integers(-10, 10)))
    answers = draw(arrays(np.int64, queries, elements=st.integers(0, passages - 1)))
    return (steps / 10).astype(np.float32), answers


def naive_rank(similarities: list[float], answer: int) -> int:
    better_or_equal = [i for i, value in enumerate(similarities) if i != answer and value >= similarities[answer]]
    return 1 + len(better_or_equal)


@given(rankings())
def test_ranks_are_those_of_a_naive_loop(ranking: tuple[np.ndarray, np.ndarray]) -> None:
    similarity, answers = ranking
    expected = [naive_rank(row.tolist(), int(answer)) for row, answer in zip(similarity, answers, strict=True)]
    assert ranks_of_answers(similarity, answers).tolist() == expected


@given(st.lists(st.integers(1, 40), min_size=1))
def test_mrr_at_10_is_that_of_a_naive_loop(ranks: list[int]) -> None:
    expected = sum(1 / rank if rank <= 10 else 0 for rank in ranks) / len(ranks)
    assert reciprocal_ranks(np.array(ranks)).mean() == pytest.approx(expected)


@given(st.lists(st.integers(1, 5), min_size=1))
def test_recall_at_1_is_the_share_of_first_ranks(ranks: list[int]) -> None:
    assert first_hits(np.array(ranks)).mean() == pytest.approx(ranks.count(1) / len(ranks))


def test_a_passage_as_similar_as_the_answer_counts_as_before_it() -> None:
    assert ranks_of_answers(np.array([[0.5, 0.7, 0.7, 0.1]]), np.array([1])).tolist() == [2]


@pytest.mark.parametrize("hidden", [32, 384])
@pytest.mark.parametrize("passages", [50, 501])
def test_a_model_that_gives_every_text_one_vector_ranks_every_answer_last(hidden: int, passages: int) -> None:
    vector = np.random.default_rng(0).normal(size=hidden).astype(np.float32)
    vectors = np.tile(vector / np.linalg.norm(vector), (passages, 1))
    # As the stage computes it: a matrix product, whose edges round otherwise than its middle.
    ranks = ranks_of_answers(vectors @ vectors.T, np.arange(passages))
    assert (ranks == passages).all()


def test_a_model_that_gives_no_number_ranks_every_answer_last() -> None:
    ranks = ranks_of_answers(np.full((3, 20), np.nan, dtype=np.float32), np.array([0, 5, 19]))
    assert ranks.tolist() == [20, 20, 20]
    assert reciprocal_ranks(ranks).sum() == 0
