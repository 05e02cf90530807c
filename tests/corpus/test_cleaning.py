from __future__ import annotations

import sys
import unicodedata
from hashlib import blake2b

import pytest
from hypothesis import given, strategies as st

from distill.corpus import cleaning
from distill.corpus.cleaning import (
    clean_text,
    content_hash,
    count_words,
    letter_share,
    split_sentences,
)
from distill.runtime import slices

# Free text with more of what cleaning and splitting look at than chance would bring.
AWKWARD = st.sampled_from(
    list(
        " \n\t\r.!?…\"'”’»«()[]–-。！？」』।॥؟"
        "aB9åक中ا\x00\x0b\x1c\x1f\x85\xa0\u00ad\u200b\u200c\u2028\ufeff\ufffd\ue000"
    )
)
TEXT = (
    st.text()
    | st.text(AWKWARD)
    | st.lists(AWKWARD | st.sampled_from(["Hej. ", "a.\n", "Nej!” "])).map("".join)
)


@pytest.mark.parametrize(
    "unwanted",
    [
        "\x00",
        "\x07",
        "\x1b",
        "\x1c",
        "\x7f",
        "\x9f",
        "\u00ad",
        "\u200b",
        "\u2060",
        "\ufeff",
        "\ufffd",
        "\ue000",
        "\ud800",
    ],
)
def test_control_characters_soft_hyphens_and_marks_without_width_go(unwanted: str) -> None:
    assert clean_text(f"driv{unwanted}medel") == "drivmedel"


@pytest.mark.parametrize("joiner", ["\u200c", "\u200d"])
def test_the_joiners_that_persian_and_hindi_need_stay(joiner: str) -> None:
    assert clean_text(f"می{joiner}خواهم") == f"می{joiner}خواهم"


@pytest.mark.parametrize("blank", ["  ", "\t", "\xa0", "\u2003", "\u2028", "\u3000", " \u200b "])
def test_any_run_of_blanks_becomes_one_blank(blank: str) -> None:
    assert clean_text(f"ett{blank}två") == "ett två"


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r", "\x85", "\n\n", " \n\t"])
def test_any_line_end_becomes_a_newline(end: str) -> None:
    assert clean_text(f"ett{end}två") == "ett\ntvå"


def test_a_line_over_again_goes() -> None:
    assert clean_text("Tack.\nTack.\n\n Tack. \nHej.\nTack.") == "Tack.\nHej.\nTack."


def test_a_line_that_is_mostly_not_letters_goes() -> None:
    assert (
        clean_text("Priset var 12 kronor.\n12 | 34 | 56 kr\n----", min_letters=0.5)
        == "Priset var 12 kronor."
    )


@pytest.mark.parametrize(
    "text",
    [
        "Riksdagen beslutar i dag.",
        "เขาเดินไปที่ตลาดเพื่อซื้อผลไม้",
        "वह बाज़ार में फल ख़रीदने गया।",
        "ذَهَبَ الوَلَدُ إِلَى المَدْرَسَةِ.",
        "他今天去市场买水果。",
        "മലയാളം ഒരു ഭാഷയാണ്",
    ],
    ids=["swedish", "thai", "hindi", "arabic", "chinese", "malayalam"],
)
def test_prose_is_letters_in_every_script(text: str) -> None:
    assert letter_share(text) >= 0.9
    assert clean_text(text, min_letters=0.9) == text


@pytest.mark.parametrize(
    ("text", "share"),
    [("", 0.0), (" \n", 0.0), ("ab", 1.0), ("a1", 0.5), ("a 1 2 3", 0.25), ("e\u0301", 1.0)],
)
def test_the_letter_share_counts_visible_characters(text: str, share: float) -> None:
    assert letter_share(text) == share


@given(text=TEXT)
def test_the_letter_share_is_what_looking_at_each_character_gives(text: str) -> None:
    visible = [character for character in text if not character.isspace()]
    letters = [c for c in visible if c.isalpha() or unicodedata.category(c)[0] == "M"]
    assert letter_share(text) == len(letters) / max(1, len(visible))


@given(text=TEXT, min_letters=st.floats(0, 1))
def test_cleaning_twice_is_cleaning_once(text: str, min_letters: float) -> None:
    once = clean_text(text, min_letters=min_letters)
    assert clean_text(once, min_letters=min_letters) == once


