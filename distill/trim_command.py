"""Vocabulary trimming alone: a model's name and text files go in; a stock folder with its curve and proof comes out."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.errors import UserError
from distill.options import as_options, section_of
from distill.progress import Progress, silence_libraries
from distill.recipe import CorpusSection, VocabularySection

if TYPE_CHECKING:
    from distill.vocabulary.stage import VocabularyResult

_OPTIONS = {
    "teacher.model": "MODEL",
    "corpus.language_filter": "--language-filter",
    "vocabulary.keep.pieces": "--keep",
    "vocabulary.keep.pattern": "--keep-pattern",
    "vocabulary.keep.terms": "--terms",
    "vocabulary.lexicon": "--lexicon",
    "vocabulary.size": "--size",
    "vocabulary.identical": "--identical",
}
"""What a recipe's keys are called on the command line."""


def trim_to_folder(
    model: str,
    *,
    revision: str,
    sources: Sequence[Mapping[str, Any]],
    corpus: Mapping[str, Any],
    vocabulary: Mapping[str, Any],
    language: str | None,
    output: Path,
    progress: Progress,
) -> VocabularyResult:
    """Trim `model` to the text of `sources`, and write everything to the new folder `output`.

    Besides model and tokenizer it holds curve.json, curve.png, proof.json and changed.jsonl. Raises UserError for what a
    user can put right; the folder is then not there.
    """
    with as_options(_OPTIONS):
        text = section_of(CorpusSection, {"sources": sources, **corpus})
        section = section_of(VocabularySection, vocabulary)
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise UserError(f"--output: {output} is there already; name another folder, or remove it.")
        if text.language_filter and language is None:
            raise UserError("--language-filter needs --language, such as --language sv.")
        for source in [*text.sources, *section.word_lists]:
            _check_files(source)
        partial = output.with_name(f".{output.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        try:
            partial.mkdir(parents=True)
            result = _trim(model, revision, text, section, language, partial, progress)
            if output.exists():
                output.rmdir()
            partial.rename(output)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return result


def _trim(
    model: str,
    revision: str,
    text: CorpusSection,
    section: VocabularySection,
    language: str | None,
    folder: Path,
    progress: Progress,
) -> VocabularyResult:
    from distill.corpus import stage as corpus_stage
    from distill.corpus.documents import document_batches, read_documents
    from distill.report.canvas import to_png
    from distill.report.plots import vocabulary_plot
    from distill.teacher import load_teacher
    from distill.vocabulary import stage
    from distill.vocabulary.counting import available_workers

    silence_libraries()
    teacher = load_teacher(model, revision, task_heads=True)
    documents = folder / "corpus"
    documents.mkdir()
    read = corpus_stage.run(text, language=language, seed=0, output=documents, progress=progress)
    progress.warn(read.warnings)
    batches, foreign = document_batches(documents / "train.jsonl"), documents / "foreign.jsonl"
    heldout = read_documents(documents / "heldout.jsonl")
    result = stage.run(
        section,
        teacher=teacher,
        batches=batches,
        heldout=((document.source, sentence) for document in heldout for sentence in document.sentences),
        foreign=document_batches(foreign) if foreign.is_file() else (),
        sources=[(source.label, source.weight) for source in text.sources],
        model_folder=".",
        output=folder,
        workers=available_workers() if len(batches) > 1 else 1,
        progress=progress,
    )
    progress.warn(result.warnings)
    shutil.rmtree(documents)
    (folder / "curve.png").write_bytes(to_png(vocabulary_plot(asdict(result))))
    proof = {"model": model, "revision": revision, "corpus": asdict(read), "vocabulary": asdict(result)}
    (folder / "proof.json").write_text(json.dumps(proof, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    return result


def _check_files(source: Any) -> None:
    from distill.corpus.sources import list_files

    list_files(source)
