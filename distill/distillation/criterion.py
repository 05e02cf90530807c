"""From two models and a batch to the value of every objective that the recipe weighs.

Every value is a mean over what it counts (tokens, masked pieces or rows), with that count beside
it: batches that are computed in parts, on one device after another or on several at once, add up to
what the whole would give.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import torch

from distill.distillation.objectives import (
    Projector,
    attention_loss,
    embedding_loss,
    hidden_loss,
    logit_loss,
    mlm_loss,
    relation_loss,
)
from distill.distillation.states import StateReader, States, find_projections
from distill.models.heads import language_head
from distill.models.pooling import pool
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
        seed: int,
        autocast: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        """`layers` are the teacher's, counted from 1, that the student's stand for; the student
        runs in `autocast`.

        Raises ValueError if a model lacks what an objective compares: a language-model head,
        separate projections.
        """
        check_objectives(section, student, teacher)
        weights = section.objectives
        self.section, self.layers, self.pooling = section, layers, pooling
        self.student, self.teacher, self._autocast = student, teacher, autocast
        # As many relation heads as both models' heads divide into; with equal widths, the models'
        # own.
        shared = math.gcd(teacher.config.num_attention_heads, student.config.num_attention_heads)
        self.heads = section.relation_heads or shared
        relations, attentions = weights.relations > 0, weights.attention > 0
        self._read_student = StateReader(student, projections=relations, attentions=attentions)
        self._read_teacher = StateReader(
            teacher, projections=relations, layer=section.relation_layer, attentions=attentions
        )
        self._student_head = language_head(student) if weights.masked else None
        self._teacher_head = language_head(teacher) if weights.logits else None
        self.projector = None
        if weights.hidden or weights.embedding:
            self.projector = Projector.between(
                student.config.hidden_size,
                teacher.config.hidden_size,
                layers=len(layers),
                seed=seed,
            )
        self.variances: list[float] | None = None

    def read_student(self, batch: Batch) -> States:
        """The student's states."""
        with self._autocast():
            return self._read_student(batch.ids, batch.mask)

    def read_teacher(self, batch: Batch) -> States:
        """The teacher's states, of the mapped layers alone."""
        states = self._read_teacher(batch.ids, batch.mask)
        attentions = (
            tuple(states.attentions[layer - 1] for layer in self.layers)
            if states.attentions
            else ()
        )
        hidden = tuple(states.hidden[layer] for layer in self.layers)
        last = () if self.layers[-1] == len(states.hidden) - 1 else (states.hidden[-1],)
        return States(
            hidden=(*hidden, *last), projections=states.projections, attentions=attentions
        )

    def calibrate(self, batches: Sequence[tuple[Batch, States]]) -> None:
        """Take the variance of the teacher's hidden states, which their errors are measured in,
        from these.
        """
        variances = []
        for at in range(len(self.layers)):
            states = torch.cat(
                [target.hidden[at][batch.mask.bool()].float() for batch, target in batches]
            )
            variances.append(float((states - states.mean(0)).square().sum(-1).mean()))
        self.variances = variances

    def values(
        self, own: States, target: States, batch: Batch, gather: Gather = lambda rows: rows
    ) -> dict[str, torch.Tensor]:
        """Each objective's mean over the batch, before weighing; that of `embedding` over what
        `gather` brings together.
        """
        weights, mask = self.section.objectives, batch.mask
        found: dict[str, torch.Tensor] = {}
        if weights.hidden:
            hidden = own.hidden[1:] if self.projector is None else self.projector(own.hidden[1:])
            found["hidden"] = hidden_loss(
                hidden, target.hidden[: len(self.layers)], mask, self.variances
            )
        if weights.relations:
            found["relations"] = relation_loss(
                own.projections, target.projections, mask, self.heads
            )
        if weights.attention:
            found["attention"] = attention_loss(own.attentions, target.attentions, mask)
        if weights.embedding:
            last = self.project_to_teacher(own)
            assert last is not None
            vectors = (pool(states.float(), mask, self.pooling) for states in (last, target.last))
            found["embedding"] = embedding_loss(*(gather(rows) for rows in vectors))
        if weights.masked:
            predicted = self.predict(own, batch)
            if self._teacher_head is not None:
                with torch.no_grad():
                    wanted = self._teacher_head(target.hidden[-1][batch.chosen])
                found["logits"] = logit_loss(
                    predicted,
                    wanted,
                    kind=self.section.logits,
                    temperature=self.section.temperature,
                )
            if weights.mlm:
                found["mlm"] = mlm_loss(predicted, batch.labels[batch.chosen])
        return found

    def project_to_teacher(self, own: States) -> torch.Tensor | None:
        """The student's last states [B, L, D] as the teacher's compare with them; None if nothing
        maps them there.
        """
        if self.student.config.hidden_size == self.teacher.config.hidden_size:
            return own.last
        if self.projector is None:
            return None
        if self.section.objectives.embedding:
            return self.projector.map_pooled(own.last)
        return self.projector(own.hidden[1:])[-1]  # type: ignore[no-any-return]

    def predict(self, own: States, batch: Batch) -> torch.Tensor:
        """The student's logits at the masked positions."""
        assert self._student_head is not None, "nothing is masked"
        with self._autocast():
            return self._student_head(own.hidden[-1][batch.chosen])

    def total_loss(
        self, values: dict[str, torch.Tensor], shares: dict[str, float] | None = None
    ) -> torch.Tensor:
        """The loss: the values by their weights, and by the share of the whole that each is
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


def check_objectives(
    section: DistillationSection, student: PreTrainedModel, teacher: PreTrainedModel
) -> None:
    """Nothing if both models have what the objectives compare; raises ValueError naming the
    objective if not.
    """
    weights = section.objectives
    for name, model, whose in (("logits", teacher, "the teacher"), ("mlm", student, "the student")):
        if getattr(weights, name):
            try:
                language_head(model)
            except ValueError as error:
                raise ValueError(
                    f"distillation.objectives.{name}: {whose} needs a language-model head; {error}"
                ) from error
    if (layer := section.relation_layer) is not None and layer > teacher.config.num_hidden_layers:
        raise ValueError(
            f"distillation.relation_layer: {layer} is more than the teacher's {teacher.config.num_hidden_layers} layers"
        )
    if (
        weights.attention
        and student.config.num_attention_heads != teacher.config.num_attention_heads
    ):
        raise ValueError(
            f"distillation.objectives.attention: compares head by head, and the student has "
            f"{student.config.num_attention_heads} where the teacher has {teacher.config.num_attention_heads}; use relations"
        )
    if weights.relations:
        for model in (student, teacher):
            try:
                find_projections(model.base_model)
            except ValueError as error:
                raise ValueError(
                    f"distillation.objectives.relations: {error}; use the other objectives"
                ) from error
    if weights.relations and (heads := section.relation_heads) is not None:
        for model in (student, teacher):
            if model.config.hidden_size % heads:
                raise ValueError(
                    f"distillation.relation_heads: {heads} does not divide the hidden size {model.config.hidden_size}"
                )
