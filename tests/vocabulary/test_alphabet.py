from __future__ import annotations

import numpy as np
import pytest

from distill.corpus.cleaning import clean_text
from distill.vocabulary.alphabet import alphabet_of, scripts_of
from distill.vocabulary.families import ASCII


def code_points(text: str) -> np.ndarray:
    return np.bincount([ord(character) for character in text], minlength=0x110000)


SWEDISH = "Sju sjösjuka sjömän sköttes av sjutton sköna sjuksköterskor på skeppet. " * 5


@pytest.mark.parametrize(
    ("text", "scripts"),
    [
        (SWEDISH, {"Latn"}),
        (SWEDISH + "я", {"Latn"}),
        ("これは日本語のテキストです。", {"Hira", "Kana", "Hani"}),
        ("123 🐟!", set()),
    ],
)
def test_the_scripts_of_a_language_are_those_of_more_than_a_few_letters(
    text: str, scripts: set[str]
) -> None:
    assert scripts_of(code_points(text)) == scripts


def test_the_alphabet_has_the_languages_letters_signs_of_every_script_and_all_of_ascii() -> None:
    text = SWEDISH + "é 漢 я 🐟 – \u0301"
    letters = alphabet_of(set(text), scripts_of(code_points(text)))
    assert letters >= ASCII | set("åöé🐟–\u0301")
    assert not letters & set("漢я")


def test_the_alphabet_has_what_cleaning_takes_out_of_text_and_real_text_has() -> None:
    text = "sjuk\u00adhus och\u2060 mer"
    assert clean_text(text) == "sjukhus och mer"
    assert {"\u00ad", "\u2060"} <= alphabet_of(set(clean_text(text)), {"Latn"})
