"""From two models and a batch to the value of every objective that the recipe weights.

Every value is a mean over what it counts (tokens, masked pieces or rows), with that count beside
it: batches that are computed in parts, on one device after another or on several at once, add up to
what one pass over the batch would give.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch

from distill.distillation.objectives import Models, weighted
from distill.distillation.objectives.projector import Projector
from distill.distillation.states import StateReader, States
from distill.models.after_pooling import AfterPooling, SentenceVectors
from distill.models.heads import language_head
from distill.models.task_heads import NUMBERS, TaskHead, head_of
from distill.recipe import DistillationSection
from distill.training.batches import Batch

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Gather = Callable[[torch.Tensor], torch.Tensor]
"""The rows of every process, from this one's."""


class Criterion:
    """The objectives of one distillation, with the two models that they compare."""

    def __init__(
        self,
        student: PreTrainedModel,
        teacher: PreTrainedModel,
        section: DistillationSection,
        *,
        layers: Sequence[int],
        pooling: str,
        after: AfterPooling | None = None,
        seed: int,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`layers` are the teacher's, counted from 1, that the student's stand for; the student
        runs in `autocast`.

        Raises ValueError if a model lacks what an objective compares: a language-model head,
        separate projections.
        """
        check_objectives(section, student, teacher)
        self.objectives = weighted(section.objectives.weights)
        self.section, self.layers, self.pooling = section, layers, pooling
        self._sentence_vectors = SentenceVectors(pooling, after)
        self.after = self._sentence_vectors.after
        if self.after.reads not in (None, student.config.hidden_size):
            raise ValueError(
                f"a student of hidden size {student.config.hidden_size} does not go with the "
                f"teacher's Dense layer, which reads pooled vectors of {self.after.reads}"
            )
        self.student, self.teacher, self._autocast = student, teacher, autocast
        # As many relation heads as both models' heads divide into; with equal widths, the models'
        # own.
        shared = math.gcd(teacher.config.num_attention_heads, student.config.num_attention_heads)
        self.heads = section.relation_heads or shared
        projections = any(objective.projections for objective in self.objectives)
        attentions = any(objective.attentions for objective in self.objectives)
        answers = any(objective.answers for objective in self.objectives)
        self._read_student = StateReader(
            student, projections=projections, attentions=attentions, answers=answers
        )
        self._read_teacher = StateReader(
            teacher,
            projections=projections,
            layer=section.relation_layer,
            attentions=attentions,
            answers=answers,
        )
        self.head = head_of(teacher) if answers else None
        self.student_head = language_head(student) if section.objectives.masked else None
        self.teacher_head = language_head(teacher) if section.objectives.logits else None
        self.projector = None
        if any(objective.projects for objective in self.objectives):
            self.projector = Projector.between(
                student.config.hidden_size,
                teacher.config.hidden_size,
                layers=len(layers),
                seed=seed,
            )
        self.variances: list[float] | None = None
        self.answer_scale: float | None = None

    def read_student(self, batch: Batch) -> States:
        """The student's states."""
        with self._autocast():
            return self._read_student(batch.ids, batch.attention_mask, batch.types)

    def read_teacher(self, batch: Batch) -> States:
        """The teacher's states, of the mapped layers alone."""
        states = self._read_teacher(batch.ids, batch.attention_mask, batch.types)
        attentions: tuple[torch.Tensor, ...] = ()
        if states.attentions:
            attentions = tuple(states.attentions[layer - 1] for layer in self.layers)
        hidden = tuple(states.hidden[layer] for layer in self.layers)
        last = () if self.layers[-1] == len(states.hidden) - 1 else (states.hidden[-1],)
        return States(
            hidden=(*hidden, *last),
            projections=states.projections,
            attentions=attentions,
            answers=states.answers,
        )

    def calibrate(self, batches: Sequence[tuple[Batch, States]]) -> None:
        """Take the variance of the teacher's hidden states, and the mean square of the numbers that
        its head gives, which their errors are measured in, from these.
        """
        variances = []
        for at in range(len(self.layers)):
            states = torch.cat(
                [target.hidden[at][batch.mask.bool()].float() for batch, target in batches]
            )
            variances.append(float((states - states.mean(0)).square().sum(-1).mean()))
        self.variances = variances
        if self.head is not None and self.head.task in NUMBERS:
            answers = [target.answers for _, target in batches if target.answers is not None]
            scale = float(torch.cat(answers).float().square().mean())
            self.answer_scale = scale if scale > 0 else None

    def counts(self, batch: Batch) -> dict[str, float]:
        """For each objective what its mean is over: tokens, masked pieces or rows."""
        return {objective.key: objective.count(batch) for objective in self.objectives}

    def values(
        self, student: States, teacher: States, batch: Batch, gather: Gather = lambda rows: rows
    ) -> dict[str, torch.Tensor]:
        """Each objective's mean over the batch, before weighting.

        One that relates all rows of a batch is a mean over what `gather` brings together.
        """
        pair = _Pair(criterion=self, student=student, teacher=teacher, batch=batch, gather=gather)
        return {objective.key: objective.value(pair) for objective in self.objectives}

    def project_to_teacher(self, states: States) -> torch.Tensor | None:
        """The student's last states [B, L, D] as the teacher's compare with them; None if nothing
        maps them.
        """
        if self.student.config.hidden_size == self.teacher.config.hidden_size:
            return states.last
        if self.projector is None:
            return None
        if self.section.objectives.embedding:
            return self.projector.map_pooled(states.last)
        return self.projector(states.hidden[1:])[-1]  # type: ignore[no-any-return]

    def vectors(self, last: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Sentence vectors [B, W] of last hidden states in the teacher's width."""
        vectors: torch.Tensor = self._sentence_vectors(last.float(), batch.mask)
        return vectors

    def predict(self, states: States, batch: Batch) -> torch.Tensor:
        """The student's logits at the masked positions."""
        assert self.student_head is not None, "nothing is masked"
        with self._autocast():
            return self.student_head(states.hidden[-1][batch.chosen])

    def total_loss(
        self, values: dict[str, torch.Tensor], shares: dict[str, float] | None = None
    ) -> torch.Tensor:
        """The loss: the values by their weights, and by the share of the batch that each is
        over.
        """
        weights = self.section.objectives.weights
        return torch.stack(
            [
                weights[name] * (shares or {}).get(name, 1.0) * value
                for name, value in values.items()
            ]
        ).sum()

    @property
    def trained(self) -> torch.nn.Module:
        """What the optimiser changes: the student, and what maps its states to the teacher's
        width.
        """
        if self.projector is None:
            alone: torch.nn.Module = self.student
            return alone
        both: torch.nn.Module = torch.nn.ModuleDict(
            {"student": self.student, "projector": self.projector}
        )
        return both

    @contextmanager
    def open(self) -> Iterator[None]:
        """Read states while the block runs; afterwards the models are as they were."""
        try:
            yield
        finally:
            self._read_student.close()
            self._read_teacher.close()


@dataclass(kw_only=True)
class _Pair:
    """One batch as both models read it; a `Comparison`."""

    criterion: Criterion
    batch: Batch
    student: States
    teacher: States
    gather: Gather

    @property
    def section(self) -> DistillationSection:
        return self.criterion.section

    @property
    def variances(self) -> list[float] | None:
        return self.criterion.variances

    @property
    def answer_scale(self) -> float | None:
        return self.criterion.answer_scale

    @property
    def relation_heads(self) -> int:
        return self.criterion.heads

    @property
    def projected_hidden(self) -> Sequence[torch.Tensor]:
        layers, projector = self.student.hidden[1:], self.criterion.projector
        return layers if projector is None else projector(layers)

    @cached_property
    def predicted(self) -> torch.Tensor:
        return self.criterion.predict(self.student, self.batch)

    @torch.no_grad()
    def wanted(self) -> torch.Tensor:
        assert self.criterion.teacher_head is not None, "no objective compares logits"
        return self.criterion.teacher_head(self.teacher.hidden[-1][self.batch.chosen])

    @property
    def head(self) -> TaskHead:
        assert self.criterion.head is not None, "no objective compares answers"
        return self.criterion.head

    def answers(self) -> tuple[torch.Tensor, torch.Tensor]:
        student, teacher = self.student.answers, self.teacher.answers
        assert student is not None and teacher is not None, "no objective compares answers"
        return student, teacher

    def gathered_vectors(self) -> tuple[torch.Tensor, torch.Tensor]:
        last = self.criterion.project_to_teacher(self.student)
        assert last is not None
        student, teacher = (
            self.gather(self.criterion.vectors(states, self.batch))
            for states in (last, self.teacher.last)
        )
        return student, teacher

    @property
    def after(self) -> AfterPooling:
        return self.criterion.after


def check_objectives(
    section: DistillationSection, student: PreTrainedModel, teacher: PreTrainedModel
) -> None:
    """Raise ValueError naming the recipe's key if a model lacks what an objective compares."""
    models = Models(student=student, teacher=teacher, section=section)
    layer, layers = section.relation_layer, teacher.config.num_hidden_layers
    if layer is not None and layer > layers:
        raise ValueError(
            f"distillation.relation_layer: {layer} is more than the teacher's {layers} layers"
        )
    for objective in weighted(section.objectives.weights):
        objective.check(models)
