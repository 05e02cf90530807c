from __future__ import annotations

from pathlib import Path

from hypothesis import given, strategies as st

from distill.recipe import Source
from distill.vocabulary.heldout import LONGEST_SENTENCE, HeldOutSentences, read_sentences

pairs = st.lists(st.tuples(st.integers(0, 2), st.text(max_size=3)), max_size=40)


@given(pairs=pairs)
def test_sentences_are_distinct_in_their_order_with_the_source_that_had_each_first(
    pairs: list[tuple[int, str]],
) -> None:
    expected: dict[str, int] = {}
    for source, sentence in pairs:
        expected.setdefault(sentence, source)
    assert list(HeldOutSentences(pairs).origins().items()) == list(expected.items())


@given(
    draw=st.data(),
    sentences=st.lists(st.integers(0, 10**6).map(str), unique=True, max_size=60),
    most=st.integers(1, 20),
)
def test_of_too_many_the_same_are_drawn_in_any_order(
    draw: st.DataObject, sentences: list[str], most: int
) -> None:
    drawn = HeldOutSentences(((0, sentence) for sentence in sentences), most)
    again = HeldOutSentences(
        ((0, sentence) for sentence in draw.draw(st.permutations(sentences))), most
    )
    assert set(drawn) == set(again)
    assert len(drawn) == len(list(drawn)) == min(most, len(sentences))
    assert list(drawn) == [sentence for sentence in sentences if sentence in set(drawn)]


def test_files_are_read_as_distinct_sentences_with_lines_of_signs(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Kungen kom. Fisken ser.\n🐟 🐟\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("Fisken ser.\nSnö 100 %\n", encoding="utf-8")
    sources = [Source(path=str(tmp_path / name)) for name in ("a.txt", "b.txt")]
    assert read_sentences(sources).origins() == {
        "Kungen kom.": 0,
        "Fisken ser.": 0,
        "🐟 🐟": 0,
        "Snö 100 %": 1,
    }


def test_of_a_sentence_without_end_the_beginning_is_held_out() -> None:
    held = HeldOutSentences([(0, "a" * 20_000), (0, "a" * 30_000), (0, "kort")])
    assert list(held) == ["a" * LONGEST_SENTENCE, "kort"]
