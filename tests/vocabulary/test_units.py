from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from distill.runtime import slices
from distill.vocabulary.families import open_vocabulary
from distill.vocabulary.units import Units, units_of
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, LLAMA, tokenizer_of

EXPECTED = {
    "unigram": Units.SPACED_WORDS,
    "unigram with byte fallback": Units.SPACED_WORDS,
    "wordpiece, cased": Units.WORDS,
    "wordpiece, uncased": Units.WORDS,
    "byte-level bpe": Units.SPACED_WORDS,
    "byte-level bpe, whole words first": Units.SPACED_WORDS,
    "bpe with byte fallback": Units.SPACED_WORDS,
    "bpe with byte fallback, prepending": Units.LINES,
    "bpe with ends of words": Units.WORDS,
    "bpe with continuations": Units.WORDS,
    "xlm": Units.LINES,
}
GEMMA = {"normalizer": {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}}
BLANK_SPLIT = {
    "type": "Split",
    "pattern": {"String": " "},
    "behavior": "MergedWithPrevious",
    "invert": False,
}


def split(pattern: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "Split",
        "pattern": {"Regex": pattern},
        "behavior": "Isolated",
        "invert": False,
        **changes,
    }


@pytest.mark.parametrize("kind", BUILDERS)
def test_each_kind_of_tokenizer_has_the_smallest_units_that_are_sure(kind: str) -> None:
    assert open_vocabulary(tokenizer_of(kind)).units == EXPECTED[kind]


@pytest.mark.parametrize(
    "pre_tokenizer",
    [
        split("[a-z]+"),
        split(LLAMA, invert=True),
        split(LLAMA, behavior="Removed"),
        {"type": "ByteLevel", "use_regex": False},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True},
        {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": False},
        {
            "type": "Sequence",
            "pretokenizers": [split(LLAMA), {"type": "Digits", "individual_digits": True}],
        },
    ],
)
def test_what_cannot_be_read_off_is_segmented_line_by_line(pre_tokenizer: dict[str, Any]) -> None:
    assert units_of({"pre_tokenizer": pre_tokenizer}, ["a", "b"]) == Units.LINES


@pytest.mark.parametrize("normalizer", ["Strip", "Prepend", "StripAccents"])
def test_a_normaliser_that_may_look_at_blanks_leaves_lines_whole(normalizer: str) -> None:
    definition = {
        "pre_tokenizer": {"type": "ByteLevel", "use_regex": True},
        "normalizer": {"type": normalizer},
    }
    assert units_of(definition, []) == Units.LINES


@pytest.mark.parametrize("pre_tokenizer", [None, BLANK_SPLIT])
def test_without_a_pre_tokenizer_words_fall_apart_where_no_piece_runs_over_a_blank(
    pre_tokenizer: Any,
) -> None:
    assert (
        units_of({**GEMMA, "pre_tokenizer": pre_tokenizer}, ["▁a", "▁▁", "b"]) == Units.SPACED_WORDS
    )


def test_a_line_on_which_a_piece_may_run_over_a_blank_stays_whole() -> None:
    units = units_of({**GEMMA, "pre_tokenizer": BLANK_SPLIT}, ["▁a", ">▁</", "b"])
    assert units.split("a b\na> </b c") == ["a", " b", "a> </b c"]


def test_where_many_pieces_run_over_blanks_all_lines_stay_whole() -> None:
    pieces = [f"a{i}▁b" for i in range(60)]
    assert units_of({**GEMMA, "pre_tokenizer": None}, pieces) == Units.LINES


def test_words_drop_their_blanks_and_spaced_words_keep_them() -> None:
    assert Units.WORDS.split("en ko\nsnö") == ["en", "ko", "snö"]
    assert Units.SPACED_WORDS.split("en ko\nsnö") == ["en", " ko", "snö"]
    assert Units.LINES.split("en ko\nsnö") == ["en ko", "snö"]


@pytest.mark.parametrize(
    "line", ["en  ko", " en ko", "en ko ", "en\tko", "en\u00a0ko bra", "en\u200bko bra"]
)
def test_a_line_with_odd_white_space_is_one_unit(line: str) -> None:
    assert Units.SPACED_WORDS.split(line) == [line]


@pytest.mark.parametrize("units", [Units.WORDS, Units.SPACED_WORDS, Units.LINES])
@given(st.lists(st.text("ab\n\u0301", max_size=5), max_size=20).map(" ".join))
def test_the_units_of_a_texts_parts_are_those_of_the_text(units: Units, text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE", 12)
        parts = [unit for part in units.parts(text) for unit in part if unit]
    assert parts == [unit for unit in units.split(text) if unit]


@pytest.mark.parametrize("units", [Units.WORDS, Units.SPACED_WORDS])
def test_a_long_line_of_words_comes_in_parts(units: Units) -> None:
    assert len([*units.parts("ko snö " * 100_000 + "ko")]) > 1
