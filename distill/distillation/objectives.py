"""What a student imitates: tensors of student and teacher go in, a scalar loss comes out.

Shapes: B chunks, L tokens, D hidden width, H relation heads. `mask_BL` is 1 where a token stands and 0 on padding,
which no loss sees. All arithmetic is in float32, whatever the models ran in.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

SIMILARITY_TEMPERATURE = 0.05
"""Softmax temperature of the similarities within a batch; cosines of E5 lie close together, between 0.7 and 1."""


def hidden_loss(student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], mask_BL: torch.Tensor) -> torch.Tensor:
    """Squared error of hidden states as a fraction of the teacher's variance, averaged over layer pairs.

    Each entry is [B, L, D], the teacher's being the layer that the student's stands for. As in TinyBERT (Jiao et al.
    2020, section 3.1, L_hidn); dividing by the variance makes layers and teachers of different scale weigh the same.
    """
    weight_BL1 = mask_BL.unsqueeze(-1).float()
    tokens = weight_BL1.sum()
    losses = []
    for own_BLD, target_BLD in zip(student, teacher, strict=True):
        target_BLD = target_BLD.float()
        mean_D = (target_BLD * weight_BL1).sum((0, 1)) / tokens
        variance = ((target_BLD - mean_D).square() * weight_BL1).sum()
        error = ((own_BLD.float() - target_BLD).square() * weight_BL1).sum()
        losses.append(error / variance.clamp_min(1e-12))
    return torch.stack(losses).mean()


def relation_loss(
    student: Sequence[torch.Tensor], teacher: Sequence[torch.Tensor], mask_BL: torch.Tensor, heads: int
) -> torch.Tensor:
    """Divergence of the query-query, key-key and value-value relations of one layer, averaged over heads and tokens.

    Both are (query, key, value), each [B, L, D], split into `heads` relation heads, which need not be the models' own.
    MiniLMv2 (Wang et al. 2021, equations 4 to 7): KL(softmax(A Aᵀ/√d) of the teacher ‖ that of the student).
    """
    tokens = mask_BL.sum() * heads
    blocked_B11L = (mask_BL == 0)[:, None, None, :]
    losses = []
    for own_BLD, target_BLD in zip(student, teacher, strict=True):
        own_BHLL = _relations(own_BLD, heads).masked_fill(blocked_B11L, -1e4)
        target_BHLL = _relations(target_BLD, heads).masked_fill(blocked_B11L, -1e4)
        divergence_BHLL = F.kl_div(
            F.log_softmax(own_BHLL, -1), F.log_softmax(target_BHLL, -1), log_target=True, reduction="none"
        )
        losses.append((divergence_BHLL.sum(-1) * mask_BL[:, None, :]).sum() / tokens)
    return torch.stack(losses).mean()


def embedding_loss(student_BD: torch.Tensor, teacher_BD: torch.Tensor) -> torch.Tensor:
    """How far sentence vectors are from the teacher's, one by one and in how they relate to their batch.

    The first term is 1 - cosine (Reimers & Gurevych 2020 use the squared error, which is twice this for unit vectors);
    the second the divergence between the two softmaxes of each vector's similarities to the others (Fang et al. 2021,
    SEED, equation 4), which is what retrieval ranks by.
    """
    own_BD, target_BD = F.normalize(student_BD.float(), dim=-1), F.normalize(teacher_BD.float(), dim=-1)
    apart = (1.0 - (own_BD * target_BD).sum(-1)).mean()
    if len(own_BD) < 3:  # with one other vector in the batch there is nothing to rank
        return apart
    itself_BB = torch.eye(len(own_BD), dtype=torch.bool, device=own_BD.device)
    own_BB = (own_BD @ own_BD.T / SIMILARITY_TEMPERATURE).masked_fill(itself_BB, -1e4)
    target_BB = (target_BD @ target_BD.T / SIMILARITY_TEMPERATURE).masked_fill(itself_BB, -1e4)
    ranking = F.kl_div(F.log_softmax(own_BB, -1), F.log_softmax(target_BB, -1), log_target=True, reduction="batchmean")
    return apart + ranking


def _relations(states_BLD: torch.Tensor, heads: int) -> torch.Tensor:
    batch, length, width = states_BLD.shape
    split_BHLd = states_BLD.float().view(batch, length, heads, width // heads).transpose(1, 2)
    scores_BHLL: torch.Tensor = split_BHLd @ split_BHLd.transpose(-1, -2) / (width // heads) ** 0.5
    return scores_BHLL
