"""EuroEval's scores beside ours (benchmarks/boards.py)."""

from __future__ import annotations

from benchmarks.boards import paired, table

THEIRS = {"task": "topics", "metric": "macro_f1", "mean": 0.5, "low": 0.4, "high": 0.6}


def test_each_score_has_ours_of_the_same_task_and_metric_beside_it() -> None:
    other = {**THEIRS, "task": "another", "mean": 0.9}
    (row,) = paired([THEIRS], [other, {**THEIRS, "mean": 0.55, "low": 0.45, "high": 0.65}])
    assert (row["euroeval"]["mean"], row["distill"]["mean"], row["overlap"]) == (0.5, 0.55, True)
    assert "| topics, macro-F1 | 0.500 (0.400 to 0.600) | 0.550 (0.450 to 0.650) | yes |" in table(
        [row]
    )


def test_intervals_that_share_no_value_are_told() -> None:
    (row,) = paired([THEIRS], [{**THEIRS, "low": 0.61, "high": 0.7}])
    assert not row["overlap"]
