from __future__ import annotations

import csv
import io

import pytest

from distill.report.content import dev_scores, headline, is_at_chance, summary
from distill.report.measured import (
    at_edge,
    fine_tuned_tasks,
    model_facts,
    task_facts,
    verdict_of,
)
from distill.report.tables import table_texts
from tests.report.examples import example_report, measured_report


@pytest.mark.parametrize(
    ("low", "high", "equivalent", "verdict"),
    [
        (-0.012, -0.008, True, "as good within ±0.02"),
        (-0.09, -0.03, False, "worse"),
        (0.01, 0.05, False, "better"),
        (-0.13, 0.13, False, "not decided"),
        (None, None, None, ""),
    ],
)
def test_a_verdict_says_what_the_difference_allows(
    low: float | None, high: float | None, equivalent: bool | None, verdict: str
) -> None:
    score = {"difference_low": low, "difference_high": high, "equivalent": equivalent}
    assert verdict_of(score, 0.02) == verdict


def test_a_score_is_at_chance_whose_interval_reaches_down_to_it() -> None:
    assert is_at_chance({"chance": 0.25, "low": 0.24})
    assert not is_at_chance({"chance": 0.25, "low": 0.26})
    assert not is_at_chance({"chance": None, "low": 0.2})
    assert not is_at_chance({"chance": 0.25, "low": None})


def test_the_facts_of_a_task_are_its_rows_and_what_guessing_scores() -> None:
    (facts,) = task_facts(measured_report())
    assert (facts.train, facts.distinct, facts.test) == (701, 321, 204)
    assert facts.chance == (("macro-F1", 0.143),)


def test_the_facts_of_a_model_are_of_its_own_measurements() -> None:
    content = measured_report()
    facts = {one.model: one for one in model_facts(content)}
    assert facts["student_int8"].runtime == "onnx int8"
    assert facts["teacher"].rates == ((1e-4, False),)
    assert fine_tuned_tasks(content) == ["topics"]
    assert at_edge(content) == {"student": ["topics"]}


def test_several_commits_of_one_model_are_all_named() -> None:
    content = measured_report()
    (first, *_) = content["evaluation"]
    how = {**first["provenance"], "commit": "fff0000aaa"}
    content["evaluation"].append({**first, "task": "pos", "provenance": how})
    assert model_facts(content)[0].commit == "abc1234, fff0000"


def test_a_report_that_says_nothing_of_it_has_no_facts() -> None:
    assert task_facts(example_report()) == model_facts(example_report()) == []


def test_the_tables_say_how_scores_were_come_by() -> None:
    texts = table_texts(measured_report())
    assert "0.150 (0.140 to 0.160) at chance" in texts["scores.md"]
    assert "| topics | 701 rows of train (321 distinct), 204 of test |" in texts["scores.md"]
    assert "| 55 (40 whole) of 801 of train, 60 (2 whole) of 204 of test |" in texts["scores.md"]
    assert (
        "The learning rate of student is at the edge of the grid on topics." in texts["scores.md"]
    )
    rows = {row["model"]: row for row in csv.DictReader(io.StringIO(texts["scores.csv"]))}
    assert rows["student"]["topics macro_f1 rate_at_edge"] == "True"
    assert rows["student"]["topics macro_f1 learning_rate"] == "0.0003"
    assert rows["student_int8"]["topics macro_f1 runtime"] == "onnx"


def test_the_headline_and_its_sentence_say_the_verdict() -> None:
    content = measured_report()
    assert headline(content)["equivalent/topics/macro_f1"] == 1
    assert "as good as the teacher within ±0.02 on 1 of 1 task tested" in summary(content)
    assert "chance" not in summary(content)
    (student,) = [row for row in content["evaluation"] if row["model"] == "student"]
    student |= {"low": 0.1, "equivalent": False}
    assert (
        "not shown to be as good as the teacher within ±0.02 on the task tested; at chance on"
        in summary(content)
    )


def test_scores_on_dev_are_those_of_fine_tuned_tasks() -> None:
    assert dev_scores(measured_report(), "student") == {"topics": pytest.approx(0.62)}
    assert dev_scores(example_report(), "student") == {}
