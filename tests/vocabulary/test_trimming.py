from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings, strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    DistilBertConfig,
    DistilBertForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaModel,
)

from distill.errors import UserError
from distill.teacher import Teacher
from distill.teacher.saving import save_tokenizer
from distill.vocabulary import unigram
from distill.vocabulary.trimming import renumbering, tokenizer_definition, trim_model, trim_tokenizer
from tests.conftest import needs_quickstart
from tests.vocabulary.conftest import SENTENCES, TRAPS, close, definition_of, pieces_used, texts

ROWS = 211
SIZES = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
COMMON = {"vocab_size": ROWS, "max_position_embeddings": 40, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2}
DISTILBERT = DistilBertConfig(dim=32, n_layers=3, n_heads=4, hidden_dim=64, **COMMON)
MODELS: dict[str, Any] = {
    "xlm-roberta": lambda: XLMRobertaModel(XLMRobertaConfig(**SIZES, **COMMON)),
    "bert": lambda: BertModel(BertConfig(**SIZES, **COMMON)),
    "xlm-roberta with a head": lambda: XLMRobertaForMaskedLM(XLMRobertaConfig(**SIZES, **COMMON)),
    "bert with a head": lambda: BertForMaskedLM(BertConfig(**SIZES, **COMMON)),
    "bert with an untied head": lambda: BertForMaskedLM(BertConfig(**SIZES, **COMMON, tie_word_embeddings=False)),
    "xlm-roberta with an untied head": lambda: XLMRobertaForMaskedLM(
        XLMRobertaConfig(**SIZES, **COMMON, tie_word_embeddings=False)
    ),
    "distilbert with a head": lambda: DistilBertForMaskedLM(DISTILBERT),
}
every_model = pytest.mark.parametrize("name", MODELS)
with_a_head = pytest.mark.parametrize("name", [name for name in MODELS if "head" in name])


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
    return renumbering([0, 1, 2, 3, *torch.randperm(ROWS - 5, generator=draw)[:count].add(4).tolist(), ROWS - 1])


