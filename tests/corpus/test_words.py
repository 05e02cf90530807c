from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st

from distill.corpus.words import WORD, find_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("På ön, 3 kr!", ["På", "ön", "3", "kr"]),
        ("日本の", ["日", "本", "の"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("cafe\u0301 a_b", ["cafe\u0301", "a_b"]),
    ],
)
def test_words_are_told_in_every_script(text: str, words: list[str]) -> None:
    assert find_words(text) == words


@given(st.text())
def test_the_shorter_way_gives_the_same_words(text: str) -> None:
    assert find_words(text) == re.findall(WORD, text)
