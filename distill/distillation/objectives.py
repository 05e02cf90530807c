"""What a student imitates: tensors of student and teacher go in, a scalar loss comes out.

Shapes: B chunks, L tokens, D hidden width, H heads, M masked positions, V kept pieces. `mask_BL` is
1 where a token stands and 0 on padding, which no loss sees. Every loss is a mean over tokens,
masked positions or rows, so that parts of a batch add up. All arithmetic is in float32, whatever
the models ran in.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F

SIMILARITY_TEMPERATURE = 0.05
"""Softmax temperature of the similarities within a batch; cosines of E5 lie close together, between
0.7 and 1.
"""


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
            f"attentions of {len(student)} student layers can't be compared with those of {len(teacher)} of the teacher"
        )
    real_BL = mask_BL != 0
    real_B1LL = (real_BL[:, :, None] & real_BL[:, None, :])[:, None]
    keys_B111 = real_BL.sum(-1).clamp_min(1)[:, None, None, None]
    losses = []
    for own_BHLL, target_BHLL in zip(student, teacher, strict=True):
        if (own_heads := own_BHLL.shape[1]) != (heads := target_BHLL.shape[1]):
            raise ValueError(
                f"attentions are compared head by head, and the student has {own_heads} heads, the teacher {heads}"
            )
        # Filled, not multiplied by 0: a score on padding may be infinite.
        error_BHLL = (own_BHLL.float() - target_BHLL.float()).masked_fill(~real_B1LL, 0.0).square()
        losses.append((error_BHLL / keys_B111).sum() / (heads * real_BL.sum()))
    return torch.stack(losses).mean()


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


def mlm_loss(student_MV: torch.Tensor, labels_M: torch.Tensor) -> torch.Tensor:
    """Cross entropy of the pieces that were masked, in nats, averaged over them; 0 where nothing is
    masked.

    Devlin et al. 2019, section 3.1.
    """
    return F.cross_entropy(student_MV.float(), labels_M, reduction="sum") / max(len(labels_M), 1)


class Projector(torch.nn.Module):
    """Learned linear maps of the student's states into the teacher's width; thrown away after
    training.

    One for each layer and one for what is pooled, without bias: TinyBERT's W_h (Jiao et al. 2020,
    section 3.1).
    """

    def __init__(self, student_width: int, teacher_width: int, *, layers: int, seed: int) -> None:
        """The same for the same seed; the global random state is left alone."""
        super().__init__()
        draw = torch.Generator().manual_seed(seed)

        def matrix() -> torch.nn.Parameter:
            # Orthogonal: lengths and angles of the states are kept, as far as the teacher's width
            # has room for them.
            return torch.nn.Parameter(
                torch.nn.init.orthogonal_(torch.empty(teacher_width, student_width), generator=draw)
            )

        self.layers = torch.nn.ParameterList(matrix() for _ in range(layers))
        self.pooled = matrix()

    @classmethod
    def between(
        cls, student_width: int, teacher_width: int, *, layers: int, seed: int
    ) -> Projector | None:
        """One if the widths differ; None if they're equal and states are compared as they are."""
        return (
            None
            if student_width == teacher_width
            else cls(student_width, teacher_width, layers=layers, seed=seed)
        )

    def forward(self, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Each layer's states [B, L, D] in the teacher's width."""
        return [
            F.linear(own_BLD.float(), matrix)
            for own_BLD, matrix in zip(states, self.layers, strict=True)
        ]

    def map_pooled(self, states: torch.Tensor) -> torch.Tensor:
        """Last hidden states, or vectors pooled from them, [..., D] in the teacher's width."""
        return F.linear(states.float(), self.pooled)


def _relations(states_BLD: torch.Tensor, heads: int) -> torch.Tensor:
    batch, length, width = states_BLD.shape
    split_BHLd = states_BLD.float().view(batch, length, heads, width // heads).transpose(1, 2)
    scores_BHLL: torch.Tensor = split_BHLd @ split_BHLd.transpose(-1, -2) / (width // heads) ** 0.5
    return scores_BHLL
