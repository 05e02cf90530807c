from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from distill.report.scoreboard import (
    Scoreboard,
    build_scoreboard,
    comparable_latencies,
    known_parameters,
    mean_of,
)
from tests.report.examples import (
    example_recipe,
    example_report,
    example_results,
    measurement,
    report_content,
)

NOTHING: dict[str, Any] = dict.fromkeys(("mean", "low", "high", "retention", "difference"))


def board_of(tasks: tuple[str, ...] = ("faq", "news"), **models: Any) -> Scoreboard:
    return build_scoreboard(
        report_content(example_recipe(), example_results(tasks=tasks, **models))
    )


def score(mean: float, half: float | None = None) -> dict[str, Any]:
    return {
        "mean": mean,
        "low": None if half is None else mean - half,
        "high": None if half is None else mean + half,
        "error": None if half is None else half / 1.959964,
        "freedom": None if half is None else 1e9,
        "difference": None,
        "retention": None,
    }


def test_first_metrics_come_first_and_then_the_others() -> None:
    board = board_of()
    assert [(column.task, column.metric) for column in board.columns] == [
        ("faq", "mrr@10"), ("news", "mrr@10"), ("faq", "recall@1"), ("news", "recall@1"),
    ]  # fmt: skip
    assert board.tasks == 2


def test_every_model_has_a_line_with_a_cell_a_column_and_those_without_scores_have_none() -> None:
    content = example_report()
    content["benchmark"].append(measurement("org/timed-alone"))
    board = build_scoreboard(content)
    assert [line.model for line in board.lines] == [
        "teacher", "trimmed", "student", "initial", "untrained", "org/timed-alone",
    ]  # fmt: skip
    assert all(len(line.cells) == 2 for line in board.lines)
    assert board.lines[-1].cells == (None, None)


def test_a_mean_is_that_of_the_first_metrics_alone() -> None:
    content = report_content(example_recipe(), example_results(tasks=("faq", "news")))
    for row in content["evaluation"]:
        if row["model"] == "teacher":
            row["mean"] = (
                {"faq": 0.5, "news": 0.7}[row["task"]] if row["metric"] == "mrr@10" else 0.0
            )
    mean = build_scoreboard(content).lines[0].mean
    assert mean is not None
    assert mean["mean"] == pytest.approx(0.6)
    assert mean["retention"] == 1


def test_a_model_that_lacks_a_task_has_no_mean() -> None:
    content = report_content(example_recipe(), example_results(tasks=("faq", "news")))
    content["evaluation"] = [
        row for row in content["evaluation"] if (row["model"], row["task"]) != ("student", "news")
    ]
    assert [line.model for line in build_scoreboard(content).lines if line.mean is None] == [
        "student"
    ]
    assert mean_of([score(0.5), NOTHING]) is None
    assert mean_of([]) is None


def test_the_interval_of_a_mean_is_narrower_than_those_of_its_tasks() -> None:
    found = mean_of([score(0.5, 0.03), score(0.7, 0.04)])
    assert found is not None
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((0.6, 0.575, 0.625))


def test_a_mean_has_no_interval_where_a_task_has_none() -> None:
    found = mean_of([score(0.5, 0.03), score(0.7)])
    assert found is not None
    assert (found["mean"], found["low"], found["high"]) == (pytest.approx(0.6), None, None)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 1)), min_size=1, max_size=8))
def test_a_mean_lies_within_its_interval(tasks: list[tuple[float, float]]) -> None:
    found = mean_of([score(mean, half) for mean, half in tasks])
    assert found is not None
    assert found["low"] - 1e-12 <= found["mean"] <= found["high"] + 1e-12


def test_without_a_teacher_a_mean_keeps_nothing_of_it() -> None:
    alone = {**score(0.5, 0.1), "retention": None, "difference": None}
    mean = mean_of([alone])
    assert mean is not None
    assert (mean["retention"], mean["difference"]) == (None, None)


