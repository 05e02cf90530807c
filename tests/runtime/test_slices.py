from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from distill.runtime import slices


@pytest.fixture(autouse=True)
def short_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE", 6)


@given(st.text(max_size=30))
def test_slices_together_are_the_text(text: str) -> None:
    assert "".join(slices.slices(text)) == text


@given(st.lists(st.text("ab\n", max_size=6)).map(" ".join))
def test_no_word_of_a_slices_length_is_cut_and_none_is_lost(text: str) -> None:
    parts = list(slices.slices_of_words(text))
    assert [word for part in parts for word in part.split()] == text.split()
    assert all(len(part) <= 2 * slices.SLICE for part in parts)


def test_a_word_longer_than_two_slices_is_cut() -> None:
    assert list(slices.slices_of_words("abcdefghijklmnopqrs tu")) == [
        "abcdef",
        "ghijkl",
        "mnopqrs",
        "tu",
    ]


def test_a_space_before_a_glued_character_does_not_end_a_slice() -> None:
    parts = slices.slices_of_words("abcdef ~gh ij kl", lambda character: character == "~")
    assert list(parts) == ["abcdef ~gh", "ij kl"]


@given(st.lists(st.tuples(st.text("ab", max_size=3), st.integers(1, 3)), max_size=20))
def test_texts_come_in_runs_of_bounded_number_and_length(texts: list[tuple[str, int]]) -> None:
    runs = list(slices.in_runs(texts, lambda text: len(text[0]), characters=5, count=3))
    assert [text for run in runs for text in run] == texts
    assert all(len(run) <= 3 and sum(len(text) for text, _ in run[:-1]) < 5 for run in runs)
