"""Two vocabularies on the same sentences: tokenizers and text go in; what each leaves as their
teacher writes it, what it cannot spell, and whether they can be told apart come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from distill.report.estimates import paired_interval, ratio_interval, share_interval
from distill.vocabulary.families import Vocabulary, open_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Pieces = tuple[str | None, ...]
"""A sentence's pieces as the vocabulary spells them, without special tokens around it; None is an
unknown one.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A fraction of 1 with its 95% interval."""

    value: float
    low: float | None
    """None where too few sentences count for an interval."""
    high: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class VocabularyFigures:
    """How one vocabulary writes the sentences."""

    pieces: int
    """Entries of the tokenizer, added tokens included."""
    identical: Share | None
    """Sentences that are written in the teacher's pieces, one by one; None of the teacher itself,
    and without one.
    """
    without_unknown: Share
    """Sentences without an unknown piece."""
    unknown_pieces_per_million: float
    """Unknown pieces among a million; a vocabulary may make one of many unknown characters."""
    unknown_characters: Share
    """Characters, blanks apart, that lie in unknown pieces."""
    tokens_per_word: float
    """Pieces over words between blanks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """How much larger the share of the first vocabulary is than that of the second, on the same
    sentences; with the 95% interval.
    """

    of: Literal["identical", "without_unknown"]
    value: float
    low: float
    high: float

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, kw_only=True, slots=True)
class VocabularyComparison:
    """Two vocabularies, and their teacher's, on the same sentences."""

    sentences: int
    words: int
    characters: int
    """Blanks left out."""
    first: VocabularyFigures
    second: VocabularyFigures
    teacher: VocabularyFigures | None
    difference: Difference
    """Of the identical share; without a teacher, of the share without unknown pieces."""


def compare_tokenizers(
    first: PreTrainedTokenizerBase,
    second: PreTrainedTokenizerBase,
    sentences: Sequence[str],
    *,
    teacher: PreTrainedTokenizerBase | None = None,
) -> VocabularyComparison:
    """Write every sentence with both tokenizers, and compare with how `teacher` writes it.

    The tokenizers may be of different families. Raises UserError for a tokenizer of a family that
    trimming does not know.
    """
    reference = None if teacher is None else _Written(open_vocabulary(teacher), sentences)
    written = [_Written(open_vocabulary(tokenizer), sentences) for tokenizer in (first, second)]
    if reference is None:
        counted = [[not unknown for unknown in each.unknown_pieces] for each in written]
    else:
        counted = [each.equals(reference) for each in written]
    pairs = list(zip(*counted, strict=True))
    only_first, only_second = pairs.count((True, False)), pairs.count((False, True))
    low, high = paired_interval(only_first, only_second, len(sentences))
    words = sum(len(sentence.split()) for sentence in sentences)
    characters = [len("".join(sentence.split())) for sentence in sentences]
    figures = [each.figures(words, characters, reference) for each in written]
    return VocabularyComparison(
        sentences=len(sentences),
        words=words,
        characters=sum(characters),
        first=figures[0],
        second=figures[1],
        teacher=None if reference is None else reference.figures(words, characters, None),
        difference=Difference(
            of="without_unknown" if reference is None else "identical",
            value=(only_first - only_second) / len(sentences),
            low=low,
            high=high,
        ),
    )


def difference_in_words(comparison: VocabularyComparison) -> str:
    """The difference in one sentence, in which the vocabularies are called A and B."""
    difference = comparison.difference
    first, second = (
        figures.identical if figures.identical is not None else figures.without_unknown
        for figures in (comparison.first, comparison.second)
    )
    verb, how = (
        ("keeps", "as the teacher writes them")
        if difference.of == "identical"
        else ("writes", "without unknown pieces")
    )
    ends = sorted((abs(difference.low), abs(difference.high)))
    shown = ends[0] if difference.is_told_apart else abs(difference.value)
    # A difference that the interval supports is not shown as 0.
    digits = next((d for d in (1, 2, 3) if not shown or round(100 * shown, d)), 4)
    verdict = (
        f"{100 * abs(difference.value):.{digits}f} points "
        f"{'more' if difference.value > 0 else 'fewer'} "
        f"({100 * ends[0]:.{digits}f} to {100 * ends[1]:.{digits}f})"
        if difference.is_told_apart
        else "not told apart by these sentences"
    )
    return (
        f"A {verb} {first.value:.{digits}%} of {comparison.sentences:,} sentences {how}, "
        f"B {second.value:.{digits}%}; {verdict}."
    )


class _Written:
    """The sentences as one vocabulary writes them."""

    def __init__(self, vocabulary: Vocabulary, sentences: Sequence[str]) -> None:
        unknown = vocabulary.unknown
        spelling: dict[int, str | None] = {i: piece for piece, i in vocabulary.ids.items()}
        if unknown is not None:
            spelling[unknown] = None  # families call it differently
        self.size = len(vocabulary.ids)
        encoded = vocabulary.encode(sentences)
        self.pieces: list[Pieces] = [tuple(spelling[i] for i in ids) for ids in encoded]
        self.unknown_pieces = [pieces.count(None) for pieces in self.pieces]
        self.unknown_characters = vocabulary.unknown_characters(sentences, encoded)

    def equals(self, teacher: _Written) -> list[bool]:
        """For each sentence whether its pieces are the teacher's."""
        return [a == b for a, b in zip(self.pieces, teacher.pieces, strict=True)]

    def figures(
        self, words: int, characters: Sequence[int], teacher: _Written | None
    ) -> VocabularyFigures:
        """The figures over all sentences, which have so many words, and so many characters each."""
        tokens = sum(map(len, self.pieces))
        # An offset may take blanks in.
        unknown = [min(pair) for pair in zip(self.unknown_characters, characters, strict=True)]
        low, high = ratio_interval(unknown, characters)
        return VocabularyFigures(
            pieces=self.size,
            identical=None if teacher is None else _share(self.equals(teacher)),
            without_unknown=_share([not count for count in self.unknown_pieces]),
            unknown_pieces_per_million=1e6 * sum(self.unknown_pieces) / max(1, tokens),
            unknown_characters=Share(
                value=sum(unknown) / max(1, sum(characters)), low=low, high=high
            ),
            tokens_per_word=tokens / max(1, words),
        )


def _share(counted: Sequence[bool]) -> Share:
    low, high = share_interval(sum(counted), len(counted))
    return Share(value=sum(counted) / len(counted), low=low, high=high)
