"""Cross-encoders rank what shares words with a query."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.evaluation.evaluate import evaluate_models
from distill.evaluation.reranking import (
    ABSENT,
    RerankingRows,
    check_scores_pairs,
    read_reranking_rows,
    score_candidates,
)
from distill.evaluation.retrieval import RetrievalRows
from distill.models import LoadedModel, load_tokenizer
from distill.models.task_heads import head_of
from distill.recipe import EvaluationSection, RerankingTask, TeacherSection
from distill.runtime.errors import UserError
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers
from tests.conftest import swedish_sentences
from tests.models.headed import headed_model


def write_pairs(folder: Path, count: int = 30) -> dict[str, Any]:
    """A task of so many queries, each of two words of its passage."""
    passages = [f"{text} nummer{i}" for i, text in enumerate(swedish_sentences(count, seed=5))]
    rows = [{"q": " ".join(text.split()[-2:]), "a": text} for text in passages]
    path = folder / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    source = {"path": str(path)}
    return {"name": "faq", "kind": "reranking", "source": source, "query": "q", "passage": "a"}


def rows_of(candidates: list[list[int]], answers: list[int]) -> RerankingRows:
    of = RetrievalRows(
        queries=["q"] * len(answers), passages=["a", "b", "c", "d"], answers=np.array(answers)
    )
    return RerankingRows(of=of, candidates=np.array(candidates))


def test_the_rank_of_an_answer_is_by_the_scores_of_its_candidates() -> None:
    rows = rows_of([[2, 0, 1], [3, 1, 0]], answers=[0, 3])
    assert rows.ranks(np.array([[3.0, 1.0, 2.0], [5.0, 1.0, 2.0]])).tolist() == [3, 1]


def test_an_answer_that_is_no_candidate_is_missed() -> None:
    rows = rows_of([[2, 0], [3, 1]], answers=[1, 3])
    assert rows.ranks(np.array([[1.0, 2.0], [2.0, 1.0]])).tolist() == [ABSENT, 1]
    assert rows.has_answer.tolist() == [False, True]


def test_queries_are_drawn_and_passages_stay(tmp_path: Path) -> None:
    task = RerankingTask.model_validate({**write_pairs(tmp_path), "max_test": 7, "candidates": 5})
    rows = read_reranking_rows(task, seed=0)
    assert (len(rows.of.queries), len(rows.of.passages)) == (7, 30)
    assert rows.candidates.shape == (7, 5) and rows.has_answer.all()
    assert read_reranking_rows(task, seed=0).of.queries == rows.of.queries
    assert read_reranking_rows(task, seed=1).of.queries != rows.of.queries


def test_a_score_is_what_the_model_says_of_the_pair_alone(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    model = headed_model("xlm-roberta", "pair score", vocabulary=len(tokenizer))
    task = RerankingTask.model_validate({**write_pairs(tmp_path, 20), "candidates": 3})
    rows = read_reranking_rows(task, seed=0)
    loaded = LoadedModel(model=model, tokenizer=tokenizer)
    scores = score_candidates(loaded, rows, longest=64, advance=lambda share: None)
    query, passage = rows.of.queries[18], rows.of.passages[rows.candidates[18, 1]]
    with torch.no_grad():
        alone = model(**tokenizer(query, passage, return_tensors="pt")).logits
    assert scores[18, 1] == pytest.approx(float(alone), abs=1e-5)


def test_every_model_ranks_by_its_own_head_and_a_bag_of_words_by_words(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    teacher = headed_model("xlm-roberta", "pair score", vocabulary=len(tokenizer))
    made = {"teacher": teacher, "trimmed": teacher, "student": keep_layers(teacher, [1])}
    models = [*made, "student_int8", "tfidf"]
    task = {**write_pairs(tmp_path), "candidates": 4}
    result = evaluate_models(
        EvaluationSection.model_validate({"models": models, "tasks": [task]}),
        load=lambda name: LoadedModel(model=made[name], tokenizer=tokenizer),
        teacher_section=TeacherSection(model="a/b"),
        output=tmp_path,
        runtime=Runtime(),
    )
    means = {(score.model, score.metric): score.mean for score in result.scores}
    assert set(means) == {(model, metric) for model in models for metric in ("mrr@10", "ndcg@10")}
    assert means["teacher", "mrr@10"] == means["trimmed", "mrr@10"]
    assert means["tfidf", "mrr@10"] == 1.0
    assert all(mean is not None and 0 <= mean <= 1 for mean in means.values())


def test_a_scratch_is_not_trained_for_a_head_that_it_would_lack(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    teacher = headed_model("xlm-roberta", "pair score", vocabulary=len(tokenizer))
    made = {"teacher": LoadedModel(model=teacher, tokenizer=tokenizer)}
    task = {**write_pairs(tmp_path), "candidates": 2}
    result = evaluate_models(
        EvaluationSection.model_validate({"models": ["teacher", "scratch"], "tasks": [task]}),
        load=made.__getitem__,
        teacher_section=TeacherSection(model="a/b"),
        output=tmp_path,
        runtime=Runtime(),
    )
    reasons = {score.reason for score in result.scores if score.model == "scratch"}
    assert reasons == {"it is trained from nothing, and no head with it"}


@pytest.mark.parametrize(
    ("head", "message"),
    [("classes", "a head that answers one class a text, of 3"), (None, "no head for a task")],
)
def test_a_model_that_scores_no_pairs_is_told_what_it_has(
    tmp_path: Path, head: str | None, message: str
) -> None:
    task = RerankingTask.model_validate(write_pairs(tmp_path))
    with pytest.raises(UserError, match=message):
        check_scores_pairs(task, head_of(headed_model("bert", head)) if head else None, "my/model")
