from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.evaluation import evaluate as room, int8
from distill.evaluation.scratch import random_language_model
from distill.models import LoadedModel, load_with_tokenizer
from distill.onnx.conversion import ConversionError
from distill.recipe import EvaluationSection, RetrievalTask, TeacherSection
from distill.report.results.evaluation import EvaluationResult
from distill.runtime.errors import Interrupted, UserError
from distill.runtime.progress import Progress
from distill.runtime.runtime import Runtime
from distill.student.depth import untrained_copy
from tests.conftest import swedish_sentences
from tests.evaluation.conftest import PAIRS, StopsAfter, toy_records

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> LoadedModel:
    return load_with_tokenizer(str(tiny_teacher))


@pytest.fixture
def evaluate(teacher: LoadedModel, tmp_path: Path) -> Callable[..., EvaluationResult]:
    """The stage, with the teacher under every name but `untrained`."""

    def run(models: list[Any], tasks: list[RetrievalTask], **arguments: Any) -> EvaluationResult:
        random = LoadedModel(model=untrained_copy(teacher.model, 1), tokenizer=teacher.tokenizer)
        return room.evaluate_models(
            EvaluationSection(models=models, tasks=tasks),
            load=lambda name: random if name == "untrained" else teacher,
            teacher_section=TeacherSection(model="organisation/teacher"),
            output=tmp_path,
            runtime=Runtime(),
            **arguments,
        )

    return run


def test_retention_is_the_fraction_of_the_teachers_mean_above_chance(
    task: Callable[..., RetrievalTask], evaluate: Callable[..., EvaluationResult]
) -> None:
    scores = {
        (s.model, s.metric): s
        for s in evaluate(["teacher", "student", "untrained"], [task(PAIRS)]).scores
    }
    for metric in ("mrr@10", "recall@1"):
        whole, chance = scores["teacher", metric].mean, scores["teacher", metric].chance
        assert scores["teacher", metric].retention == scores["student", metric].retention == 1.0
        kept = (scores["untrained", metric].mean - chance) / (whole - chance)
        assert scores["untrained", metric].retention == pytest.approx(kept)


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
    assert list(dict.fromkeys(s.model for s in result.scores)) == [
        "teacher",
        "untrained",
        "student",
        "initial",
    ]
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
    evaluate(
        ["student", "teacher"],
        [task(PAIRS)],
        on_scores=lambda model, name, own: seen.append((model, name, len(own))),
    )
    assert seen == [("teacher", "faq", 2), ("student", "faq", 2)]


def test_scores_json_holds_what_the_stage_returns(
    task: Callable[..., RetrievalTask], evaluate: Callable[..., EvaluationResult], tmp_path: Path
) -> None:
    result = evaluate(["teacher"], [task(PAIRS)])
    written = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert [(row["metric"], row["mean"]) for row in written] == [
        (score.metric, score.mean) for score in result.scores
    ]


def test_no_task_loads_no_model_and_gives_no_scores(tmp_path: Path) -> None:
    def load(name: str) -> LoadedModel:
        raise AssertionError(f"{name} was loaded for nothing")

    result = room.evaluate_models(
        EvaluationSection(),
        load=load,
        teacher_section=TeacherSection(model="organisation/teacher"),
        output=tmp_path,
        runtime=Runtime(),
    )
    assert result.scores == []


TOY = {
    "kind": "classification",
    "name": "toy",
    "metrics": ["accuracy", "mcc"],
    "max_train": 40,
    "max_test": 20,
}
QUICK = {
    "seeds": 2,
    "learning_rates": [3e-3],
    "epochs": 1,
    "batch_size": 16,
    "max_length": 48,
    "precision": "float32",
}


@pytest.fixture
def toy(write_rows: Callable[..., dict[str, str]]) -> dict[str, Any]:
    """A task of two classes as a recipe says it."""
    return {
        **TOY,
        "train": write_rows(toy_records(80), "train"),
        "test": write_rows(toy_records(30, seed=1), "test"),
    }


