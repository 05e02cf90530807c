"""The teacher's distribution over pieces at masked positions."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F

from distill.distillation.objectives.objective import Comparison, Models, Objective, check_head


def logit_loss(
    student_MV: torch.Tensor,
    teacher_MV: torch.Tensor,
    *,
    kind: Literal["kl", "mse"],
    temperature: float,
) -> torch.Tensor:
    """How far the student's logits are from the teacher's, averaged over masked positions; 0 where
    nothing is masked.

    `kl`: KL(softmax(teacher / T) ‖ softmax(student / T)) · T², whose gradient keeps its size
    whatever T is (Hinton et al. 2015, section 2). `mse`: the squared error averaged over pieces (Ba
    & Caruana 2014, section 2.1), each position's logits centred, since a constant added to all of
    them predicts the same. Half of it is what `kl` tends to as T grows (Hinton et al. 2015, section
    2.1); it doesn't depend on T.
    """
    own_MV, target_MV = student_MV.float(), teacher_MV.float()
    positions = max(len(own_MV), 1)  # the sum over none is 0, with a graph
    if kind == "mse":
        own_MV, target_MV = (
            logits - logits.mean(-1, keepdim=True) for logits in (own_MV, target_MV)
        )
        return (own_MV - target_MV).square().mean(-1).sum() / positions
    own_MV, target_MV = (
        F.log_softmax(own_MV / temperature, -1),
        F.log_softmax(target_MV / temperature, -1),
    )
    return (
        F.kl_div(own_MV, target_MV, log_target=True, reduction="sum") * temperature**2 / positions
    )


def _value(pair: Comparison) -> torch.Tensor:
    section = pair.section
    predicted = pair.predicted  # before the teacher's, as gradients are summed in this order
    return logit_loss(
        predicted, pair.wanted(), kind=section.logits, temperature=section.temperature
    )


def _check(models: Models) -> None:
    check_head("logits", models.teacher, "the teacher")


LOGITS = Objective(
    key="logits",
    purpose="imitating the teacher's predictions",
    paper="Hinton, Vinyals and Dean 2015, Distilling the Knowledge in a Neural Network",
    arxiv="1503.02531",
    count=lambda batch: float(batch.chosen.sum()),
    value=_value,
    check=_check,
)
