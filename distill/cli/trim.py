"""Vocabulary trimming alone: a model's name and text files go in; a stock folder with its curve and
proof comes out.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from distill.cli.console import OUT
from distill.cli.options import as_options, section_of
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from distill.recipe import CorpusSection, VocabularySection
    from distill.report.results.vocabulary import VocabularyResult
    from distill.runtime.progress import Progress

_OPTIONS = {
    "teacher.model": "MODEL",
    "corpus.language_filter": "--language-filter",
    "vocabulary.keep.pieces": "--keep",
    "vocabulary.keep.pattern": "--keep-pattern",
    "vocabulary.keep.terms": "--terms",
    "vocabulary.lexicon": "--lexicon",
    "vocabulary.size": "--size",
    "vocabulary.identical": "--identical",
    "vocabulary.check": "--check",
    "vocabulary.proof_seconds": "--proof-seconds",
}
"""What a recipe's keys are called on the command line."""


def trim(
    model: Annotated[
        str, typer.Argument(help="A Hub id, a folder, or package:multilingual-e5-small.")
    ],
    text: Annotated[
        list[str], typer.Argument(help="Text files (txt, jsonl, parquet, conllu, srt; .gz; globs).")
    ],
    output: Annotated[
        Path, typer.Option(help="The folder to write model, tokenizer, curve and proof to.")
    ],
    identical: Annotated[
        float | None,
        typer.Option(
            help="Keep this share of held-out sentences as they are.", show_default="no target"
        ),
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Keep this many pieces.", show_default="no target")
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option(help="Keep this share of running pieces.", show_default="no target"),
    ] = None,
    min_count: Annotated[
        int | None,
        typer.Option(
            help="Keep pieces seen this often.", show_default="3 where there is no other target"
        ),
    ] = None,
    floor: Annotated[
        float, typer.Option(help="Fail if fewer held-out sentences stay as they are.")
    ] = 0.0,
    heldout: Annotated[
        float, typer.Option(help="Share of the documents kept apart for curve and proof.")
    ] = 0.05,
    proof_seconds: Annotated[
        float,
        typer.Option(
            help="Prove for so many seconds: what segmenting leaves is for hidden states."
        ),
    ] = 60.0,
    lexicon: Annotated[
        str | None, typer.Option(help="A word list whose pieces stay.", show_default="none")
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(help="A piece that stays.", metavar="PIECE", show_default="none"),
    ] = None,
    keep_pattern: Annotated[
        str | None,
        typer.Option(help="Pieces that match this stay.", metavar="REGEX", show_default="none"),
    ] = None,
    terms: Annotated[
        str | None,
        typer.Option(help="A file of domain terms whose pieces stay.", show_default="none"),
    ] = None,
    alphabet: Annotated[
        bool, typer.Option(help="Keep every character of the language's scripts, and ASCII.")
    ] = True,
    symbols: Annotated[
        bool,
        typer.Option(help="Keep emoji, punctuation, signs and other languages' Latin letters."),
    ] = True,
    check: Annotated[
        list[str] | None,
        typer.Option(
            help="A text file that chooses nothing, to see how it fares.",
            metavar="FILE",
            show_default="none",
        ),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option(
            help="The text's language (ISO 639-1), to check it.", show_default="not checked"
        ),
    ] = None,
    language_filter: Annotated[
        bool, typer.Option(help="Leave out documents in another language.")
    ] = False,
    column: Annotated[
        str, typer.Option(help="The column of jsonl and parquet files that holds the text.")
    ] = "text",
    revision: Annotated[str, typer.Option(help="The Hub model's branch, tag or commit.")] = "main",
) -> None:
    """Trim a model's vocabulary to the pieces that text files use, proven on documents held out."""
    from distill.runtime.progress import Progress
    from distill.vocabulary.curve import curve_table, fidelity_lines

    result = trim_to_folder(
        model,
        revision=revision,
        sources=[{"path": path, "column": column} for path in text],
        corpus={"heldout": heldout, "language_filter": language_filter},
        vocabulary={
            "identical": identical,
            "size": size,
            "coverage": coverage,
            "min_count": min_count,
            "floor": floor,
            "lexicon": lexicon,
            "keep": {"pieces": keep or [], "pattern": keep_pattern, "terms": terms},
            "alphabet": alphabet,
            "symbols": symbols,
            "check": [{"path": path, "column": column} for path in check or ()],
            "proof_seconds": proof_seconds,
        },
        language=language,
        output=output,
        progress=Progress(),
    )
    table = [*curve_table(result.curve, result.chosen), *fidelity_lines(result)]
    OUT.print("\n".join(table), markup=False, soft_wrap=True)
    difference = result.max_abs_hidden_difference
    compared = "" if result.compared_share in (None, 1) else f"{result.compared_sentences:,} of "
    OUT.print(
        f"{result.kept:,} of {result.original:,} pieces kept; {result.heldout_identical:.2%} of "
        f"{result.heldout_sentences:,} "
        "held-out sentences are segmented as before; largest difference of a hidden state on "
        f"{compared}those: "
        f"{'not measured, there is none' if difference is None else f'{difference:g}'}",
        soft_wrap=True,
    )
    if result.head_sentence:
        OUT.print(result.head_sentence, markup=False, soft_wrap=True)
    OUT.print(f"model: {output}", markup=False, soft_wrap=True)


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

    Besides model and tokenizer it holds curve.json, curve.png, proof.json and changed.jsonl. Raises
    UserError for what a user can put right; the folder is then not there.
    """
    from distill.recipe import CorpusSection, VocabularySection

    with as_options(_OPTIONS):
        text = section_of(CorpusSection, {"sources": sources, **corpus})
        section = section_of(VocabularySection, vocabulary)
        if output.exists() and (not output.is_dir() or any(output.iterdir())):
            raise UserError(
                f"--output: {output} is there already; name another folder, or remove it."
            )
        if text.language_filter and language is None:
            raise UserError("--language-filter needs --language, such as --language sv.")
        for source in [*text.sources, *section.word_lists, *section.check]:
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
    from distill.corpus.collect import collect_corpus
    from distill.corpus.documents import document_batches, numbered_sentences, uncleaned_texts
    from distill.models import load_with_tokenizer
    from distill.models.loading import own_prompts
    from distill.models.sentence_form import declared_form
    from distill.report.canvas import to_png
    from distill.report.plots import vocabulary_plot
    from distill.runtime.progress import silence_libraries
    from distill.runtime.workers import available_workers
    from distill.vocabulary.select import select_vocabulary

    silence_libraries()
    form = declared_form(model, revision)
    teacher = load_with_tokenizer(model, revision)
    documents = folder / "corpus"
    documents.mkdir()
    workers = available_workers()
    read = collect_corpus(
        text, language=language, seed=0, output=documents, progress=progress, workers=workers
    )
    progress.warn(read.warnings)
    batches, foreign = document_batches(documents / "train.jsonl"), documents / "foreign.jsonl"
    heldout = documents / "heldout.jsonl"
    result = select_vocabulary(
        section,
        teacher=teacher,
        batches=batches,
        heldout=numbered_sentences(heldout),
        uncleaned=uncleaned_texts(heldout),
        foreign=document_batches(foreign) if foreign.is_file() else (),
        prompts=own_prompts(model, revision),
        form=form,
        sources=[(source.label, source.weight) for source in text.sources],
        model_folder=".",
        output=folder,
        workers=workers if len(batches) > 1 else 1,
        progress=progress,
    )
    progress.warn(result.warnings)
    shutil.rmtree(documents)
    (folder / "curve.png").write_bytes(to_png(vocabulary_plot(asdict(result))))
    proof = {
        "model": model,
        "revision": revision,
        "corpus": asdict(read),
        "vocabulary": asdict(result),
    }
    (folder / "proof.json").write_text(
        json.dumps(proof, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )
    return result


def _check_files(source: Any) -> None:
    from distill.corpus.sources import list_files

    list_files(source)
