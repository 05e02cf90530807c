from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from transformers import PreTrainedTokenizerBase

from distill.corpus.documents import document_batches
from distill.models import LoadedModel
from distill.vocabulary import counting
from distill.vocabulary.counting import Batch, batch_texts, count_text, count_units, pack_units
from distill.vocabulary.families import Vocabulary, open_vocabulary
from distill.vocabulary.units import Units
from tests.conftest import needs_quickstart, swedish_sentences
from tests.vocabulary.conftest import texts
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of


def one_by_one(documents: list[str], vocabulary: Vocabulary) -> np.ndarray:
    """How often each piece occurs when every line is segmented whole."""
    lines = [line for document in documents for line in document.split("\n")]
    return np.bincount(
        [i for ids in vocabulary.encode(lines) for i in ids], minlength=vocabulary.size
    )


def batches_of(documents: list[str], size: int = 3) -> list[Batch]:
    return [[(0, text) for text in documents[i : i + size]] for i in range(0, len(documents), size)]


@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if kind != "xlm"])
@given(documents=st.lists(texts, max_size=4))
def test_counting_by_units_equals_segmenting_every_line(kind: str, documents: list[str]) -> None:
    vocabulary = open_vocabulary(tokenizer_of(kind))
    counts = count_text(batches_of(documents), vocabulary)
    assert np.array_equal(counts.pieces[0], one_by_one(documents, vocabulary))


@needs_quickstart
def test_counting_by_units_equals_segmenting_every_line_with_xlm_rs_vocabulary(
    xlmr: PreTrainedTokenizerBase,
) -> None:
    vocabulary = open_vocabulary(xlmr)

    @given(documents=st.lists(texts, max_size=4))
    def check(documents: list[str]) -> None:
        counts = count_text(batches_of(documents), vocabulary)
        assert np.array_equal(counts.pieces[0], one_by_one(documents, vocabulary))

    check()


@needs_quickstart
@pytest.mark.parametrize(
    "documents", [["kung", "\u200c\u0308"], ["kung \u200c\u0308"], ["\u0308a\nko  \u0308"]]
)
def test_a_mark_after_a_blank_is_counted_as_the_line_has_it(
    xlmr: PreTrainedTokenizerBase, documents: list[str]
) -> None:
    vocabulary = open_vocabulary(xlmr)
    assert np.array_equal(
        count_text(batches_of(documents), vocabulary).pieces[0], one_by_one(documents, vocabulary)
    )


def test_xlms_lines_are_counted_one_by_one() -> None:
    vocabulary = open_vocabulary(tokenizer_of("xlm"))
    documents = [*swedish_sentences(5), 'Kungen, "fisken" m.m.\nkom.']
    assert np.array_equal(
        count_text(batches_of(documents), vocabulary).pieces[0], one_by_one(documents, vocabulary)
    )


