"""Trimming in memory: a model, its tokenizer and text go in; a smaller pair comes out, with the
curve it was chosen on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from distill.models import LoadedModel
from distill.recipe import Source, VocabularySection
from distill.report.results.vocabulary import CurvePoint, TextFidelity, TrimmingProof
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.vocabulary.counting import Batch, batch_texts, count_text
from distill.vocabulary.curve import Curve
from distill.vocabulary.families import Vocabulary, open_vocabulary
from distill.vocabulary.heldout import HeldOutSentences
from distill.vocabulary.languages import choose_pieces, rank_pieces
from distill.vocabulary.proof import prove
from distill.vocabulary.segments import segment_heldout
from distill.vocabulary.selection import Ranking, find_pieces
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
    languages: list[TextFidelity]
    """Each of several languages on its own; empty where there is one."""
    checks: list[TextFidelity]
    """The texts that nothing was chosen by."""
    symbols_unseen: int
    """How many of the pieces stay as symbols alone, since the text has none of them."""


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
    checks: list[TextFidelity] = field(default_factory=list)
    """The texts that nothing was chosen by."""

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
    checks: Mapping[str, Iterable[str]] | None = None,
    workers: int = 1,
    progress: Progress,
) -> Trimming:
    """A copy of `teacher` with the pieces alone that `texts` (documents) use, proven on held-out
    text.

    `heldout` is the share of the texts kept apart for curve and proof, drawn by content, or
    sentences of your own; the pieces of `prompts` stay; `checks` are texts by name whose fidelity
    is told besides. Raises UserError if nothing is held out or
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
        checks={name: HeldOutSentences.of(own) for name, own in (checks or {}).items()},
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
        checks=trimmed.checks,
    )


def trim_teacher(
    teacher: LoadedModel,
    section: VocabularySection,
    batches: Iterable[Batch],
    heldout: HeldOutSentences,
    *,
    weights: Sequence[float] = (1.0,),
    languages: Sequence[str] = (),
    foreign: Iterable[Batch] = (),
    prompts: Iterable[str] = (),
    checks: Mapping[str, HeldOutSentences] | None = None,
    shared: bool = False,
    workers: int = 1,
    progress: Progress,
) -> Trimmed:
    """Trim `teacher` to the pieces that the text of `batches` uses, under the recipe's target.

    `heldout` is read after the text, and may be filled by it. `weights` and `languages` are those
    of the text's sources, one language unless given; `foreign` is text that the language filter
    left out, counted for comparison alone; the
    pieces of `prompts`, which stand before the model's texts, stay; `checks` choose nothing.
    With `shared` what has no row for each piece is the teacher's own, in memory once.
    Raises UserError if there is no text or the target cannot be reached.
    """
    vocabulary = open_vocabulary(teacher.tokenizer)
    check_rows(teacher.model, vocabulary)
    names = list(dict.fromkeys(languages)) or ["the text"]
    of = [names.index(language) for language in languages] or [0] * len(weights)
    total = len(batches) if isinstance(batches, Sequence) else None
    with progress.task("vocabulary: counting pieces", total=total, unit="batches") as task:
        counts = count_text(
            batches, vocabulary, languages=of, workers=workers, advance=task.advance
        )
        noise = count_text(foreign, vocabulary, languages=of, workers=1)
    if not counts.pieces.any():
        raise UserError("vocabulary: the text is empty; there is nothing to choose pieces by.")
    if not heldout:
        raise UserError(
            "corpus: the held-out documents have no sentence to prove anything on; hold out more."
        )
    with progress.task("vocabulary: computing the curve", total=1):
        own = _by_language(heldout, of, names) if len(names) > 1 else []
        units, (held, *others) = segment_heldout(
            [list(heldout), *own, *map(list, (checks or {}).values())], vocabulary
        )
        by_language, checked = others[: len(own)] or [held], others[len(own) :]
        pinned = pinned_pieces(teacher, vocabulary, section, prompts)

        def curve_of(rankings: Sequence[Ranking]) -> Curve:
            return Curve(
                rankings,
                vocabulary,
                units,
                parameters=teacher.model.num_parameters(),
                rows=embedding_rows(teacher.model),
                piece_parameters=piece_parameters(teacher.model),
            )

        rankings, symbols = rank_pieces(vocabulary, section, counts, pinned, weights, of)
        kept = choose_pieces(rankings, section, [part.sentences for part in by_language], names)
        curve = curve_of(rankings)
        chosen = curve.fidelity("the text", held, kept)
        of_languages = [
            curve.fidelity(name, text, kept)
            for name, text in zip(names, by_language, strict=True)
            if len(names) > 1
        ]
        of_checks = [
            curve.fidelity(name, text, kept)
            for name, text in zip(checks or (), checked, strict=True)
        ]
        unfiltered = None
        if noise.pieces.any():
            noisy, _ = rank_pieces(vocabulary, section, counts + noise, pinned, weights, of)
            unfiltered = curve_of(noisy).points(held)
    new_ids = renumbering(kept)
    trimmed = LoadedModel(
        model=trim_model(teacher.model, new_ids, shared=shared),
        tokenizer=vocabulary.trim(new_ids),
    )
    return Trimmed(
        teacher=trimmed,
        new_ids=new_ids,
        chosen=chosen.chosen,
        curve=chosen.curve,
        unfiltered=unfiltered,
        languages=of_languages,
        checks=of_checks,
        symbols_unseen=sum(not counts.pieces[:, i].any() for i in symbols),
    )


def _by_language(
    heldout: HeldOutSentences, of: Sequence[int], names: Sequence[str]
) -> list[list[str]]:
    """The held-out sentences of each language. Raises UserError if one has none."""
    sentences: list[list[str]] = [[] for _ in names]
    for sentence, source in heldout.origins().items():
        sentences[of[source]].append(sentence)
    if missing := [name for name, own in zip(names, sentences, strict=True) if not own]:
        raise UserError(
            f"corpus: the held-out documents have no sentence in {missing[0]} to prove anything "
            "on; hold out more, or give more of its text."
        )
    return sentences


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
