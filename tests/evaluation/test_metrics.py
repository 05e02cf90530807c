from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import f1_score
from sklearn.preprocessing import MultiLabelBinarizer

from distill.evaluation.metrics import (
    CLASSES,
    NUMBERS,
    entity_f1,
    first_hits,
    interval_alpha,
    macro_f1,
    mcc,
    nominal_alpha,
    pearson,
    ranks_of_answers,
    reciprocal_ranks,
    set_f1,
    spearman,
)


@st.composite
def rankings(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Similarities in steps of 0.1, so that ties are common, and an answer for each query."""
    queries, passages = draw(st.integers(1, 8)), draw(st.integers(2, 15))
    steps = draw(arrays(np.int64, (queries, passages), elements=st.integers(-10, 10)))
    answers = draw(arrays(np.int64, queries, elements=st.integers(0, passages - 1)))
    return (steps / 10).astype(np.float32), answers


def naive_rank(similarities: list[float], answer: int) -> int:
    better_or_equal = [
        i for i, value in enumerate(similarities) if i != answer and value >= similarities[answer]
    ]
    return 1 + len(better_or_equal)


@given(rankings())
def test_ranks_are_those_of_a_naive_loop(ranking: tuple[np.ndarray, np.ndarray]) -> None:
    similarity, answers = ranking
    expected = [
        naive_rank(row.tolist(), int(answer))
        for row, answer in zip(similarity, answers, strict=True)
    ]
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
def test_a_model_that_gives_every_text_one_vector_ranks_every_answer_last(
    hidden: int, passages: int
) -> None:
    vector = np.random.default_rng(0).normal(size=hidden).astype(np.float32)
    vectors = np.tile(vector / np.linalg.norm(vector), (passages, 1))
    # As the stage computes it: a matrix product, whose edges round otherwise than its middle.
    ranks = ranks_of_answers(vectors @ vectors.T, np.arange(passages))
    assert (ranks == passages).all()


def test_a_model_that_gives_no_number_ranks_every_answer_last() -> None:
    ranks = ranks_of_answers(np.full((3, 20), np.nan, dtype=np.float32), np.array([0, 5, 19]))
    assert ranks.tolist() == [20, 20, 20]
    assert reciprocal_ranks(ranks).sum() == 0


def test_macro_f1_is_the_mean_of_the_classes_f1() -> None:
    # a: precision 2/3, recall 2/2, F1 0.8; b: 1/1 and 1/2, F1 2/3; c is never right.
    gold, predicted = np.array(list("aabbc")), np.array(list("aaabb"))
    assert macro_f1(gold, predicted) == pytest.approx((0.8 + 0.5 + 0.0) / 3)


def test_mcc_is_the_correlation_of_two_binary_variables() -> None:
    gold, predicted = np.array([1, 1, 1, 0, 0, 0, 0, 1]), np.array([1, 0, 1, 0, 1, 0, 0, 1])
    assert mcc(gold, predicted) == pytest.approx(np.corrcoef(gold, predicted)[0, 1])


def test_a_majority_guess_gets_the_majoritys_score() -> None:
    gold = np.array(["a"] * 70 + ["b"] * 20 + ["c"] * 10)
    guess = np.full(100, "a")
    found = {name: metric(gold, guess) for name, metric in CLASSES.items()}
    assert found["accuracy"] == pytest.approx(0.7)
    assert found["macro_f1"] == pytest.approx(2 * 0.7 / 1.7 / 3)
    assert found["mcc"] == 0.0
    assert found["alpha"] < 0.0


@pytest.mark.parametrize("constant", [np.zeros(5), np.full(5, np.nan), np.full(5, np.inf)])
def test_a_constant_prediction_and_one_that_is_no_number_correlate_with_nothing(
    constant: np.ndarray,
) -> None:
    gold = np.arange(5.0)
    assert pearson(gold, constant) == spearman(gold, constant) == 0.0


def test_correlations_are_those_of_hand_computed_ranks_and_values() -> None:
    gold, predicted = np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 10.0])
    assert spearman(gold, predicted) == pytest.approx(1 - 6 * 2 / (4 * 15))
    assert pearson(gold, predicted) == pytest.approx(13 / np.sqrt(5 * 50))


def test_nominal_alpha_is_that_of_krippendorffs_worked_example() -> None:
    # Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section A: two observers, ten
    # units, alpha 0.095.
    first, second = (
        np.array([0, 1, 0, 0, 0, 0, 0, 0, 1, 0]),
        np.array([1, 1, 1, 0, 0, 1, 0, 0, 0, 0]),
    )
    assert nominal_alpha(first, second) == pytest.approx(0.095, abs=5e-4)


def test_nominal_alpha_with_five_classes_is_that_of_krippendorffs_worked_example() -> None:
    # The same paper, section B: twelve articles, two observers, five categories, alpha 0.692.
    first, second = np.array(list("aabbdcccedda")), np.array(list("babbbccceddd"))
    assert nominal_alpha(first, second) == pytest.approx(0.692, abs=5e-4)


@given(
    arrays(np.int64, 12, elements=st.integers(-3, 3)),
    arrays(np.int64, 12, elements=st.integers(-3, 3)),
)
def test_alphas_are_those_of_a_naive_loop_over_all_pairs(
    first: np.ndarray, second: np.ndarray
) -> None:
    """Krippendorff 2011: one minus observed over expected disagreement, over pairs of values."""
    values = [*first.tolist(), *second.tolist()]

    def naive(difference: Callable[[float, float], float]) -> float:
        observed = np.mean([difference(a, b) for a, b in zip(first, second, strict=True)])
        expected = np.mean(
            [difference(a, b) for i, a in enumerate(values) for j, b in enumerate(values) if i != j]
        )
        return float(1 - observed / expected) if expected else 1.0

    assert nominal_alpha(first, second) == pytest.approx(naive(lambda a, b: float(a != b)))
    assert interval_alpha(first.astype(float), second.astype(float)) == pytest.approx(
        naive(lambda a, b: float((a - b) ** 2))
    )


@given(arrays(np.float64, st.integers(2, 20), elements=st.integers(-5, 5)))
def test_perfect_numbers_get_one_under_every_metric_if_they_vary(gold: np.ndarray) -> None:
    varies = gold.min() < gold.max()
    assert NUMBERS["alpha"](gold, gold) == 1.0
    for name in ("pearson", "spearman"):
        assert NUMBERS[name](gold, gold) == pytest.approx(1.0 if varies else 0.0)


def test_alpha_counts_a_shift_that_correlation_does_not_see() -> None:
    gold = np.arange(10.0)
    assert pearson(gold, gold + 3) == pytest.approx(1.0)
    assert interval_alpha(gold, gold + 3) < 0.7


def test_entity_f1_counts_whole_entities() -> None:
    gold = [["B-PER", "I-PER", "O", "B-LOC"], ["O", "B-ORG"]]
    # PER is cut short, LOC is right, ORG is called LOC: one right of three found and of three
    # there.
    predicted = [["B-PER", "O", "O", "B-LOC"], ["O", "B-LOC"]]
    assert entity_f1(gold, predicted) == pytest.approx(1 / 3)


def test_a_guess_of_no_entity_gets_none_of_them_however_many_words_it_gets_right() -> None:
    assert entity_f1([["O"] * 50 + ["B-PER"]], [["O"] * 51]) == 0.0


@given(
    st.lists(
        st.tuples(*(st.frozensets(st.sampled_from("abcd")) for _ in range(2))),
        min_size=1,
        max_size=20,
    ),
    st.sampled_from(["macro", "micro"]),
)
def test_several_classes_a_row_have_scikit_learns_f1_over_the_classes_that_occur(
    rows: list[tuple[frozenset[str], frozenset[str]]], average: str
) -> None:
    gold, predicted = ([row[side] for row in rows] for side in (0, 1))
    names = sorted(frozenset().union(*gold, *predicted))
    columns = MultiLabelBinarizer(classes=[*"abcd"])
    sides = [columns.fit_transform(side) for side in (gold, predicted)]
    present = ["abcd".index(name) for name in names]
    expected = (
        f1_score(*sides, labels=present, average=average, zero_division=0) if present else 0.0
    )
    assert set_f1(gold, predicted, average) == pytest.approx(expected)
