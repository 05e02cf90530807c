from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from transformers import BertTokenizerFast

from distill.models import load_tokenizer
from distill.training.text_pairs import encode_pairs, tells_texts_apart
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of

TEXT = st.text("en röd båt ", max_size=60)


@pytest.fixture(scope="module")
def tokenizers(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """XLM-R's form of pairs, and BERT's."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "en", "röd", "båt", "##en", "e", "r"]
    vocabulary = tmp_path_factory.mktemp("bert") / "vocab.txt"
    vocabulary.write_text("\n".join(pieces), encoding="utf-8")
    return {
        "xlm-r": load_tokenizer(str(tiny_teacher)),
        "bert": BertTokenizerFast(str(vocabulary), strip_accents=False),
    }


@pytest.mark.parametrize("form", ["xlm-r", "bert"])
@settings(max_examples=80)
@given(first=TEXT, second=TEXT, longest=st.integers(8, 30))
def test_a_pair_is_encoded_and_cut_as_the_tokenizer_does(
    tokenizers: dict[str, Any], form: str, first: str, second: str, longest: int
) -> None:
    tokenizer = tokenizers[form]
    (pair,) = encode_pairs([first], [second], tokenizer, longest)
    expected = tokenizer([first], [second], truncation=True, max_length=longest)
    assert pair.ids == expected["input_ids"][0]
    assert pair.types == expected.get("token_type_ids", [None])[0]
    assert pair.is_cut == (len(tokenizer([first], [second])["input_ids"][0]) > longest)


@pytest.mark.parametrize("family", BUILDERS)
def test_pairs_of_every_family_are_encoded_as_its_tokenizer_does(family: str) -> None:
    tokenizer = tokenizer_of(family)
    firsts, seconds = ["en röd båt", "å", "hav och land"], ["tåg", "en båt på havet", " b  c "]
    expected = tokenizer(firsts, seconds)
    pairs = encode_pairs(firsts, seconds, tokenizer, 100)
    assert [pair.ids for pair in pairs] == expected["input_ids"]
    if "token_type_ids" in expected:
        assert [pair.types for pair in pairs] == expected["token_type_ids"]


def test_a_sign_that_parts_texts_within_one_parts_none(tokenizers: dict[str, Any]) -> None:
    tokenizer = tokenizers["bert"]
    (pair,) = encode_pairs(["en [SEP] röd"], ["båt"], tokenizer, 30)
    assert pair.types == tokenizer("en [SEP] röd", "båt")["token_type_ids"]


def test_of_two_long_texts_no_combination_is_made(tokenizers: dict[str, Any]) -> None:
    text = "en röd båt " * 200_000
    (pair,) = encode_pairs([text], [text], tokenizers["xlm-r"], 64)
    assert len(pair.ids) == 64 and pair.is_cut


def test_a_tokenizer_says_whether_it_tells_texts_apart(tokenizers: dict[str, Any]) -> None:
    assert tells_texts_apart(tokenizers["bert"]) and not tells_texts_apart(tokenizers["xlm-r"])
