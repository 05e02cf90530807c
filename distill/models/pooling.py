"""One vector for a text, out of the hidden states of its tokens."""

from __future__ import annotations

import torch

from distill.recipe.teacher import POOLINGS

__all__ = ["POOLINGS", "pool"]


def pool(hidden_BLD: torch.Tensor, mask_BL: torch.Tensor, pooling: str) -> torch.Tensor:
    """Sentence vectors [B, D] by one of `POOLINGS`; padding, on whichever side, is never seen."""
    if pooling in ("cls", "lasttoken"):
        places_BL = mask_BL.int()
        if pooling == "cls":
            at_B = places_BL.argmax(1)
        else:
            at_B = mask_BL.shape[1] - 1 - places_BL.flip(1).argmax(1)
        at_B1D = at_B[:, None, None].expand(-1, 1, hidden_BLD.shape[-1])
        return hidden_BLD.gather(1, at_B1D).squeeze(1)
    weight_BL1 = mask_BL.unsqueeze(-1).to(hidden_BLD.dtype)
    if pooling == "max":
        return hidden_BLD.masked_fill(weight_BL1 == 0, -torch.inf).amax(1)
    if pooling == "weightedmean":
        weight_BL1 = weight_BL1 * weight_BL1.cumsum(1)
    total_B1 = weight_BL1.sum(1).clamp_min(1e-9)
    if pooling == "mean_sqrt_len_tokens":
        total_B1 = total_B1.sqrt()
    return (hidden_BLD * weight_BL1).sum(1) / total_B1
