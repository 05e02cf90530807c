"""Attention probabilities of the teacher layer that each student layer stands for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from distill.distillation.objectives.objective import Comparison, Models, Objective


def attention_loss(
    student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], mask_BL: torch.Tensor
) -> torch.Tensor:
    """Mean squared error of attention probabilities over keys and heads, averaged over queries and
    layer pairs.

    Each entry is [B, H, L, L], the teacher's being the layer that the student's stands for.
    TinyBERT (Jiao et al. 2020, equation 7), which takes the scores before the softmax; models give
    the probabilities. Raises ValueError if there is nothing to compare, or if the numbers of layers
    or heads differ.
    """
    if not student or len(student) != len(teacher):
        raise ValueError(
            f"attentions of {len(student)} student layers can't be compared with those of "
            f"{len(teacher)} of the teacher"
        )
    real_BL = mask_BL != 0
    real_B1LL = (real_BL[:, :, None] & real_BL[:, None, :])[:, None]
    keys_B111 = real_BL.sum(-1).clamp_min(1)[:, None, None, None]
    losses = []
    for own_BHLL, target_BHLL in zip(student, teacher, strict=True):
        if (own_heads := own_BHLL.shape[1]) != (heads := target_BHLL.shape[1]):
            raise ValueError(
                f"attentions are compared head by head, and the student has {own_heads} heads, the "
                f"teacher {heads}"
            )
        # Filled, not multiplied by 0: a score on padding may be infinite.
        error_BHLL = (own_BHLL.float() - target_BHLL.float()).masked_fill(~real_B1LL, 0.0).square()
        losses.append((error_BHLL / keys_B111).sum() / (heads * real_BL.sum()))
    return torch.stack(losses).mean()


def _value(pair: Comparison) -> torch.Tensor:
    return attention_loss(pair.student.attentions, pair.teacher.attentions, pair.batch.mask)


def _check(models: Models) -> None:
    student = models.student.config.num_attention_heads
    teacher = models.teacher.config.num_attention_heads
    if student != teacher:
        raise ValueError(
            f"distillation.objectives.attention: compares head by head, and the student has "
            f"{student} where the teacher has {teacher}; use relations"
        )


ATTENTION = Objective(
    key="attention",
    purpose="imitating attention",
    paper="Jiao et al. 2020, TinyBERT",
    arxiv="1909.10351",
    count=lambda batch: float(batch.mask.sum()),
    value=_value,
    check=_check,
    attentions=True,
)
