"""Where a model keeps its layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def layer_list_name(model: PreTrainedModel) -> str:
    """The qualified name of the list of the encoder's layers (encoder.layer, bert.encoder.layer,
    ...).
    """
    count = model.config.num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return str(name)
    raise ValueError(f"{type(model).__name__} has no list of {count} layers")
