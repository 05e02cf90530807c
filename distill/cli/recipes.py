"""`distill recipes`: list the recipes that can be run by name."""

from __future__ import annotations

from rich.markup import escape

from distill.cli.console import OUT
from distill.runtime.errors import UserError


def recipes() -> None:
    """List the recipes that can be run by name."""
    from distill.recipe.reading import list_recipes, load_recipe

    for path in list_recipes():
        lines = (line for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
        first = next((line for line in lines if not line.startswith("# yaml-language-server:")), "")
        note = first.removeprefix("#").strip() if first.startswith("#") else ""
        try:
            load_recipe(str(path))
        except UserError as error:
            note = f"{note} Not ready: {str(error).splitlines()[-1].strip()}".strip()
        OUT.print(f"[bold]{escape(path.stem):<20}[/bold] {escape(note)}", soft_wrap=True)
