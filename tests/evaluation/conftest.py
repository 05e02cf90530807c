"""What the evaluation's tests share: tiny encoders, and a task whose answer stands in the text."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.evaluation.tasks import Row, TaskRows
from distill.models import LoadedModel, load_with_tokenizer
from distill.recipe import EvaluationSection, RetrievalTask
from distill.runtime.errors import Interrupted
from distill.runtime.progress import Progress
from tests.conftest import swedish_sentences

FISH, SHIP = "fisk", "skepp"
PAIRS = [
    {"q": q, "a": f"{q} {a}"}
    for q, a in zip(swedish_sentences(20, seed=1), swedish_sentences(20, seed=2), strict=True)
]
"""Questions and answers that begin with them."""


@pytest.fixture(scope="session")
def tiny(tiny_teacher: Path) -> LoadedModel:
    """The tiny teacher, which no test changes."""
    return load_with_tokenizer(str(tiny_teacher))


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Writes rows to a file and gives the source that reads them."""

    def write(rows: list[dict[str, Any]], name: str = "rows") -> dict[str, str]:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return {"path": str(path)}

    return write


def toy_records(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Texts that name a fish or a ship, and say so in their label."""
    draw = random.Random(seed)
    return [
        {"text": f"{topic} {sentence}", "label": topic}
        for sentence in swedish_sentences(count, seed)
        for topic in [draw.choice((FISH, SHIP))]
    ]


def toy_rows(train: int = 64, test: int = 32, seed: int = 0) -> TaskRows:
    """The same as rows in memory."""
    rows = [
        Row(text=record["text"], label=record["label"])
        for record in toy_records(train + 2 * test, seed)
    ]
    return TaskRows(
        train=rows[:train],
        dev=rows[train : train + test],
        test=rows[train + test :],
        classes=(FISH, SHIP),
        left_out={},
        test_in_train=0,
    )


def quick_section(**changes: Any) -> EvaluationSection:
    """A protocol that tiny models go through in a moment."""
    keys = {
        "seeds": 2,
        "learning_rates": [3e-3],
        "epochs": 4,
        "batch_size": 16,
        "max_length": 32,
        "precision": "float32",
    }
    return EvaluationSection.model_validate({"models": ["teacher"], **keys, **changes})


@pytest.fixture
def task(tmp_path: Path) -> Callable[..., RetrievalTask]:
    """A retrieval task on the rows given."""

    def make(rows: list[dict[str, Any]], name: str = "faq", **changes: Any) -> RetrievalTask:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        keys = {
            "name": name,
            "kind": "retrieval",
            "source": {"path": str(path)},
            "query": "q",
            "passage": "a",
        }
        return RetrievalTask.model_validate(keys | changes)

    return make


class StopsAfter(Progress):
    """Raises Interrupted, as a signal would, once so many percent are measured."""

    def __init__(self, percent: float) -> None:
        super().__init__(quiet=True)
        self.percent, self.begun, self.ended = percent, -1.0, 0.0

    def _show(self, task: Any) -> None:
        self.begun = task.already if self.begun < 0 else self.begun
        self.ended = task.done
        if task.done > self.percent:
            raise Interrupted
