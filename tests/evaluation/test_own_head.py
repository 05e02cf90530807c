"""Fine-tuned models measured as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.evaluation.evaluate import evaluate_models
from distill.evaluation.own_head import check_head, label_of, read_test_rows
from distill.models import LoadedModel, load_tokenizer
from distill.models.task_heads import head_of
from distill.recipe import EvaluationSection, TeacherSection
from distill.report.results.evaluation import Score
from distill.runtime.errors import UserError
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers
from tests.conftest import swedish_sentences
from tests.models.headed import headed_model

NAMES = ["fara", "lugn", "okänt"]


def write_rows(folder: Path, kind: str) -> dict[str, Any]:
    """A task of 24 rows in that folder."""
    rows: list[dict[str, Any]] = []
    for number, text in enumerate(swedish_sentences(24, seed=5)):
        words = text.split()
        tagged = {"tokens": words, "tags": [NAMES[i % 3] for i in range(len(words))]}
        several = [NAMES[i] for i in range(3) if number >> i & 1]
        label = number / 2 if kind == "similarity" else NAMES[number % 3]
        rows.append({"text": text, "label": label, "labels": several} | tagged)
    path = folder / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return {"name": "own", "kind": kind, "head": "own", "test": {"path": str(path)}}


def section_of(task: dict[str, Any], models: list[str]) -> EvaluationSection:
    return EvaluationSection.model_validate({"models": models, "tasks": [task]})


@pytest.mark.parametrize("kind", ["classification", "tokens"])
def test_every_model_answers_by_its_own_head_and_is_compared_with_the_teacher(
    kind: str, tiny_teacher: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    head = "tags" if kind == "tokens" else "classes"
    teacher = headed_model("xlm-roberta", head, vocabulary=len(tokenizer))
    made = {"teacher": teacher, "trimmed": teacher, "student": keep_layers(teacher, [1])}
    section = section_of(write_rows(tmp_path, kind), [*made, "student_int8"])
    result = evaluate_models(
        section,
        load=lambda name: LoadedModel(model=made[name], tokenizer=tokenizer),
        teacher_section=TeacherSection(model="a/b"),
        output=tmp_path,
        runtime=Runtime(),
    )
    scores: dict[tuple[str, str], Score] = {
        (score.model, score.metric): score for score in result.scores
    }
    assert scores["trimmed", "agreement"].mean == 1.0
    assert scores["trimmed", "accuracy"].retention == 1.0
    student = scores["student", "agreement"]
    assert student.mean is not None and student.low is not None
    assert 0 < student.mean < 1 and student.low < student.mean
    int8 = scores["student_int8", "accuracy"].mean
    assert int8 is not None and int8 == pytest.approx(scores["student", "accuracy"].mean, abs=0.2)

    if kind == "classification":
        rows = read_test_rows(section.tasks[0], 0)  # type: ignore[arg-type]
        batch = tokenizer([row.text for row in rows], padding=True, return_tensors="pt")
        with torch.no_grad():
            predicted = teacher(**batch).logits.argmax(-1)
        right = [NAMES[int(i)] == row.label for i, row in zip(predicted, rows, strict=True)]
        assert scores["teacher", "accuracy"].mean == pytest.approx(np.mean(right))


def test_a_head_of_several_labels_is_measured_by_the_sets_that_it_names(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    teacher = headed_model("xlm-roberta", "labels", vocabulary=len(tokenizer))
    made = {"teacher": teacher, "trimmed": teacher, "student": keep_layers(teacher, [1])}
    section = section_of(write_rows(tmp_path, "multilabel"), [*made])
    result = evaluate_models(
        section,
        load=lambda name: LoadedModel(model=made[name], tokenizer=tokenizer),
        teacher_section=TeacherSection(model="a/b"),
        output=tmp_path,
        runtime=Runtime(),
    )
    means = {(score.model, score.metric): score.mean for score in result.scores}
    assert {metric for _, metric in means} == {"macro_f1", "micro_f1", "agreement"}
    assert means["trimmed", "agreement"] == 1.0
    rows = read_test_rows(section.tasks[0], 0)  # type: ignore[arg-type]
    batch = tokenizer([row.text for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        predicted = (teacher(**batch).logits > 0).numpy()
    gold = np.array([[name in row.names for name in NAMES] for row in rows])
    expected = 2 * (gold & predicted).sum() / (gold.sum() + predicted.sum())
    assert means["teacher", "micro_f1"] == pytest.approx(expected)


@pytest.mark.parametrize("head", ["number", "pair score"])
def test_a_head_that_gives_a_number_is_measured_by_correlation(
    head: str, tiny_teacher: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    teacher = headed_model("xlm-roberta", head, vocabulary=len(tokenizer))
    task = {**write_rows(tmp_path, "similarity"), "text": "text", "text_pair": None}
    section = section_of(task, ["teacher", "student", "student_int8"])
    result = evaluate_models(
        section,
        load=lambda name: LoadedModel(model=teacher, tokenizer=tokenizer),
        teacher_section=TeacherSection(model="a/b"),
        output=tmp_path,
        runtime=Runtime(),
    )
    means = {(score.model, score.metric): score.mean for score in result.scores}
    rows = read_test_rows(section.tasks[0], 0)  # type: ignore[arg-type]
    batch = tokenizer([row.text for row in rows], padding=True, return_tensors="pt")
    with torch.no_grad():
        numbers = teacher(**batch).logits[:, 0].numpy()
    expected = np.corrcoef(numbers, [row.label for row in rows])[0, 1]
    assert means["teacher", "pearson"] == pytest.approx(expected, abs=1e-5)
    assert means["student_int8", "pearson"] == pytest.approx(expected, abs=0.3)


@pytest.mark.parametrize(
    ("kind", "metric", "reason"),
    [
        ("multilabel", "accuracy", "accuracy is not measured with kind: multilabel; it should be"),
        ("classification", "micro_f1", "micro_f1 is not measured with kind: classification"),
        ("similarity", "agreement", "it should be of pearson, spearman"),
    ],
)
def test_a_metric_of_another_kind_is_refused(
    kind: str, metric: str, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=reason):
        section_of({**write_rows(tmp_path, kind), "metrics": [metric]}, ["teacher"])


def test_a_class_is_known_by_its_name_or_where_nobody_named_outputs_by_its_number() -> None:
    assert label_of("lugn", NAMES) == "lugn"
    assert label_of("1", ["LABEL_0", "LABEL_1"]) == "LABEL_1"
    assert label_of("1", NAMES) is None


@pytest.mark.parametrize(
    ("kind", "head", "reason"),
    [
        ("classification", None, "and a/b has no head for a task; leave head out"),
        (
            "classification",
            "labels",
            "needs a head that answers one class a text; that of a/b answers several labels",
        ),
        ("tokens", "classes", "needs a head that answers a tag a word; that of a/b answers one"),
    ],
)
def test_a_head_that_does_not_answer_the_task_is_refused_in_one_sentence(
    kind: str, head: str | None, reason: str, tmp_path: Path
) -> None:
    task: Any = section_of(write_rows(tmp_path, kind), ["teacher"]).tasks[0]
    found = head_of(headed_model("bert", head)) if head else None
    with pytest.raises(UserError, match=reason):
        check_head(task, read_test_rows(task, 0), found, "a/b")


def test_entities_are_counted_of_iob2_tags_alone(tmp_path: Path) -> None:
    task: Any = section_of(
        {**write_rows(tmp_path, "tokens"), "metrics": ["entity_f1"]}, ["teacher"]
    ).tasks[0]
    with pytest.raises(UserError, match="entity_f1 needs IOB2 classes"):
        check_head(task, read_test_rows(task, 0), head_of(headed_model("bert", "tags")), "a/b")


def test_a_class_that_the_head_lacks_is_named_and_can_be_renamed(tmp_path: Path) -> None:
    model = headed_model("bert", "classes", id2label={0: "danger", 1: "lugn", 2: "okänt"})
    written = write_rows(tmp_path, "classification")
    task: Any = section_of(written, ["teacher"]).tasks[0]
    with pytest.raises(
        UserError, match="a/b lacks fara; it has danger, lugn, okänt: say in labels"
    ):
        check_head(task, read_test_rows(task, 0), head_of(model), "a/b")
    labels = {"fara": "danger", "lugn": "lugn", "okänt": "okänt"}
    renamed: Any = section_of({**written, "labels": labels}, ["teacher"]).tasks[0]
    check_head(renamed, read_test_rows(renamed, 0), head_of(model), "a/b")
