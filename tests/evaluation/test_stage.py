from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.evaluation import stage
from distill.evaluation.stage import EvaluationResult
from distill.progress import Progress
from distill.recipe import EvaluationSection, RetrievalTask, TeacherSection
from distill.student.depth import untrained_copy
from distill.teacher import Teacher, load_teacher
from tests.conftest import swedish_sentences

Rows = list[dict[str, Any]]
PAIRS = [{"q": q, "a": f"{q} {a}"} for q, a in zip(swedish_sentences(20, seed=1), swedish_sentences(20, seed=2), strict=True)]


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> Teacher:
    return load_teacher(str(tiny_teacher))


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., RetrievalTask]:
    """A retrieval task on the rows given."""

    def make(rows: Rows, name: str = "faq", **changes: Any) -> RetrievalTask:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        keys = {"name": name, "kind": "retrieval", "source": {"path": str(path)}, "query": "q", "passage": "a"}
        return RetrievalTask.model_validate(keys | changes)

    return make


@pytest.fixture
def evaluate(teacher: Teacher, tmp_path: Path) -> Callable[..., EvaluationResult]:
    """The stage, with the teacher under every name but `untrained`."""

    def run(models: list[Any], tasks: list[RetrievalTask], **arguments: Any) -> EvaluationResult:
        random = Teacher(model=untrained_copy(teacher.model, 1), tokenizer=teacher.tokenizer)
        return stage.run(
            EvaluationSection(models=models, tasks=tasks),
            load=lambda name: random if name == "untrained" else teacher,
            teacher_section=TeacherSection(model="organisation/teacher"),
            seed=0,
            output=tmp_path,
            progress=Progress(quiet=True),
            **arguments,
        )

    return run


def test_retention_is_the_fraction_of_the_teachers_mean(
    task: Callable[..., RetrievalTask], evaluate: Callable[..., EvaluationResult]
) -> None:
    scores = {(s.model, s.metric): s for s in evaluate(["teacher", "student", "untrained"], [task(PAIRS)]).scores}
    for metric in ("mrr@10", "recall@1"):
        whole = scores["teacher", metric].mean
        assert scores["teacher", metric].retention == scores["student", metric].retention == 1.0
        assert scores["untrained", metric].retention == scores["untrained", metric].mean / whole


def test_retention_is_null_with_a_reason_without_the_teacher(
    task: Callable[..., RetrievalTask], evaluate: Callable[..., EvaluationResult]
) -> None:
    for score in evaluate(["student"], [task(PAIRS)]).scores:
        assert score.retention is None
        assert score.reason == "the teacher was not evaluated"


def test_the_teacher_is_measured_first_and_the_others_in_the_recipes_order(
    task: Callable[..., RetrievalTask], evaluate: Callable[..., EvaluationResult]
) -> None:
    result = evaluate(["untrained", "student", "teacher", "initial"], [task(PAIRS)])
    assert list(dict.fromkeys(s.model for s in result.scores)) == ["teacher", "untrained", "student", "initial"]
    assert all(score.retention is not None for score in result.scores)


def test_metrics_come_in_the_recipes_order(
    task: Callable[..., RetrievalTask], evaluate: Callable[..., EvaluationResult]
) -> None:
    result = evaluate(["teacher"], [task(PAIRS, metrics=["recall@1", "mrr@10"])])
    assert [score.metric for score in result.scores] == ["recall@1", "mrr@10"]


def test_every_task_has_its_scores_and_its_number_of_rows(
    task: Callable[..., RetrievalTask], evaluate: Callable[..., EvaluationResult]
) -> None:
    result = evaluate(["teacher", "student"], [task(PAIRS), task(PAIRS[:5], name="short")])
    assert result.rows == {"faq": 20, "short": 5}
    assert len(result.scores) == 2 * 2 * 2


def test_scores_are_handed_on_as_they_come(
    task: Callable[..., RetrievalTask], evaluate: Callable[..., EvaluationResult]
) -> None:
    seen: list[tuple[str, str, int]] = []
    evaluate(["student", "teacher"], [task(PAIRS)], on_scores=lambda model, name, own: seen.append((model, name, len(own))))
    assert seen == [("teacher", "faq", 2), ("student", "faq", 2)]


def test_scores_json_holds_what_the_stage_returns(
    task: Callable[..., RetrievalTask], evaluate: Callable[..., EvaluationResult], tmp_path: Path
) -> None:
    result = evaluate(["teacher"], [task(PAIRS)])
    written = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert [(row["metric"], row["mean"]) for row in written] == [(score.metric, score.mean) for score in result.scores]


def test_no_task_loads_no_model_and_gives_no_scores(tmp_path: Path) -> None:
    def load(name: str) -> Teacher:
        raise AssertionError(f"{name} was loaded for nothing")

    result = stage.run(
        EvaluationSection(),
        load=load,
        teacher_section=TeacherSection(model="organisation/teacher"),
        seed=0,
        output=tmp_path,
        progress=Progress(quiet=True),
    )
    assert result.scores == []
