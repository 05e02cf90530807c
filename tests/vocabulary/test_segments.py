from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from distill.vocabulary.families import open_vocabulary
from distill.vocabulary.segments import Segments, segment_heldout
from tests.conftest import swedish_sentences
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of

TEXTS = [
    [*swedish_sentences(20, 3), "Kungen ꙮ kom 🐟.", "  två  blanka ", "cafe\u0301 och\u00a0så"],
    [*swedish_sentences(15, 4), "кошка сидит", "rad ett\nrad två"],
]


@pytest.mark.parametrize("kind", BUILDERS)
def test_a_sentence_consists_of_what_its_units_consist_of(kind: str) -> None:
    vocabulary = open_vocabulary(tokenizer_of(kind))
    _, texts = segment_heldout(TEXTS, vocabulary)
    for sentences, text in zip(TEXTS, texts, strict=True):
        assert rows(text.sentences) == vocabulary.encode(sentences)


@pytest.mark.parametrize("kind", BUILDERS)
def test_texts_share_units_and_each_has_its_own_words_and_frequencies(kind: str) -> None:
    vocabulary = open_vocabulary(tokenizer_of(kind))
    units, texts = segment_heldout(TEXTS, vocabulary)
    assert len(units.texts) == len(set(units.texts)) == len(units.ids.lengths)
    assert rows(units.ids) == vocabulary.encode(units.texts)
    assert units.unknown.tolist() == vocabulary.unknown_characters(units.texts)
    for sentences, text in zip(TEXTS, texts, strict=True):
        split = [unit for one in sentences for unit in vocabulary.units.split(one) if unit]
        assert [split.count(unit) for unit in units.texts] == text.frequencies.tolist()
        words = list(dict.fromkeys(word for one in sentences for word in one.split()))
        assert rows(text.words) == vocabulary.encode([vocabulary.units.within(w) for w in words])
        assert text.running_words == sum(len(one.split()) for one in sentences)
        assert text.characters == sum(len("".join(one.split())) for one in sentences)


@given(st.lists(st.lists(st.integers(0, 9)), min_size=1), st.data())
def test_texts_in_a_row_are_the_ids_of_one_after_the_other(
    texts: list[list[int]], data: st.DataObject
) -> None:
    groups = data.draw(st.lists(st.lists(st.integers(0, len(texts) - 1))))
    joined = Segments.of(texts).joined(Segments.of(groups))
    assert rows(joined) == [[i for number in group for i in texts[number]] for group in groups]


def rows(segments: Segments) -> list[list[int]]:
    cuts = np.cumsum(segments.lengths)[:-1]
    return [ids.tolist() for ids in np.split(segments.ids, cuts)] if len(segments.lengths) else []
