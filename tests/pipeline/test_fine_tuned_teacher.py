"""A fine-tuned teacher through the real command line, from its folder to a student that answers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.models import load_tokenizer
from distill.models.saving import save_model
from tests.evaluation.test_own_head import write_rows
from tests.evaluation.test_reranking import write_pairs
from tests.models.headed import headed_model

Distill = Callable[..., Any]


@pytest.fixture
def fine_tuned(tiny_teacher: Path, tmp_path: Path) -> str:
    tokenizer = load_tokenizer(str(tiny_teacher))
    model = headed_model("xlm-roberta", "classes", vocabulary=len(tokenizer))
    save_model(model, tokenizer, tmp_path / "fine-tuned")
    return str(tmp_path / "fine-tuned")


def test_a_fine_tuned_teachers_student_answers_as_it_does(
    fine_tuned: str, write_recipe: Callable[..., Path], distill: Distill, tmp_path: Path
) -> None:
    recipe = write_recipe(
        teacher={"model": fine_tuned},
        student={"layers": 2},
        distillation={
            "objectives": {"hidden": 1.0, "task": 1.0},
            "tokens": 4000,
            "batch_tokens": 256,
            "precision": "float32",
            "validations": 1,
        },
        evaluation={
            "models": ["teacher", "trimmed", "student"],
            "tasks": [write_rows(tmp_path, "classification")],
        },
        export={"onnx": False},
    )
    done = distill("recipe", recipe)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "tiny"
    report = json.loads((run / "report.json").read_text())
    assert report["vocabulary"]["head"] == "one class a text, of 3"
    assert report["vocabulary"]["max_abs_head_difference"] == 0.0
    config = json.loads((run / "export" / "config.json").read_text())
    assert config["architectures"] == ["XLMRobertaForSequenceClassification"]
    assert list(config["id2label"].values()) == ["fara", "lugn", "okänt"]
    agreement = {
        score["model"]: score["mean"]
        for score in report["evaluation"]
        if score["metric"] == "agreement"
    }
    assert agreement["teacher"] == 1.0 and agreement["student"] > 0


def test_a_head_that_the_recipe_drops_is_not_in_the_student(
    fine_tuned: str, write_recipe: Callable[..., Path], distill: Distill, tmp_path: Path
) -> None:
    recipe = write_recipe(teacher={"model": fine_tuned}, student={"layers": 2, "head": "drop"})
    done = distill("recipe", recipe, "--until", "student")
    assert done.returncode == 0, done.stderr
    config = json.loads((tmp_path / "runs/tiny/student/model/config.json").read_text())
    assert config["architectures"] == ["XLMRobertaModel"]


def test_a_rerankers_student_learns_from_pairs_and_ranks(
    tiny_teacher: Path, write_recipe: Callable[..., Path], distill: Distill, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    model = headed_model("xlm-roberta", "pair score", vocabulary=len(tokenizer))
    save_model(model, tokenizer, tmp_path / "reranker")
    task = {**write_pairs(tmp_path, 200), "candidates": 10, "max_test": 20}
    rows = map(json.loads, Path(task["source"]["path"]).read_text("utf-8").splitlines())
    words = {word for row in rows for text in row.values() for word in text.split()}
    (tmp_path / "words.txt").write_text("\n".join(sorted(words)) + "\n", encoding="utf-8")
    learnt = {
        # Without it a number that is held out alone could lose a piece, and the teacher a rank.
        "vocabulary.lexicon": str(tmp_path / "words.txt"),
        "teacher": {"model": str(tmp_path / "reranker")},
        "student": {"layers": 2},
        "distillation": {
            "objectives": {"hidden": 1.0, "task": 1.0},
            "tokens": 4000,
            "batch_tokens": 256,
            "precision": "float32",
            "validations": 1,
        },
        "evaluation": {"models": ["teacher", "trimmed", "student"], "tasks": [task]},
        "export": {"onnx": False},
    }
    without = distill("recipe", write_recipe(**learnt))
    assert without.returncode == 2 and "name the column of the second texts" in without.stderr
    pairs = {**task["source"], "column": "q", "text_pair": "a"}
    done = distill("recipe", write_recipe(**learnt, corpus={"sources": [pairs]}))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "runs/tiny/report.json").read_text())
    assert "answer_correlation" in report["distillation"]["fidelity"][-1]
    means = {
        score["model"]: score["mean"]
        for score in report["evaluation"]
        if score["metric"] == "ndcg@10"
    }
    assert means["teacher"] == means["trimmed"] and 0 < means["student"] <= 1
    card = (tmp_path / "runs/tiny/export/README.md").read_text()
    assert "pipeline_tag: text-ranking" in card and "ndcg_at_10" in card


def test_a_student_without_the_head_that_a_task_asks_is_refused_before_anything_runs(
    fine_tuned: str, write_recipe: Callable[..., Path], distill: Distill, tmp_path: Path
) -> None:
    task = write_rows(tmp_path, "classification")
    recipe = write_recipe(
        teacher={"model": fine_tuned},
        student={"layers": 2, "head": "drop"},
        evaluation={"models": ["teacher", "student"], "tasks": [task]},
    )
    done = distill("recipe", recipe, "--dry-run")
    assert done.returncode == 2
    assert "the student has no head for a task" in done.stderr


def test_a_teacher_whose_head_does_not_fit_the_task_is_refused_before_anything_runs(
    tiny_teacher: Path, write_recipe: Callable[..., Path], distill: Distill, tmp_path: Path
) -> None:
    task = write_rows(tmp_path, "classification")
    done = distill("recipe", write_recipe(evaluation={"tasks": [task]}))
    assert done.returncode == 2
    assert "has no head for a task" in done.stderr and not (tmp_path / "runs/tiny/corpus").exists()
