from __future__ import annotations

import csv
import json
import os
from dataclasses import asdict
from pathlib import Path

import pytest

import distill.report
from distill.report.published import list_protocols, published_scores
from tests.report.examples import example_recipe, example_results, report_content

FILE = Path(distill.report.__file__).with_name("published.json")


@pytest.mark.parametrize("score", json.loads(FILE.read_text(encoding="utf-8"))["scores"])
def test_every_published_score_says_where_it_is_from(score: dict[str, object]) -> None:
    assert score["source"] and score["protocol"] and score["task"] and score["metric"]
    assert isinstance(score["mean"], float) and -1 <= score["mean"] <= 1


@pytest.mark.parametrize(
    "model",
    [
        "KB/bert-base-swedish-cased",
        "af-ai-center/bert-base-swedish-uncased",
        "google-bert/bert-base-multilingual-cased",
        "distilbert/distilbert-base-multilingual-cased",
        "KBLab/electra-small-swedish-cased-discriminator",
        "AddedK/kbbert-distilled-cased",
        "FacebookAI/xlm-roberta-base",
    ],
)
def test_the_well_known_models_have_published_scores(model: str) -> None:
    assert published_scores({model: model})


def test_the_published_scores_of_a_model_are_found_in_whatever_case_under_its_name_in_the_run() -> (
    None
):
    scores = published_scores({"teacher": "facebookai/XLM-RoBERTa-base"})
    assert {(score.model, score.hub_id) for score in scores} == {
        ("teacher", "FacebookAI/xlm-roberta-base")
    }
    assert {score.task: round(score.mean, 3) for score in scores} == {
        "SweParaphrase": 0.813,
        "ABSAbank-Imm": 0.366,
    }
    assert published_scores({"org/unknown": "org/unknown"}) == []


def test_a_report_has_those_of_its_teacher_and_of_its_baselines() -> None:
    results = example_results(models=("teacher", "student", "KB/bert-base-swedish-cased"))
    content = report_content(
        example_recipe(teacher={"model": "FacebookAI/xlm-roberta-large"}), results
    )
    assert {score["model"] for score in content["published"]} == {
        "teacher",
        "KB/bert-base-swedish-cased",
    }
    assert not {score["task"] for score in content["evaluation"]} & {
        score["task"] for score in content["published"]
    }


def test_a_leaderboard_is_described_once_with_the_tasks_that_are_shown() -> None:
    scores = published_scores({"KB/bert-base-swedish-cased": "KB/bert-base-swedish-cased"})
    assert [(one.name, one.tasks) for one in list_protocols(map(asdict, scores))] == [
        ("EuroEval", ("SweReC in MCC", "SUC 3.0 in entity F1", "ScaLA in MCC")),
        ("SuperLim 2", ("SweParaphrase in alpha", "ABSAbank-Imm in alpha")),
    ]


@pytest.mark.skipif(
    "DISTILL_DATA" not in os.environ,
    reason="DISTILL_DATA, which has the leaderboards' files, is not set",
)
def test_the_published_scores_are_those_of_the_leaderboards_file() -> None:
    with (Path(os.environ["DISTILL_DATA"]) / "reference" / "euroeval_swedish_encoders.csv").open(
        encoding="utf-8"
    ) as file:
        rows = {row["model"].lower(): row for row in csv.DictReader(file)}
    for score in json.loads(FILE.read_text(encoding="utf-8"))["scores"]:
        if score["protocol"] == "EuroEval":
            column = {"SweReC": "swerec", "SUC 3.0": "suc3", "ScaLA": "scala_sv"}[score["task"]]
            half = score["high"] - score["mean"]
            assert rows[score["model"].lower()][column].startswith(
                f"{100 * score['mean']:.2f} ± {100 * half:.2f} /"
            )