def test_the_mean_retention_is_that_of_the_tasks_and_none_where_one_has_none() -> None:
    cells = [{**score(0.5, 0.1), "retention": kept, "retention_error": None} for kept in (0.5, 1.0)]
    found = mean_of(cells)
    assert found is not None and found["retention"] == pytest.approx(0.75)
    lacking = mean_of([*cells, {**score(0.5, 0.1), "retention": None}])
    assert lacking is not None and lacking["retention"] is None


def test_equal_reasons_share_a_note() -> None:
    content = example_report()
    for row in content["evaluation"]:
        if row["model"] == "untrained":
            row |= NOTHING | {"reason": "no weights"}
        if row["model"] == "student":
            row["reason"] = "one seed tells no spread"
    board = build_scoreboard(content)
    assert board.notes == ("no weights",)
    assert board.remarks == ("one seed tells no spread",)
    assert [board.note_of(cell) for cell in board.lines[-1].cells] == [1, 1]
    assert board.note_of(board.lines[0].cells[0]) is None


def test_models_that_the_run_made_have_the_parameters_of_their_architecture() -> None:
    known = known_parameters(example_report("evaluation"))
    assert (known["teacher"], known["trimmed"]) == (56_832, 50_272)
    assert {
        known[name] for name in ("student", "student_int8", "initial", "untrained", "scratch")
    } == {38_432}


def test_measured_parameters_go_before_those_of_an_architecture() -> None:
    content = example_report()
    content["benchmark"] = [
        measurement("teacher", parameters=7),
        measurement("org/unknown", parameters=None),
    ]
    known = known_parameters(content)
    assert known["teacher"] == 7
    assert "org/unknown" not in known


def test_latencies_are_compared_in_the_setting_that_most_models_have_then_at_the_longest() -> None:
    rows = [
        measurement(
            model,
            length=length,
            batch_size=batch,
            threads=threads,
            median_ms=float(length + threads),
        )
        for model in ("teacher", "student")
        for length in (32, 128)
        for batch in (1, 32)
        for threads in (1, 2)
    ]
    rows.append(measurement("teacher", length=512, median_ms=900.0))
    setting, found = comparable_latencies(rows)
    assert setting == "128 tokens, batch 1, CPU, 2 threads"
    assert found == {"teacher": 130.0, "student": 130.0}


def test_the_gpu_stands_in_where_nothing_was_timed_on_the_cpu() -> None:
    rows = [
        measurement("student", device="cuda", threads=None),
        measurement("student", median_ms=None),
    ]
    assert comparable_latencies(rows)[0] == "32 tokens, batch 1, GPU"
    assert comparable_latencies([]) == (None, {})


def test_a_latency_is_that_of_the_model_itself_and_int8_that_of_int8() -> None:
    rows = [
        measurement("student", runtime="onnx", median_ms=1.0),
        measurement("student", precision="bfloat16", median_ms=2.0),
        measurement("student", median_ms=3.0),
        measurement("student_int8", runtime="onnx", precision="int8", median_ms=4.0),
    ]
    assert comparable_latencies(rows)[1] == {"student": 3.0, "student_int8": 4.0}


@pytest.mark.parametrize("until", ["corpus", "vocabulary", "student", "distillation"])
def test_a_run_without_scores_has_an_empty_table(until: str) -> None:
    board = build_scoreboard(example_report(until))
    assert (board.columns, board.lines) == ((), ())


def test_the_interval_of_a_mean_stays_within_the_range_of_its_metrics() -> None:
    shares = [{**score(0.99, 0.03), "metric": metric} for metric in ("accuracy", "mrr@10")]
    found = mean_of(shares)
    assert found is not None and 0.9 < found["low"] < 0.99 < found["high"] < 1
    mixed = mean_of([shares[0], {**score(-0.99, 0.03), "metric": "mcc"}])
    assert mixed is not None and -0.5 < mixed["low"] < mixed["mean"] < mixed["high"] < 1
