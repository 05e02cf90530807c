"""`distill recipes`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from distill.cli.recipes import purpose_of
from distill.recipe.reading import list_recipes


@pytest.mark.parametrize("path", list_recipes(), ids=lambda path: path.stem)
def test_every_recipe_says_what_it_is_for_in_a_whole_sentence(path: object) -> None:
    purpose = purpose_of(path.read_text(encoding="utf-8"))  # type: ignore[attr-defined]
    assert purpose.endswith(".") and not purpose.endswith("al.")


@pytest.mark.parametrize(
    ("text", "purpose"),
    [
        ("# One. Two.\nname: a\n", "One."),
        (
            "# As Conneau et al. 2018 have\n# it. More.\n#\n#   make\n",
            "As Conneau et al. 2018 have it.",
        ),
        ("# no end\nname: a\n", "no end"),
        ("name: a\n", ""),
    ],
)
def test_the_first_sentence_of_the_head_is_taken(text: str, purpose: str) -> None:
    assert purpose_of(text) == purpose


def test_what_a_recipe_lacks_here_is_said_in_a_line(
    distill: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    lines = [line.strip() for line in distill("recipes", DISTILL_DATA="").stdout.splitlines()]
    assert "Set DISTILL_DATA first." in lines
    assert any(line.startswith("quickstart ") for line in lines)
