"""What an objective is: its key in a recipe, what it counts, its value, what it needs, its paper.

Shapes in this package: B chunks, L tokens, D hidden width, H heads, M masked positions, V kept
pieces. `mask_BL` is 1 where a token stands and 0 on padding, which no loss sees. Every loss is a
mean over tokens, masked positions or rows, so that parts of a batch add up. All arithmetic is in
float32, whatever the models ran in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

import torch

from distill.distillation.states import States
from distill.models.after_pooling import AfterPooling
from distill.models.heads import language_head
from distill.models.task_heads import TaskHead
from distill.recipe import DistillationSection
from distill.training.batches import Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Models:
    """The two models that are compared, and how."""

    student: PreTrainedModel
    teacher: PreTrainedModel
    section: DistillationSection


class Comparison(Protocol):
    """One batch as both models read it: what an objective may use."""

    @property
    def batch(self) -> Batch:
        """The batch."""
        ...

    @property
    def student(self) -> States:
        """The student's states."""
        ...

    @property
    def teacher(self) -> States:
        """The teacher's: of the layers that the student's stand for, and the last."""
        ...

    @property
    def section(self) -> DistillationSection:
        """The recipe's section."""
        ...

    @property
    def variances(self) -> Sequence[float] | None:
        """The variance of each of the teacher's layers; None before it was measured."""
        ...

    @property
    def answer_scale(self) -> float | None:
        """The mean square of the numbers that the teacher gives; None before it was measured, and
        of a head that gives none.
        """
        ...

    @property
    def relation_heads(self) -> int:
        """Into how many heads queries, keys and values are split."""
        ...

    @property
    def projected_hidden(self) -> Sequence[torch.Tensor]:
        """Every student layer's states [B, L, D] in the teacher's width."""
        ...

    @property
    def predicted(self) -> torch.Tensor:
        """The student's logits [M, V] at masked positions."""
        ...

    def wanted(self) -> torch.Tensor:
        """The teacher's logits [M, V] at masked positions."""
        ...

    @property
    def head(self) -> TaskHead:
        """What both models' fine-tuned heads answer."""
        ...

    def answers(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The logits of student's and teacher's heads, [B, N], or of tokens [B, L, N]."""
        ...

    def gathered_vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Sentence vectors [B, D] of student and teacher, of the rows of every process."""
        ...

    @property
    def after(self) -> AfterPooling:
        """How sentence vectors are compared, and where they may be cut."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """One objective; `register` adds it to those that a recipe can weight."""

    key: str
    """In `distillation.objectives`."""
    purpose: str
    """For the model card: "imitating hidden states"."""
    paper: str
    arxiv: str
    count: Callable[[Batch], float]
    """Over how many tokens, masked pieces or rows of a batch the value is a mean."""
    value: Callable[[Comparison], torch.Tensor]
    """The mean over the batch, before weighting; a scalar."""
    check: Callable[[Models], None] = lambda models: None
    """Raises ValueError naming the recipe's key if a model lacks what is compared."""
    scope: Literal["token", "batch"] = "token"
    """Whether the value of a batch is a mean over its rows, or relates all rows to one another."""
    projects: bool = False
    """Whether the student's states are mapped to the teacher's width."""
    projections: bool = False
    """Whether query, key and value of one layer are read."""
    attentions: bool = False
    """Whether attention probabilities are read, which only the eager kernel gives."""
    answers: bool = False
    """Whether the answers of fine-tuned heads are read."""


def check_head(key: str, model: PreTrainedModel, name: str) -> None:
    """Raise ValueError if `model` has no language-model head, which the objective `key` needs."""
    try:
        language_head(model)
    except ValueError as error:
        raise ValueError(
            f"distillation.objectives.{key}: {name} needs a language-model head; {error}"
        ) from error
