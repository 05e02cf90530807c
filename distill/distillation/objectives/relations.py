"""Query, key and value relations of one layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from distill.distillation.objectives.objective import Comparison, Models, Objective
from distill.distillation.states import find_projections


def relation_loss(
    student: Sequence[torch.Tensor],
    teacher: Sequence[torch.Tensor],
    mask_BL: torch.Tensor,
    heads: int,
) -> torch.Tensor:
    """Divergence of the query-query, key-key and value-value relations of one layer, averaged over
    heads and tokens.

    Both are (query, key, value), each [B, L, D], split into `heads` relation heads, which need not
    be the models' own. MiniLMv2 (Wang et al. 2021, equations 4 to 7): KL(softmax(A Aᵀ/√d) of the
    teacher ‖ that of the student).
    """
    tokens = mask_BL.sum() * heads
    blocked_B11L = (mask_BL == 0)[:, None, None, :]
    losses = []
    for own_BLD, target_BLD in zip(student, teacher, strict=True):
        own_BHLL = _relations(own_BLD, heads).masked_fill(blocked_B11L, -1e4)
        target_BHLL = _relations(target_BLD, heads).masked_fill(blocked_B11L, -1e4)
        divergence_BHLL = F.kl_div(
            F.log_softmax(own_BHLL, -1),
            F.log_softmax(target_BHLL, -1),
            log_target=True,
            reduction="none",
        )
        losses.append((divergence_BHLL.sum(-1) * mask_BL[:, None, :]).sum() / tokens)
    return torch.stack(losses).mean()


def _relations(states_BLD: torch.Tensor, heads: int) -> torch.Tensor:
    batch, length, width = states_BLD.shape
    split_BHLd = states_BLD.float().view(batch, length, heads, width // heads).transpose(1, 2)
    scores_BHLL: torch.Tensor = split_BHLd @ split_BHLd.transpose(-1, -2) / (width // heads) ** 0.5
    return scores_BHLL


def _value(pair: Comparison) -> torch.Tensor:
    students, teachers = pair.student.projections, pair.teacher.projections
    return relation_loss(students, teachers, pair.batch.mask, pair.relation_heads)


def _check(models: Models) -> None:
    for model in (models.student, models.teacher):
        try:
            find_projections(model.base_model)
        except ValueError as error:
            raise ValueError(
                f"distillation.objectives.relations: {error}; use the other objectives"
            ) from error
    heads = models.section.relation_heads
    for model in (models.student, models.teacher) if heads is not None else ():
        if model.config.hidden_size % heads:
            raise ValueError(
                f"distillation.relation_heads: {heads} does not divide the hidden size "
                f"{model.config.hidden_size}"
            )


RELATIONS = Objective(
    key="relations",
    purpose="imitating query, key and value relations",
    paper="Wang et al. 2021, MiniLMv2",
    arxiv="2012.15828",
    count=lambda batch: float(batch.mask.sum()),
    value=_value,
    check=_check,
    projections=True,
)
