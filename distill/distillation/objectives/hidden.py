"""Hidden states of the teacher layer that each student layer stands for."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from distill.distillation.objectives.objective import Comparison, Objective


def hidden_loss(
    student: Sequence[torch.Tensor],
    teacher: Sequence[torch.Tensor],
    mask_BL: torch.Tensor,
    variances: Sequence[float] | None = None,
) -> torch.Tensor:
    """Squared error of hidden states as a fraction of the teacher's variance, averaged over layer
    pairs.

    Each entry is [B, L, D], the teacher's being the layer that the student's stands for.
    `variances`, each the mean squared distance of a layer's states to their mean, are the batch's
    own by default. As in TinyBERT (Jiao et al. 2020, section 3.1, L_hidn); dividing by the variance
    makes layers and teachers of different scale weigh the same.
    """
    weight_BL1 = mask_BL.unsqueeze(-1).float()
    tokens = weight_BL1.sum()
    losses = []
    for at, (own_BLD, target_BLD) in enumerate(zip(student, teacher, strict=True)):
        target_BLD = target_BLD.float()
        if variances is None:
            mean_D = (target_BLD * weight_BL1).sum((0, 1)) / tokens
            total = ((target_BLD - mean_D).square() * weight_BL1).sum()
        else:
            total = tokens * variances[at]
        error = ((own_BLD.float() - target_BLD).square() * weight_BL1).sum()
        losses.append(error / total.clamp_min(1e-12))
    return torch.stack(losses).mean()


def _value(pair: Comparison) -> torch.Tensor:
    targets = pair.teacher.hidden[: len(pair.projected_hidden)]
    return hidden_loss(pair.projected_hidden, targets, pair.batch.mask, pair.variances)


HIDDEN = Objective(
    key="hidden",
    purpose="imitating hidden states",
    paper="Jiao et al. 2020, TinyBERT",
    arxiv="1909.10351",
    count=lambda batch: float(batch.mask.sum()),
    value=_value,
    projects=True,
)