@pytest.fixture
def fine_tune(teacher: LoadedModel, tmp_path: Path) -> Callable[..., EvaluationResult]:
    """The stage with a quick protocol; `untrained` has random weights, a path cannot be loaded,
    others are the teacher.
    """

    def run(models: list[str], tasks: list[Any], **arguments: Any) -> EvaluationResult:
        random = LoadedModel(model=untrained_copy(teacher.model, 1), tokenizer=teacher.tokenizer)

        def load(name: str) -> LoadedModel:
            return (
                load_with_tokenizer(name)
                if "/" in name
                else random
                if name == "untrained"
                else teacher
            )

        output = arguments.pop("output", tmp_path / "evaluation")
        output.mkdir(exist_ok=True)
        return room.evaluate_models(
            EvaluationSection.model_validate({"models": models, "tasks": tasks, **QUICK}),
            load=arguments.pop("load", load),
            teacher_section=TeacherSection(model="organisation/teacher"),
            output=output,
            runtime=arguments.pop("runtime", Runtime()),
            **arguments,
        )

    return run


def test_fine_tuned_scores_are_paired_with_the_teachers(
    fine_tune: Callable[..., EvaluationResult], toy: Any
) -> None:
    result = fine_tune(["student", "untrained", "teacher"], [toy])
    scores = {(score.model, score.metric): score for score in result.scores}
    assert next(iter(scores)) == ("teacher", "accuracy") and len(scores) == 6
    whole, same, other = (scores[name, "accuracy"] for name in ("teacher", "student", "untrained"))
    assert len(whole.scores) == 2 and whole.difference == 0.0
    # The same model under another name meets the same rows, heads and orders.
    assert same.scores == whole.scores and same.difference == 0.0
    assert other.difference == pytest.approx(other.mean - whole.mean)
    assert whole.learning_rate in QUICK["learning_rates"]
    assert result.rows == {"toy": 20}
    counts = result.counts["toy"]
    assert (counts["train"], counts["dev"], counts["test"], counts["classes"]) == (40, 8, 20, 2)
    assert counts["cut"]["student"] == {"train": 0, "dev": 0, "test": 0}


def test_a_model_learns_which_of_several_classes_a_text_has(
    fine_tune: Callable[..., EvaluationResult], write_rows: Callable[..., dict[str, str]]
) -> None:
    def records(count: int, seed: int) -> Rows:
        return [
            {"text": one["text"], "labels": [one["label"], "text"][: 1 + i % 2]}
            for i, one in enumerate(toy_records(count, seed))
        ]

    task = {"name": "several", "kind": "multilabel", "max_train": 40, "max_dev": 8}
    task |= {"train": write_rows(records(80, 0), "train"), "test": write_rows(records(30, 1), "t")}
    scores = fine_tune(["teacher", "tfidf"], [task]).scores
    assert [score.metric for score in scores] == ["macro_f1", "micro_f1"] * 2
    assert scores[3].mean > 0.6  # a bag of words knows the word that names the class
    assert all(0 < score.chance < 1 and 0 <= score.mean <= 1 for score in scores)