@given(text=TEXT)
def test_clean_text_can_be_encoded_and_has_no_blank_but_single_spaces_and_newlines(
    text: str,
) -> None:
    clean = clean_text(text)
    clean.encode()
    assert all(character in " \n" for character in clean if character.isspace())
    assert "  " not in clean


@given(text=TEXT | st.text(st.characters()), min_letters=st.floats(0, 1))
def test_every_character_of_clean_text_is_one_of_the_text_in_its_order(
    text: str, min_letters: float
) -> None:
    left = iter(text)
    visible = [c for c in clean_text(text, min_letters=min_letters) if not c.isspace()]
    assert all(character in left for character in visible)


@given(st.text())
def test_words_are_counted_as_splitting_clean_text_gives_them(text: str) -> None:
    clean = clean_text(text)
    assert count_words(clean) == len(clean.split())


@given(st.text(st.sampled_from("aÅßé 12\t\n\r\x85\u00ad\u2003\u3000|"), max_size=40))
def test_long_text_is_cleaned_and_hashed_in_parts_as_at_once(text: str) -> None:
    clean, identity = clean_text(text, min_letters=0.3), content_hash(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(slices, "SLICE", 3)
        assert (clean_text(text, min_letters=0.3), content_hash(text)) == (clean, identity)


def test_every_blank_of_unicode_but_the_space_and_the_newline_is_listed() -> None:
    blanks = {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()}
    assert set(cleaning._BLANKS) == blanks - {" ", "\n"}


def test_the_hash_of_a_text_stays_what_it_was() -> None:
    assert content_hash("Hej\u3000 du\nGLADA  Straße\x1c ") == int.from_bytes(
        blake2b(b"hej du glada strasse", digest_size=8).digest()
    )


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("Hej  du", "hej\ndu ", True), ("STRASSE", "straße", True), ("Hej du", "Hejdu", False)],
)
def test_the_content_hash_sees_neither_case_nor_blanks(one: str, other: str, same: bool) -> None:
    assert (content_hash(one) == content_hash(other)) is same


@pytest.mark.parametrize(
    "sentences",
    [
        [
            "Kungen kom till staden.",
            "Folket jublade!",
            "Varför då?",
            "Ingen visste…",
            "Det var 1939.",
        ],
        ["Han sa: ”Kom hit.”", "Sedan gick han."],
        ['"Är du där?"', '"Ja!"', "Så var det."],
        ["Det är sant (tror jag.)", "(Kanske.)", "»Nej.»", "– Jo."],
        ["Priset är 3.50 kronor i dag.", "Det steg med 2,5 procent."],
        ["www.svt.se är en adress."],
        ["他今天去市场。", "你呢？", "好！"],
        ["他说：“我去。”", "然后他走了。"],
        ["真的？！", "不会吧。"],
        ["वह बाज़ार गया।", "उसने फल ख़रीदे।", "क्या तुम आओगे?"],
        ["أين الكتاب؟", "هنا هو."],
    ],
)
@pytest.mark.parametrize("between", [" ", "\n"])
def test_prose_is_split_after_its_sentences(sentences: list[str], between: str) -> None:
    assert split_sentences(between.join(sentences)) == sentences


def test_scripts_without_blanks_are_split_without_blanks() -> None:
    assert split_sentences("他今天去市场。你呢？好！") == ["他今天去市场。", "你呢？", "好！"]


@pytest.mark.parametrize(
    "text", ["Vi ses kl. 10 hos dr. Ek, t.ex. i morgon.", "Av bl.a. A. B. Ek m.fl. i Sthlm."]
)
def test_an_abbreviation_costs_no_character(text: str) -> None:
    assert " ".join(split_sentences(text)) == text


def test_a_line_that_is_a_sentence_is_not_split() -> None:
    assert split_sentences("Hej. Du.\n\n a \nNej.", sentence_a_line=True) == [
        "Hej. Du.",
        "a",
        "Nej.",
    ]


@given(text=TEXT)
def test_splitting_loses_no_visible_character_but_sentences_of_one(text: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cleaning, "_SHORTEST_SENTENCE", 1)
        everything = split_sentences(text)
    assert "".join("".join(everything).split()) == "".join(text.split())
    assert split_sentences(text) == [sentence for sentence in everything if len(sentence) > 1]


@given(text=TEXT)
def test_splitting_a_sentence_again_leaves_it_whole(text: str) -> None:
    sentences = split_sentences(text)
    assert split_sentences("\n".join(sentences)) == sentences
