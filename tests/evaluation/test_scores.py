from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, strategies as st
from scipy.special import ndtri

from distill.evaluation.resampling import Observed, draw_weights, observe
from distill.evaluation.scores import Reference, score_models
from distill.evaluation.statistics import mean_statistic, share_statistic
from distill.report.estimates import Estimate, mean_estimate
from distill.report.results.evaluation import Score

TEACHER = Reference(name="teacher", seed=0)
TRUTH = {"teacher": 0.86, "trimmed": 0.86, "student": 0.83, "initial": 0.7, "untrained": 0.5}
CHANCE = 0.2


def queries(values: np.ndarray) -> Observed:
    """Of a model as it is: what each query contributes."""
    return observe([mean_statistic(values)], len(values), 0, has_seeds=False)


def fine_tunes(*seeds: np.ndarray) -> Observed:
    """Of a model's fine-tunes: for each seed what each row contributes."""
    return observe([mean_statistic(one) for one in seeds], len(seeds[0]), 0)


def scored(
    metric: str = "accuracy", chance: float | None = 0.0, **observed: Observed
) -> dict[str, Score]:
    scores = score_models("task", metric, observed, TEACHER, chance)
    return {score.model: score for score in scores}


def right(random: np.random.Generator, share: float, rows: int = 400) -> np.ndarray:
    return (random.random(rows) < share).astype(float)


def simulate(rows: int, seeds: int, deviation: float, times: int) -> Iterator[dict[str, bool]]:
    """Whether intervals hold the truth: models that are right on the same rows more often than by
    chance (a correlation of .7), with seeds that move their accuracy by `deviation`.
    """
    random = np.random.default_rng([rows, seeds, round(1000 * deviation)])
    weights = np.concatenate(list(draw_weights(rows, 0)))[:500] / rows

    def observed(common: np.ndarray, truth: float) -> Observed:
        own = 0.7**0.5 * common + 0.3**0.5 * random.normal(size=rows)
        shares = np.clip(truth + deviation * random.normal(size=seeds), 0.01, 0.99)
        answers = own[:, None] < ndtri(shares)
        return Observed(
            values=answers.mean(axis=0), draws=weights @ answers.mean(axis=1), rows=rows
        )

    def student() -> Score:
        common = random.normal(size=rows)
        models = {name: observed(common, truth) for name, truth in TRUTH.items()}
        return scored(chance=CHANCE, **models)["student"]

    kept = (TRUTH["student"] - CHANCE) / (TRUTH["teacher"] - CHANCE)
    for _ in range(times):
        one, other = student(), student()
        mean = mean_estimate(
            [
                Estimate(value=score.mean, error=score.error, freedom=score.freedom)  # type: ignore[arg-type]
                for score in (one, other)
            ]
        )
        low, high = mean.interval((0, 1))
        yield {
            "score": one.low <= TRUTH["student"] <= one.high,  # type: ignore[operator]
            "difference": one.difference_low <= -0.03 <= one.difference_high,  # type: ignore[operator]
            "retention": one.retention_low <= kept <= one.retention_high,  # type: ignore[operator]
            "mean": low <= TRUTH["student"] <= high,
        }


def check_coverage(rows: int, seeds: int, deviation: float, times: int) -> None:
    held = list(simulate(rows, seeds, deviation, times))
    coverage = {name: np.mean([one[name] for one in held]) for name in held[0]}
    assert all(0.93 <= share <= 0.97 for share in coverage.values()), coverage


