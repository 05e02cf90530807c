from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from distill.evaluation import retrieval
from distill.evaluation.prompts import VectorForm
from distill.evaluation.retrieval import read_retrieval_rows, retrieval_values
from distill.models import LoadedModel, load_with_tokenizer
from distill.models.after_pooling import AfterPooling
from distill.recipe import Prefixes, RetrievalTask
from distill.runtime.errors import UserError
from distill.student.depth import keep_layers
from tests.evaluation.conftest import PAIRS

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> LoadedModel:
    return load_with_tokenizer(str(tiny_teacher))


def test_equal_passages_count_as_one(task: Callable[..., RetrievalTask]) -> None:
    rows = read_retrieval_rows(
        task([{"q": "a?", "a": "same"}, {"q": "b?", "a": "other"}, {"q": "c?", "a": " same "}])
    )
    assert rows.passages == ["same", "other"]
    assert rows.answers.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    "blank",
    [{"q": "", "a": "x"}, {"q": "x", "a": " \n"}, {"q": None, "a": "x"}, {"q": "x", "a": None}],
)
def test_a_row_with_a_blank_is_skipped(
    task: Callable[..., RetrievalTask], blank: dict[str, Any]
) -> None:
    rows = read_retrieval_rows(task([{"q": "a?", "a": "A"}, blank, {"q": "b?", "a": "B"}]))
    assert (rows.queries, rows.passages) == (["a?", "b?"], ["A", "B"])


@pytest.mark.parametrize(
    "rows",
    [
        [{"q": "a?", "a": "A"}],
        [{"q": "a?", "a": "A"}, {"q": "", "a": "B"}],
        [{"q": "a?", "a": "same"}, {"q": "b?", "a": "same"}],
    ],
    ids=["one row", "one whole row", "one passage"],
)
def test_fewer_than_two_passages_are_the_users_error(
    task: Callable[..., RetrievalTask], rows: Rows
) -> None:
    with pytest.raises(
        UserError, match=r"evaluation task faq: .*faq\.jsonl has 1 passages .*at least two"
    ):
        read_retrieval_rows(task(rows))


@pytest.mark.parametrize("key", ["query", "passage"])
def test_a_missing_column_is_the_users_error_that_names_those_there_are(
    task: Callable[..., RetrievalTask], key: str
) -> None:
    with pytest.raises(UserError, match=r"no column 'answer'.*its columns: a, q"):
        read_retrieval_rows(task(PAIRS, **{key: "answer"}))


def test_prefixes_stand_in_front_of_queries_and_passages(
    teacher: LoadedModel, task: Callable[..., RetrievalTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded: list[list[str]] = []

    def fake_embed(model: Any, tokenizer: Any, texts: list[str], **options: Any) -> np.ndarray:
        embedded.append(texts)
        return np.eye(len(texts), 2, dtype=np.float32)

    monkeypatch.setattr(retrieval, "embed", fake_embed)
    pairs = task([{"q": "a?", "a": "A"}, {"q": "b?", "a": "B"}])
    form = VectorForm(prefixes=Prefixes(query="query: ", passage="passage: "), pooling="mean")
    retrieval_values(teacher, read_retrieval_rows(pairs), pairs, form)
    assert embedded == [["query: a?", "query: b?"], ["passage: A", "passage: B"]]


@pytest.mark.parametrize(
    ("similarity", "found"),
    [("dot", [0.5, 1.0]), ("euclidean", [1.0, 0.5]), ("manhattan", [1.0, 0.5])],
)
def test_passages_are_ranked_by_the_models_own_similarity(
    teacher: LoadedModel,
    task: Callable[..., RetrievalTask],
    monkeypatch: pytest.MonkeyPatch,
    similarity: str,
    found: list[float],
) -> None:
    vectors = iter([[[1, 0], [1, 0]], [[1, 0], [3, 3]]])  # of queries, of passages
    monkeypatch.setattr(retrieval, "embed", lambda *_, **__: np.array(next(vectors), np.float32))
    pairs = task([{"q": "a?", "a": "A"}, {"q": "b?", "a": "B"}])
    form = VectorForm(
        prefixes=Prefixes(), pooling="mean", after=AfterPooling(similarity=similarity)
    )
    values = retrieval_values(teacher, read_retrieval_rows(pairs), pairs, form)
    assert values["mrr@10"].tolist() == found


def test_passages_can_be_read_by_another_model(
    teacher: LoadedModel, task: Callable[..., RetrievalTask], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = LoadedModel(model=teacher.model, tokenizer=teacher.tokenizer)
    asked: list[tuple[Any, str]] = []

    def fake_embed(model: Any, tokenizer: Any, texts: list[str], **options: Any) -> np.ndarray:
        asked.append((model, texts[0]))
        return np.eye(len(texts), 2, dtype=np.float32)

    monkeypatch.setattr(retrieval, "embed", fake_embed)
    pairs = task([{"q": "a?", "a": "A"}, {"q": "b?", "a": "B"}])
    student = LoadedModel(model=keep_layers(teacher.model, [1]), tokenizer=teacher.tokenizer)
    form = VectorForm(prefixes=Prefixes(), pooling="mean")
    retrieval_values(student, read_retrieval_rows(pairs), pairs, form, passages_by=other)
    assert asked == [(student.model, "a?"), (teacher.model, "A")]


def test_prefixes_change_the_scores(
    teacher: LoadedModel, task: Callable[..., RetrievalTask]
) -> None:
    pairs = task(PAIRS)
    rows = read_retrieval_rows(pairs)
    forms = [
        VectorForm(prefixes=Prefixes(query=query), pooling="mean")
        for query in ("", "1234 birds " * 3)
    ]
    values = [retrieval_values(teacher, rows, pairs, form)["mrr@10"] for form in forms]
    assert not np.array_equal(*values)
