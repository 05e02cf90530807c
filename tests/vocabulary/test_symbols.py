from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from transformers import PreTrainedTokenizerBase, XLMRobertaConfig, XLMRobertaModel

from distill import trim
from distill.vocabulary.families import open_vocabulary
from distill.vocabulary.in_memory import Trimming
from distill.vocabulary.symbols import latin_letters, signs, symbol_pieces
from tests.conftest import swedish_sentences
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, TEXT, tokenizer_of, unigram

POST = "Vi ses i Łódź 😂 – 5 € ≥ 3 £!"
PLAIN = swedish_sentences(60, 5)


@cache
def teacher_tokenizer() -> PreTrainedTokenizerBase:
    return unigram(texts=[*TEXT, *[POST] * 20])


def trimmed(**section: Any) -> Trimming:
    """A Swedish trim of a tokenizer that knows more signs than the text has, seen on a post."""
    tokenizer = teacher_tokenizer()
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer), hidden_size=8, num_hidden_layers=1, num_attention_heads=1
    )
    options = {"heldout": 0.1, "checks": {"posts": [POST]}, **section}
    return trim(XLMRobertaModel(config), tokenizer, PLAIN, **options)


def test_signs_are_emoji_punctuation_and_currency_and_no_letters_or_digits() -> None:
    assert set("😂🙂–€≥£!…▁\u200d\ufe0f") <= signs()
    assert not set("aå1漢яฯ༄") & signs()
    assert set("éłöžøỳ") <= latin_letters()
    assert not set("aZəʃ×÷я") & latin_letters()


@pytest.mark.parametrize("kind", BUILDERS)
def test_every_family_keeps_the_signs_that_it_has(kind: str) -> None:
    vocabulary = open_vocabulary(tokenizer_of(kind))
    kept = symbol_pieces(vocabulary, {"Latn"})
    assert kept >= vocabulary.alphabet(signs() | latin_letters())
    assert kept <= set(vocabulary.ids.values())


def test_letters_of_neighbours_stay_for_a_language_in_latin_script_alone() -> None:
    vocabulary = open_vocabulary(tokenizer_of("unigram"))
    letters = vocabulary.alphabet(latin_letters())
    assert letters and letters <= symbol_pieces(vocabulary, {"Latn"})
    assert not letters & symbol_pieces(vocabulary, {"Cyrl"})


def test_a_text_that_was_not_like_the_training_text_keeps_its_signs_and_is_told_of() -> None:
    (kept,), (lost,) = trimmed().checks, trimmed(symbols=False).checks
    assert kept.name == "posts" and kept.heldout_sentences == 1
    unknown = kept.heldout_unknown_characters_original
    assert kept.chosen.heldout_unknown_characters == unknown
    assert lost.chosen.heldout_unknown_characters >= unknown + 6 / len(POST)
    assert kept.chosen.pieces > lost.chosen.pieces
    assert [point.pieces for point in kept.curve] == [point.pieces for point in trimmed().curve]


def test_checking_by_a_text_changes_nothing_that_is_chosen() -> None:
    assert trimmed().new_ids == trimmed(checks={}).new_ids
