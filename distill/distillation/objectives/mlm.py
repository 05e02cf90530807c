"""The pieces that stand at masked positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from distill.distillation.objectives.objective import Comparison, Models, Objective, check_head


def mlm_loss(student_MV: torch.Tensor, labels_M: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the pieces that were masked, in nats, averaged over them; 0 where nothing is
    masked.

    Devlin et al. 2019, section 3.1.
    """
    return F.cross_entropy(student_MV.float(), labels_M, reduction="sum") / max(len(labels_M), 1)


def _value(pair: Comparison) -> torch.Tensor:
    return mlm_loss(pair.predicted, pair.batch.labels[pair.batch.chosen])


def _check(models: Models) -> None:
    check_head("mlm", models.student, "the student")


MLM = Objective(
    key="mlm",
    purpose="masked-language modelling",
    paper="Devlin et al. 2019, BERT",
    arxiv="1810.04805",
    count=lambda batch: float(batch.chosen.sum()),
    value=_value,
    check=_check,
)
