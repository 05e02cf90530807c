from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerBase

from distill.teacher import Teacher
from distill.vocabulary import counting
from distill.vocabulary.counting import count_characters, count_pieces, count_units, splits_on_white_space
from tests.conftest import needs_quickstart, swedish_sentences
from tests.vocabulary.conftest import texts


def counted(documents: list[str], tokenizer: Tokenizer) -> Counter[int]:
    counts = count_pieces(count_units(documents, tokenizer), tokenizer)
    return Counter({i: int(count) for i, count in enumerate(counts) if count})


def encoded(documents: list[str], tokenizer: Tokenizer) -> Counter[int]:
    encodings = tokenizer.encode_batch(documents, add_special_tokens=False)
    return Counter(i for encoding in encodings for i in encoding.ids)


@given(documents=st.lists(texts, max_size=4))
def test_counting_words_equals_encoding_the_whole_text(documents: list[str], teacher: Teacher) -> None:
    tokenizer = teacher.tokenizer.backend_tokenizer
    assert counted(documents, tokenizer) == encoded(documents, tokenizer)


@needs_quickstart
@given(documents=st.lists(texts, max_size=4))
def test_counting_words_equals_encoding_the_whole_text_with_xlm_rs_tokenizer(
    documents: list[str], xlmr: PreTrainedTokenizerBase
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counting, "splits_on_white_space", lambda _: True)  # asking takes 0.3 s: it writes out all pieces
        assert counted(documents, xlmr.backend_tokenizer) == encoded(documents, xlmr.backend_tokenizer)


@needs_quickstart
def test_xlm_rs_words_are_units(xlmr: PreTrainedTokenizerBase) -> None:
    assert splits_on_white_space(xlmr.backend_tokenizer)


def test_counting_in_batches_equals_counting_at_once(teacher: Teacher, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "_BATCH", 7)
    documents, tokenizer = swedish_sentences(40), teacher.tokenizer.backend_tokenizer
    assert counted(documents, tokenizer) == encoded(documents, tokenizer)


def test_a_word_is_counted_as_often_as_it_occurs(teacher: Teacher) -> None:
    units = count_units(["kung  kung\nkung", "ko kung "], teacher.tokenizer.backend_tokenizer)
    assert units == {"kung": 4, "ko": 1}


@pytest.mark.parametrize(
    ("pre_tokenizer", "splits"),
    [
        (pre_tokenizers.WhitespaceSplit(), True),
        (pre_tokenizers.BertPreTokenizer(), True),
        (
            pre_tokenizers.Sequence([pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit()]), pre_tokenizers.Metaspace()]),
            True,
        ),
        (pre_tokenizers.Metaspace(), False),
        (pre_tokenizers.ByteLevel(), False),
        (None, False),
    ],
)
def test_words_are_units_only_where_the_pre_tokenizer_splits_on_white_space(
    pre_tokenizer: pre_tokenizers.PreTokenizer | None, splits: bool
) -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("▁", -1.0), ("a", -1.0)], unk_id=0))
    if pre_tokenizer is not None:
        tokenizer.pre_tokenizer = pre_tokenizer
    assert splits_on_white_space(tokenizer) is splits
    assert count_units(["a b\nc"], tokenizer) == (Counter("abc") if splits else Counter(["a b", "c"]))


@given(documents=st.lists(texts, max_size=4))
def test_lines_are_counted_exactly_where_pieces_may_span_words(documents: list[str]) -> None:
    pieces = [("<unk>", 0.0), ("▁", -2.0), ("k", -3.0), ("u", -3.0), ("ng", -3.0), ("g▁k", -2.5), ("ung▁", -2.0)]
    tokenizer = Tokenizer(models.Unigram(pieces, unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    lines = [line for document in documents for line in document.split("\n") if line]
    assert counted(documents, tokenizer) == encoded(lines, tokenizer)


def test_characters_are_those_after_normalisation(teacher: Teacher) -> None:
    assert count_characters(["ｋo\u0308", "ﬁ"], teacher.tokenizer.backend_tokenizer) - {" "} == set("kö" + "fi")


def test_characters_are_the_texts_own_without_a_normaliser() -> None:
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0)], unk_id=0))
    assert count_characters(["ｋ"], tokenizer) == {"ｋ"}
    tokenizer.normalizer = normalizers.Lowercase()
    assert count_characters(["K"], tokenizer) == {"k"}
