"""The best student of a language.

The registered model of a language has a version for each student. Its alias `best` moves to the one
whose fine-tunes score higher on dev, by the mean over tasks, which test rows have no part in. Only
students of the same teacher, measured on the same tasks in the same way, are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from statistics import fmean
from typing import Any

from distill.tracking.keys import clean_key

BEST = "best"
_DEV = "dev/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """How good a student is, and what that may be compared with."""

    teacher: str
    """A hash of the teacher's files."""
    tasks: str
    """A hash of the tasks, their rows and how models are fine-tuned."""
    dev: Mapping[str, float]
    """By task the mean over seeds of its first metric on dev."""

    @property
    def tags(self) -> dict[str, str]:
        """As a version of a registered model keeps it."""
        scores = {f"{_DEV}{clean_key(task)}": str(value) for task, value in self.dev.items()}
        return {"teacher": self.teacher, "tasks": self.tasks, **scores}

    @classmethod
    def of_tags(cls, tags: Mapping[str, str]) -> Standing:
        """What a version's tags say; nothing of one that an earlier distill registered."""
        return cls(
            teacher=tags.get("teacher", ""),
            tasks=tags.get("tasks", ""),
            dev={key: float(value) for key, value in tags.items() if key.startswith(_DEV)},
        )


def registered_name(language: str) -> str:
    """What the students of a language go by."""
    return f"distill-{language}"


def register_student(client: Any, model_uri: str, name: str, student: Standing) -> str:
    """Make a logged student a version of the registered model `name`, the best one if it is; what
    came of it, in words.
    """
    import mlflow

    with redirect_stderr(StringIO()):  # MLflow tells it there, without being asked
        version = mlflow.register_model(model_uri, name, tags=student.tags).version
    best = _best_version(client, name)
    is_better, why = _compare(student, best)
    if is_better:
        client.set_registered_model_alias(name, BEST, version)
        return f"version {version} of {name} is the best so far: {why}."
    return f"version {version} of {name} is not made the best: {why}."


def _best_version(client: Any, name: str) -> Any | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, BEST)
    except MlflowException as error:
        if error.get_http_status_code() >= 500:
            raise
        return None


def _compare(new: Standing, version: Any | None) -> tuple[bool, str]:
    """Whether the new student is better than the best version so far, and by which figures."""
    if not new.dev:
        return False, "no task was fine-tuned, so none has a score on dev"
    ours = fmean(new.dev.values())
    if version is None:
        return True, f"{ours:.4f} on dev, the first one measured"
    best, named = Standing.of_tags(version.tags), f"version {version.version}, which is the best"
    if not best.dev:
        return False, f"{named}, has no score on dev"
    if best.teacher != new.teacher:
        return False, f"{named}, has another teacher"
    if best.tasks != new.tasks:
        return False, f"{named}, was measured on other tasks or in another way"
    theirs, count = fmean(best.dev.values()), len(new.dev)
    over = f"over {count} task{'s' if count > 1 else ''}"
    return ours > theirs, f"{ours:.4f} on dev against {theirs:.4f}, {over}"
