"""What trimming kept and changed, measured on held-out sentences: two models with their tokenizers go in, figures come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from distill.models import Teacher
from distill.runtime.progress import Progress
from distill.vocabulary.families import open_vocabulary
from distill.vocabulary.verification import (
    Segmentation,
    max_hidden_difference,
    max_logit_difference,
    raw_agreement,
    raw_identical,
    round_trip,
    words_identical,
)

HIDDEN_TOKENS = 100_000
"""Hidden states are compared on about so many tokens at most: some minutes for a base model on two cores."""
LOGIT_TOKENS = 2_000
"""Logits over a whole vocabulary are large and slow, and follow from the hidden states: so many tokens are enough."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What trimming kept and changed; shares and rates are fractions of 1."""

    original: int
    kept: int
    heldout_sentences: int
    heldout_identical: float
    heldout_identical_sentences: int
    heldout_identical_raw: float | None
    """The share through the `tokenizers` library alone; None for a tokenizer that it has no part in."""
    heldout_raw_agreement: float | None
    """Share of held-out sentences for which the `tokenizers` library alone gives the same ids as transformers."""
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
    """The identical sentences whose hidden states were compared: all, or of very many an even sample."""
    max_abs_hidden_difference: float | None
    """Over all layers and those sentences; None if there is none."""
    max_abs_logit_difference: float | None
    """Of kept pieces, on a few of those sentences; None for a model without a head over the vocabulary."""


def prove(
    original: Teacher,
    trimmed: Teacher,
    segmentation: Segmentation,
    sentences: Sequence[str],
    new_ids: dict[int, int],
    progress: Progress,
) -> Proof:
    """Measure everything that can be told of `trimmed` on the held-out `sentences`, whose `segmentation` is at hand."""
    before, after = open_vocabulary(original.tokenizer), open_vocabulary(trimmed.tokenizer)
    raw = (original.tokenizer.backend_tokenizer, trimmed.tokenizer.backend_tokenizer) if original.tokenizer.is_fast else None
    compared = segmentation.sample(HIDDEN_TOKENS)
    tokens = sum(map(len, compared.original))
    with progress.task("vocabulary: proving hidden states equal", total=tokens, unit="tokens") as task:
        hidden = max_hidden_difference(original.model, trimmed.model, compared, task.advance)
    with progress.task("vocabulary: proving logits equal", total=1):
        logits = max_logit_difference(original.model, trimmed.model, segmentation.sample(LOGIT_TOKENS), sorted(new_ids))
    words = sum(len(sentence.split()) for sentence in sentences)
    characters = sum(len("".join(sentence.split())) for sentence in sentences)
    unknown: dict[str, Any] = {"before": before, "after": after}
    unknown = {name: sum(found.unknown_characters(sentences)) / max(1, characters) for name, found in unknown.items()}
    return Proof(
        original=len(original.tokenizer),
        kept=len(new_ids),
        heldout_sentences=len(sentences),
        heldout_identical=float(segmentation.identical.mean()),
        heldout_identical_sentences=int(segmentation.identical.sum()),
        heldout_identical_raw=raw_identical(raw[0], raw[1], sentences, new_ids) if raw else None,
        heldout_raw_agreement=raw_agreement(raw[1], sentences, segmentation.trimmed) if raw else None,
        heldout_words_identical=words_identical(before, after, sentences, new_ids),
        heldout_round_trip=round_trip(original.tokenizer, trimmed.tokenizer, segmentation),
        heldout_unk_rate=segmentation.unknown_rate(segmentation.trimmed, trimmed.tokenizer.unk_token_id),
        heldout_unk_rate_original=segmentation.unknown_rate(segmentation.original, original.tokenizer.unk_token_id),
        heldout_unknown_characters=unknown["after"],
        heldout_unknown_characters_original=unknown["before"],
        tokens_per_word=segmentation.tokens_per_word(segmentation.trimmed, words),
        tokens_per_word_original=segmentation.tokens_per_word(segmentation.original, words),
        compared_sentences=len(compared.original),
        max_abs_hidden_difference=hidden,
        max_abs_logit_difference=logits,
    )
