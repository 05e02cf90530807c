"""One vector for a text, out of the hidden states of its tokens."""

from __future__ import annotations

import torch


def pool(hidden_BLD: torch.Tensor, mask_BL: torch.Tensor, pooling: str) -> torch.Tensor:
    """Sentence vectors [B, D]: the mean over tokens, or the first token's state."""
    if pooling == "cls":
        return hidden_BLD[:, 0]
    weight_BL1 = mask_BL.unsqueeze(-1).to(hidden_BLD.dtype)
    return (hidden_BLD * weight_BL1).sum(1) / weight_BL1.sum(1).clamp_min(1e-9)
