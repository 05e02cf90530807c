from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from distill.export.metadata import Contents, card_metadata, eval_results, teacher_origin
from tests.export.cards import WHOLE, card_of, front_matter
from tests.report.examples import example_report


def test_the_metadata_says_language_licence_base_model_and_datasets() -> None:
    data = front_matter(card_of(example_report()))
    assert data["language"] == "sv"
    assert data["license"] == "cc-by-4.0"
    assert (data["base_model"], data["base_model_relation"]) == ("organisation/teacher", "finetune")
    assert data["datasets"] == ["organisation/text"]
    assert {"distilled", "vocabulary-trimming"} <= set(data["tags"])


@pytest.mark.parametrize(
    ("contents", "library", "pipeline", "tags"),
    [
        (Contents(), "transformers", "feature-extraction", set()),
        (Contents(head=True), "transformers", "fill-mask", set()),
        (
            Contents(files=frozenset({"onnx/model.onnx"})),
            "transformers",
            "feature-extraction",
            {"onnx"},
        ),
        (WHOLE, "sentence-transformers", "sentence-similarity", {"onnx", "sentence-transformers"}),
    ],
)
def test_the_hub_files_it_under_what_its_folder_holds(
    contents: Contents, library: str, pipeline: str, tags: set[str]
) -> None:
    data = card_metadata(example_report(), "mit", contents).to_dict()
    assert (data["library_name"], data["pipeline_tag"]) == (library, pipeline)
    assert {"onnx", "sentence-transformers"} & set(data["tags"]) == tags


def test_files_of_the_users_own_are_no_datasets_of_the_hub() -> None:
    source = {"path": "/home/somebody/text.txt", "licence": "mit"}
    assert (
        "datasets"
        not in card_metadata(example_report(corpus={"sources": [source]}), "mit", WHOLE).to_dict()
    )


def test_a_model_that_the_student_began_as_is_a_base_model_too() -> None:
    data = card_metadata(
        example_report(student={"model": "organisation/small"}), "mit", WHOLE
    ).to_dict()
    assert data["base_model"] == ["organisation/teacher", "organisation/small"]


def test_the_metadata_holds_the_students_measured_scores() -> None:
    report = example_report()
    results = ModelCard(card_of(report)).data.eval_results
    assert results is not None
    assert [
        (r.task_type, r.dataset_type, r.dataset_name, r.metric_type, r.metric_name) for r in results
    ] == [
        ("text-retrieval", "organisation/faq", "faq", "mrr_at_10", "mrr@10"),
        ("text-retrieval", "organisation/faq", "faq", "recall_at_1", "recall@1"),
    ]
    assert [r.metric_value for r in results] == [pytest.approx(0.648), pytest.approx(0.648)]


def test_scores_in_int8_are_told_where_the_folder_holds_that_file() -> None:
    report = example_report()
    report["evaluation"] = [report["evaluation"][0] | {"model": "student_int8", "mean": 0.64}]
    assert [r.metric_name for r in eval_results(report, WHOLE)] == [
        "mrr@10 of onnx/model_quantized.onnx"
    ]
    assert eval_results(report, Contents()) == []


@pytest.mark.parametrize("mean", [None, float("nan")])
def test_what_was_not_measured_is_not_in_the_metadata(mean: float | None) -> None:
    report = example_report()
    for score in report["evaluation"]:
        score["mean"] = mean
    assert eval_results(report, WHOLE) == []


def test_scores_of_several_languages_and_settings_stay_apart() -> None:
    report = example_report()
    report["recipe"]["evaluation"]["tasks"] = [
        {
            "name": "nli",
            "kind": "pair_classification",
            "test": {"hub": "organisation/nli", "config": "{language}", "split": "test"},
        }
    ]
    first: dict[str, Any] = report["evaluation"][0] | {
        "model": "student",
        "metric": "accuracy",
        "base_task": "nli",
    }
    report["evaluation"] = [
        first
        | {
            "task": f"nli {setting} {language}",
            "setting": setting,
            "language": language,
            "mean": mean,
        }
        for setting, language, mean in (
            ("transfer", "da", 0.7),
            ("transfer", "fi", 0.6),
            ("translated", "fi", 0.65),
        )
    ]
    results = ModelCard(card_of(report)).data.eval_results or []
    assert [(r.task_type, r.dataset_name, r.dataset_config, r.metric_value) for r in results] == [
        ("text-classification", "nli transfer da", "da", 0.7),
        ("text-classification", "nli transfer fi", "fi", 0.6),
        ("text-classification", "nli translated fi", "fi", 0.65),
    ]


@pytest.mark.parametrize(
    ("model", "origin"),
    [
        ("FacebookAI/xlm-roberta-base", "FacebookAI/xlm-roberta-base"),
        ("package:multilingual-e5-small", "intfloat/multilingual-e5-small"),
        ("/home/somebody/models/mine", "mine"),
        ("/home/somebody/models/mine/", "mine"),
        ("../models/mine", "mine"),
        ("C:\\models\\mine", "mine"),
        ("bert-base-multilingual-cased", "bert-base-multilingual-cased"),
    ],
)
def test_a_teacher_is_known_by_its_hub_id_or_its_last_name(model: str, origin: str) -> None:
    assert teacher_origin(model) == origin


def test_a_folder_of_the_user_is_not_taken_for_a_model_of_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert (
        teacher_origin("models/mine") == "mine" and teacher_origin("models/other") == "models/other"
    )
