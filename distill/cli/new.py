"""`distill new`: write a recipe for a language."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from distill.cli.console import OUT


def new(
    language: Annotated[
        list[str],
        typer.Argument(
            metavar="LANGUAGE",
            help="Codes of ISO 639 (sv) or English names (swedish); several for one student.",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option(help="The file to write.", show_default="LANGUAGE.yaml")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="A teacher known by name, such as multilingual-e5-base.",
            show_default="one that knows the language",
        ),
    ] = None,
) -> None:
    """Write a commented recipe for one language or several, to be read, changed and run."""
    from distill.new.command import write_recipe

    path = write_recipe(language, output, teacher)
    OUT.print(f"recipe: {path}", markup=False, soft_wrap=True)
    OUT.print(f"next: python -m distill recipe {path} --dry-run", markup=False, soft_wrap=True)
