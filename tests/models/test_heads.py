from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import (
    AlbertConfig,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoModelForPreTraining,
    AutoModelForSequenceClassification,
    BertConfig,
    DebertaV2Config,
    DistilBertConfig,
    ElectraConfig,
    EuroBertConfig,
    GPT2Config,
    ModernBertConfig,
    MPNetConfig,
    PreTrainedConfig,
    RobertaConfig,
    XLMConfig,
    XLMRobertaConfig,
)

from distill.models.heads import language_head, piece_bytes
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of

SIZES = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "vocab_size": 50,
}
EDGES = {
    "pad_token_id": 1,
    "cls_token_id": 2,
    "sep_token_id": 2,
    "eos_token_id": 2,
    "bos_token_id": 2,
}
CONFIGS: dict[str, PreTrainedConfig] = {
    "xlm-roberta": XLMRobertaConfig(**SIZES),
    "roberta": RobertaConfig(**SIZES),
    "bert": BertConfig(**SIZES),
    "distilbert": DistilBertConfig(dim=16, n_layers=2, n_heads=4, hidden_dim=32, vocab_size=50),
    "modernbert": ModernBertConfig(**SIZES, **EDGES),
    "deberta-v2": DebertaV2Config(**SIZES),
    "deberta-v2, newer head": DebertaV2Config(**SIZES, legacy=False),
    "electra": ElectraConfig(**SIZES, embedding_size=8),
    "mpnet": MPNetConfig(**SIZES),
    "albert": AlbertConfig(**SIZES, embedding_size=8),
    "eurobert": EuroBertConfig(**SIZES, **EDGES),
    "xlm": XLMConfig(emb_dim=16, n_layers=2, n_heads=2, n_words=50),
}
IDS = torch.randint(5, 50, (2, 7), generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])


def model_of(family: str, auto: Any) -> Any:
    torch.manual_seed(0)
    model = auto.from_config(CONFIGS[family]).eval()
    with (
        torch.no_grad()
    ):  # biases and norms too, which begin at 0 and 1 and so would hide that one is left out
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("family", CONFIGS)
def test_the_head_at_some_positions_gives_the_models_own_logits_there(family: str) -> None:
    model = model_of(family, AutoModelForMaskedLM)
    chosen = torch.tensor([[0, 1, 0, 0, 1, 0, 1], [1, 0, 1, 0, 0, 0, 0]]).bool()
    with torch.no_grad():
        expected = model(input_ids=IDS, attention_mask=MASK).logits[chosen]
        hidden = model.base_model(input_ids=IDS, attention_mask=MASK)[0]
        found = language_head(model)(hidden[chosen])
    assert found.shape == (5, 50)
    torch.testing.assert_close(
        found, expected
    )  # a matrix product over fewer rows may round otherwise


def test_the_head_of_a_bert_with_both_of_its_heads_is_that_of_the_language_model() -> None:
    model = model_of("bert", AutoModelForPreTraining)
    with torch.no_grad():
        expected = model(input_ids=IDS, attention_mask=MASK).prediction_logits[0]
        found = language_head(model)(model.base_model(input_ids=IDS, attention_mask=MASK)[0][0])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    "family", ["xlm-roberta", "bert", "distilbert", "modernbert", "deberta-v2"]
)
@pytest.mark.parametrize("auto", [AutoModel, AutoModelForSequenceClassification])
def test_a_model_without_a_head_is_refused_by_name(family: str, auto: Any) -> None:
    model = model_of(family, auto)
    with pytest.raises(
        ValueError, match=f"^{type(model).__name__} has no masked-language-model head$"
    ):
        language_head(model)


def test_a_decoders_head_is_none() -> None:
    model = AutoModelForCausalLM.from_config(
        GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=50)
    )
    with pytest.raises(ValueError, match="GPT2LMHeadModel has no masked-language-model head"):
        language_head(model)


def test_gradients_flow_through_the_head_to_its_weights_and_its_states() -> None:
    model = model_of("xlm-roberta", AutoModelForMaskedLM)
    hidden = torch.randn(3, 16, requires_grad=True)
    language_head(model)(hidden).logsumexp(-1).sum().backward()
    assert hidden.grad is not None and hidden.grad.abs().sum() > 0
    assert model.lm_head.dense.weight.grad.abs().sum() > 0


SWEDISH = "kungen kom till staden och snö föll"
OTHERS = ["Straße, кошка 🐟", "\t1234  ﬁsk\n", "日本"]  # spelled in bytes where there is no piece
SPELLED = [family for family in BUILDERS if "byte" in family and not family.startswith("unigram")]


@pytest.mark.parametrize(
    ("family", "text"), [(f, SWEDISH) for f in BUILDERS] + [(f, t) for f in SPELLED for t in OTHERS]
)
def test_the_pieces_of_a_text_stand_for_all_its_bytes(family: str, text: str) -> None:
    tokenizer = tokenizer_of(family)
    ids = tokenizer.encode(text, add_special_tokens=False)
    assert tokenizer.unk_token_id not in ids
    if family.startswith(("byte-level", "bpe with byte fallback")) and "prepending" not in family:
        expected = text
    elif family.startswith(("unigram", "bpe with byte fallback")):
        expected = " " + text  # the blank before the first word is a piece like the others
    else:
        expected = text.replace(" ", "")
    if family == "wordpiece, uncased":
        expected = tokenizer.backend_tokenizer.normalizer.normalize_str(expected)
    assert piece_bytes(tokenizer)[ids].sum() == len(expected.encode())


@pytest.mark.parametrize("family", BUILDERS)
def test_special_tokens_stand_for_nothing(family: str) -> None:
    tokenizer = tokenizer_of(family)
    sizes = piece_bytes(tokenizer)
    assert sizes.dtype == "int64" and len(sizes) == len(tokenizer)
    assert not sizes[tokenizer.all_special_ids].any()
    assert (sizes > 0).sum() > 300


@pytest.mark.parametrize(
    ("family", "piece", "size"),
    [
        ("unigram with byte fallback", "<0xF0>", 1),
        ("bpe with byte fallback", "<0x0A>", 1),
        ("unigram", "▁", 1),
        ("byte-level bpe", "Ġ", 1),
        ("byte-level bpe", "Ã¶", 2),
        ("wordpiece, cased", "##ö", 2),
        ("wordpiece, cased", "ö", 2),
        ("bpe with ends of words", "en</w>", 2),
        ("bpe with continuations", "##en", 2),
        ("xlm", "en</w>", 2),
    ],
)
def test_a_piece_is_counted_as_the_text_it_stands_for(family: str, piece: str, size: int) -> None:
    tokenizer = tokenizer_of(family)
    assert piece_bytes(tokenizer)[tokenizer.get_vocab()[piece]] == size
