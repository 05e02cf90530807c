from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from distill.runtime import slices


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE", 4)


@given(st.text(max_size=30))
def test_slices_together_are_the_text(text: str) -> None:
    assert "".join(slices.slices(text)) == text


@given(st.text(st.sampled_from("ab \n"), max_size=60))
def test_no_word_is_cut_and_none_is_lost(text: str) -> None:
    parts = list(slices.slices_of_words(text))
    assert [word for part in parts for word in part.split()] == text.split()
    assert " ".join(parts) == text


def test_a_word_longer_than_a_slice_stays_whole() -> None:
    assert list(slices.slices_of_words("abcdefghij kl mnop")) == ["abcdefghij", "kl mnop"]


def test_a_space_before_a_glued_character_does_not_end_a_slice() -> None:
    parts = slices.slices_of_words("abcd ~ef gh ij", lambda character: character == "~")
    assert list(parts) == ["abcd ~ef", "gh ij"]
