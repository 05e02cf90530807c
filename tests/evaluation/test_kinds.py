from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.evaluation.evaluate import evaluate_models
from distill.evaluation.kinds import KINDS, Reference, Subject, kind_of, register
from distill.evaluation.kinds.kind import Advance, WithoutFineTunes
from distill.evaluation.resampling import observe
from distill.evaluation.scores import score_models
from distill.evaluation.statistics import mean_statistic
from distill.models import load_with_tokenizer
from distill.recipe import EvaluationSection, Source, TeacherSection, tasks as recipe_tasks
from distill.recipe.task_section import TaskSection
from distill.recipe.tasks import TASK_KINDS
from distill.report.results.evaluation import Score
from distill.runtime.runtime import Runtime


class LengthTask(TaskSection):
    """How few pieces a model makes of a text."""

    kind: Literal["length"]
    source: Source
    metrics: tuple[Literal["pieces"], ...] = ("pieces",)

    @property
    def sources(self) -> list[Source]:
        return [self.source]


class Length(WithoutFineTunes):
    """The kind `length`, which the package knows nothing of."""

    hub_type = "token-classification"

    def read(self, task: LengthTask, seed: int) -> list[str]:
        rows = read_source(task.source, Tally())
        return [column_value(row, "text", task.source) for row in rows]

    def measure(
        self, subject: Subject, task: LengthTask, rows: list[str], advance: Advance
    ) -> Mapping[str, Any]:
        def measure() -> dict[str, object]:
            advance(1, f"{subject.name} on {task.name}")
            return {"pieces": [len(ids) for ids in subject.load().tokenizer(rows)["input_ids"]]}

        return subject.keep(task.name, measure)

    def scores(
        self,
        task: LengthTask,
        rows: list[str],
        measurements: Mapping[str, Mapping[str, Any]],
        of: Reference,
    ) -> list[Score]:
        observed = {
            model: observe(
                [mean_statistic(np.array(found["pieces"], float))],
                len(rows),
                of.seed,
                has_seeds=False,
            )
            for model, found in measurements.items()
        }
        return score_models(task.name, "pieces", observed, of, None)

    def size(self, rows: list[str]) -> int:
        return len(rows)


@pytest.fixture
def toy_kind() -> Iterator[None]:
    register("length", LengthTask, Length())
    yield
    del KINDS["length"]
    recipe_tasks._REGISTERED.clear()


def test_a_recipe_is_evaluated_on_a_kind_of_task_that_was_registered_from_outside(
    toy_kind: None, tiny_teacher: Path, tmp_path: Path
) -> None:
    (tmp_path / "texts.txt").write_text("Kungen kom.\nFolket jublade länge på torget.\n" * 4)
    section = EvaluationSection.model_validate(
        {
            "models": ["teacher", "student"],
            "tasks": [
                {"name": "short", "kind": "length", "source": {"path": str(tmp_path / "texts.txt")}}
            ],
        }
    )
    result = evaluate_models(
        section,
        load=lambda name: load_with_tokenizer(str(tiny_teacher)),
        teacher_section=TeacherSection(model=str(tiny_teacher)),
        output=tmp_path,
        runtime=Runtime(),
    )
    assert [(score.model, score.metric, score.retention) for score in result.scores] == [
        ("teacher", "pieces", 1.0),
        ("student", "pieces", 1.0),
    ]
    assert result.scores[0].mean is not None and result.scores[0].mean > 2
    assert result.rows == {"short": 8} and result.counts == {}
    assert section.model_dump()["tasks"][0]["source"]["path"].endswith("texts.txt")


def test_every_kind_that_a_recipe_can_name_is_at_home_here() -> None:
    assert tuple(KINDS) == TASK_KINDS
    assert all(kind.hub_type for kind in KINDS.values())


def test_a_task_in_several_languages_is_of_the_same_kind_on_the_hub() -> None:
    sources = {split: {"path": f"{split}-{{language}}.jsonl"} for split in ("train", "test")}
    languages = {"languages": ["en", "sv"]}
    (task,) = EvaluationSection.model_validate(
        {"tasks": [{"name": "t", "kind": "classification", **sources, "cross_lingual": languages}]}
    ).tasks
    assert kind_of(task).hub_type == KINDS["classification"].hub_type
    assert kind_of(task) is not KINDS["classification"]
