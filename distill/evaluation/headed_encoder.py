"""A bare encoder with a linear head: token ids go in; scores of classes, or a number, come out.

The heads are written on the encoder itself rather than taken from transformers, where each family
has another one (some with a hidden layer, some with a pretrained pooler), so that what is compared
is the encoders.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch

from distill.models.layers import layer_list_name
from distill.models.pooling import pool
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

DROPOUT = 0.1
EAGER_LENGTH = 256
"""On the CPU torch's fused attention is slower than plain products up to about this length."""


class HeadedEncoder(torch.nn.Module):
    """An encoder with a linear layer on its pooled vector or, without pooling, on every token's
    state.
    """

    def __init__(self, encoder: PreTrainedModel, outputs: int, pooling: str | None) -> None:
        """The head is drawn anew (normal with deviation 0.02, as BERT's) from torch's generator."""
        super().__init__()
        self.encoder, self.pooling = encoder, pooling
        self.head = torch.nn.Linear(encoder.config.hidden_size, outputs)
        torch.nn.init.normal_(self.head.weight, std=0.02)
        torch.nn.init.zeros_(self.head.bias)
        self._typed = getattr(encoder.config, "type_vocab_size", 0) > 1

    def forward(
        self, ids_BL: torch.Tensor, mask_BL: torch.Tensor, types_BL: torch.Tensor
    ) -> torch.Tensor:
        """Outputs [B, N], or [B, L, N] without pooling."""
        types = {"token_type_ids": types_BL} if self._typed else {}
        hidden_BLD = self.encoder(
            input_ids=ids_BL, attention_mask=mask_BL, **types
        ).last_hidden_state
        state = hidden_BLD if self.pooling is None else pool(hidden_BLD, mask_BL, self.pooling)
        outputs: torch.Tensor = self.head(
            torch.nn.functional.dropout(state, DROPOUT, self.training)
        )
        return outputs.float()


def bare_copy(
    model: PreTrainedModel, pieces: np.ndarray, *, longest: int, device: torch.device
) -> PreTrainedModel:
    """A copy of the model's encoder alone, with the embeddings of `pieces` alone and the attention
    kernel that is fast here.

    Pieces are renumbered by their places in `pieces`. What a fine-tune never sees gets no gradient,
    so that it ends with the same weights as with the whole table, of which a multilingual one's
    optimiser steps would mostly consist.
    """
    base = model.base_model
    table = base.get_input_embeddings()
    rows = table.weight.detach()[torch.from_numpy(pieces).to(table.weight.device)].clone()
    kept = torch.nn.Embedding(len(rows), rows.shape[1], padding_idx=table.padding_idx, _weight=rows)
    encoder: PreTrainedModel = copy.deepcopy(base, {id(table): kept})
    encoder = encoder.to(device)
    if (
        device.type == "cpu"
        and longest <= EAGER_LENGTH
        and encoder.config._attn_implementation == "sdpa"
    ):
        encoder.set_attn_implementation("eager")
    return encoder


def freeze_layers(encoder: PreTrainedModel, layers: int) -> None:
    """Leave only the layers above the first `layers` to be trained; 0 leaves everything.

    Raises UserError if the encoder has fewer layers.
    """
    if layers == 0:
        return
    count = encoder.config.num_hidden_layers
    if layers > count:
        raise UserError(
            f"evaluation.freeze_layers: {layers} is more than the {count} layers of one of the "
            "models."
        )
    encoder.requires_grad_(False)
    for layer in list(encoder.get_submodule(layer_list_name(encoder)))[layers:]:
        layer.requires_grad_(True)
