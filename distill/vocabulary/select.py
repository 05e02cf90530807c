"""The vocabulary stage: documents and a teacher go in; a trimmed teacher with its proof comes out,
in a folder.

The folder holds model/ (a stock transformers folder), curve.json, and changed.jsonl: every held-out
sentence whose segmentation changed, with both segmentations, worst first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill.models import LoadedModel
from distill.models.loading import load_model
from distill.models.saving import save_model
from distill.models.sentence_form import SentenceForm
from distill.models.sentence_writing import write_form_of
from distill.recipe import VocabularySection
from distill.report.results.vocabulary import SourceFidelity, VocabularyResult
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.vocabulary.counting import Batch
from distill.vocabulary.heldout import HeldOutSentences, read_sentences
from distill.vocabulary.in_memory import trim_teacher
from distill.vocabulary.proof import prove
from distill.vocabulary.verification import Segmentation, segment

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_UNCLEANED = "held-out text before cleaning"


def select_vocabulary(
    section: VocabularySection,
    *,
    teacher: LoadedModel,
    batches: Iterable[Batch],
    heldout: Iterable[tuple[int, str]],
    uncleaned: Iterable[str] = (),
    foreign: Iterable[Batch] = (),
    prompts: Iterable[str] = (),
    sources: Sequence[tuple[str, float]] = (("text", 1.0),),
    languages: Sequence[str] = (),
    model_folder: str = "model",
    form: SentenceForm | None = None,
    output: Path,
    workers: int = 1,
    progress: Progress,
) -> VocabularyResult:
    """Trim the teacher, save it to `output` and prove it on the `heldout` sentences, each with the
    number of its source.

    `uncleaned` are the held-out texts before cleaning, whose fidelity is told besides. `sources`
    are names and weights, `languages` theirs where there are several; the pieces of
    `prompts`, which stand before the model's texts, stay. `form` is how the teacher makes sentence
    vectors, which the folder then says, too. Raises UserError if fewer held-out sentences than the
    recipe's floor keep their segmentation, of all or in one of the languages.
    """
    from transformers import AutoTokenizer

    held = HeldOutSentences(heldout)
    origins, sentences = held.origins(), list(held)
    weights = [weight for _, weight in sources]
    checks = read_checks(section)
    if as_given := HeldOutSentences.of(uncleaned):
        checks[_UNCLEANED] = as_given
    trimmed = trim_teacher(
        teacher,
        section,
        batches,
        held,
        weights=weights,
        languages=languages,
        foreign=foreign,
        prompts=prompts,
        checks=checks,
        shared=True,
        workers=workers,
        progress=progress,
    )
    folder = output / model_folder
    save_model(trimmed.teacher.model, trimmed.teacher.tokenizer, folder)
    if form is not None:
        write_form_of(
            LoadedModel(model=trimmed.teacher.model, tokenizer=teacher.tokenizer), form, folder
        )
    # The proof is about what was saved, not about what is in memory.
    saved = LoadedModel(model=load_model(folder), tokenizer=AutoTokenizer.from_pretrained(folder))
    with progress.task("vocabulary: segmenting held-out text", total=1):
        segmentation = segment(sentences, teacher.tokenizer, saved.tokenizer, trimmed.new_ids)
    _write_changed(
        output / "changed.jsonl", sentences, segmentation, teacher.tokenizer, saved.tokenizer
    )
    fidelity = {text.name: text for text in trimmed.checks}
    before_cleaning = fidelity.pop(_UNCLEANED, None)
    unfiltered = trimmed.unfiltered
    points = {
        "chosen": asdict(trimmed.chosen),
        "points": [asdict(point) for point in trimmed.curve],
        "unfiltered": None if unfiltered is None else [asdict(point) for point in unfiltered],
        "languages": [asdict(language) for language in trimmed.languages],
        "checks": [asdict(text) for text in fidelity.values()],
        "uncleaned": None if before_cleaning is None else asdict(before_cleaning),
    }
    (output / "curve.json").write_text(json.dumps(points, indent=2) + "\n", encoding="utf-8")
    shares = [("", float(segmentation.identical.mean()), len(sentences))]
    shares += [
        (f" in {language.name}", language.chosen.heldout_identical, language.heldout_sentences)
        for language in trimmed.languages
    ]
    where, identical, of = min(shares, key=lambda share: share[1])
    if identical < section.floor:
        raise UserError(
            f"vocabulary: {identical:.4f} of {of} held-out sentences{where} keep their "
            "segmentation, below the floor "
            f"of {section.floor}; keep more pieces (a lower min_count, a larger size) or give more "
            "text."
        )
    proof = prove(
        teacher,
        saved,
        segmentation,
        sentences,
        trimmed.new_ids,
        progress,
        seconds=section.proof_seconds,
    )
    return VocabularyResult(
        **asdict(proof),
        chosen=trimmed.chosen,
        curve=trimmed.curve,
        unfiltered_curve=unfiltered,
        languages=trimmed.languages,
        checks=list(fidelity.values()),
        uncleaned=before_cleaning,
        symbols_unseen=trimmed.symbols_unseen,
        sources=_by_source(sources, [origins[sentence] for sentence in sentences], segmentation),
    )


def read_checks(section: VocabularySection) -> dict[str, HeldOutSentences]:
    """The sentences of the texts to check by, under the names of their sources.

    Raises UserError if one has none.
    """
    checks: dict[str, HeldOutSentences] = {}
    for source in section.check:
        sentences = read_sentences([source])
        if not sentences:
            raise UserError(f"vocabulary.check: {source.location} has no sentence to check.")
        checks[unused_name(source.label, checks)] = sentences
    return checks


def unused_name(name: str, taken: Collection[str]) -> str:
    """The name, numbered if it is taken."""
    names = chain([name], (f"{name} ({number})" for number in count(2)))
    return next(candidate for candidate in names if candidate not in taken)


def _by_source(
    sources: Sequence[tuple[str, float]], origins: Sequence[int], segmentation: Segmentation
) -> list[SourceFidelity]:
    """For each source how many held-out sentences it has, and the share of them that is identical
    (None if it has none).
    """
    of = np.array(origins)
    described = []
    for number, (name, weight) in enumerate(sources):
        identical = segmentation.identical[of == number]
        share = float(identical.mean()) if len(identical) else None
        described.append(
            SourceFidelity(
                name=name,
                weight=weight,
                heldout_sentences=len(identical),
                heldout_identical=share,
            )
        )
    return described


def _write_changed(
    path: Path,
    sentences: list[str],
    segmentation: Segmentation,
    original: PreTrainedTokenizerBase,
    trimmed: PreTrainedTokenizerBase,
) -> None:
    """List the sentences whose segmentation changed, those with the most additional tokens
    first.
    """
    changed = [int(i) for i in np.flatnonzero(~segmentation.identical)]
    changed.sort(key=lambda i: len(segmentation.original[i]) - len(segmentation.trimmed[i]))
    with path.open("w", encoding="utf-8") as file:
        for i in changed:
            row = {
                "text": sentences[i],
                "original": original.convert_ids_to_tokens(
                    segmentation.original[i], skip_special_tokens=False
                ),
                "trimmed": trimmed.convert_ids_to_tokens(
                    segmentation.trimmed[i], skip_special_tokens=False
                ),
            }
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
