"""What trimming returns: the proof, the curve of sizes, and how each source fares."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class TrimmingProof:
    """What trimming kept and changed; shares and rates are fractions of 1."""

    original: int
    kept: int
    heldout_sentences: int
    heldout_identical: float
    heldout_identical_sentences: int
    heldout_identical_raw: float | None
    """The share through the `tokenizers` library alone; None for a tokenizer that it has no part
    in.
    """
    heldout_raw_agreement: float | None
    """Share of held-out sentences for which the `tokenizers` library alone gives the same ids as
    transformers.
    """
    heldout_words_identical: float
    """Share of the distinct held-out words that keep their segmentation."""
    heldout_round_trip: float
    """Share of held-out sentences that decode to the same text as before."""
    heldout_unk_rate: float
    heldout_unk_rate_original: float
    heldout_unknown_characters: float
    """Share of the held-out characters that the trimmed tokenizer does not know."""
    heldout_unknown_characters_original: float
    tokens_per_word: float
    tokens_per_word_original: float
    compared_sentences: int
    """The identical sentences whose hidden states were compared: all, or a sample over all lengths
    that the recipe's `proof_seconds` had room for.
    """
    compared_share: float | None
    """Share of the identical sentences that those are; None if there is none."""
    compared_seconds: float
    unequal_share_below: float | None
    """The share of sentences with unequal states is below this, with 95% confidence: three over
    those compared. None where states differ or none were compared.
    """
    max_abs_hidden_difference: float | None
    """Over all layers and those sentences; None if there is none."""
    max_abs_logit_difference: float | None
    """Of kept pieces, on a few of those sentences; None for a model without a head over the
    vocabulary.
    """
    head: str | None = None
    """What a fine-tuned teacher's head answers ("one class a text, of 7"); None without one."""
    head_predictions: int | None = None
    """Its predictions that were compared, on a few of those sentences: texts, or tagged tokens."""
    head_predictions_equal: int | None = None
    """How many of them trimming left as they were."""
    max_abs_head_difference: float | None = None
    """Of any of its logits."""

    @property
    def head_sentence(self) -> str | None:
        """What trimming left of a fine-tuned head; None without one."""
        if self.head is None:
            return None
        if self.max_abs_head_difference is None:
            return f"head ({self.head}): kept; no held-out sentence to compare it on"
        return (
            f"head ({self.head}): kept; {self.head_predictions_equal:,} of "
            f"{self.head_predictions:,} predictions are those of the untrimmed model, largest "
            f"difference of a logit {self.max_abs_head_difference:g}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class CurvePoint:
    """One size of vocabulary and what it would leave; shares and rates are fractions of 1."""

    min_count: int | None
    """The threshold that gives this size, or None for the size that was chosen by another
    target.
    """
    pieces: int
    heldout_identical: float
    """Share of held-out sentences that keep their segmentation."""
    heldout_words_identical: float
    """Share of the distinct held-out words that do."""
    heldout_unknown_characters: float
    """Share of the held-out characters that the tokenizer does not know."""
    tokens_per_word: float
    parameters: int
    """Of the whole model with so many pieces."""
    bytes: int
    """Of its weights in float32."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextFidelity:
    """How one text fares with the pieces that were chosen, and along the curve."""

    name: str
    """A language's code, or a source's name."""
    heldout_sentences: int
    chosen: CurvePoint
    curve: list[CurvePoint]
    heldout_unknown_characters_original: float
    """Share of its characters that the untrimmed tokenizer does not know."""
    tokens_per_word_original: float


FAR_BELOW = 0.1
"""A source whose share of identical sentences lies this far below that of all is worth a
warning.
"""


MANY_UNKNOWN = 0.01
"""Share of held-out characters that the untrimmed tokenizer does not know."""
FEW_IDENTICAL = 0.7
"""With a smaller share of held-out sentences segmented as before, the user hears of it even without
a floor.
"""


_ENOUGH_SENTENCES = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceFidelity:
    """How one source's held-out sentences fare."""

    name: str
    weight: float
    heldout_sentences: int
    heldout_identical: float | None
    """None without held-out sentences."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VocabularyResult(TrimmingProof):
    """What trimming kept and changed, how it was chosen, and how each source fares."""

    chosen: CurvePoint
    """The point of the curve that was chosen."""
    curve: list[CurvePoint]
    unfiltered_curve: list[CurvePoint] | None
    """The curve had the language filter left nothing out; None without the filter."""
    sources: list[SourceFidelity]
    """For each source its held-out sentences and the share of them that is identical."""
    languages: list[TextFidelity] = field(default_factory=list)
    """Each of several languages on its own held-out text; empty where there is one."""
    checks: list[TextFidelity] = field(default_factory=list)
    """Texts that nothing was chosen by, of which the recipe asked how they fare."""
    uncleaned: TextFidelity | None = None
    """The held-out text before cleaning; None where cleaning changed none of it."""
    symbols_unseen: int = 0
    """How many pieces stay as symbols though the training text has none of them."""
    reason: str | None = None
    """Why something is not measured."""

    @property
    def other_texts(self) -> list[TextFidelity]:
        """The texts that chose nothing: those to check by, and the held-out one before cleaning."""
        return [*self.checks, *([self.uncleaned] if self.uncleaned else [])]

    @property
    def warnings(self) -> list[str]:
        """What the user should know of the trimming."""
        warnings = [
            f"vocabulary: of {source.name} only {source.heldout_identical:.1%} of "
            f"{source.heldout_sentences:,} "
            f"held-out sentences keep their segmentation, of all {self.heldout_identical:.1%}; "
            "give more text of that kind, or weight it"
            for source in self.sources
            if source.heldout_sentences >= _ENOUGH_SENTENCES
            and source.heldout_identical is not None
            and source.heldout_identical < self.heldout_identical - FAR_BELOW
        ]
        warnings += [
            f"vocabulary: of {text.name} {unknown:.2%} of the characters became unknown; give text "
            "of that kind among the sources, or keep its characters"
            for text in self.other_texts
            if (
                unknown := text.chosen.heldout_unknown_characters
                - text.heldout_unknown_characters_original
            )
            >= MANY_UNKNOWN
        ]
        if self.heldout_identical < FEW_IDENTICAL:
            warnings.append(
                f"vocabulary: only {self.heldout_identical:.1%} of the held-out sentences keep "
                "their segmentation; "
                "more text is the main lever, then a lower min_count"
            )
        if self.heldout_unknown_characters_original > MANY_UNKNOWN:
            warnings.append(
                f"vocabulary: {self.heldout_unknown_characters_original:.1%} of the held-out "
                "characters are unknown to the untrimmed tokenizer already; another teacher may "
                "know them"
            )
        return warnings
