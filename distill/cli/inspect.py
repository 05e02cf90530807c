"""The look inside alone: the names of any models and parallel sentences go in; figures, tables and
a page come out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from distill.cli.console import OUT
from distill.cli.options import as_options, model_name, section_of
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from distill.report.results.inspection import InspectionResult
    from distill.runtime.progress import Progress

_OPTIONS = {
    "teacher.model": "MODEL",
    "inspection.models": "MODEL",
    "inspection.sentences": "--sentences",
    "inspection.kept": "--kept",
    "inspection.max_sentences:": "--max-sentences",
    "inspection.languages": "--languages",
}
"""What a recipe's keys are called on the command line."""


def inspect(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Hub ids, folders, runs, package:NAME; the others are compared with the first.",
        ),
    ],
    sentences: Annotated[
        str,
        typer.Option(
            help="Parallel sentences: a file, or a folder with a file or folder a language."
        ),
    ],
    output: Annotated[Path, typer.Option(help="The folder to write figures, tables and page to.")],
    kept: Annotated[
        str | None,
        typer.Option(
            help="The language that the students are for.",
            metavar="LANGUAGE",
            show_default="none",
        ),
    ] = None,
    languages: Annotated[
        str | None,
        typer.Option(help="Languages, with commas.", metavar="en,sv,...", show_default="all"),
    ] = None,
    max_sentences: Annotated[
        int | None, typer.Option(help="At most so many, drawn.", show_default="all")
    ] = None,
    prefix: Annotated[
        str,
        typer.Option(
            help='What the models want in front of a text, such as "query: ".',
            show_default="nothing",
        ),
    ] = "",
    pooling: Annotated[
        str | None,
        typer.Option(help="mean, cls, max, lasttoken or weightedmean.", show_default="mean"),
    ] = None,
    id_column: Annotated[
        str | None,
        typer.Option(
            "--id", help="The column of the ids that translations share.", show_default="id"
        ),
    ] = None,
    text_column: Annotated[
        str | None, typer.Option("--text", help="The column of the sentences.", show_default="text")
    ] = None,
    language_column: Annotated[
        str | None,
        typer.Option("--language", help="The column of the languages.", show_default="language"),
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="auto, float32 or bfloat16.", show_default="auto")
    ] = None,
) -> None:
    """Show what each layer of any models knows of language and meaning, on sentences that are
    translations of each other.
    """
    from distill.inspection.writing import PAGE
    from distill.runtime.progress import Progress

    result = inspect_to_folder(
        models,
        section={
            "sentences": sentences,
            "languages": None
            if languages is None
            else [code.strip() for code in languages.split(",") if code.strip()],
            "max_sentences": max_sentences,
            "id": id_column,
            "text": text_column,
            "language": language_column,
            "precision": precision,
        },
        pooling=pooling,
        prefix=prefix,
        kept=kept,
        output=output,
        progress=Progress(),
    )
    for table in inspection_tables(result):
        OUT.print(table)
    OUT.print(f"page: {output / PAGE}; figures and tables beside it", markup=False, soft_wrap=True)


def inspect_to_folder(
    models: Sequence[str],
    *,
    section: Mapping[str, Any],
    pooling: str | None,
    prefix: str,
    kept: str | None,
    output: Path,
    progress: Progress,
) -> InspectionResult:
    """Look into `models` on the sentences that `section` names, and write figures, tables and page
    to `output`.

    `section` holds the keys of a recipe's `inspection:`. Hidden states that `output` keeps from an
    earlier call are taken from there. Raises UserError for what a user can put right.
    """
    from distill.inspection.inspect import inspect_models
    from distill.models import load_config, load_with_tokenizer, model_identity
    from distill.recipe import InspectionSection, TeacherSection
    from distill.recipe.model_reference import ModelRef
    from distill.runtime.hashes import FileHashes
    from distill.runtime.progress import silence_libraries

    if output.exists() and not output.is_dir():
        raise UserError(f"--output: {output} is a file; name a folder.")
    named = {name: ModelRef.of(name).location for name in map(model_name, models)}
    checked = section_of(InspectionSection, {"models": list(named), **section})
    teacher_section = section_of(
        TeacherSection, {"model": models[0], "pooling": pooling, "prefixes": {"query": prefix}}
    )
    silence_libraries()
    with as_options(_OPTIONS):
        for location in named.values():
            load_config(location)  # finds a typo before anything is computed
        output.mkdir(parents=True, exist_ok=True)
        return inspect_models(
            checked,
            load=lambda name: load_with_tokenizer(named[name]),
            identify=lambda name: model_identity(named[name], "main", FileHashes()),
            teacher_section=teacher_section,
            kept=kept,
            seed=0,
            output=output,
            progress=progress,
        )


def inspection_tables(result: InspectionResult) -> list[Table]:
    """What the command line prints: of each model a line a layer, and one a language."""
    from dataclasses import asdict

    from rich.table import Table

    from distill.inspection.wording import short_name
    from distill.inspection.writing import (
        language_cells,
        language_titles,
        layer_cells,
        layer_titles,
    )

    tables = []
    for model in asdict(result)["models"]:
        for title, titles, rows, cells in (
            ("layer by layer", layer_titles(), model["layers"], layer_cells),
            (
                "language by language, in the last layer",
                language_titles(result.kept),
                model["languages"],
                language_cells,
            ),
        ):
            table = Table(titles[0], box=None, pad_edge=False, title_justify="left")
            table.title = f"\n{escape(short_name(model['model']))}, {title}"
            for column in titles[1:]:
                table.add_column(column, justify="right")
            for row in rows:
                table.add_row(*map(escape, cells(row)))
            tables.append(table)
    return tables
