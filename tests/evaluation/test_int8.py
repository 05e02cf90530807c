from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel, PreTrainedModel

from distill.evaluation.int8 import encoder_int8

SHAPE = {
    "vocab_size": 60,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
IDS = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
JUDGED = [(ids := np.array([[5 + n, 6, 7]]), np.ones_like(ids)) for n in range(6)]
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0]])


def bert(types: int) -> PreTrainedModel:
    torch.manual_seed(0)
    return BertModel(
        BertConfig(**SHAPE, type_vocab_size=types, initializer_range=0.2), add_pooling_layer=False
    ).eval()


def states(encoder: torch.nn.Module, types: torch.Tensor | None = None) -> torch.Tensor:
    """The last hidden states of what is no padding."""
    with torch.inference_mode():
        typed = {} if types is None else {"token_type_ids": types}
        hidden: torch.Tensor = encoder(
            input_ids=IDS, attention_mask=MASK, **typed
        ).last_hidden_state
    return hidden[MASK.bool()]


@pytest.mark.parametrize("types", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_it_answers_nearly_as_the_encoder_that_it_was_made_from(types: int) -> None:
    encoder = bert(types)
    expected = states(encoder)
    found = states(encoder_int8(encoder, JUDGED, "mean"))
    assert torch.nn.functional.cosine_similarity(found, expected).min() > 0.98 and not torch.equal(
        found, expected
    )


def test_the_types_of_a_pair_reach_it() -> None:
    encoder = bert(2)
    second = torch.ones_like(IDS)
    expected = states(encoder, second)
    small = encoder_int8(encoder, JUDGED, "mean")
    assert torch.nn.functional.cosine_similarity(states(small, second), expected).min() > 0.98
    assert not torch.equal(states(small, second), states(small))
