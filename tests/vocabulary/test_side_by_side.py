from __future__ import annotations

from dataclasses import replace

import pytest
from transformers import PreTrainedTokenizerBase

from distill.vocabulary.families import open_vocabulary
from distill.vocabulary.side_by_side import (
    Difference,
    VocabularyComparison,
    compare_tokenizers,
    difference_in_words,
)
from tests.conftest import swedish_sentences
from tests.vocabulary.conftest import close
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of

SENTENCES = swedish_sentences(300, seed=9)


def ids_used(tokenizer: PreTrainedTokenizerBase, sentences: list[str]) -> set[int]:
    return {i for ids in open_vocabulary(tokenizer).encode(sentences) for i in ids}


def trimmed_to(tokenizer: PreTrainedTokenizerBase, sentences: list[str]) -> PreTrainedTokenizerBase:
    """The tokenizer with the pieces alone that the sentences use."""
    kept = sorted(close(tokenizer, ids_used(tokenizer, sentences)))
    return open_vocabulary(tokenizer).trim({old: new for new, old in enumerate(kept)})


def spelled(tokenizer: PreTrainedTokenizerBase, text: str) -> list[str]:
    """The names of a text's pieces: `tokenize` gives unknown characters as they are."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    return list(tokenizer.convert_ids_to_tokens(ids))


@pytest.mark.parametrize("family", BUILDERS)
def test_every_sentence_stays_identical_in_a_vocabulary_with_all_of_its_pieces(family: str) -> None:
    teacher = tokenizer_of(family)
    compared = compare_tokenizers(
        trimmed_to(teacher, SENTENCES), teacher, SENTENCES, teacher=teacher
    )
    assert compared.first.identical is not None and compared.first.identical.value == 1
    assert compared.first.pieces < compared.second.pieces
    assert compared.first.tokens_per_word == compared.second.tokens_per_word
    assert not compared.difference.is_told_apart


@pytest.mark.parametrize("family", BUILDERS)
def test_the_identical_share_is_that_of_the_sentences_in_the_same_pieces(family: str) -> None:
    teacher = tokenizer_of(family)
    small = trimmed_to(teacher, SENTENCES[:20])
    compared = compare_tokenizers(small, teacher, SENTENCES, teacher=teacher)
    same = sum(spelled(small, text) == spelled(teacher, text) for text in SENTENCES)
    assert compared.first.identical is not None
    assert compared.first.identical.value == same / len(SENTENCES) < 1
    assert compared.difference.is_told_apart and compared.difference.value < 0


def test_the_teacher_itself_has_no_identical_share() -> None:
    teacher = tokenizer_of("unigram")
    compared = compare_tokenizers(teacher, teacher, SENTENCES, teacher=teacher)
    assert compared.teacher is not None and compared.teacher.identical is None


def test_sentences_characters_and_pieces_that_are_unknown_are_counted() -> None:
    known, teacher = "Kungen och fisken.", tokenizer_of("unigram")
    sentences = [known] * 8 + ["Kungen ꙮꙮ", "ꙮ"]
    figures = compare_tokenizers(teacher, teacher, sentences).first
    pieces = sum(len(teacher.tokenize(text)) for text in sentences)
    assert figures.without_unknown.value == 0.8
    assert figures.unknown_pieces_per_million == pytest.approx(2e6 / pieces)
    assert figures.unknown_characters.value == 3 / (8 * len("Kungenochfisken.") + 9)
    assert figures.tokens_per_word == pieces / (8 * 3 + 3)


def test_unknown_pieces_of_two_families_are_the_same_piece() -> None:
    teacher = tokenizer_of("wordpiece, cased")
    other = trimmed_to(teacher, SENTENCES)
    unknown = "ꙮ"
    compared = compare_tokenizers(other, tokenizer_of("unigram"), [unknown] * 3, teacher=teacher)
    assert compared.first.identical is not None and compared.first.identical.value == 1
    assert compared.second.without_unknown.value == 0


def test_without_a_teacher_sentences_without_unknown_pieces_are_compared() -> None:
    teacher = tokenizer_of("unigram")
    small = trimmed_to(teacher, SENTENCES[:3])
    compared = compare_tokenizers(teacher, small, SENTENCES)
    assert compared.teacher is None and compared.first.identical is None
    assert compared.difference.of == "without_unknown"
    shares = compared.first.without_unknown.value, compared.second.without_unknown.value
    assert compared.difference.value == pytest.approx(shares[0] - shares[1])
    assert compared.difference.low <= compared.difference.value <= compared.difference.high


def test_vocabularies_of_different_families_are_compared() -> None:
    pairs = [tokenizer_of("unigram"), tokenizer_of("wordpiece, cased")]
    compared = compare_tokenizers(pairs[0], pairs[1], SENTENCES)
    assert compared.first.tokens_per_word != compared.second.tokens_per_word
    assert compared.sentences == len(SENTENCES)


@pytest.fixture
def comparison() -> VocabularyComparison:
    teacher = tokenizer_of("unigram")
    return compare_tokenizers(
        teacher, trimmed_to(teacher, SENTENCES[:20]), SENTENCES, teacher=teacher
    )


def test_a_difference_that_the_interval_supports_is_told_in_points(
    comparison: VocabularyComparison,
) -> None:
    assert comparison.second.identical is not None
    share = comparison.second.identical.value
    said = difference_in_words(comparison)
    assert said.startswith(
        f"A keeps 100.0% of 300 sentences as the teacher writes them, B {share:.1%}; "
    )
    assert f"{100 * (1 - share):.1f} points more (" in said


def test_a_difference_to_the_other_side_is_so_many_points_fewer(
    comparison: VocabularyComparison,
) -> None:
    difference = Difference(of="identical", value=-0.0003, low=-0.0005, high=-0.0001)
    said = difference_in_words(replace(comparison, difference=difference))
    assert said.endswith("; 0.03 points fewer (0.01 to 0.05).")


def test_a_difference_that_can_be_chance_is_not_told(comparison: VocabularyComparison) -> None:
    difference = Difference(of="identical", value=0.004, low=-0.001, high=0.009)
    said = difference_in_words(replace(comparison, difference=difference))
    assert said.endswith("; not told apart by these sentences.")
    assert "points" not in said