def test_a_class_that_no_model_can_learn_is_told_and_counts_as_missed(
    fine_tune: Callable[..., EvaluationResult],
    toy: Any,
    write_rows: Callable[..., dict[str, str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    test = write_rows([*toy_records(10, seed=1), {"text": "x", "label": "new"}], "test")
    (score,) = fine_tune(
        ["teacher"], [{**toy, "test": test}], runtime=Runtime(progress=Progress())
    ).scores[:1]
    assert score.mean <= 10 / 11
    said = " ".join(capsys.readouterr().err.split())
    assert "task toy: the training rows lack classes of test (new)" in said


def test_a_baseline_that_cannot_be_loaded_has_a_reason_and_the_others_go_on(
    fine_tune: Callable[..., EvaluationResult], toy: Any, tmp_path: Path
) -> None:
    missing = str(tmp_path / "no" / "model")
    result = fine_tune([missing, "teacher"], [toy])
    scores = {(score.model, score.metric): score for score in result.scores}
    for metric in ("accuracy", "mcc"):
        score = scores[missing, metric]
        assert (score.scores, score.mean, score.low, score.retention, score.difference) == (
            [],
            None,
            None,
            None,
            None,
        )
        assert score.reason is not None and score.reason.startswith(f"there is no folder {missing}")
        assert scores["teacher", metric].mean is not None
    assert (
        json.loads((tmp_path / "evaluation" / "scores.json").read_text(encoding="utf-8"))[2]["mean"]
        is None
    )


def test_a_model_of_the_run_that_cannot_be_loaded_is_an_error(
    fine_tune: Callable[..., EvaluationResult], toy: Any
) -> None:
    def load(name: str) -> LoadedModel:
        raise UserError("the student is not there")

    with pytest.raises(UserError, match="the student is not there"):
        fine_tune(["student"], [toy], load=load)


def test_a_model_without_a_head_has_a_reason_under_masked_prediction(
    fine_tune: Callable[..., EvaluationResult],
    teacher: LoadedModel,
    write_rows: Callable[..., dict[str, str]],
) -> None:
    task = {
        "kind": "masked",
        "name": "mlm",
        "source": write_rows([{"text": s} for s in swedish_sentences(20)]),
    }
    headed = LoadedModel(model=random_language_model(teacher.model, 0), tokenizer=teacher.tokenizer)
    result = fine_tune(
        ["teacher", "scratch"], [task], load=lambda name: headed if name == "scratch" else teacher
    )
    bare, measured = result.scores
    assert (bare.mean, bare.reason) == (None, "XLMRobertaModel has no masked-language-model head")
    assert measured.mean is not None and measured.low is not None and measured.low <= measured.mean
    assert (measured.retention, measured.reason) == (None, "the teacher was not evaluated")


def test_an_interrupted_stage_goes_on_to_the_scores_of_an_uninterrupted_one(
    fine_tune: Callable[..., EvaluationResult],
    toy: Any,
    task: Callable[..., RetrievalTask],
    tmp_path: Path,
) -> None:
    tasks, models = [task(PAIRS).model_dump(exclude_none=True), toy], ["teacher", "untrained"]
    whole = fine_tune(models, tasks, output=tmp_path / "whole")
    with pytest.raises(Interrupted):
        fine_tune(models, tasks, runtime=Runtime(progress=StopsAfter(100 * 2.5 / 6)))
    measured = (tmp_path / "evaluation" / "measured.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(measured) == 2  # the retrieval and one fine-tune; the second was under way
    resumed = StopsAfter(101)
    assert fine_tune(models, tasks, runtime=Runtime(progress=resumed)) == whole
    assert (resumed.begun, resumed.ended) == pytest.approx((100 * 2 / 6, 100)), (
        "time left is told of what is missing"
    )


def test_models_whose_measurements_are_all_there_are_not_loaded(
    fine_tune: Callable[..., EvaluationResult], toy: Any
) -> None:
    whole = fine_tune(["teacher", "untrained"], [toy])

    def load(name: str) -> LoadedModel:
        raise AssertionError(f"{name} was loaded for nothing")

    assert fine_tune(["teacher", "untrained"], [toy], load=load) == whole


def test_the_student_in_int8_is_scored_in_the_students_own_fine_tunes(
    fine_tune: Callable[..., EvaluationResult],
    toy: Any,
    task: Callable[..., RetrievalTask],
    tmp_path: Path,
) -> None:
    result = fine_tune(["student_int8", "student"], [toy, task(PAIRS).model_dump()])
    lines = [
        json.loads(line)
        for line in (tmp_path / "evaluation" / "measured.jsonl")
        .read_text(encoding="utf-8")
        .splitlines()
    ]
    tuned = [line for line in lines if line["task"] == "toy"]
    assert {line["model"] for line in tuned} == {"student"} and len(tuned) == 2
    small = next(
        score
        for score in result.scores
        if (score.model, score.metric) == ("student_int8", "accuracy")
    )
    chosen = [line for line in tuned if line["learning_rate"] == small.learning_rate]
    assert len(small.scores) == len([line["int8"]["predictions"] for line in chosen]) == 2
    assert small.provenance is not None and small.provenance.runtime == "onnx"
    assert small.provenance.file is None
    as_it_is = next(
        score for score in result.scores if (score.model, score.task) == ("student_int8", "faq")
    )
    assert as_it_is.mean and as_it_is.provenance is not None and as_it_is.provenance.file


def test_a_student_that_cannot_be_had_in_int8_has_a_reason(
    fine_tune: Callable[..., EvaluationResult], toy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ConversionError("there is no ONNX for it")

    monkeypatch.setattr(int8, "write_onnx", refuse)
    scores = {
        (score.model, score.metric): score
        for score in fine_tune(["student", "student_int8"], [toy]).scores
    }
    assert scores["student", "mcc"].mean is not None
    assert (
        scores["student_int8", "mcc"].mean is None
        and scores["student_int8", "mcc"].reason
        == "there is no ONNX for it (of the student's 2 fine-tunes in 2)"
    )
