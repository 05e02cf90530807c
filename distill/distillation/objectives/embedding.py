"""Pooled sentence vectors, and how they relate to the others of their batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from distill.distillation.objectives.objective import Comparison, Objective

SIMILARITY_TEMPERATURE = 0.05
"""Softmax temperature of the similarities within a batch; cosines of E5 lie close together, between
0.7 and 1.
"""


def embedding_loss(student_BD: torch.Tensor, teacher_BD: torch.Tensor) -> torch.Tensor:
    """How far sentence vectors are from the teacher's, one by one and in how they relate to their
    batch.

    The first term is 1 - cosine (Reimers & Gurevych 2020 use the squared error, which is twice this
    for unit vectors); the second the divergence between the two softmaxes of each vector's
    similarities to the others (Fang et al. 2021, SEED, equation 4), which is what retrieval ranks
    by.
    """
    own_BD, target_BD = (
        F.normalize(student_BD.float(), dim=-1),
        F.normalize(teacher_BD.float(), dim=-1),
    )
    apart = (1.0 - (own_BD * target_BD).sum(-1)).mean()
    if len(own_BD) < 3:  # with one other vector in the batch there is nothing to rank
        return apart
    itself_BB = torch.eye(len(own_BD), dtype=torch.bool, device=own_BD.device)
    own_BB = (own_BD @ own_BD.T / SIMILARITY_TEMPERATURE).masked_fill(itself_BB, -1e4)
    target_BB = (target_BD @ target_BD.T / SIMILARITY_TEMPERATURE).masked_fill(itself_BB, -1e4)
    ranking = F.kl_div(
        F.log_softmax(own_BB, -1),
        F.log_softmax(target_BB, -1),
        log_target=True,
        reduction="batchmean",
    )
    return apart + ranking


def _value(pair: Comparison) -> torch.Tensor:
    return embedding_loss(*pair.gathered_vectors())


EMBEDDING = Objective(
    key="embedding",
    purpose="imitating sentence vectors and their similarities",
    paper="Fang et al. 2021, SEED",
    arxiv="2101.04731",
    count=lambda batch: float(len(batch.ids)),
    value=_value,
    scope="batch",
    projects=True,
)
