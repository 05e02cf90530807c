"""The section that says what is measured, and how models are fine-tuned for it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from distill.recipe.model_reference import check_model_name, reference_among
from distill.recipe.section import Count, Section
from distill.recipe.tasks import TaskByKind
from distill.recipe.teacher import Prefixes

EUROEVAL: dict[str, object] = {
    "seeds": 10,
    "learning_rates": [2e-5],
    "warmup": 0.01,
    "weight_decay": 0.0,
    "batch_size": 32,
    "max_steps": 10_000,
    "epochs": 10_000,
    "evaluation_steps": 30,
    "patience": 2,
    "max_length": 512,
}
"""EuroEval's published settings (Nielsen 2023; its finetuning.py), in which steps and patience
alone end a fine-tune. Under them every seed draws rows of each split with replacement, and the loss
on dev says when to stop.
"""


ModelName = Annotated[str, AfterValidator(check_model_name)]
"""One of the run's own models, or another by its Hub id or folder."""


class EvaluationSection(Section):
    """What the models can do, and how they are fine-tuned for it: by the same code, with the same
    budget.
    """

    models: list[ModelName] = [
        "teacher",
        "trimmed",
        "student",
        "student_int8",
        "initial",
        "untrained",
    ]
    """Which models: the others are compared with the teacher, or where that is left out with
    trimmed; initial is the student before distillation, untrained its architecture with
    random weights, scratch the same trained by masked-language modelling on as many tokens as
    the student, student_int8 the student after each of its fine-tunes in ONNX Runtime with
    8-bit weights, tfidf a bag of words (TF-IDF) with a linear SVM, by its cosine for retrieval,
    asymmetric the student for queries and the trimmed teacher for passages, in retrieval alone;
    others by Hub id or folder.
    """
    tasks: list[TaskByKind] = []
    """On which tasks."""
    prompts: dict[str, Prefixes] = {}
    """What other models want in front of queries and passages, by their names in models, where
    their files do not say it; the teacher's prefixes go before texts of the run's own models alone.
    """
    protocol: Literal["distill", "euroeval"] = "distill"
    """Whose defaults the keys below have: this project's, or those of EuroEval's leaderboards."""
    seeds: Annotated[int, Field(ge=1)] = 3
    """Fine-tunes of each model and task, which differ in head, order and dropout; each is scored on
    the whole test set.
    """
    learning_rates: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)] = [
        3e-5,
        1e-4,
        3e-4,
    ]
    """The highest learning rates that are tried; the best on dev over two seeds serves every seed.
    Where that is the least or greatest of several, up to two beyond it are tried, too.
    """
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.02
    """A model does as well as the teacher where the 90% interval of their difference lies within
    this.
    """
    scratch_learning_rates: Annotated[
        list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=1)
    ] = [1e-4, 3e-4]
    """The highest learning rates at which scratch is trained, once at each; the best on held-out
    text is fine-tuned.
    """
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps in which the learning rate rises; then it falls to zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """AdamW's decoupled weight decay, on matrices."""
    batch_size: Count = 32
    """Rows of one step."""
    epochs: Count = 10
    """At most so many readings of the training rows."""
    max_steps: Count | None = None
    """At most so many steps."""
    evaluation_steps: Count | None = None
    """Dev is evaluated every so many steps; without it after every epoch."""
    patience: Count = 3
    """Stop after this many evaluations in a row without a better one; the best weights are kept."""
    max_length: Annotated[int, Field(ge=8)] = 256
    """Texts are cut off at so many tokens; how many were is reported."""
    freeze_layers: Annotated[int, Field(ge=0)] = 0
    """Train only the layers above this one; with more than 0 the embeddings stay as they are,
    too.
    """
    dropout: bool = True
    """Whether encoders drop units at random while they are fine-tuned, as their configs say; a
    CPU's step is a quarter to a third shorter without."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the matrix products; auto takes bfloat16 where the device is faster with it."""

    @property
    def reference(self) -> str:
        """The model with which the others are compared."""
        return reference_among(self.models)

    @model_validator(mode="before")
    @classmethod
    def _defaults_of_the_protocol(cls, given: Any) -> Any:
        return (
            {**EUROEVAL, **given}
            if isinstance(given, dict) and given.get("protocol") == "euroeval"
            else given
        )

    @model_validator(mode="after")
    def _each_once(self) -> EvaluationSection:
        named = {
            "models": self.models,
            "tasks": [name for task in self.tasks for name in task.reported],
            "learning_rates": [str(rate) for rate in self.learning_rates],
            "scratch_learning_rates": [str(rate) for rate in self.scratch_learning_rates],
        }
        for what, names in named.items():
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{what} names {', '.join(twice)} twice")
        unknown = sorted(self.prompts.keys() - set(self.models))
        if unknown and "models" in self.model_fields_set:
            raise ValueError(f"prompts names {', '.join(unknown)}, which models does not")
        if "student_int8" in self.models and "student" not in self.models:
            raise ValueError(
                "models names student_int8, which is measured in the student's fine-tunes: name "
                "student, too"
            )
        return self
