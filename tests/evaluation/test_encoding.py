from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import assume, given, strategies as st
from tokenizers import processors

from distill.evaluation.encoding import (
    IGNORED,
    encode_rows,
    pad,
    renumber,
    used_pieces,
    word_pieces,
)
from distill.evaluation.tasks import Row, TaskRows
from distill.models import LoadedModel
from tests.conftest import swedish_sentences
from tests.vocabulary.conftest import texts
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of

LONGEST = 24


def task_of(rows: list[Row]) -> TaskRows:
    classes = tuple(sorted({name for row in rows for name in row.names}))
    return TaskRows(train=rows, dev=rows, test=rows, classes=classes, left_out={}, test_in_train=0)


def sentence_rows(count: int = 6) -> list[Row]:
    sentences = [tuple(sentence.split()) for sentence in swedish_sentences(count, seed=5)]
    return [
        Row(words=words, label=tuple("NOUN" if len(word) > 4 else "O" for word in words))
        for words in sentences
    ]


@pytest.mark.parametrize("family", BUILDERS)
def test_the_ids_of_words_one_after_another_are_those_of_the_sentence(family: str) -> None:
    tokenizer = tokenizer_of(family)
    rows = sentence_rows()
    for row, pieces in zip(rows, word_pieces([row.words for row in rows], tokenizer), strict=True):
        joined = [i for of_word in pieces for i in of_word]
        assert joined == tokenizer(" ".join(row.words), add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("family", BUILDERS)
def test_the_first_piece_of_a_word_carries_its_class_and_no_other(family: str) -> None:
    rows = sentence_rows()
    task, tokenizer = task_of(rows), tokenizer_of(family)
    encoded = encode_rows(rows, task, tokenizer, 200)
    targets = pad(encoded.inputs, 0, of_words=True)["targets"].numpy()
    for row, one, of_row in zip(rows, encoded.inputs, targets, strict=True):
        assert [task.classes[i] for i in of_row[of_row != IGNORED]] == list(row.label)
        (pieces,) = word_pieces([row.words], tokenizer)
        starts = np.cumsum([one.places[0], *map(len, pieces)])[:-1]
        assert list(one.places) == starts.tolist()


# Words as files have them: without white space, else anything.
WORDS = texts.map(lambda text: "".join(text.split())).filter(bool)


@pytest.mark.parametrize("family", BUILDERS)
@given(words=st.lists(WORDS, min_size=1, max_size=8))
def test_the_ids_of_any_words_one_after_another_are_those_of_the_sentence(
    family: str, words: list[str]
) -> None:
    tokenizer = tokenizer_of(family)
    # An added token cuts the blank before it off, which belongs to no word.
    assume(not any(token in word for token in tokenizer.get_added_vocab() for word in words))
    (pieces,) = word_pieces([words], tokenizer)
    joined = tokenizer(" ".join(words), add_special_tokens=False)["input_ids"]
    assert [i for of_word in pieces for i in of_word] == joined


@pytest.mark.parametrize("family", BUILDERS)
@given(words=st.lists(WORDS, min_size=1, max_size=12), longest=st.integers(4, 20))
def test_every_word_that_has_pieces_is_asked_for_its_class_at_its_first_piece_and_once(
    family: str, words: list[str], longest: int
) -> None:
    labels = tuple(str(at) for at in range(len(words)))
    rows, tokenizer = [Row(words=tuple(words), label=labels)], tokenizer_of(family)
    task = task_of(rows)
    inputs = encode_rows(rows, task, tokenizer, longest).inputs
    (pieces,) = word_pieces([words], tokenizer)
    asked = [word for one in inputs for word in one.words]
    assert asked == [at for at, of_word in enumerate(pieces) if of_word]
    for one in inputs:
        assert len(one.ids) <= longest
        assert [one.ids[place] for place in one.places] == [pieces[word][0] for word in one.words]
        assert [task.classes[i] for i in one.targets] == [labels[word] for word in one.words]


def test_a_sentence_that_is_too_long_is_split_so_that_every_word_is_there_once(
    tiny: LoadedModel,
) -> None:
    rows = [Row(words=row.words * 5, label=row.label * 5) for row in sentence_rows(3)]
    encoded = encode_rows(rows, task_of(rows), tiny.tokenizer, LONGEST)
    assert encoded.cut == 3 and max(len(one.ids) for one in encoded.inputs) <= LONGEST
    for at, row in enumerate(rows):
        words = [
            word
            for one, of in zip(encoded.inputs, encoded.row_of, strict=True)
            if of == at
            for word in one.words
        ]
        assert words == list(range(len(row.words)))


def test_a_word_longer_than_any_input_keeps_its_beginning(tiny: LoadedModel) -> None:
    rows = [Row(words=("fisk", "regering" * 40, "hav"), label=("a", "b", "a"))]
    encoded = encode_rows(rows, task_of(rows), tiny.tokenizer, LONGEST)
    assert encoded.cut == 1 and [word for one in encoded.inputs for word in one.words] == [0, 1, 2]
    assert max(len(one.ids) for one in encoded.inputs) <= LONGEST


def test_a_word_of_which_nothing_is_left_has_no_place() -> None:
    tokenizer = tokenizer_of("wordpiece, cased")
    rows = [Row(words=("fisk", "\u200b", "hav"), label=("a", "b", "a"))]
    (one,) = encode_rows(rows, task_of(rows), tokenizer, LONGEST).inputs
    assert one.words == (0, 2) and len(one.targets) == 2


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_the_inputs_of_drawn_rows_are_theirs_as_often_as_they_are_drawn(drawn: list[int]) -> None:
    rows = [Row(words=row.words * 3, label=row.label * 3) for row in sentence_rows(5)]
    encoded = encode_rows(rows, task_of(rows), tokenizer_of("unigram"), LONGEST)
    found = encoded.inputs_of(np.array(drawn))
    assert [i for one in found for i in one.ids] == [
        i
        for row in drawn
        for one, of in zip(encoded.inputs, encoded.row_of, strict=True)
        if of == row
        for i in one.ids
    ]


@pytest.mark.parametrize("family", BUILDERS)
def test_a_pair_is_encoded_as_one(family: str) -> None:
    rows = [Row(text="fisken och havet", text_pair="ett skepp", label=name) for name in "ab"]
    tokenizer = tokenizer_of(family)
    one = encode_rows(rows, task_of(rows), tokenizer, 62).inputs[0]
    assert one.ids == tokenizer("fisken och havet", "ett skepp")["input_ids"]
    first, second = (
        tokenizer(text, add_special_tokens=False)["input_ids"]
        for text in ("fisken och havet", "ett skepp")
    )
    assert len(one.ids) > len(first) + len(second)


def test_texts_and_pairs_that_are_too_long_are_cut_off_and_counted(tiny: LoadedModel) -> None:
    long, short = "fisk " * 100, "hav"
    for pair in (None, "skepp " * 100):
        rows = [
            Row(text=long, text_pair=pair, label="a"),
            Row(text=short, text_pair=pair and "hav", label="b"),
        ]
        encoded = encode_rows(rows, task_of(rows), tiny.tokenizer, LONGEST)
        assert encoded.cut == 1
        assert len(encoded.inputs[0].ids) == LONGEST


def test_numbers_are_scaled_to_between_0_and_1(tiny: LoadedModel) -> None:
    rows = [Row(text="a", text_pair="b", label=label) for label in (1.0, 2.0, 5.0)]
    assert [
        one.target for one in encode_rows(rows, task_of(rows), tiny.tokenizer, LONGEST).inputs
    ] == [0.0, 0.25, 1.0]


def test_padding_is_masked(tiny: LoadedModel) -> None:
    rows = [Row(text="fisk", label="a"), Row(text="fisken och havet är stora", label="b")]
    batch = pad(encode_rows(rows, task_of(rows), tiny.tokenizer, LONGEST).inputs, 1, of_words=False)
    assert batch["mask"].sum(1).tolist() == [
        len(tiny.tokenizer(row.text)["input_ids"]) for row in rows
    ]
    assert (batch["ids"][batch["mask"] == 0] == 1).all()
    assert batch["targets"].tolist() == [0.0, 1.0]


def test_a_pairs_types_say_which_token_is_of_which_text() -> None:
    tokenizer = copy.deepcopy(tokenizer_of("wordpiece, cased"))
    ids = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ids
    )
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    rows = [Row(text="fisk", text_pair="hav", label=name) for name in "ab"]
    one = encode_rows(rows, task_of(rows), tokenizer, LONGEST).inputs[0]
    end = one.ids.index(ids[1][1]) + 1
    assert one.types == [0] * end + [1] * (len(one.ids) - end) and end < len(one.ids)


def test_pieces_are_renumbered_by_their_places_and_padding_stays(tiny: LoadedModel) -> None:
    rows = [Row(text="fisk hav", label="a"), Row(text="skepp", label="b")]
    encoded = encode_rows(rows, task_of(rows), tiny.tokenizer, LONGEST)
    pieces = used_pieces([encoded], padding=1)
    found = renumber(encoded, pieces)
    assert pieces[:2].tolist() == [0, 1] and (np.diff(pieces) > 0).all()
    assert [[int(pieces[i]) for i in one.ids] for one in found.inputs] == [
        one.ids for one in encoded.inputs
    ]
    assert 1 not in found.inputs[0].ids
