"""Trimming in memory: a model, its tokenizer and text go in; a smaller pair comes out, with the
curve it was chosen on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from distill.models import LoadedModel
from distill.recipe import Source, VocabularySection
from distill.report.results.vocabulary import CurvePoint, TrimmingProof
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.vocabulary.alphabet import alphabet_of
from distill.vocabulary.counting import Batch, Counts, batch_texts, count_text
from distill.vocabulary.curve import Curve, read_heldout
from distill.vocabulary.families import Vocabulary, open_vocabulary
from distill.vocabulary.heldout import HeldOutSentences
from distill.vocabulary.proof import prove
from distill.vocabulary.selection import Ranking, choose_size, find_pieces
from distill.vocabulary.trimming import (
    check_rows,
    embedding_rows,
    piece_parameters,
    renumbering,
    special_ids,
    trim_model,
)
from distill.vocabulary.verification import segment

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

HELDOUT = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Trimmed:
    """A trimmed teacher in memory, and how it was chosen."""

    teacher: LoadedModel
    new_ids: dict[int, int]
    """Old id to new id of the kept pieces."""
    chosen: CurvePoint
    curve: list[CurvePoint]
    unfiltered: list[CurvePoint] | None
    """The curve with the text that the language filter left out, if it left any out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trimming:
    """What `trim` gives: a smaller model and tokenizer, the curve of size against fidelity, and the
    proof.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    new_ids: dict[int, int]
    """Old id to new id of the kept pieces."""
    chosen: CurvePoint
    curve: list[CurvePoint]
    proof: TrimmingProof

    def __repr__(self) -> str:
        proof = self.proof
        return (
            f"Trimming({proof.kept:,} of {proof.original:,} pieces, "
            f"{self.model.num_parameters():,} parameters, "
            f"{proof.heldout_identical:.1%} of {proof.heldout_sentences:,} held-out sentences "
            f"segmented as before, largest hidden difference {proof.max_abs_hidden_difference}"
            f"{'; ' + proof.head_sentence if proof.head_sentence else ''})"
        )


def trim_in_memory(
    teacher: LoadedModel,
    texts: Iterable[str],
    section: VocabularySection,
    *,
    heldout: float | Iterable[str] = HELDOUT,
    prompts: Iterable[str] = (),
    workers: int = 1,
    progress: Progress,
) -> Trimming:
    """A copy of `teacher` with the pieces alone that `texts` (documents) use, proven on held-out
    text.

    `heldout` is the share of the texts kept apart for curve and proof, drawn by content, or
    sentences of your own; the pieces of `prompts` stay. Raises UserError if nothing is held out or
    a target is out of reach.
    """
    held = HeldOutSentences()
    if isinstance(heldout, int | float):
        if not 0 < heldout < 1:
            raise UserError(
                f"trim: heldout {heldout} should be a share between 0 and 1, or sentences."
            )
        texts = _held_apart(texts, heldout, held)
    else:
        held = HeldOutSentences((0, sentence) for sentence in heldout)
    trimmed = trim_teacher(
        teacher,
        section,
        batch_texts(texts),
        held,
        prompts=prompts,
        workers=workers,
        progress=progress,
    )
    sentences = list(held)
    segmentation = segment(sentences, teacher.tokenizer, trimmed.teacher.tokenizer, trimmed.new_ids)
    proof = prove(
        teacher,
        trimmed.teacher,
        segmentation,
        sentences,
        trimmed.new_ids,
        progress,
        seconds=section.proof_seconds,
    )
    return Trimming(
        model=trimmed.teacher.model,
        tokenizer=trimmed.teacher.tokenizer,
        new_ids=trimmed.new_ids,
        chosen=trimmed.chosen,
        curve=trimmed.curve,
        proof=proof,
    )


def trim_teacher(
    teacher: LoadedModel,
    section: VocabularySection,
    batches: Iterable[Batch],
    heldout: HeldOutSentences,
    *,
    weights: Sequence[float] = (1.0,),
    foreign: Iterable[Batch] = (),
    prompts: Iterable[str] = (),
    workers: int = 1,
    progress: Progress,
) -> Trimmed:
    """Trim `teacher` to the pieces that the text of `batches` uses, under the recipe's target.

    `heldout` is read after the text, and may be filled by it. `weights` are those of the text's
    sources; `foreign` is text that the language filter left out, counted for comparison alone; the
    pieces of `prompts`, which stand before the model's texts, stay.
    Raises UserError if there is no text or the target cannot be reached.
    """
    vocabulary = open_vocabulary(teacher.tokenizer)
    check_rows(teacher.model, vocabulary)
    total = len(batches) if isinstance(batches, Sequence) else None
    with progress.task("vocabulary: counting pieces", total=total, unit="batches") as task:
        counts = count_text(
            batches, vocabulary, sources=len(weights), workers=workers, advance=task.advance
        )
        noise = count_text(foreign, vocabulary, sources=len(weights), workers=1)
    if not counts.pieces.any():
        raise UserError("vocabulary: the text is empty; there is nothing to choose pieces by.")
    if not heldout:
        raise UserError(
            "corpus: the held-out documents have no sentence to prove anything on; hold out more."
        )
    with progress.task("vocabulary: computing the curve", total=1):
        held = read_heldout(list(heldout), vocabulary)
        pinned = pinned_pieces(teacher, vocabulary, section, prompts)

        def curve_of(counted: Counts) -> Curve:
            letters = (
                alphabet_of(counted.characters, counted.code_points) if section.alphabet else ()
            )
            required = pinned | vocabulary.alphabet(letters)
            # What no text has can only be kept where a number of pieces is asked for.
            occurring = np.flatnonzero(counted.pieces.any(axis=0)).tolist()
            candidates = (
                set(vocabulary.ids.values() if section.size is not None else occurring) | required
            )
            needs = vocabulary.needs(candidates - vocabulary.special)
            pieces = np.asarray(weights) @ counted.pieces
            return Curve(
                Ranking(pieces, required, needs=needs, existing=vocabulary.ids.values()),
                vocabulary,
                held,
                parameters=teacher.model.num_parameters(),
                rows=embedding_rows(teacher.model),
                piece_parameters=piece_parameters(teacher.model),
            )

        curve = curve_of(counts)
        optional = choose_size(curve.ranking, section, curve.deepest)
        points = curve.points()
        unfiltered = curve_of(counts + noise).points() if noise.pieces.any() else None
    new_ids = renumbering(curve.ranking.kept(optional))
    trimmed = LoadedModel(
        model=trim_model(teacher.model, new_ids), tokenizer=vocabulary.trim(new_ids)
    )
    chosen = next((point for point in points if point.pieces == len(new_ids)), None) or curve.point(
        optional
    )
    return Trimmed(
        teacher=trimmed, new_ids=new_ids, chosen=chosen, curve=points, unfiltered=unfiltered
    )


def pinned_pieces(
    teacher: LoadedModel,
    vocabulary: Vocabulary,
    section: VocabularySection,
    prompts: Iterable[str] = (),
) -> set[int]:
    """Ids that stay whatever the target: special pieces, those of `prompts`, and what the recipe's
    `keep` and `lexicon` name.

    Raises UserError for a piece that does not exist or a file that cannot be read.
    """
    ids = set(vocabulary.ids.values())
    pinned = vocabulary.special | {
        i for i in special_ids(teacher.model.config).values() if i in ids
    }
    pinned |= find_pieces(vocabulary.ids, section.keep.pieces, section.keep.pattern)
    # Whether a blank ends a prompt or a word follows it, its words are the same pieces.
    said = [prompt.strip() for prompt in prompts if prompt.strip()]
    pinned.update(i for encoded in vocabulary.encode(said) for i in encoded)
    for key, path in (("lexicon", section.lexicon), ("keep.terms", section.keep.terms)):
        words = read_words(path, key) if path else []
        spellings = dict.fromkeys(
            [*words, *map(vocabulary.units.within, words)]
        )  # at a line's start and within it
        pinned.update(i for encoded in vocabulary.encode(list(spellings)) for i in encoded)
    return pinned


def read_words(path: str, key: str) -> list[str]:
    """The lines of a word list, plain or .gz. Raises UserError if it is missing, empty or not
    text.
    """
    from distill.corpus.formats import Tally
    from distill.corpus.sources import read_source

    try:
        return [
            record.row["text"].strip()
            for record in read_source(Source(path=path, format="txt"), Tally())
        ]
    except UserError as error:
        raise UserError(f"vocabulary.{key}: {error}") from error


def _held_apart(texts: Iterable[str], share: float, heldout: HeldOutSentences) -> Iterable[str]:
    """The texts but for a share of them, chosen by content, whose sentences go to `heldout`."""
    from distill.corpus.cleaning import content_hash, split_sentences

    for text in texts:
        if content_hash(text) < share * 2**64:
            for sentence in split_sentences(text):
                heldout.add(0, sentence)
        else:
            yield text
