"""The report of a run: what report.json is written from and read back into."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from distill.recipe import Recipe
from distill.report.published import PublishedScore, published_scores
from distill.report.results.benchmark import BenchmarkResult, Machine, Measurement
from distill.report.results.corpus import CorpusResult
from distill.report.results.distillation import DistillationResult
from distill.report.results.evaluation import (
    EvaluationResult,
    Overlap,
    Score,
    ScratchFigures,
)
from distill.report.results.export import ExportResult
from distill.report.results.inspection import InspectionResult
from distill.report.results.student import StudentFigures, StudentResult, TeacherFigures
from distill.report.results.vocabulary import VocabularyResult
from distill.runtime.errors import UserError
from distill.runtime.files import write_whole
from distill.runtime.secrets import without_passwords


@dataclass(frozen=True, kw_only=True, slots=True)
class StageResults:
    """What the stages that ran returned; None of one that did not."""

    corpus: CorpusResult | None = None
    vocabulary: VocabularyResult | None = None
    student: StudentResult | None = None
    distillation: DistillationResult | None = None
    evaluation: EvaluationResult | None = None
    benchmark: BenchmarkResult | None = None
    inspection: InspectionResult | None = None
    export: ExportResult | None = None

    @property
    def names(self) -> list[str]:
        """The stages that ran."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]


class Report(BaseModel):
    """What a run measured, under the keys of report.json; None of what no stage measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: dict[str, Any]
    """As it ran, defaults included."""
    teacher: TeacherFigures | None
    corpus: CorpusResult | None
    vocabulary: VocabularyResult | None
    student: StudentFigures | None
    distillation: DistillationResult | None
    evaluation: list[Score] | None
    scratch: ScratchFigures | None
    overlap: dict[str, Overlap] | None = None
    published: list[PublishedScore]
    benchmark: list[Measurement] | None
    machine: Machine | None
    inspection: InspectionResult | None
    export: ExportResult | None
    reason: str | None = None
    """Why something is not measured."""
    overrides: list[str] = []
    stages: dict[str, str] = {}
    """The execution of each stage that the figures are of."""

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        results: StageResults,
        *,
        overrides: tuple[str, ...] = (),
        stages: dict[str, str] | None = None,
    ) -> Report:
        """The report of a run from its stages' results."""
        student, evaluation, benchmark = results.student, results.evaluation, results.benchmark
        missing = [name for name in recipe.stages if name not in results.names]
        return cls(
            recipe=without_passwords(recipe.model_dump(mode="json", exclude_none=True)),
            teacher=None if student is None else student.teacher,
            corpus=results.corpus,
            vocabulary=_with_reason(results.vocabulary),
            student=None if student is None else _without_teacher(student),
            distillation=results.distillation,
            evaluation=None if evaluation is None else evaluation.scores,
            scratch=None if evaluation is None else evaluation.scratch,
            overlap=None if evaluation is None else evaluation.overlap,
            published=published_scores(_hub_ids(recipe, evaluation, benchmark)),
            benchmark=None if benchmark is None else benchmark.measurements,
            machine=None if benchmark is None else benchmark.machine,
            inspection=results.inspection,
            export=results.export,
            reason=f"not run yet: {', '.join(missing)}" if missing else None,
            overrides=without_passwords(overrides),
            stages=stages or {},
        )

    @classmethod
    def read(cls, path: Path) -> Report:
        """The report in a file. Raises UserError if it is none of this version, and OSError."""
        try:
            return cls.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            raise UserError(
                f"{path} is not one of this version of distill; run the recipe again."
            ) from error

    def write(self, path: Path) -> None:
        """Write the report whole or not at all."""
        write_whole(path, json.dumps(plain(self), ensure_ascii=False, indent=2) + "\n")

    def __repr__(self) -> str:
        name = self.recipe.get("name", "")
        parts = [f"{field}={getattr(self, field)!r}" for field in ("teacher", "student")]
        scores = [
            f"{score.model} {score.task} {score.metric} {score.mean:.3f}"
            for score in self.evaluation or []
            if score.mean is not None and score.model in ("teacher", "student")
        ]
        return f"Report({name!r}, {', '.join(parts)}, scores=[{'; '.join(scores)}])"

    __str__ = __repr__


def _without_teacher(student: StudentResult) -> StudentFigures:
    return StudentFigures(
        **{field.name: getattr(student, field.name) for field in fields(StudentFigures)}
    )


def _with_reason(vocabulary: VocabularyResult | None) -> VocabularyResult | None:
    if vocabulary is None:
        return None
    if vocabulary.max_abs_hidden_difference is None:
        return replace(vocabulary, reason="no held-out sentence keeps its segmentation")
    if vocabulary.max_abs_logit_difference is None:
        reason = "max_abs_logit_difference: the teacher has no head over the vocabulary"
        return replace(vocabulary, reason=reason)
    return vocabulary


def _hub_ids(
    recipe: Recipe, evaluation: EvaluationResult | None, benchmark: BenchmarkResult | None
) -> dict[str, str]:
    """By the name of every model that was measured, its Hub id, if it has one."""
    rows: list[Score | Measurement] = []
    if evaluation is not None:
        rows += evaluation.scores
    if benchmark is not None:
        rows += benchmark.measurements
    names = dict.fromkeys(row.model for row in rows)
    return {name: recipe.teacher.model if name == "teacher" else name for name in names}


def plain(report: Report) -> dict[str, Any]:
    """The report as plain values, as report.json has them."""
    content = report.model_dump(mode="json")
    if report.reason is None:
        del content["reason"]
    return content
