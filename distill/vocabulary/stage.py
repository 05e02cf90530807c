"""The vocabulary stage: documents and a teacher go in; a trimmed teacher with its proof comes out, in a folder.

The folder holds model/ (a stock transformers folder), curve.json, and changed.jsonl: every held-out sentence whose
segmentation changed, with both segmentations, worst first.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.errors import UserError
from distill.progress import Progress
from distill.recipe import VocabularySection
from distill.teacher import Teacher
from distill.teacher.saving import save_model
from distill.vocabulary import unigram
from distill.vocabulary.counting import count_characters, count_pieces, count_units
from distill.vocabulary.selection import CurvePoint, Ranking, fidelity_curve, select_pieces
from distill.vocabulary.trimming import renumbering, tokenizer_definition, trim_model, trim_tokenizer
from distill.vocabulary.verification import Segmentation, max_hidden_difference, raw_agreement, segment

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True, slots=True)
class VocabularyResult:
    """What trimming kept and changed; shares and rates are fractions of 1."""

    original: int
    kept: int
    heldout_sentences: int
    heldout_identical: float
    heldout_identical_sentences: int
    heldout_raw_agreement: float
    """Share of held-out sentences for which the `tokenizers` library alone gives the same ids as transformers."""
    heldout_unk_rate: float
    heldout_unk_rate_original: float
    tokens_per_word: float
    tokens_per_word_original: float
    max_abs_hidden_difference: float | None
    curve: list[dict[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trimmed:
    """A trimmed teacher in memory, and how it came about."""

    teacher: Teacher
    new_ids: dict[int, int]
    curve: list[CurvePoint]


def trim(teacher: Teacher, section: VocabularySection, texts: Iterable[str], heldout: list[str], progress: Progress) -> Trimmed:
    """Trim `teacher` to the pieces that `texts` use, under the recipe's target."""
    from tokenizers import Tokenizer

    tokenizer = teacher.tokenizer
    definition = tokenizer_definition(tokenizer)
    # A copy: the tokenizer may pad or cut off, as its file or its last call said.
    backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    backend.no_padding()
    backend.no_truncation()
    with progress.task("vocabulary: counting words", unit="documents") as task:
        units = count_units(_advancing(texts, task.advance), backend)
    with progress.task("vocabulary: counting pieces", total=1):
        counts = count_pieces(units, backend)
        alphabet = count_characters(units, backend) | unigram.ASCII if section.alphabet else set()
    required = frozenset(unigram.required_pieces(definition, alphabet))
    ranking = Ranking(counts=counts, required=required, needs=unigram.needed_characters(definition))
    segmented = [encoding.ids for encoding in backend.encode_batch_fast(heldout, add_special_tokens=False)]
    new_ids = renumbering(select_pieces(ranking, section, segmented))
    trimmed = Teacher(model=trim_model(teacher.model, new_ids), tokenizer=trim_tokenizer(tokenizer, new_ids))
    return Trimmed(teacher=trimmed, new_ids=new_ids, curve=fidelity_curve(ranking, segmented))


def run(
    section: VocabularySection,
    *,
    teacher: Teacher,
    texts: Iterable[str],
    heldout: Iterable[str],
    output: Path,
    progress: Progress,
) -> VocabularyResult:
    """Trim the teacher, save it to `output` and prove it on the `heldout` sentences.

    Raises UserError if fewer held-out sentences than the recipe's floor keep their segmentation.
    """
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    sentences = list(dict.fromkeys(heldout))
    if not sentences:
        raise UserError("corpus: the held-out documents have no sentence to prove anything on; hold out more.")
    trimmed = trim(teacher, section, texts, sentences, progress)
    folder = output / "model"
    save_model(trimmed.teacher.model, trimmed.teacher.tokenizer, folder)
    saved = AutoTokenizer.from_pretrained(folder)  # the proof is about what was saved, not about what is in memory
    with progress.task("vocabulary: segmenting held-out text", total=1):
        segmentation = segment(sentences, teacher.tokenizer, saved, trimmed.new_ids)
        agreement = raw_agreement(Tokenizer.from_file(str(folder / "tokenizer.json")), sentences, segmentation.trimmed)
    _write_changed(output / "changed.jsonl", sentences, segmentation, teacher.tokenizer, saved)
    identical = float(segmentation.identical.mean())
    if identical < section.floor:
        raise UserError(
            f"vocabulary: {identical:.4f} of {len(sentences)} held-out sentences keep their segmentation, below the floor "
            f"of {section.floor}; keep more pieces (a lower min_count, a larger size) or give more text."
        )
    tokens = sum(len(ids) for ids, same in zip(segmentation.original, segmentation.identical, strict=True) if same)
    with progress.task("vocabulary: proving hidden states equal", total=tokens, unit="tokens") as task:
        difference = max_hidden_difference(teacher.model, trimmed.teacher.model, segmentation, task.advance)
    curve = [asdict(point) for point in trimmed.curve]
    (output / "curve.json").write_text(json.dumps(curve, indent=2) + "\n", encoding="utf-8")
    words = sum(len(sentence.split()) for sentence in sentences)
    return VocabularyResult(
        original=len(teacher.tokenizer),
        kept=len(trimmed.new_ids),
        heldout_sentences=len(sentences),
        heldout_identical=identical,
        heldout_identical_sentences=int(segmentation.identical.sum()),
        heldout_raw_agreement=agreement,
        heldout_unk_rate=segmentation.unknown_rate(segmentation.trimmed, saved.unk_token_id),
        heldout_unk_rate_original=segmentation.unknown_rate(segmentation.original, teacher.tokenizer.unk_token_id),
        tokens_per_word=segmentation.tokens_per_word(segmentation.trimmed, words),
        tokens_per_word_original=segmentation.tokens_per_word(segmentation.original, words),
        max_abs_hidden_difference=difference,
        curve=curve,
    )


def _write_changed(
    path: Path,
    sentences: list[str],
    segmentation: Segmentation,
    original: PreTrainedTokenizerBase,
    trimmed: PreTrainedTokenizerBase,
) -> None:
    """List the sentences whose segmentation changed, those with the most additional tokens first."""
    changed = [int(i) for i in np.flatnonzero(~segmentation.identical)]
    changed.sort(key=lambda i: len(segmentation.original[i]) - len(segmentation.trimmed[i]))
    with path.open("w", encoding="utf-8") as file:
        for i in changed:
            row = {
                "text": sentences[i],
                "original": original.convert_ids_to_tokens(segmentation.original[i], skip_special_tokens=False),
                "trimmed": trimmed.convert_ids_to_tokens(segmentation.trimmed[i], skip_special_tokens=False),
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def _advancing(texts: Iterable[str], advance: Any) -> Iterable[str]:
    for text in texts:
        yield text
        advance(1)