@pytest.mark.parametrize("kind", ["unigram", "wordpiece, cased"])
def test_a_full_table_is_emptied_without_changing_the_counts(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vocabulary, documents = open_vocabulary(tokenizer_of(kind)), swedish_sentences(80)
    whole = count_text(batches_of(documents), vocabulary)
    monkeypatch.setattr(counting, "MAX_UNITS", 5)
    emptied = count_text(batches_of(documents), vocabulary)
    assert np.array_equal(emptied.pieces, whole.pieces)
    assert np.array_equal(emptied.code_points[:, 33:], whole.code_points[:, 33:])
    assert emptied.characters == whole.characters


@given(order=st.permutations(range(20)), size=st.integers(1, 20))
def test_neither_order_nor_batching_changes_the_counts(
    order: list[int], size: int, teacher: LoadedModel
) -> None:
    vocabulary, documents = open_vocabulary(teacher.tokenizer), swedish_sentences(20)
    expected = count_text(batches_of(documents), vocabulary)
    counts = count_text(batches_of([documents[i] for i in order], size), vocabulary)
    assert np.array_equal(counts.pieces, expected.pieces)
    assert counts.characters == expected.characters


def test_two_processes_count_what_one_does(teacher: LoadedModel, tmp_path: Path) -> None:
    file = tmp_path / "documents.jsonl"
    rows = [
        {"id": str(i), "text": text, "source": i % 2}
        for i, text in enumerate(swedish_sentences(300))
    ]
    file.write_text(
        "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8"
    )
    vocabulary, batches = open_vocabulary(teacher.tokenizer), document_batches(file, 4000)
    assert len(batches) > 3
    alone, together = (
        count_text(batches, vocabulary, languages=(0, 0), workers=workers) for workers in (1, 2)
    )
    assert np.array_equal(alone.pieces, together.pieces) and alone.pieces.all(axis=0).any()
    assert np.array_equal(alone.code_points, together.code_points)
    assert alone.characters == together.characters


@settings(max_examples=3)
@given(documents=st.lists(texts, min_size=20, max_size=60))
def test_two_processes_count_of_any_text_what_one_does(documents: list[str]) -> None:
    vocabulary = open_vocabulary(tokenizer_of("unigram"))
    alone, together = (
        count_text(batches_of(documents), vocabulary, workers=workers) for workers in (1, 2)
    )
    assert np.array_equal(alone.pieces, together.pieces)
    assert np.array_equal(alone.code_points, together.code_points)
    assert alone.characters == together.characters


@pytest.mark.parametrize("kind", [kind for kind in BUILDERS if kind != "xlm"])
@given(text=texts)
def test_a_line_is_counted_as_the_tokenizers_own_library_segments_it(kind: str, text: str) -> None:
    tokenizer, lines = tokenizer_of(kind), text.split("\n")
    encodings = tokenizer.backend_tokenizer.encode_batch(lines, add_special_tokens=False)
    counted = count_text(batches_of([text]), open_vocabulary(tokenizer)).pieces[0]
    assert Counter(i for encoding in encodings for i in encoding.ids) == Counter(
        {i: int(counted[i]) for i in np.flatnonzero(counted)}
    )


def test_each_source_has_its_own_counts(teacher: LoadedModel) -> None:
    vocabulary = open_vocabulary(teacher.tokenizer)
    first, second = swedish_sentences(6, 1), swedish_sentences(6, 2)
    mixed = [
        (number, text)
        for pair in zip(first, second, strict=True)
        for number, text in enumerate(pair)
    ]
    counts = count_text([mixed[:5], mixed[5:]], vocabulary, languages=(0, 0))
    assert np.array_equal(counts.pieces[0], one_by_one(first, vocabulary))
    assert np.array_equal(counts.pieces[1], one_by_one(second, vocabulary))


def test_characters_are_those_after_normalisation(teacher: LoadedModel) -> None:
    counts = count_text([[(0, "ｋo\u0308 ﬁ")]], open_vocabulary(teacher.tokenizer))
    assert counts.characters == set("kö" + "fi")


def test_code_points_are_those_of_the_text_itself(teacher: LoadedModel) -> None:
    counts = count_text([[(0, "kung kung ﬁ\nö")]], open_vocabulary(teacher.tokenizer))
    assert (
        counts.code_points[0, ord("k")],
        counts.code_points[0, ord("ﬁ")],
        counts.code_points[0, ord("ö")],
    ) == (2, 1, 1)


def test_two_counts_add_up(teacher: LoadedModel) -> None:
    vocabulary, documents = open_vocabulary(teacher.tokenizer), swedish_sentences(10)
    halves = [
        count_text([[(0, text) for text in half]], vocabulary)
        for half in (documents[:5], documents[5:])
    ]
    both, whole = halves[0] + halves[1], count_text(batches_of(documents), vocabulary)
    assert np.array_equal(both.pieces, whole.pieces)
    assert both.characters == whole.characters


def test_a_word_is_counted_as_often_as_it_occurs() -> None:
    table = count_units([(0, "kung  kung\nkung"), (0, "ko kung ")], Units.WORDS)
    assert table[0] == {"kung": 4, "ko": 1, "": 2}


@given(st.dictionaries(st.text("abc", min_size=1), st.integers(1, 4)))
def test_packed_words_are_the_tables_words_with_their_frequencies(table: dict[str, int]) -> None:
    packed = list(pack_units(Counter(table), Units.WORDS))
    assert sorted((word, count) for text, count in packed for word in text.split(" ")) == sorted(
        table.items()
    )
    assert sorted(pack_units(Counter(table), Units.LINES)) == sorted(table.items())


@pytest.mark.parametrize("units", [Units.WORDS, Units.LINES])
def test_a_unit_that_is_too_long_to_segment_at_once_comes_in_parts(
    monkeypatch: pytest.MonkeyPatch, units: Units
) -> None:
    monkeypatch.setattr(counting, "_LONGEST_UNIT", 4)
    packed = list(pack_units(Counter({"skogsbilväg": 2, "ko": 2}), units))
    words = [(word, count) for text, count in packed for word in text.split(" ")]
    assert words == [("skog", 2), ("sbil", 2), ("väg", 2), ("ko", 2)]


def test_long_words_are_not_packed_with_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_PACKED_CHARACTERS", 4)
    packed = list(pack_units(Counter({"skogen": 1, "ko": 1, "kung": 1}), Units.WORDS))
    assert packed == [("skogen", 1), ("ko kung", 1)]


def test_texts_come_in_batches_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "BATCH_CHARACTERS", 5)
    assert list(batch_texts(["abc", "de", "f"], source=3)) == [[(3, "abc"), (3, "de")], [(3, "f")]]
