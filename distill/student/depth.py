"""Depth: a student with fewer layers, each a copy of one of the teacher's."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from distill.models.layers import layer_list_name
from distill.vocabulary.trimming import remove_absent

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel


def choose_layers(layers: int | Sequence[int], teacher_layers: int) -> list[int]:
    """Teacher layers, counted from 1, that the student copies.

    A count is spread evenly with the last layer always kept: 6 of 12 gives 2, 4, ... 12, the
    every-other-layer initialisation that served XLM-R best (Gurgurov et al. 2025). Raises
    ValueError if the teacher has too few.
    """
    if not isinstance(layers, int):
        chosen = list(layers)
        if chosen and chosen[-1] > teacher_layers:
            raise ValueError(f"layer {chosen[-1]} is named and the teacher has {teacher_layers}")
        return chosen
    if layers > teacher_layers:
        raise ValueError(f"{layers} layers are more than the teacher's {teacher_layers}")
    return [round((i + 1) * teacher_layers / layers) for i in range(layers)]


def check_layers(config: PreTrainedConfig, layers: Sequence[int]) -> None:
    """Nothing if a stock model can have these layers (counted from 1) alone; raises ValueError
    saying why it can't.
    """
    if config.model_type == "modernbert" and layers[0] != 1:
        raise ValueError(
            f"layer {layers[0]} cannot be the first of a ModernBERT, whose first layer alone has "
            "no attention norm; "
            "give layers as a list that starts with 1"
        )


def keep_layers(model: PreTrainedModel, layers: Sequence[int]) -> PreTrainedModel:
    """A copy of `model` with the given layers (counted from 1) alone; everything else as it was.

    Raises ValueError as `check_layers` does.
    """
    check_layers(model.config, layers)
    config = copy.deepcopy(model.config)
    config.num_hidden_layers = len(layers)
    if kinds := getattr(
        config, "layer_types", None
    ):  # whether a layer attends globally, which ModernBERT says by position
        config.layer_types = [kinds[layer - 1] for layer in layers]
    student = type(model)(config)
    remove_absent(student, model)
    position = {teacher_layer - 1: i for i, teacher_layer in enumerate(layers)}
    prefix = re.compile(rf"^({re.escape(layer_list_name(model))}\.)(\d+)(\..*)$")
    state: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        if match := prefix.match(name):
            if int(match[2]) in position:
                state[f"{match[1]}{position[int(match[2])]}{match[3]}"] = tensor
        else:
            state[name] = tensor
    student.load_state_dict(state)
    student.tie_weights()
    return student.eval()


def untrained_copy(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """The architecture of `model` with the random weights that training from scratch would start
    from.
    """
    generator_state = torch.get_rng_state()
    try:
        torch.manual_seed(seed)
        return type(model)(copy.deepcopy(model.config)).eval()
    finally:
        torch.set_rng_state(generator_state)
