"""Sentence vectors, and how they relate to the others of their batch."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from distill.distillation.objectives.objective import Comparison, Objective
from distill.models.after_pooling import AfterPooling

SIMILARITY_TEMPERATURE = 0.05
"""Softmax temperature of the similarities within a batch; cosines of E5 lie close together, between
0.7 and 1.
"""


def embedding_loss(
    student_BD: torch.Tensor, teacher_BD: torch.Tensor, similarity: str = "cosine"
) -> torch.Tensor:
    """How far sentence vectors are from the teacher's, one by one and in how they relate to their
    batch.

    The first term is 1 - cosine (Reimers & Gurevych 2020 use the squared error, which is twice this
    for unit vectors), or, where vectors are compared by more than their direction, half the squared
    error in units of the teacher's mean squared length, which is the same for unit vectors; the
    second the divergence between the two softmaxes of each vector's similarities to the others
    (Fang et al. 2021, SEED, equation 4), which is what retrieval ranks by.
    """
    own_BD, target_BD = student_BD.float(), teacher_BD.float()
    if similarity == "cosine":
        own_BD, target_BD = F.normalize(own_BD, dim=-1), F.normalize(target_BD, dim=-1)
        apart = (1.0 - (own_BD * target_BD).sum(-1)).mean()
        unit = target_BD.new_tensor(1.0)
    else:
        unit = target_BD.square().sum(-1).mean().clamp_min(1e-9)
        apart = (own_BD - target_BD).square().sum(-1).mean() / (2 * unit)
    if len(own_BD) < 3:  # with one other vector in the batch there is nothing to rank
        return apart
    itself_BB = torch.eye(len(own_BD), dtype=torch.bool, device=own_BD.device)
    own_BB, target_BB = (
        _likeness(vectors_BD, similarity, unit).masked_fill(itself_BB, -1e4)
        for vectors_BD in (own_BD, target_BD)
    )
    ranking = F.kl_div(
        F.log_softmax(own_BB, -1),
        F.log_softmax(target_BB, -1),
        log_target=True,
        reduction="batchmean",
    )
    return apart + ranking


def matryoshka_loss(
    student_BD: torch.Tensor, teacher_BD: torch.Tensor, after: AfterPooling
) -> torch.Tensor:
    """The mean of the loss over whole vectors and those that are cut where the teacher's may be
    (Kusupati et al. 2022, Matryoshka Representation Learning, equation 1).
    """
    width = student_BD.shape[-1]
    cuts = [width, *after.cuts(width)]
    losses = [
        embedding_loss(student_BD[:, :cut], teacher_BD[:, :cut], after.similarity) for cut in cuts
    ]
    return torch.stack(losses).mean()


def _likeness(vectors_BD: torch.Tensor, similarity: str, unit: torch.Tensor) -> torch.Tensor:
    """Similarities [B, B] in the softmax's temperature: products, or distances below zero, in units
    of the teacher's mean length.
    """
    if similarity in ("cosine", "dot"):
        return vectors_BD @ vectors_BD.T / unit / SIMILARITY_TEMPERATURE
    differences = vectors_BD.unsqueeze(1) - vectors_BD.unsqueeze(0)
    if similarity == "manhattan":  # of a vector of length 1, at most the root of its width
        distances = differences.abs().sum(-1) / vectors_BD.shape[-1] ** 0.5
    else:
        distances = (differences.square().sum(-1) + 1e-12).sqrt()
    scaled: torch.Tensor = distances / unit.sqrt() / SIMILARITY_TEMPERATURE
    return -scaled


def _value(pair: Comparison) -> torch.Tensor:
    return matryoshka_loss(*pair.gathered_vectors(), pair.after)


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