@pytest.mark.parametrize(("rows", "seeds", "deviation"), [(204, 2, 0.03), (204, 10, 0.01)])
def test_intervals_of_scores_differences_retentions_and_means_hold_the_truth_95_times_in_100(
    rows: int, seeds: int, deviation: float
) -> None:
    check_coverage(rows, seeds, deviation, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("deviation", [0.01, 0.03])
@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("rows", [204, 2000])
def test_they_hold_it_at_any_number_of_rows_and_seeds(
    rows: int, seeds: int, deviation: float
) -> None:
    check_coverage(rows, seeds, deviation, 4000)


def test_more_seeds_do_not_make_the_same_rows_tell_more() -> None:
    random = np.random.default_rng(0)
    rows = right(random, 0.8)
    few = scored(teacher=fine_tunes(rows, rows))["teacher"]
    many = scored(teacher=fine_tunes(*[rows] * 10))["teacher"]
    assert few.error == pytest.approx(many.error) == pytest.approx(0.02, rel=0.1)


def test_an_interval_stays_within_its_metrics_range() -> None:
    random = np.random.default_rng(0)
    low = scored(teacher=fine_tunes(right(random, 0.05, 40), right(random, 0.2, 40)))["teacher"]
    assert low.low is not None and low.high is not None
    assert 0 < low.low < low.mean < low.high < 1  # type: ignore[operator]


def test_all_rows_right_is_not_certain() -> None:
    score = scored(teacher=queries(np.ones(200)))["teacher"]
    assert score.low is not None and 0.95 < score.low < 0.99 and score.high == 1.0


def test_a_correlation_of_one_is_not_certain_either() -> None:
    score = scored(metric="mcc", teacher=queries(np.ones(200)))["teacher"]
    assert score.low is not None and 0.9 < score.low < 0.98 and score.high == 1.0


def test_one_seed_tells_no_interval() -> None:
    random = np.random.default_rng(0)
    score = scored(teacher=fine_tunes(right(random, 0.8)), student=fine_tunes(right(random, 0.5)))[
        "student"
    ]
    assert (score.low, score.difference_low, score.retention_low, score.equivalent) == (None,) * 4
    assert score.reason == "one seed tells no spread"
    assert score.retention == pytest.approx(0.5 / 0.8, abs=0.1)


def test_the_difference_is_of_the_same_rows_so_what_both_share_does_not_widen_it() -> None:
    teacher = np.random.default_rng(0).random(50)
    score = scored("mrr@10", teacher=queries(teacher), student=queries(teacher - 0.25))["student"]
    assert (score.difference, score.difference_low, score.difference_high) == pytest.approx(
        (-0.25, -0.25, -0.25)
    )
    assert score.low is not None and score.high is not None and score.high - score.low > 0.05


def test_what_a_seed_does_to_all_models_alike_does_not_widen_their_difference() -> None:
    random = np.random.default_rng(0)
    seeds = [right(random, share) for share in (0.6, 0.7, 0.9)]
    score = scored(teacher=fine_tunes(*seeds), student=fine_tunes(*seeds))["student"]
    assert (score.difference, score.difference_error) == pytest.approx((0, 0), abs=1e-9)


def test_retention_is_what_is_kept_above_chance() -> None:
    teacher, student = np.repeat([1.0, 0.0], [80, 20]), np.repeat([1.0, 0.0], [65, 35])
    score = scored(chance=0.5, teacher=queries(teacher), student=queries(student))["student"]
    assert score.retention == pytest.approx(0.5) and score.chance == 0.5
    assert score.retention_low is not None and score.retention_high is not None
    assert score.retention_low < 0.5 < score.retention_high


def test_a_teacher_at_chance_keeps_nothing_to_compare_with() -> None:
    random = np.random.default_rng(0)
    teacher = queries(right(random, 0.52))
    score = scored(chance=0.5, teacher=teacher, student=queries(right(random, 0.7)))["student"]
    assert score.retention is None
    assert score.reason == (
        "the teacher does not do better than guessing on task (accuracy), which scores 0.500"
    )
    assert score.difference is not None


def test_without_the_teacher_there_is_no_retention_and_the_reason_says_so() -> None:
    score = scored(student=queries(np.ones(3)))["student"]
    assert (score.retention, score.reason) == (None, "the teacher was not evaluated")


@pytest.mark.parametrize(("apart", "equivalent"), [(0.0, True), (0.015, False), (0.1, False)])
def test_as_good_as_the_teacher_is_said_only_where_the_difference_lies_within_the_margin(
    apart: float, equivalent: bool
) -> None:
    random = np.random.default_rng(0)
    teacher = random.random(2000)
    student = teacher - apart + random.normal(0, 0.3, 2000)
    score = scored("mrr@10", teacher=queries(teacher), student=queries(student))["student"]
    assert score.equivalent is equivalent


def test_a_share_counts_pieces_not_rows() -> None:
    counts = np.array([[1, 1], [0, 9]])
    score = scored(teacher=observe([share_statistic(counts)], 2, 0, has_seeds=False))["teacher"]
    assert score.mean == pytest.approx(0.1)


@given(st.integers(1, 300), st.integers(0, 2**31))
def test_bootstraps_draw_as_many_rows_as_there_are_and_the_same_for_every_model(
    rows: int, seed: int
) -> None:
    first, again = (next(draw_weights(rows, seed)) for _ in range(2))
    assert (first.sum(axis=1) == rows).all() and (first == again).all()


def test_a_model_without_seeds_is_compared_with_the_variance_of_its_references_seeds() -> None:
    random = np.random.default_rng(0)
    weights = np.concatenate(list(draw_weights(400, 0)))[:500] / 400
    differences = retentions = 0
    for _ in range(400):
        shares = np.clip(0.7 + 0.03 * random.normal(size=3), 0, 1)
        answers = random.random((400, 3)) < shares
        alone = (random.random(400) < 0.6).astype(float)
        teacher = Observed(
            values=answers.mean(axis=0), draws=weights @ answers.mean(axis=1), rows=400
        )
        one = Observed(
            values=np.full(3, alone.mean()), draws=weights @ alone, rows=400, has_seeds=False
        )
        score = scored(chance=0.2, teacher=teacher, tfidf=one)["tfidf"]
        differences += score.difference_low <= -0.1 <= score.difference_high  # type: ignore[operator]
        retentions += score.retention_low <= 0.8 <= score.retention_high  # type: ignore[operator]
    assert 0.92 <= differences / 400 <= 0.98
    assert 0.92 <= retentions / 400 <= 0.98


def test_a_model_without_seeds_has_an_interval_where_others_have_one_seed() -> None:
    random = np.random.default_rng(0)
    found = scored(teacher=fine_tunes(right(random, 0.8)), tfidf=queries(right(random, 0.5)))
    assert found["tfidf"].low is not None and found["tfidf"].difference_low is None
