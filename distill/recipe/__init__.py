"""The schema of a recipe: what each section may say, with its default and its meaning.

Strict: an unknown key, a wrong type or a contradiction is an error. `distill.recipe.reading` reads
one from YAML and reports every error at once; the stages receive the typed sections.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AliasChoices, BeforeValidator, Field, field_validator, model_validator

from distill.recipe.asymmetric import with_asymmetric
from distill.recipe.benchmark import BenchmarkSection
from distill.recipe.cross_lingual import CrossLingualSection
from distill.recipe.distillation import DistillationSection, ObjectivesSection
from distill.recipe.evaluation import EvaluationSection, ModelName
from distill.recipe.fine_tuned_tasks import (
    ClassificationTask,
    FineTunedTask,
    MultilabelTask,
    PairClassificationTask,
    SimilarityTask,
    TokensTask,
)
from distill.recipe.inspection import InspectionSection
from distill.recipe.language import check_text_languages, checked_languages
from distill.recipe.section import ENVIRONMENT_NAME, Section, is_repository, parse_count
from distill.recipe.source import Source
from distill.recipe.student import PruningSection, StudentSection
from distill.recipe.task_text import with_task_text
from distill.recipe.tasks import Task
from distill.recipe.teacher import Prefixes, TeacherSection
from distill.recipe.tracking import TrackingSection
from distill.recipe.untuned_tasks import (
    MaskedTask,
    OwnHeadTask,
    QuestionAnsweringTask,
    RerankingTask,
    RetrievalTask,
)
from distill.recipe.vocabulary import CorpusSection, KeepSection, VocabularySection

__all__ = [
    "ENVIRONMENT_NAME",
    "BenchmarkSection",
    "ClassificationTask",
    "CorpusSection",
    "CrossLingualSection",
    "DistillationSection",
    "EvaluationSection",
    "ExportSection",
    "FineTunedTask",
    "InspectionSection",
    "KeepSection",
    "MaskedTask",
    "ModelName",
    "MultilabelTask",
    "ObjectivesSection",
    "OwnHeadTask",
    "PairClassificationTask",
    "Prefixes",
    "PruningSection",
    "QuestionAnsweringTask",
    "Recipe",
    "RerankingTask",
    "RetrievalTask",
    "Section",
    "SimilarityTask",
    "Source",
    "StudentSection",
    "Task",
    "TeacherSection",
    "TokensTask",
    "TrackingSection",
    "VocabularySection",
    "parse_count",
]


class ExportSection(Section):
    """The folder that is handed over."""

    licence: str | None = Field(default=None, validation_alias=AliasChoices("licence", "license"))
    """The student's licence; without it the strictest of teacher and corpora is named."""
    onnx: bool = True
    """Whether onnx/model.onnx is written, for ONNX Runtime and transformers.js."""
    int8: bool = True
    """Whether onnx/model_quantized.onnx is written too, in int8 and a quarter of its size; without
    onnx there is none.
    """
    openvino: bool = False
    """Whether openvino/ is written too, in float32 and, with int8, calibrated on held-out text;
    needs the extra `openvino`.
    """
    asymmetric: bool = False
    """Whether asymmetric/ is written too, for sentence-transformers: the student for queries, the
    trimmed teacher for documents; retrieval is then measured with both, as the model asymmetric.
    """
    example: str | None = None
    """A text in the language for the card of a student with a fine-tuned head; a date by
    default.
    """
    push: str | None = None
    """The Hub repository, ORG/NAME, that the folder is pushed to when the run is done."""
    private: bool = False
    """Whether that repository is private, where it is made."""

    @field_validator("push")
    @classmethod
    def _is_repository(cls, push: str | None) -> str | None:
        if push is not None and not is_repository(push):
            raise ValueError(f"should be ORG/NAME, such as my-group/my-model; found {push!r}")
        return push


LanguageCode = Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
Languages = LanguageCode | Annotated[list[LanguageCode], Field(min_length=1)]


class Recipe(Section):
    """One student: from which teacher, for which language, by which steps."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=96)
    """The run's folder in runs/, MLflow experiment and default export name."""
    language: Annotated[
        str | list[str], BeforeValidator(checked_languages, json_schema_input_type=Languages)
    ]
    """ISO 639-1 (or 639-3) code of the language to keep, such as sv; or of several for one student,
    such as [sv, en], of which each source of text says which it is in.
    """
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Everything random follows from it."""
    teacher: TeacherSection
    corpus: CorpusSection
    vocabulary: VocabularySection = VocabularySection()
    student: StudentSection = StudentSection()
    distillation: DistillationSection = DistillationSection()
    evaluation: EvaluationSection = EvaluationSection()
    benchmark: BenchmarkSection = BenchmarkSection()
    inspection: InspectionSection | None = None
    """The look inside; without it there is none."""
    export: ExportSection = ExportSection()
    tracking: TrackingSection = TrackingSection()

    @model_validator(mode="before")
    @classmethod
    def _task_text(cls, given: Any) -> Any:
        return with_asymmetric(with_task_text(given))

    @model_validator(mode="after")
    def _has_text_of_each_language(self) -> Recipe:
        check_text_languages(self.languages, [source.language for source in self.corpus.sources])
        for task in self.evaluation.tasks:
            if task.language is not None and task.language not in self.languages:
                raise ValueError(
                    f"the task {task.name} is in {task.language}, which is not among the recipe's "
                    f"languages, {', '.join(self.languages)}"
                )
        return self

    @model_validator(mode="after")
    def _pairs_are_learnt_from(self) -> Recipe:
        if any(source.text_pair for source in self.vocabulary.check):
            raise ValueError("text_pair in vocabulary.check is for corpus.sources alone")
        return self

    @property
    def languages(self) -> tuple[str, ...]:
        """The codes of its languages."""
        return (self.language,) if isinstance(self.language, str) else tuple(self.language)

    @property
    def text_languages(self) -> list[str]:
        """The language of each source of text."""
        return [source.language or self.languages[0] for source in self.corpus.sources]

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the stages that the recipe asks for, in order: a section that has no
        defaults can be absent.
        """
        names = (
            "corpus",
            "vocabulary",
            "student",
            "distillation",
            "evaluation",
            "benchmark",
            "inspection",
            "export",
        )
        return tuple(name for name in names if getattr(self, name) is not None)
