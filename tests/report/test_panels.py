from __future__ import annotations

from typing import Any

import pytest

from distill.report.panels import letter_keys, list_panels, list_unshown, score_range, short_names
from distill.report.scoreboard import Scoreboard, build_scoreboard
from tests.report.examples import (
    MODELS,
    example_recipe,
    example_report,
    example_results,
    report_content,
)

NOTHING: dict[str, Any] = dict.fromkeys(("mean", "low", "high", "retention"))


def content_of(
    tasks: tuple[str, ...] = ("faq", "news"), models: tuple[str, ...] = MODELS
) -> dict[str, Any]:
    return report_content(example_recipe(), example_results(tasks=tasks, models=models))


def board_of(**parts: Any) -> Scoreboard:
    return build_scoreboard(content_of(**parts))


def test_there_is_a_panel_a_task_and_one_of_the_mean_before_them() -> None:
    assert [(panel.title, panel.metric) for panel in list_panels(board_of())] == [
        ("Mean of 2 tasks", "score"),
        ("faq", "MRR@10"),
        ("news", "MRR@10"),
    ]


def test_one_task_is_not_shown_again_as_its_mean() -> None:
    assert [panel.title for panel in list_panels(board_of(tasks=("faq",)))] == ["faq"]


def test_the_slowest_come_first_so_that_none_hides_a_faster_one() -> None:
    marks = list_panels(board_of())[0].marks
    assert [(mark.model, mark.median_ms) for mark in marks] == [
        ("teacher", 12.1),
        ("trimmed", 12.0),
        ("student", 6.0),
        ("initial", None),
        ("untrained", None),
    ]


def test_what_has_no_score_or_no_size_is_left_out_and_named() -> None:
    content = content_of(models=("teacher", "student", "org/none", "org/part", "org/unsized"))
    content["benchmark"] = [row for row in content["benchmark"] if row["model"] != "org/unsized"]
    for row in content["evaluation"]:
        if row["model"] == "org/none" or (row["model"], row["task"]) == ("org/part", "news"):
            row |= NOTHING | {"reason": "not here"}
    board = build_scoreboard(content)
    shown = {panel.title: {mark.model for mark in panel.marks} for panel in list_panels(board)}
    assert shown == {
        "Mean of 2 tasks": {"teacher", "student"},
        "faq": {"teacher", "student", "org/part"},
        "news": {"teacher", "student"},
    }
    assert list_unshown(board) == [
        "org/none (no score)",
        "org/part in the mean (not all tasks)",
        "org/unsized (size not known)",
    ]


def test_a_task_that_nobody_was_measured_on_has_no_panel() -> None:
    content = content_of()
    for row in content["evaluation"]:
        if row["task"] == "news":
            row |= NOTHING | {"reason": "not here"}
    assert [panel.title for panel in list_panels(build_scoreboard(content))] == ["faq"]
    assert list_panels(build_scoreboard(example_report("corpus"))) == []


def test_a_wide_interval_does_not_press_the_scores_together() -> None:
    content = content_of(tasks=("faq",))
    content["evaluation"][0] |= {"low": -5.0, "high": 6.0}
    (panel,) = list_panels(build_scoreboard(content))
    low, high = score_range(panel.marks)
    means = [mark.mean for mark in panel.marks]
    assert low < min(means) < max(means) < high
    assert high - low < 3 * (max(means) - min(means))


def test_names_lose_the_organisation_unless_two_models_share_the_rest() -> None:
    names = short_names(["student", "a/bert", "b/bert", "c/roberta", "/tmp/folder/"])
    assert names == {
        "student": "student",
        "a/bert": "a/bert",
        "b/bert": "b/bert",
        "c/roberta": "roberta",
        "/tmp/folder/": "folder",
    }


def test_a_long_name_has_several_lines() -> None:
    (name,) = short_names(["org/electra-small-swedish-cased-discriminator"]).values()
    assert name == "electra-small-swedish-\ncased-discriminator"


@pytest.mark.parametrize(("others", "letters"), [(2, []), (3, ["A", "B", "C"])])
def test_many_models_have_letters_and_few_their_names(others: int, letters: list[str]) -> None:
    models = (*MODELS, *(f"org/model-{number}" for number in range(others)))
    keys = letter_keys(board_of(tasks=("faq",), models=models))
    assert list(keys.values()) == letters
    assert list(keys) == [f"org/model-{number}" for number in range(len(letters))]
