from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from distill.evaluation.cross_lingual import no_cross_lingual_scores
from distill.evaluation.resampling import observe
from distill.evaluation.scores import Reference, score_models
from distill.evaluation.statistics import mean_statistic
from distill.recipe import ClassificationTask
from distill.recipe.cross_lingual import score_name
from distill.report.content import headline, summary_scores
from distill.report.cross_lingual import cross_lingual_tables
from tests.report.examples import example_history, example_recipe, example_report
from tests.report.test_page import HOSTILE, Page, render

LANGUAGES = (
    "en",
    "fr",
    "es",
    "de",
    "el",
    "bg",
    "ru",
    "tr",
    "ar",
    "vi",
    "th",
    "zh",
    "hi",
    "sw",
    "ur",
    "sv",
)
TASK = {
    "name": "topics",
    "kind": "classification",
    "train": {"path": "{language}"},
    "test": {"path": "{language}"},
    "cross_lingual": {"languages": LANGUAGES},
}


def scores_abroad() -> list[dict[str, Any]]:
    """Scores as the evaluation makes them: the later a language, the lower; none of one model."""
    task = ClassificationTask.model_validate(TASK)
    section = task.cross_lingual
    assert section is not None
    scores: list[Any] = []
    of = Reference(name="teacher", seed=0)
    for setting in section.settings:
        for at, language in enumerate((None, *LANGUAGES)):
            for metric in task.metrics:
                observed = {
                    model: observe(
                        [mean_statistic(np.arange(100) < 100 * level - 2 * at)] * 2, 100, 0
                    )
                    for model, level in (("teacher", 0.9), ("student", 0.7))
                }
                name = score_name(task.name, setting, language)
                place = {"base_task": task.name, "setting": setting, "language": language}
                scores += [
                    replace(score, **place)  # type: ignore[arg-type]
                    for score in score_models(name, metric, observed, of, 0.1)
                ]
    scores.sort(key=lambda score: score.model, reverse=True)
    scores += no_cross_lingual_scores(f"org/{HOSTILE}", task, "there is no such model")
    return [asdict(score) for score in scores]


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    """A report with a plain task and one in sixteen languages."""
    content = example_report()
    tasks = [
        *example_recipe().model_dump(mode="json", exclude_none=True)["evaluation"]["tasks"],
        TASK,
    ]
    content["recipe"]["evaluation"]["tasks"] = tasks
    content["evaluation"] = [*content["evaluation"], *scores_abroad()]
    return content


def test_a_table_has_a_line_for_each_setting_and_a_column_for_each_language(
    report: dict[str, Any],
) -> None:
    (table,) = cross_lingual_tables(report["evaluation"])
    assert (table.task, table.metric, tuple(table.languages)) == ("topics", "macro_f1", LANGUAGES)
    lines = table.models["teacher"]
    assert [line.setting for line in lines] == [
        "transfer",
        "translate_test",
        "translate_train",
        "translate_train_all",
    ]
    assert lines[0].cells[:2] == pytest.approx([88, 86]) and lines[0].average == pytest.approx(90)
    assert lines[0].low is not None and lines[0].low < lines[0].average
    (missing,) = {line.reason for line in table.models[f"org/{HOSTILE}"]}
    assert missing == "there is no such model"


def test_without_such_a_task_there_is_no_table() -> None:
    assert cross_lingual_tables(example_report()["evaluation"]) == []
    assert "Across languages" not in render(example_report(), example_history())


def test_a_page_has_the_table_and_lists_averages_alone_among_the_scores(
    report: dict[str, Any],
) -> None:
    html = render(report, example_history())
    page = Page(html)
    assert (
        "<h2>Across languages</h2>" in html
        and "<script>alert" not in html
        and "None" not in page.text
    )
    assert "there is no such model" in page.text
    assert "topics.transfer" in page.text and "topics.transfer.sv" not in page.text
    assert page.tags["svg"] < len(LANGUAGES), "and no plot a language"


def test_the_averages_stand_for_their_languages_where_runs_are_compared(
    report: dict[str, Any],
) -> None:
    assert {row["task"] for row in summary_scores(report)} == {
        "faq",
        *(
            f"topics.{setting}"
            for setting in ("transfer", "translate_test", "translate_train", "translate_train_all")
        ),
    }
    names = [name for name in headline(report) if name.startswith("retention/topics")]
    assert "retention/topics.transfer/macro_f1" in names and len(names) == 8