def batch(new_ids: dict[int, int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Ids before and after, and the mask, of three sequences of kept pieces."""
    draw, old = torch.Generator().manual_seed(1), torch.tensor(list(new_ids))
    chosen = torch.randint(4, len(old), (3, 20), generator=draw)
    mask = torch.ones_like(chosen)
    mask[1, 7:], mask[2, 15:] = 0, 0
    chosen[mask == 0] = 1
    return old[chosen], chosen, mask


def trimmed_definition(definition: dict[str, Any], kept: set[int]) -> Tokenizer:
    return Tokenizer.from_str(json.dumps(unigram.trim_definition(definition, renumbering(kept))))


@settings(max_examples=300)
@given(text=texts | st.lists(st.sampled_from(" ".join(SENTENCES).split()), max_size=6).map(" ".join), data=st.data())
def test_a_text_keeps_its_segmentation_if_and_only_if_its_pieces_are_kept(
    text: str, data: st.DataObject, teacher: Teacher
) -> None:
    tokenizer = teacher.tokenizer.backend_tokenizer
    definition = definition_of(tokenizer)
    size = len(unigram.pieces_of(definition))
    original = tokenizer.encode(text).ids
    # Either any pieces, or all of the text's but a few, so that both outcomes are common.
    chosen = st.sets(st.integers(0, size - 1), max_size=size) | st.sets(st.sampled_from(original), max_size=2).map(
        lambda left_out: set(original) - left_out
    )
    kept = close(definition, data.draw(chosen))
    ids = trimmed_definition(definition, kept).encode(text).ids
    new_ids = renumbering(kept)
    assert (ids == [new_ids.get(i) for i in original]) == (set(original) <= kept)


@needs_quickstart
@pytest.mark.parametrize("every", [2, 3])
def test_the_law_holds_for_xlm_rs_tokenizer(every: int, xlmr: PreTrainedTokenizerBase) -> None:
    definition, tokenizer = tokenizer_definition(xlmr), xlmr.backend_tokenizer
    sentences = [*SENTENCES, *TRAPS]
    used = sorted(pieces_used(xlmr, sentences))
    kept = close(definition, [i for i in used if i % every])
    new_ids, trimmed = renumbering(kept), trimmed_definition(definition, kept)
    outcomes = [
        (trimmed.encode(text).ids == [new_ids.get(i) for i in original], set(original) <= kept)
        for text in sentences
        for original in [tokenizer.encode(text).ids]
    ]
    assert all(same == all_kept for same, all_kept in outcomes)
    assert len(set(outcomes)) == 2, "both outcomes occur"


@given(kept=st.sets(st.integers(0, 599)))
def test_special_pieces_keep_the_first_ids_and_the_mask_the_last(kept: set[int], teacher: Teacher) -> None:
    definition = tokenizer_definition(teacher.tokenizer)
    trimmed = trimmed_definition(definition, {*kept, *unigram.required_pieces(definition, ())})
    assert [trimmed.id_to_token(i) for i in range(4)] == ["<s>", "<pad>", "</s>", "<unk>"]
    assert trimmed.token_to_id("<mask>") == trimmed.get_vocab_size() - 1


def test_the_roles_of_special_tokens_go_with_them(teacher: Teacher) -> None:
    trimmed = trim_tokenizer(teacher.tokenizer, renumbering(close(tokenizer_definition(teacher.tokenizer), range(50, 60))))
    assert trimmed.special_tokens_map == teacher.tokenizer.special_tokens_map
    assert set(trimmed.all_special_ids) == {0, 1, 2, 3, len(trimmed) - 1}
    assert trimmed.model_max_length == teacher.tokenizer.model_max_length
    assert trimmed.model_input_names == teacher.tokenizer.model_input_names


def test_added_tokens_unknown_and_post_processor_are_renumbered() -> None:
    """In this tokenizer all special tokens stand behind pieces that are dropped."""
    tokenizer = Tokenizer(models.Unigram([("a", -1.0), ("b", -2.0), ("ab", -1.5), ("?", 0.0), ("c", -4.0)], unk_id=3))
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    template = {
        "type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [5], "tokens": ["[CLS]"]}},
    }
    definition = {**definition_of(tokenizer), "post_processor": template}
    trimmed = trimmed_definition(definition, {1, 3, 5, 6})
    assert trimmed.get_vocab() == {"b": 0, "?": 1, "[CLS]": 2, "[SEP]": 3}
    assert trimmed.encode("bxb").ids == [2, 0, 1, 0]
    assert trimmed.encode("b[SEP]", add_special_tokens=False).ids == [0, 3]


@pytest.mark.parametrize("kind", ["BertProcessing", "RobertaProcessing"])
def test_post_processors_that_name_sep_and_cls_are_renumbered_within_a_sequence_too(kind: str) -> None:
    inner = {"type": kind, "sep": ["</s>", 20], "cls": ["<s>", 10], "trim_offsets": True}
    byte_level = {"type": "ByteLevel", "trim_offsets": True}
    given = {"type": "Sequence", "processors": [inner, byte_level]}
    expected = {"type": "Sequence", "processors": [{**inner, "sep": ["</s>", 2], "cls": ["<s>", 1]}, byte_level]}
    assert unigram.renumber_post_processor(given, {10: 1, 20: 2}) == expected


def test_a_tokenizer_without_a_post_processor_has_none_afterwards() -> None:
    assert unigram.renumber_post_processor(None, {}) is None


def test_truncation_and_padding_are_not_carried_over(teacher: Teacher, tmp_path: Path) -> None:
    tokenizer = copy.deepcopy(teacher.tokenizer)
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=30)
    trimmed = trim_tokenizer(tokenizer, renumbering(range(len(tokenizer))))
    expected = teacher.tokenizer("kung och fisk i en stad")["input_ids"]
    assert trimmed.backend_tokenizer.encode("kung och fisk i en stad").ids == expected
    trimmed(["kung och fisk i en stad"], padding="max_length", truncation=True, max_length=4)
    save_tokenizer(trimmed, tmp_path)
    assert Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("kung och fisk i en stad").ids == expected


def test_a_tokenizer_of_another_family_is_refused_by_name() -> None:
    backend = Tokenizer(models.BPE({"a": 0, "<unk>": 1}, [], unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    with pytest.raises(UserError, match="of the BPE family; vocabulary trimming supports Unigram"):
        tokenizer_definition(PreTrainedTokenizerFast(tokenizer_object=backend))


@pytest.mark.parametrize("text", TRAPS)
def test_saved_and_loaded_it_gives_the_teachers_ids_renumbered(text: str, teacher: Teacher, tmp_path: Path) -> None:
    kept = close(tokenizer_definition(teacher.tokenizer), pieces_used(teacher.tokenizer, [*SENTENCES[:20], *TRAPS]))
    assert_same_ids(text, teacher.tokenizer, kept, tmp_path)


@needs_quickstart
def test_saved_and_loaded_it_gives_xlm_rs_ids_renumbered(xlmr: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    kept = close(tokenizer_definition(xlmr), pieces_used(xlmr, [*SENTENCES[:20], *TRAPS]))
    for text in TRAPS:
        assert_same_ids(text, xlmr, kept, tmp_path)


def assert_same_ids(text: str, original: PreTrainedTokenizerBase, kept: set[int], folder: Path) -> None:
    """Through transformers and through tokenizers alone."""
    new_ids = renumbering(kept)
    if not (folder / "tokenizer.json").exists():
        save_tokenizer(trim_tokenizer(original, new_ids), folder)
    expected = [new_ids[i] for i in original(text)["input_ids"]]
    assert AutoTokenizer.from_pretrained(folder)(text)["input_ids"] == expected
    assert Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids == expected


@every_model
def test_hidden_states_over_kept_pieces_are_equal_to_the_last_bit(name: str) -> None:
    model, new_ids = random_model(name), some_ids()
    before, after, mask = batch(new_ids)
    with torch.no_grad():
        old = model(input_ids=before, attention_mask=mask, output_hidden_states=True).hidden_states
        new = trim_model(model, new_ids)(input_ids=after, attention_mask=mask, output_hidden_states=True).hidden_states
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


@with_a_head
def test_a_tied_head_stays_tied_and_an_untied_one_untied(name: str) -> None:
    trimmed = trim_model(random_model(name), some_ids())
    tied = trimmed.get_output_embeddings().weight is trimmed.get_input_embeddings().weight
    assert tied == ("untied" not in name)


@pytest.mark.parametrize("name", [name for name in MODELS if "untied" in name])
def test_an_untied_head_and_its_bias_are_cut_to_the_kept_rows(name: str) -> None:
    model, new_ids = random_model(name), some_ids()
    head, trimmed_head = model.get_output_embeddings(), trim_model(model, new_ids).get_output_embeddings()
    assert torch.equal(trimmed_head.weight, head.weight[list(new_ids)])
    assert torch.equal(trimmed_head.bias, head.bias[list(new_ids)])


@every_model
def test_every_other_weight_is_a_copy(name: str) -> None:
    model, new_ids = random_model(name), some_ids()
    trimmed = trim_model(model, new_ids).state_dict()
    assert trimmed.keys() == model.state_dict().keys()
    for key, tensor in model.state_dict().items():
        assert torch.equal(trimmed[key], tensor[list(new_ids)] if tensor.shape[0] == ROWS else tensor)
        assert trimmed[key].data_ptr() != tensor.data_ptr()


@every_model
def test_it_is_saved_and_loaded_to_the_last_bit(name: str, tmp_path: Path) -> None:
    trimmed = trim_model(random_model(name), some_ids())
    trimmed.save_pretrained(tmp_path)
    loaded = type(trimmed).from_pretrained(tmp_path)
    assert all(torch.equal(tensor, trimmed.state_dict()[key]) for key, tensor in loaded.state_dict().items())
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
    model: PreTrainedModel = XLMRobertaModel(XLMRobertaConfig(**SIZES, **{**COMMON, "eos_token_id": ROWS - 1}))
    config = trim_model(model, some_ids()).config
    assert (config.bos_token_id, config.pad_token_id, config.eos_token_id) == (0, 1, len(some_ids()) - 1)


def test_rows_of_the_embedding_that_no_piece_has_are_left_out(teacher: Teacher) -> None:
    assert teacher.model.config.vocab_size > len(teacher.tokenizer), "the tiny teacher has padded rows"
    new_ids = renumbering(range(len(teacher.tokenizer)))
    trimmed = trim_model(teacher.model, new_ids)
    assert trimmed.config.vocab_size == len(teacher.tokenizer)
    ids = torch.tensor([teacher.tokenizer("kung och fisk")["input_ids"]])
    with torch.no_grad():
        assert torch.equal(trimmed(ids).last_hidden_state, teacher.model(ids).last_hidden_state)


def test_keeping_every_row_gives_an_equal_copy() -> None:
    model = random_model("xlm-roberta with a head")
    trimmed = trim_model(model, renumbering(range(ROWS)))
    assert all(torch.equal(tensor, trimmed.state_dict()[key]) for key, tensor in model.state_dict().items())


def test_characters_of_longer_pieces_are_their_needs(teacher: Teacher) -> None:
    definition = tokenizer_definition(teacher.tokenizer)
    pieces, pairs = unigram.pieces_of(definition), unigram.needed_characters(definition)
    needs = {(pieces[piece], pieces[needed]) for piece, needed in pairs.tolist()}
    alone = {piece for piece in pieces if len(piece) == 1}
    assert needs == {(piece, c) for piece in pieces if len(piece) > 1 for c in piece if c in alone}


def test_special_pieces_the_alphabet_and_the_word_start_are_required(teacher: Teacher) -> None:
    definition = tokenizer_definition(teacher.tokenizer)
    pieces = [*unigram.pieces_of(definition), "<mask>"]
    required = {pieces[i] for i in unigram.required_pieces(definition, {"k", "ö", "ꙮ"})}
    assert required == {"<s>", "<pad>", "</s>", "<unk>", "<mask>", "▁", "k", "ö"}
