"""Hidden states of the teacher layer that each student layer stands for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
        if variances is None:
            mean_D = (target_BLD.float() * weight_BL1).sum((0, 1)) / tokens
            total = ((target_BLD.float() - mean_D).square() * weight_BL1).sum()
        else:
            total = tokens * variances[at]
        error = SquaredError.apply(own_BLD, target_BLD, weight_BL1)  # type: ignore[no-untyped-call]
        losses.append(error / total.clamp_min(1e-12))
    return torch.stack(losses).mean()


class SquaredError(torch.autograd.Function):
    """The sum of squared differences where a token stands: one tensor of the states' size is made
    and kept for the way back, where separate operations make four and keep two.
    """

    @staticmethod
    def forward(
        ctx: Any, own_BLD: torch.Tensor, target_BLD: torch.Tensor, weight_BL1: torch.Tensor
    ) -> torch.Tensor:
        """`weight_BL1` is 1 where a token stands, else 0."""
        difference_BLD = torch.sub(own_BLD.float(), target_BLD).mul_(weight_BL1)
        ctx.save_for_backward(difference_BLD)
        ctx.dtype = own_BLD.dtype
        length: torch.Tensor = torch.linalg.vector_norm(difference_BLD)
        return length.square()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        """Twice the difference."""
        (difference_BLD,) = ctx.saved_tensors
        return (difference_BLD * (2.0 * gradients[0])).to(ctx.dtype), None, None


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
