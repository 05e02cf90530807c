from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from distill.corpus.overlap import IN_A_ROW, Passages

LONG = "ett två tre fyra fem sex sju åtta nio tio elva tolv tretton fjorton femton"
SHORT = "en liten text till"


def find(text: str, *documents: str) -> tuple[bool, bool]:
    whole, shared = Passages([text]).find(documents)
    return bool(whole[0]), bool(shared[0])


@pytest.mark.parametrize(
    ("document", "found"),
    [
        (f"Före. {LONG.upper()}! Efter.", (True, True)),
        (LONG.rsplit(" ", 2)[0], (False, True)),
        (LONG.split(" ", 4)[4], (False, False)),
        (LONG.replace("sju", "7"), (False, False)),
    ],
)
def test_a_text_stands_in_a_document_whole_or_twelve_words_of_it_in_a_row(
    document: str, found: tuple[bool, bool]
) -> None:
    assert find(LONG, "annat", document) == found


def test_a_text_of_fewer_words_stands_there_whole_or_not_at_all() -> None:
    assert find(SHORT, f"och {SHORT} sedan") == (True, True)
    assert find(SHORT, "en liten text") == (False, False)


def test_of_very_few_words_nothing_is_said() -> None:
    assert find("ja det ja", "ja det ja") == (False, False)


def test_words_in_a_row_end_with_their_document() -> None:
    first, second = LONG[:30], LONG[30:]
    assert find(LONG, first, second) == (False, False)


def test_a_text_that_stands_there_several_times_is_found_where_it_is_whole() -> None:
    cut = LONG.rsplit(" ", 1)[0]
    assert find(LONG, cut, cut, LONG) == (True, True)


def test_equal_texts_are_all_found() -> None:
    whole, shared = Passages([LONG, SHORT, LONG]).find([LONG])
    assert whole.tolist() == shared.tolist() == [True, False, True]


@given(st.lists(st.sampled_from("abc"), max_size=40), st.lists(st.sampled_from("abc"), max_size=40))
def test_what_is_found_is_what_a_search_of_words_finds(text: list[str], other: list[str]) -> None:
    size = min(IN_A_ROW, len(text))
    joined = f" {' '.join(other)} "
    rows = [f" {' '.join(text[i : i + size])} " for i in range(len(text) - size + 1)]
    expected = len(text) >= 4 and any(row in joined for row in rows)
    found = Passages([" ".join(text)])
    assert bool(found.find([" ".join(other)])[1][0]) == expected
    assert found.share_with(" ".join(other)) == expected
