"""`distill recipes`: list the recipes that can be run by name."""

from __future__ import annotations

import re

from rich.markup import escape

from distill.cli.console import OUT
from distill.runtime.errors import UserError

_SENTENCE = re.compile(r".+?(?<!et al)\.(?=\s|$)")


def recipes() -> None:
    """List the recipes that can be run by name, with what each is for and what it lacks here."""
    from rich.table import Table

    from distill.recipe.reading import list_recipes

    table = Table(box=None, pad_edge=False, show_header=False)
    for path in list_recipes():
        lacks = what_it_lacks(str(path))
        note = f"\n[yellow]{escape(lacks)}[/yellow]" if lacks else ""
        purpose = escape(purpose_of(path.read_text(encoding="utf-8")))
        table.add_row(f"[bold]{escape(path.stem)}[/bold]", purpose + note)
    OUT.print(table)


def purpose_of(text: str) -> str:
    """The first sentence of the comment at a recipe's head; nothing where there is none."""
    words: list[str] = []
    for line in text.splitlines():
        if line.startswith("# yaml-language-server:"):
            continue
        if not line.startswith("#") or not line.strip("# "):
            break
        words.append(line.strip("# "))
    told = " ".join(words)
    sentence = _SENTENCE.match(told)
    return sentence[0] if sentence else told


def what_it_lacks(path: str) -> str | None:
    """Why a recipe cannot be read here; None if it can."""
    from distill.recipe.reading import load_recipe

    try:
        load_recipe(path)
    except UserError as error:
        missing = re.findall(r"environment variable (\w+), which is not set", str(error))
        if missing:
            return f"Set {' and '.join(dict.fromkeys(missing))} first."
        return str(error).splitlines()[-1].strip()
    return None
