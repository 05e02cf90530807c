from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    BertModel,
    DebertaV2Config,
    DebertaV2ForMaskedLM,
    DebertaV2Model,
    DistilBertConfig,
    DistilBertForMaskedLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertModel,
    PreTrainedModel,
    XLMConfig,
    XLMModel,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaForSequenceClassification,
    XLMRobertaModel,
    XLMWithLMHeadModel,
)

from distill.models import LoadedModel
from distill.runtime.errors import UserError
from distill.vocabulary.families import open_vocabulary
from distill.vocabulary.trimming import (
    check_rows,
    piece_parameters,
    renumbering,
    special_ids,
    trim_model,
)

ROWS = 211
SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 64,
}
COMMON = {
    "vocab_size": ROWS,
    "max_position_embeddings": 40,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
}
DISTILBERT = DistilBertConfig(dim=32, n_layers=3, n_heads=4, hidden_dim=64, **COMMON)
DEBERTA = DebertaV2Config(
    **SIZES, **COMMON, relative_attention=True, pos_att_type=["p2c", "c2p"], position_buckets=8
)
MODERNBERT = ModernBertConfig(
    **SIZES, **COMMON, cls_token_id=0, sep_token_id=2, global_attn_every_n_layers=2
)
XLM = XLMConfig(
    emb_dim=32,
    n_layers=3,
    n_heads=4,
    bos_index=0,
    pad_index=1,
    eos_index=2,
    unk_index=3,
    mask_index=ROWS - 1,
    **COMMON,
)
MODELS: dict[str, Any] = {
    "xlm-roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**SIZES, **COMMON)),
    "bert": lambda: BertModel(BertConfig(**SIZES, **COMMON)),
    "xlm-roberta with a head": lambda: XLMRobertaForMaskedLM(XLMRobertaConfig(**SIZES, **COMMON)),
    "bert with a head": lambda: BertForMaskedLM(BertConfig(**SIZES, **COMMON)),
    "bert with an untied head": lambda: BertForMaskedLM(
        BertConfig(**SIZES, **COMMON, tie_word_embeddings=False)
    ),
    "xlm-roberta with an untied head": lambda: XLMRobertaForMaskedLM(
        XLMRobertaConfig(**SIZES, **COMMON, tie_word_embeddings=False)
    ),
    "xlm-roberta with a sequence classifier": lambda: XLMRobertaForSequenceClassification(
        XLMRobertaConfig(**SIZES, **COMMON)
    ),
    "bert with a token classifier": lambda: BertForTokenClassification(
        BertConfig(**SIZES, **COMMON)
    ),
    "deberta-v2": lambda: DebertaV2Model(DEBERTA),
    "deberta-v2 with a head": lambda: DebertaV2ForMaskedLM(DEBERTA),
    "modernbert": lambda: ModernBertModel(MODERNBERT),
    "modernbert with a head": lambda: ModernBertForMaskedLM(MODERNBERT),
    "xlm": lambda: XLMModel(XLM),
    "xlm with a head": lambda: XLMWithLMHeadModel(XLM),
    "distilbert with a head": lambda: DistilBertForMaskedLM(DISTILBERT),
}
every_model = pytest.mark.parametrize("name", MODELS)
with_a_head = pytest.mark.parametrize("name", [name for name in MODELS if name.endswith("head")])


