"""The best student of a language: the one that scores higher on dev, among students that can be
compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill.tracking.best import Standing, register_student, registered_name


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    import mlflow

    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path_factory.mktemp('registry') / 'mlflow.db'}")
    yield mlflow.MlflowClient()
    mlflow.set_tracking_uri(before)


@pytest.fixture
def register(client: Any, tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """`register({"topics": 0.5})`: a new version of a registered model of this test; what is
    said of it.
    """
    name = registered_name(re.sub(r"\W", "-", request.node.name))

    def put(dev: dict[str, float], teacher: str = "small", tasks: str = "short") -> str:
        student = Standing(teacher=teacher, tasks=tasks, dev=dev)
        return register_student(client, tmp_path.as_uri(), name, student)

    put.best = lambda: int(client.get_model_version_by_alias(name, "best").version)  # type: ignore[attr-defined]
    put.name = name  # type: ignore[attr-defined]
    return put


def test_the_alias_moves_only_to_a_student_that_scores_higher_on_dev(register: Any) -> None:
    assert "0.7000 on dev, the first one measured" in register({"topics": 0.7})
    assert register.best() == 1
    assert "0.7000 on dev against 0.7000" in register({"topics": 0.7})
    assert "is not made the best: 0.6000 on dev against 0.7000" in register({"topics": 0.6})
    assert register.best() == 1
    assert "is the best so far: 0.8000 on dev against 0.7000" in register({"topics": 0.8})
    assert register.best() == 4


def test_the_mean_over_tasks_is_compared(register: Any) -> None:
    register({"topics": 0.7, "pos": 0.9})
    assert "0.8500 on dev against 0.8000, over 2 tasks" in register({"topics": 0.9, "pos": 0.8})
    assert register.best() == 2


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"teacher": "large"}, "version 1, which is the best, has another teacher"),
        ({"tasks": "longer"}, "was measured on other tasks or in another way"),
    ],
)
def test_students_of_other_teachers_or_tasks_are_not_compared(
    register: Any, other: dict[str, str], why: str
) -> None:
    register({"topics": 0.7})
    assert why in register({"topics": 0.9}, **other)
    assert register.best() == 1


def test_a_student_without_a_score_on_dev_is_never_the_best(register: Any, client: Any) -> None:
    from mlflow.exceptions import MlflowException

    assert "none has a score on dev" in register({})
    with pytest.raises(MlflowException, match="best"):
        client.get_model_version_by_alias(register.name, "best")
    assert "the first one measured" in register({"topics": 0.1})


def test_a_best_that_was_chosen_by_its_retention_is_not_compared(
    register: Any, client: Any
) -> None:
    register({})
    client.set_registered_model_alias(register.name, "best", "1")
    assert "version 1, which is the best, has no score on dev" in register({"topics": 0.9})


def test_a_best_that_was_deleted_is_not_the_best_any_more(register: Any, client: Any) -> None:
    register({"topics": 0.9})
    client.delete_model_version(register.name, "1")
    assert "version 2" in register({"topics": 0.5})
    assert register.best() == 2
