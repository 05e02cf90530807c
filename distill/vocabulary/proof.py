"""What trimming kept and changed, measured on held-out sentences: two models with their tokenizers
go in, figures come out.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from distill.models import LoadedModel
from distill.models.task_heads import head_of
from distill.report.results.vocabulary import TrimmingProof
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.vocabulary.comparison import (
    compare_states,
    max_logit_difference,
    unequal_weights,
)
from distill.vocabulary.families import open_vocabulary
from distill.vocabulary.head_proof import compare_heads
from distill.vocabulary.verification import (
    Segmentation,
    encode,
    raw_figures,
    round_trip,
    words_identical,
)

MOST_UNKNOWN = 0.2
"""Share of held-out characters that the untrimmed tokenizer may not know: with more of them a proof
against it says nothing.
"""
HEAD_TOKENS = 20_000
"""A fine-tuned head's answers are compared on about so many tokens at most."""
LOGIT_TOKENS = 2_000
"""Logits over a whole vocabulary are large and slow, and follow from the hidden states: so many
tokens are enough.
"""


def prove(
    original: LoadedModel,
    trimmed: LoadedModel,
    segmentation: Segmentation,
    sentences: Sequence[str],
    new_ids: dict[int, int],
    progress: Progress,
    *,
    seconds: float = math.inf,
) -> TrimmingProof:
    """Measure everything that can be told of `trimmed` on the held-out `sentences`, whose
    `segmentation` is at hand; hidden states on as many of them as fit into `seconds`, segmenting
    included, and on a sample at least.

    Raises UserError if the untrimmed tokenizer does not know the text's characters, states are not
    finite, or a weight is not the teacher's.
    """
    started = time.monotonic() - segmentation.seconds
    before, after = open_vocabulary(original.tokenizer), open_vocabulary(trimmed.tokenizer)
    words = sum(len(sentence.split()) for sentence in sentences)
    characters = sum(len("".join(sentence.split())) for sentence in sentences)
    unknown_before, unknown_after = (
        sum(vocabulary.unknown_characters(sentences, ids)) / max(1, characters)
        for vocabulary, ids in ((before, segmentation.original), (after, segmentation.trimmed))
    )
    if unknown_before > MOST_UNKNOWN:
        raise UserError(
            f"vocabulary: the teacher's tokenizer does not know {unknown_before:.0%} of the "
            "characters of held-out text; choose a teacher whose vocabulary has this language's "
            "script, and check that its tokenizer loads as it should."
        )
    with progress.task("vocabulary: proving segmentation equal", total=1):
        raw = raw_figures(original.tokenizer, trimmed.tokenizer, sentences, segmentation, new_ids)
        identical_words = words_identical(before, after, sentences, new_ids)
        same_text = round_trip(original.tokenizer, trimmed.tokenizer, segmentation)
    with progress.task("vocabulary: proving hidden states equal", total=1) as task:
        states = compare_states(
            original.model,
            trimmed.model,
            segmentation,
            seconds=max(1.0, seconds - (time.monotonic() - started)),
            advance=task.advance,
        )
    with progress.task("vocabulary: proving logits equal", total=1):
        logits = max_logit_difference(
            original.model, trimmed.model, segmentation.sample(LOGIT_TOKENS), sorted(new_ids)
        )
    head = head_of(original.model)
    answers = compare_heads(original.model, trimmed.model, segmentation.sample(HEAD_TOKENS))
    answered = answers.max_difference if answers else None
    for what, difference in (
        ("hidden states", states.largest),
        ("logits", logits),
        ("head's logits", answered),
    ):
        if difference is not None and not math.isfinite(difference):
            raise UserError(
                f"vocabulary: the teacher's {what} on held-out text are not finite numbers, so "
                "nothing can be proven of them; the model is damaged or overflows."
            )
    if unequal := unequal_weights(original.model, trimmed.model, sorted(new_ids)):
        raise UserError(
            f"vocabulary: trimming changes the weights {', '.join(unequal)}, which it should copy; "
            f"a {type(original.model).__name__} cannot be trimmed exactly."
        )
    identical = int(segmentation.identical.sum())
    return TrimmingProof(
        original=len(original.tokenizer),
        kept=len(new_ids),
        heldout_sentences=len(sentences),
        heldout_identical=float(segmentation.identical.mean()),
        heldout_identical_sentences=identical,
        heldout_identical_raw=raw.identical,
        heldout_raw_agreement=raw.agreement,
        heldout_words_identical=identical_words,
        heldout_round_trip=same_text,
        heldout_unk_rate=segmentation.unknown_rate(
            segmentation.trimmed, trimmed.tokenizer.unk_token_id, encode(trimmed.tokenizer, [""])[0]
        ),
        heldout_unk_rate_original=segmentation.unknown_rate(
            segmentation.original,
            original.tokenizer.unk_token_id,
            encode(original.tokenizer, [""])[0],
        ),
        heldout_unknown_characters=unknown_after,
        heldout_unknown_characters_original=unknown_before,
        tokens_per_word=segmentation.tokens_per_word(segmentation.trimmed, words),
        tokens_per_word_original=segmentation.tokens_per_word(segmentation.original, words),
        compared_sentences=states.sentences,
        compared_share=states.sentences / identical if identical else None,
        compared_seconds=states.seconds,
        unequal_share_below=_rule_of_three(states.sentences) if states.largest == 0 else None,
        max_abs_hidden_difference=states.largest,
        max_abs_logit_difference=logits,
        head=head.words if head else None,
        head_predictions=answers.predictions if answers else None,
        head_predictions_equal=answers.equal if answers else None,
        max_abs_head_difference=answered,
    )


def _rule_of_three(sentences: int) -> float:
    """The share of unequal sentences that is ruled out with 95% confidence by so many equal ones
    (Hanley and Lippman-Hand 1983).
    """
    return min(1.0, 3 / sentences)
