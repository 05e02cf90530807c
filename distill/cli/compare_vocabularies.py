"""`distill compare-vocabularies`: two vocabularies on the same text, without a recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from distill.cli.console import OUT
from distill.cli.options import as_options, model_name, section_of
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table
    from transformers import PreTrainedTokenizerBase

    from distill.runtime.progress import Progress
    from distill.vocabulary.side_by_side import Share, VocabularyComparison


def compare_vocabularies(
    first: Annotated[
        str,
        typer.Argument(metavar="A", help="A Hub id, a folder, a run, or package:NAME."),
    ],
    second: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    text: Annotated[
        list[str],
        typer.Option(
            help="Text that chose neither (txt, jsonl, parquet, conllu, srt; .gz; globs).",
            metavar="FILE",
        ),
    ],
    teacher: Annotated[
        str | None,
        typer.Option(
            help="The untrimmed model: which sentences are written as it writes them?",
            metavar="MODEL",
            show_default="none",
        ),
    ] = None,
    column: Annotated[
        str, typer.Option(help="The column of jsonl and parquet files that holds the text.")
    ] = "text",
    json_file: Annotated[
        Path | None,
        typer.Option(
            "--json", help="Write the figures to this file, too.", show_default="not written"
        ),
    ] = None,
) -> None:
    """Compare two vocabularies on the same text: pieces, sentences identical to the teacher's,
    unknown pieces, tokens a word.
    """
    from distill.runtime.files import write_whole
    from distill.runtime.progress import Progress
    from distill.vocabulary.side_by_side import difference_in_words

    if json_file is not None and json_file.is_dir():
        raise UserError(f"--json: {json_file} is a folder; name a file.")
    compared = compare_on_files(
        first, second, text, teacher=teacher, column=column, progress=Progress()
    )
    for label, name in compared.models.items():  # names are too long for a table's titles
        OUT.print(f"{label}: {name}", markup=False, soft_wrap=True)
    OUT.print(comparison_table(compared))
    OUT.print(difference_in_words(compared.comparison), markup=False, soft_wrap=True)
    if json_file is not None:
        json_file.parent.mkdir(parents=True, exist_ok=True)
        content = json.dumps(asdict(compared), ensure_ascii=False, indent=2) + "\n"
        write_whole(json_file, content)


@dataclass(frozen=True, kw_only=True, slots=True)
class ComparedModels:
    """The comparison of two models' vocabularies, with what their configurations say."""

    models: dict[str, str]
    """What A, B and the teacher were called."""
    embedding_parameters: dict[str, int | None]
    """Parameters of each embedding table; None where a configuration is not a text encoder's."""
    comparison: VocabularyComparison


def compare_on_files(
    first: str,
    second: str,
    text: Sequence[str],
    *,
    teacher: str | None = None,
    column: str = "text",
    progress: Progress,
) -> ComparedModels:
    """Compare the vocabularies of two models on the sentences of the files `text`.

    Raises UserError for what a user can put right.
    """
    from distill.corpus.sources import list_files
    from distill.recipe import Source
    from distill.runtime.progress import silence_libraries
    from distill.vocabulary.heldout import read_sentences
    from distill.vocabulary.side_by_side import compare_tokenizers

    silence_libraries()
    with as_options({"say format: ": "it should end in one of "}):
        sources = [section_of(Source, {"path": path, "column": column}) for path in text]
        for source in sources:
            list_files(source)  # a typo is told before anything is loaded
    models = {"A": first, "B": second, **({} if teacher is None else {"--teacher": teacher})}
    tokenizers = {label: _load_tokenizer(name, label) for label, name in models.items()}
    with (
        as_options({"say format: ": "it should end in one of "}),
        progress.task("vocabularies: reading text", total=1),
    ):
        sentences = list(read_sentences(sources))
    if not sentences:
        raise UserError(f"--text: {', '.join(text)} has no sentence to compare vocabularies on.")
    with progress.task("vocabularies: writing sentences", total=1):
        comparison = compare_tokenizers(
            tokenizers["A"], tokenizers["B"], sentences, teacher=tokenizers.get("--teacher")
        )
    return ComparedModels(
        models={label.removeprefix("--"): name for label, name in models.items()},
        embedding_parameters={
            label.removeprefix("--"): _embedding_parameters(name) for label, name in models.items()
        },
        comparison=comparison,
    )


def comparison_table(compared: ComparedModels) -> Table:
    """What the command line prints: a line a figure, a column a vocabulary."""
    from rich.table import Table

    from distill.report.formats import format_count

    comparison = compared.comparison
    columns = {"A": comparison.first, "B": comparison.second, "teacher": comparison.teacher}
    shown = {label: figures for label, figures in columns.items() if figures is not None}
    each = list(shown.values())
    table = Table(box=None, pad_edge=False)
    table.add_column(no_wrap=True)
    for label in shown:
        table.add_column(label, justify="right")

    def add_shares(title: str, shares: Sequence[Share | None], digits: int) -> None:
        table.add_row(title, *(_percent(share, digits) for share in shares))
        table.add_row("  95% interval", *(_ends(share, digits) for share in shares))

    parameters = (compared.embedding_parameters[label] for label in shown)
    table.add_row("pieces", *(f"{figures.pieces:,}" for figures in each))
    table.add_row("embedding parameters", *map(format_count, parameters))
    if comparison.teacher is not None:
        add_shares("sentences identical", [figures.identical for figures in each], 2)
    add_shares("sentences without unknowns", [figures.without_unknown for figures in each], 2)
    unknown = (figures.unknown_pieces_per_million for figures in each)
    table.add_row("unknown pieces a million", *(f"{pieces:,.1f}" for pieces in unknown))
    add_shares("unknown characters", [figures.unknown_characters for figures in each], 4)
    table.add_row("tokens a word", *(f"{figures.tokens_per_word:.3f}" for figures in each))
    table.caption = f"{comparison.sentences:,} sentences, {comparison.words:,} words"
    table.caption_justify = "left"
    return table


def _percent(share: Share | None, digits: int) -> str:
    return "" if share is None else f"{share.value:.{digits}%}"


def _ends(share: Share | None, digits: int) -> str:
    if share is None or share.low is None or share.high is None:
        return ""
    return f"{100 * share.low:.{digits}f} to {100 * share.high:.{digits}f}"


def _load_tokenizer(name: str, label: str) -> PreTrainedTokenizerBase:
    from distill.models import load_tokenizer
    from distill.recipe.model_reference import ModelRef
    from distill.vocabulary.families import open_vocabulary

    with as_options({"teacher.model:": f"{label}:", "MODEL:": f"{label}:"}):
        tokenizer = load_tokenizer(ModelRef.of(model_name(name)).location)
        open_vocabulary(tokenizer)  # a family that is not known is told by the model's place
    return tokenizer


def _embedding_parameters(name: str) -> int | None:
    from distill.models import load_config
    from distill.models.operations import embedding_parameters
    from distill.recipe.model_reference import ModelRef

    try:
        return embedding_parameters(load_config(ModelRef.of(model_name(name)).location))
    except UserError:  # a vocabulary can be compared without an encoder
        return None
