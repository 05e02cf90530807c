from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertModel,
    DistilBertConfig,
    DistilBertModel,
    ModernBertConfig,
    ModernBertModel,
    PreTrainedModel,
)

from distill.evaluation.headed_encoder import HeadedEncoder, bare_copy, freeze_layers
from distill.runtime.errors import UserError

SIZES = {
    "vocab_size": 50,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}


def bert(**changes: object) -> PreTrainedModel:
    torch.manual_seed(0)
    return BertModel(BertConfig(**SIZES, **changes)).eval()


ENCODERS = {
    "bert": bert,
    "distilbert": lambda: DistilBertModel(
        DistilBertConfig(vocab_size=50, dim=16, n_layers=3, n_heads=2, hidden_dim=16)
    ).eval(),
    "modernbert": lambda: ModernBertModel(
        ModernBertConfig(**SIZES, pad_token_id=0, cls_token_id=1, sep_token_id=2)
    ).eval(),
}
IDS = torch.tensor([[1, 5, 6, 2, 0, 0], [1, 7, 8, 9, 10, 2]])
MASK = (IDS != 0).long()
TYPES = torch.zeros_like(IDS)


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize(
    ("pooling", "shape"), [("mean", (2, 3)), ("cls", (2, 3)), (None, (2, 6, 3))]
)
def test_a_head_answers_for_a_text_or_for_each_token(
    family: str, pooling: str | None, shape: tuple[int, ...]
) -> None:
    model = HeadedEncoder(ENCODERS[family](), 3, pooling).eval()
    assert model(IDS, MASK, TYPES).shape == shape


@pytest.mark.parametrize("pooling", ["mean", "cls", None])
def test_padding_does_not_change_the_answer(pooling: str | None) -> None:
    model = HeadedEncoder(bert(), 3, pooling).eval()
    alone = model(IDS[:1, :4], MASK[:1, :4], TYPES[:1, :4])
    together = model(IDS, MASK, TYPES)[:1]
    torch.testing.assert_close(
        alone, together if pooling else together[:, :4], atol=1e-5, rtol=1e-4
    )


def test_types_reach_an_encoder_that_has_them_and_no_other() -> None:
    other = torch.ones_like(IDS)
    for count, differs in ((2, True), (1, False)):
        model = HeadedEncoder(bert(type_vocab_size=count), 3, "mean").eval()
        assert torch.equal(model(IDS, MASK, TYPES), model(IDS, MASK, other)) != differs


def test_a_copy_is_the_bare_encoder_and_leaves_the_model_alone() -> None:
    from transformers import BertForMaskedLM

    model = BertForMaskedLM(BertConfig(**SIZES)).eval()
    copied = bare_copy(model, np.arange(50), longest=32, device=torch.device("cpu"))
    assert type(copied) is BertModel
    with torch.no_grad():
        next(copied.parameters()).zero_()
    assert float(model.bert.embeddings.word_embeddings.weight.detach().abs().sum()) > 0


@pytest.mark.parametrize("family", ENCODERS)
def test_a_copy_of_the_pieces_that_occur_computes_the_same(family: str) -> None:
    model, pieces = ENCODERS[family](), np.unique(IDS.numpy())
    copied = bare_copy(model, pieces, longest=32, device=torch.device("cpu"))
    model.set_attn_implementation(copied.config._attn_implementation)
    renumbered = torch.from_numpy(np.searchsorted(pieces, IDS.numpy()))
    assert (
        copied.get_input_embeddings().weight.shape
        == (len(pieces), 16)
        != model.get_input_embeddings().weight.shape
    )
    with torch.inference_mode():
        states = [
            one(input_ids=ids, attention_mask=MASK).last_hidden_state
            for one, ids in ((model, IDS), (copied, renumbered))
        ]
    assert torch.equal(*states)


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_only_the_layers_above_the_frozen_ones_are_trained(family: str, layers: int) -> None:
    model = HeadedEncoder(ENCODERS[family](), 2, "mean")
    freeze_layers(model.encoder, layers)
    model(IDS, MASK, TYPES).sum().backward()
    trained = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    in_layers = {number for number in range(3) if any(f".{number}." in name for name in trained)}
    assert in_layers == set(range(layers, 3))
    assert any("embeddings" in name for name in trained) == (layers == 0)
    assert {"head.weight", "head.bias"} <= trained


def test_freezing_more_layers_than_there_are_is_the_users_error() -> None:
    with pytest.raises(UserError, match=r"evaluation.freeze_layers: 4 is more than the 3 layers"):
        freeze_layers(bert(), 4)
