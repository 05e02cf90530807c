from __future__ import annotations

from typing import Any

import pytest

from distill.recipe import Recipe, Source

TASK = {
    "name": "intents",
    "kind": "classification",
    "train": {"path": "train.jsonl", "licence": "cc0-1.0"},
    "test": {"path": "test.jsonl"},
    "text": "question",
}


def recipe(source: dict[str, Any], task: dict[str, Any] | None = None) -> Recipe:
    return Recipe.model_validate(
        {
            "name": "tiny",
            "language": "sv",
            "teacher": {"model": "a/b"},
            "corpus": {"sources": [source]},
            "evaluation": {"tasks": [task or TASK]},
        }
    )


def test_a_tasks_labelled_rows_are_text_with_their_licence() -> None:
    (source,) = recipe({"task": "intents", "weight": 3.0}).corpus.sources
    assert (source.path, source.column, source.licence, source.weight) == (
        "train.jsonl",
        "question",
        "cc0-1.0",
        3.0,
    )


def test_both_texts_are_learnt_from_where_the_teachers_head_reads_pairs() -> None:
    task = {**TASK, "kind": "pair_classification", "text": "a", "text_pair": "b"}
    (alone,) = recipe({"task": "intents"}, task).corpus.sources
    (both,) = recipe({"task": "intents"}, {**task, "head": "own"}).corpus.sources
    assert (alone.column, alone.text_pair) == ("a", None)
    assert (both.column, both.text_pair) == ("a", "b")
    turned = {"task": "intents", "column": "b", "text_pair": "a"}
    (other,) = recipe(turned, {**task, "head": "own"}).corpus.sources
    assert (other.column, other.text_pair) == ("b", "a")


@pytest.mark.parametrize(
    ("text_pair", "message"), [("text", "a pair has two columns"), ("", "at least 1 character")]
)
def test_a_pair_has_two_columns(text_pair: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe({"path": "t.jsonl", "text_pair": text_pair})


def test_a_tasks_own_source_names_no_second_texts() -> None:
    train = {**TASK["train"], "text_pair": "b"}
    with pytest.raises(ValueError, match="a task says its columns beside its sources"):
        recipe({"path": "t.jsonl"}, {**TASK, "train": train})


def test_what_was_resolved_can_be_read_again() -> None:
    once = recipe({"task": "intents", "split": "train"})
    assert Recipe.model_validate(once.model_dump(mode="json", exclude_none=True)) == once


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ({"task": "topics"}, "names the task topics; evaluation.tasks has intents"),
        ({"task": "intents", "split": "test"}, "only train and dev rows can be learnt from"),
        ({"task": "intents", "split": "dev"}, "takes rows of dev, which the task intents lacks"),
    ],
)
def test_rows_that_are_not_there_or_only_measure_are_refused(
    source: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        recipe(source)


def test_words_with_tags_are_no_texts() -> None:
    task = {
        "name": "pos",
        "kind": "tokens",
        "train": {"path": "a.jsonl"},
        "test": {"path": "b.jsonl"},
    }
    with pytest.raises(ValueError, match="tokens has no column of texts"):
        recipe({"task": "pos"}, task)


def test_a_source_elsewhere_names_no_task() -> None:
    with pytest.raises(ValueError, match=r"only a recipe's corpus\.sources can"):
        Source(task="intents")