def random_model(name: str) -> Any:
    """A model no weight of which is 0 or 1, as biases and LayerNorms of a fresh one are."""
    torch.manual_seed(0)
    model = MODELS[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model


def some_ids(seed: int = 0, count: int = 70) -> dict[int, int]:
    """A renumbering of the first four, the last and `count` random ids."""
    draw = torch.Generator().manual_seed(seed)
    return renumbering(
        [0, 1, 2, 3, *torch.randperm(ROWS - 5, generator=draw)[:count].add(4).tolist(), ROWS - 1]
    )


def batch(new_ids: dict[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids before and after, and the mask, of three sequences of kept pieces."""
    draw, old = torch.Generator().manual_seed(1), torch.tensor(list(new_ids))
    chosen = torch.randint(4, len(old), (3, 20), generator=draw)
    mask = torch.ones_like(chosen)
    mask[1, 7:], mask[2, 15:] = 0, 0
    chosen[mask == 0] = 1
    return old[chosen], chosen, mask


@every_model
def test_hidden_states_over_kept_pieces_are_equal_to_the_last_bit(name: str) -> None:
    model, new_ids = random_model(name), some_ids()
    before, after, mask = batch(new_ids)
    with torch.no_grad():
        old = model(input_ids=before, attention_mask=mask, output_hidden_states=True).hidden_states
        new = trim_model(model, new_ids)(
            input_ids=after, attention_mask=mask, output_hidden_states=True
        ).hidden_states
    assert len(old) == len(new) == 4
    assert all(torch.equal(a, b) for a, b in zip(old, new, strict=True))


@with_a_head
def test_logits_of_kept_pieces_are_equal_to_the_last_bit(name: str) -> None:
    model, new_ids = random_model(name), some_ids()
    before, after, mask = batch(new_ids)
    with torch.no_grad():
        old = model(input_ids=before, attention_mask=mask).logits
        new = trim_model(model, new_ids)(input_ids=after, attention_mask=mask).logits
    assert new.shape[-1] == len(new_ids)
    assert torch.equal(new, old[..., list(new_ids)])


def test_a_model_made_without_its_pooler_is_trimmed_without_it() -> None:
    model = XLMRobertaModel(XLMRobertaConfig(**SIZES, **COMMON), add_pooling_layer=False)
    trimmed = trim_model(model, some_ids())
    assert trimmed.pooler is None
    assert trimmed.num_parameters() == model.num_parameters() - (ROWS - len(some_ids())) * 32


@with_a_head
def test_a_tied_head_stays_tied_and_an_untied_one_untied(name: str) -> None:
    trimmed = trim_model(random_model(name), some_ids())
    tied = trimmed.get_output_embeddings().weight is trimmed.get_input_embeddings().weight
    assert tied == ("untied" not in name)


@pytest.mark.parametrize("name", [name for name in MODELS if "untied" in name])
def test_an_untied_head_and_its_bias_are_cut_to_the_kept_rows(name: str) -> None:
    model, new_ids = random_model(name), some_ids()
    head, trimmed_head = (
        model.get_output_embeddings(),
        trim_model(model, new_ids).get_output_embeddings(),
    )
    assert torch.equal(trimmed_head.weight, head.weight[list(new_ids)])
    assert torch.equal(trimmed_head.bias, head.bias[list(new_ids)])


@every_model
def test_every_other_weight_is_a_copy(name: str) -> None:
    model, new_ids = random_model(name), some_ids()
    trimmed = trim_model(model, new_ids).state_dict()
    assert trimmed.keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        assert torch.equal(
            trimmed[key], tensor[list(new_ids)] if tensor.shape[0] == ROWS else tensor
        )
        assert trimmed[key].data_ptr() != tensor.data_ptr()


@every_model
def test_it_is_saved_and_loaded_to_the_last_bit(name: str, tmp_path: Path) -> None:
    trimmed = trim_model(random_model(name), some_ids())
    trimmed.save_pretrained(tmp_path)
    loaded = type(trimmed).from_pretrained(tmp_path)
    assert all(
        torch.equal(tensor, trimmed.state_dict()[key])
        for key, tensor in loaded.state_dict().items()
    )
    assert loaded.config.vocab_size == len(some_ids())


@every_model
def test_the_original_model_is_not_modified(name: str) -> None:
    model = random_model(name).train()
    state, config = copy.deepcopy(model.state_dict()), copy.deepcopy(model.config.to_dict())
    trimmed = trim_model(model, some_ids())
    with torch.no_grad():
        for parameter in trimmed.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, state[key]) for key, tensor in model.state_dict().items())
    assert model.config.to_dict() == config
    assert model.training


def test_special_ids_of_the_config_are_renumbered() -> None:
    model: PreTrainedModel = XLMRobertaModel(
        XLMRobertaConfig(**SIZES, **{**COMMON, "eos_token_id": ROWS - 1})
    )
    config = trim_model(model, some_ids()).config
    assert (config.bos_token_id, config.pad_token_id, config.eos_token_id) == (
        0,
        1,
        len(some_ids()) - 1,
    )


def test_rows_of_the_embedding_that_no_piece_has_are_left_out(teacher: LoadedModel) -> None:
    assert teacher.model.config.vocab_size > len(teacher.tokenizer), (
        "the tiny teacher has padded rows"
    )
    new_ids = renumbering(range(len(teacher.tokenizer)))
    trimmed = trim_model(teacher.model, new_ids)
    assert trimmed.config.vocab_size == len(teacher.tokenizer)
    ids = torch.tensor([teacher.tokenizer("kung och fisk")["input_ids"]])
    with torch.no_grad():
        assert torch.equal(trimmed(ids).last_hidden_state, teacher.model(ids).last_hidden_state)


@pytest.mark.parametrize("shared", [False, True])
def test_a_shared_copy_takes_no_memory_but_its_table(teacher: LoadedModel, shared: bool) -> None:
    new_ids = renumbering(range(100))
    before = {parameter.data_ptr() for parameter in teacher.model.parameters()}
    trimmed = trim_model(teacher.model, new_ids, shared=shared)
    table = trimmed.get_input_embeddings().weight
    own = [one for one in trimmed.parameters() if one.data_ptr() not in before]
    assert len(own) == (1 if shared else len(list(trimmed.parameters())))
    assert own[0] is table and len(table) == 100
    assert len(teacher.model.get_input_embeddings().weight) > 100


def test_xlms_own_names_of_special_ids_are_renumbered() -> None:
    config = trim_model(random_model("xlm"), some_ids()).config
    assert (config.bos_index, config.pad_index, config.eos_index, config.unk_index) == (0, 1, 2, 3)
    assert config.mask_index == len(some_ids()) - 1
    assert config.n_words == len(some_ids())


def test_special_ids_are_those_that_a_config_names() -> None:
    assert special_ids(XLMRobertaConfig(bos_token_id=0, pad_token_id=1, eos_token_id=None)) == {
        "bos_token_id": 0,
        "pad_token_id": 1,
    }


def test_a_tokenizer_with_more_pieces_than_rows_is_refused(teacher: LoadedModel) -> None:
    small: PreTrainedModel = XLMRobertaModel(XLMRobertaConfig(**SIZES, **COMMON))
    with pytest.raises(
        UserError, match=r"its tokenizer has ids up to \d+ and its embedding 211 rows"
    ):
        check_rows(small, open_vocabulary(teacher.tokenizer))
    check_rows(
        teacher.model, open_vocabulary(teacher.tokenizer)
    )  # more rows than pieces do no harm


@every_model
def test_a_piece_has_as_many_parameters_as_each_piece_less_saves(name: str) -> None:
    model, new_ids = random_model(name), some_ids()
    saved = model.num_parameters() - trim_model(model, new_ids).num_parameters()
    assert piece_parameters(model) * (ROWS - len(new_ids)) == saved


def test_keeping_every_row_gives_an_equal_copy() -> None:
    model = random_model("xlm-roberta with a head")
    trimmed = trim_model(model, renumbering(range(ROWS)))
    assert all(
        torch.equal(tensor, trimmed.state_dict()[key]) for key, tensor in model.state_dict().items()
    )
