"""Heads that find an answer's place in a passage."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from distill.evaluation.evaluate import evaluate_models
from distill.evaluation.question_answering import (
    Question,
    best_span,
    check_answers_questions,
    exact_match,
    find_answers,
    read_questions,
    word_f1,
)
from distill.models import LoadedModel, load_tokenizer
from distill.models.task_heads import head_of
from distill.recipe import EvaluationSection, QuestionAnsweringTask, TeacherSection
from distill.runtime.errors import UserError
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers
from tests.conftest import swedish_sentences
from tests.models.headed import headed_model


def write_questions(folder: Path, rows: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A task of 12 questions, each answered by two words of its passage."""
    passages = swedish_sentences(12, seed=5)
    made = [
        {"question": "vad?", "context": text, "answers": {"text": [" ".join(text.split()[1:3])]}}
        for text in passages
    ]
    path = folder / "questions.jsonl"
    lines = (json.dumps(row) + "\n" for row in (made if rows is None else rows))
    path.write_text("".join(lines), encoding="utf-8")
    return {"name": "qa", "kind": "question_answering", "source": {"path": str(path)}}


@pytest.fixture
def model(tiny_teacher: Path) -> LoadedModel:
    """A tiny one with a random head."""
    tokenizer = load_tokenizer(str(tiny_teacher))
    made = headed_model("xlm-roberta", "answer span", vocabulary=len(tokenizer))
    return LoadedModel(model=made, tokenizer=tokenizer)


@pytest.mark.parametrize(
    ("found", "exact", "f1"),
    [
        ("år 1994", 1.0, 1.0),
        ("År  1994.", 1.0, 1.0),
        ("1994", 0.0, 2 / 3),
        ("i november 1994", 0.0, 0.4),
        ("", 0.0, 0.0),
        ("bilen", 0.0, 0.0),
    ],
)
def test_an_answer_is_compared_word_by_word_without_case_and_punctuation(
    found: str, exact: float, f1: float
) -> None:
    answers = ["år 1994", "på våren"]
    assert exact_match(found, answers) == exact
    assert word_f1(found, answers) == pytest.approx(f1)


def test_where_no_blanks_part_words_every_sign_counts() -> None:
    assert exact_match("東京。", ["東京"]) == 1.0
    assert word_f1("東京都", ["東京"]) == pytest.approx(0.8)


def test_the_best_span_is_in_the_passage_in_order_and_short() -> None:
    starts = torch.tensor([9.0, 0, 1, 2, 5, 0])
    ends = torch.tensor([9.0, 0, 6, 1, 0, 3])
    of_passage = np.array([False, False, True, True, True, True])
    score, span = best_span(torch.stack([starts, ends], dim=1), of_passage)
    assert (score, span) == (8.0, (4, 5))


@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(-5, 5)), min_size=1, max_size=12))
def test_no_span_of_a_short_passage_scores_higher_than_the_best(
    logits: list[tuple[float, float]],
) -> None:
    score, (first, last) = best_span(torch.tensor(logits), np.ones(len(logits), dtype=bool))
    values = np.array(logits, dtype=np.float32).astype(float)
    spans = [values[i, 0] + values[j, 1] for i in range(len(values)) for j in range(i, len(values))]
    assert first <= last and score == pytest.approx(max(spans))


def test_the_answer_is_words_of_the_passage_however_long_that_is(model: LoadedModel) -> None:
    passages = [" ".join(swedish_sentences(count, seed=count)) for count in (1, 9)]
    questions = [Question(text="vad?", passage=text, answers=("x",)) for text in passages]
    found = find_answers(model, questions, longest=40, advance=lambda share: None)
    for answer, passage in zip(found, passages, strict=True):
        assert answer and answer in passage


def test_of_a_long_passage_the_window_with_the_highest_score_counts(model: LoadedModel) -> None:
    passage = " ".join(swedish_sentences(9, seed=3))
    question = Question(text="vad?", passage=passage, answers=("x",))
    (found,) = find_answers(model, [question], longest=40, advance=lambda share: None)
    encoded = model.tokenizer(
        "vad?", passage, truncation="only_second", max_length=40, stride=6,
        return_overflowing_tokens=True, return_offsets_mapping=True,
    )  # fmt: skip
    tried = []
    for at, ids in enumerate(encoded["input_ids"]):
        with torch.no_grad():
            output = model.model(torch.tensor([ids]))
        logits = torch.stack([output.start_logits[0], output.end_logits[0]], dim=1)
        of_passage = np.array([number == 1 for number in encoded.sequence_ids(at)])
        score, (first, last) = best_span(logits, of_passage)
        offsets = encoded["offset_mapping"][at]
        tried.append((score, passage[offsets[first][0] : offsets[last][1]]))
    assert len(tried) > 1 and found == max(tried)[1]


def test_every_model_answers_by_its_own_head(model: LoadedModel, tmp_path: Path) -> None:
    made = {"teacher": model.model, "student": keep_layers(model.model, [1])}
    models = [*made, "student_int8"]
    result = evaluate_models(
        EvaluationSection.model_validate({"models": models, "tasks": [write_questions(tmp_path)]}),
        load=lambda name: LoadedModel(model=made[name], tokenizer=model.tokenizer),
        teacher_section=TeacherSection(model="a/b"),
        output=tmp_path,
        runtime=Runtime(),
    )
    means = {(score.model, score.metric): score.mean for score in result.scores}
    assert set(means) == {(name, metric) for name in models for metric in ("f1", "exact_match")}
    assert all(mean is not None and 0 <= mean <= 1 for mean in means.values())


def test_answers_may_be_a_text_or_several_and_rows_without_one_are_left_out(
    tmp_path: Path,
) -> None:
    passage = {"question": "vad?", "context": "en båt"}
    answers = ["en", ["en", "båt"], {"text": ["båt"]}, [], None, {"text": []}]
    task = write_questions(tmp_path, [{**passage, "answers": answer} for answer in answers])
    rows = read_questions(QuestionAnsweringTask.model_validate(task), seed=0)
    assert [row.answers for row in rows] == [("en",), ("en", "båt"), ("båt",)]


def test_rows_without_any_answer_are_refused(tmp_path: Path) -> None:
    task = write_questions(tmp_path, [{"question": "vad?", "context": "en båt", "answers": []}])
    with pytest.raises(UserError, match=r"no row of .* has a question, a passage and an answer"):
        read_questions(QuestionAnsweringTask.model_validate(task), seed=0)


def test_a_head_that_finds_no_answers_is_named(tmp_path: Path) -> None:
    task = QuestionAnsweringTask.model_validate(write_questions(tmp_path))
    with pytest.raises(UserError, match="my/model has a head that answers one class a text"):
        check_answers_questions(task, head_of(headed_model("bert", "classes")), "my/model")
