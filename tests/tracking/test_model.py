"""The best student of a language: the one that keeps most of its teacher, over the scores that can
be compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill.tracking.model import register_student, registered_name


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}")
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(before)


@pytest.fixture
def register(client: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """`register({"faq/mrr@10": 0.5})`: a new version of a registered model of this test; what is
    said of it.
    """
    name = registered_name(re.sub(r"\W", "-", request.node.name))

    def put(retention: dict[str, float]) -> str:
        return register_student(client, tmp_path.as_uri(), name, retention)

    put.best = lambda: int(client.get_model_version_by_alias(name, "best").version)  # type: ignore[attr-defined]
    put.name = name  # type: ignore[attr-defined]
    return put


def test_the_alias_moves_only_to_a_student_that_keeps_more(register: Any) -> None:
    assert "version 1" in register({"faq/mrr@10": 0.7})
    assert register.best() == 1
    assert "70.0% against 70.0%" in register({"faq/mrr@10": 0.7})
    assert "is not made the best: retention 60.0% against 70.0%" in register({"faq/mrr@10": 0.6})
    assert register.best() == 1
    assert "is the best so far: retention 80.0% against 70.0%" in register({"faq/mrr@10": 0.8})
    assert register.best() == 4


def test_only_scores_that_both_have_are_compared(register: Any) -> None:
    register({"faq/mrr@10": 0.7, "topics/macro_f1": 0.9})
    assert "over 1 score." in register({"faq/mrr@10": 0.71, "pos/accuracy": 0.1})
    assert register.best() == 2
    assert "no score in common" in register({"topics/macro_f1": 0.99})
    assert register.best() == 2


def test_a_student_without_a_retention_is_never_the_best(register: Any, client: Any) -> None:
    from mlflow.exceptions import MlflowException

    assert "no retention was measured" in register({})
    with pytest.raises(MlflowException, match="best"):
        client.get_model_version_by_alias(register.name, "best")
    assert "the first one measured" in register({"faq/mrr@10": 0.1})


def test_a_best_that_was_deleted_is_not_the_best_any_more(register: Any, client: Any) -> None:
    register({"faq/mrr@10": 0.9})
    client.delete_model_version(register.name, "1")
    assert "version 2" in register({"faq/mrr@10": 0.5})
    assert register.best() == 2
