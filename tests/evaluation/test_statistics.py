from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from distill.evaluation import metrics
from distill.evaluation.statistics import (
    NUMBERS,
    class_statistic,
    entity_statistic,
    mean_statistic,
    set_statistic,
)

NAMES = st.sampled_from(["a", "b", "c", "d"])
CLASSES = st.lists(st.tuples(NAMES, NAMES), min_size=2, max_size=40)
TAGS = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
SENTENCES = st.lists(
    st.lists(st.tuples(TAGS, TAGS), min_size=1, max_size=6), min_size=1, max_size=8
)
SCORES = st.integers(0, 5).map(float)
PAIRS = st.lists(st.tuples(SCORES, SCORES), min_size=2, max_size=40)


def drawn(rows: int) -> np.ndarray:
    """Rows by number, some twice."""
    return np.random.default_rng(rows).integers(rows, size=rows)


def weights_of(rows: np.ndarray) -> np.ndarray:
    return np.bincount(rows, minlength=len(rows)).astype(float)[None]


@pytest.mark.parametrize("metric", list(metrics.CLASSES))
@given(pairs=CLASSES)
def test_classes_have_the_metric_of_the_rows_that_were_drawn(
    metric: str, pairs: list[tuple[str, str]]
) -> None:
    gold, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    rows = drawn(len(pairs))
    statistic = class_statistic(metric, [(g,) for g in gold], [(p,) for p in predicted])
    expected = metrics.CLASSES[metric](gold[rows], predicted[rows])
    assert statistic(weights_of(rows))[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", list(metrics.SETS))
@given(rows=st.lists(st.tuples(st.frozensets(NAMES), st.frozensets(NAMES)), min_size=1))
def test_rows_of_several_classes_have_the_metric_of_the_rows_that_were_drawn(
    metric: str, rows: list[tuple[frozenset[str], frozenset[str]]]
) -> None:
    gold, predicted = ([sorted(row[side]) for row in rows] for side in (0, 1))
    places = drawn(len(rows))
    found = set_statistic(metric, gold, predicted)(weights_of(places))[0]
    expected = metrics.SETS[metric](*([set(side[i]) for i in places] for side in (gold, predicted)))
    assert found == pytest.approx(expected, abs=1e-9)


@given(SENTENCES)
def test_words_count_by_sentences(sentences: list[list[tuple[str, str]]]) -> None:
    gold, predicted = ([[pair[i] for pair in one] for one in sentences] for i in (0, 1))
    rows = drawn(len(sentences))
    statistic = class_statistic("macro_f1", gold, predicted)
    flat = [np.array([name for i in rows for name in side[i]]) for side in (gold, predicted)]
    assert statistic(weights_of(rows))[0] == pytest.approx(metrics.macro_f1(*flat), abs=1e-9)


@given(SENTENCES)
def test_entities_have_the_f1_of_the_sentences_that_were_drawn(
    sentences: list[list[tuple[str, str]]],
) -> None:
    gold, predicted = ([[pair[i] for pair in one] for one in sentences] for i in (0, 1))
    rows = drawn(len(sentences))
    found = entity_statistic(gold, predicted)(weights_of(rows))[0]
    expected = metrics.entity_f1([gold[i] for i in rows], [predicted[i] for i in rows])
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("metric", list(metrics.NUMBERS))
@given(pairs=PAIRS)
def test_numbers_have_the_metric_of_the_rows_that_were_drawn(
    metric: str, pairs: list[tuple[float, float]]
) -> None:
    gold, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    rows = drawn(len(pairs))
    found = NUMBERS[metric](gold, predicted)(weights_of(rows))[0]
    assert found == pytest.approx(metrics.NUMBERS[metric](gold[rows], predicted[rows]), abs=1e-6)


@pytest.mark.parametrize("metric", list(metrics.NUMBERS))
def test_predictions_that_are_no_numbers_say_nothing(metric: str) -> None:
    statistic = NUMBERS[metric](np.array([1.0, 2.0]), np.array([1.0, np.nan]))
    assert statistic(np.ones((1, 2))).tolist() == [0.0]


def test_a_mean_is_of_the_rows_that_were_drawn() -> None:
    assert mean_statistic(np.array([1.0, 0.0]))(np.array([[2.0, 0.0], [1.0, 1.0]])).tolist() == [
        1.0,
        0.5,
    ]
