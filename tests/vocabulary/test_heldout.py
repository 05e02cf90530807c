from __future__ import annotations

from hypothesis import given, strategies as st

from distill.vocabulary.heldout import HeldOutSentences

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
