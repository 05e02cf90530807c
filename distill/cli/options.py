"""What a stand-alone command is told: options go in; sections of a recipe come out, and mistakes in
the options' own words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from distill.recipe import Section

Kind = TypeVar("Kind", bound="Section")


def section_of(kind: type[Kind], values: Mapping[str, Any]) -> Kind:
    """A recipe's section from options; those that were not given are left out. Raises UserError
    with every mistake.
    """
    from pydantic import ValidationError

    try:
        return kind.model_validate(
            {key: value for key, value in values.items() if value is not None}
        )
    except ValidationError as error:
        problems = []
        for problem in error.errors():
            where = "-".join(str(part) for part in problem["loc"] if part != "keep").replace(
                "_", "-"
            )
            message = problem["msg"].removeprefix("Value error, ")
            problems.append(
                f"--{where}: {message}; found {problem['input']!r}." if where else f"{message}."
            )
        raise UserError("\n".join(problems)) from error


def words_of(given: Sequence[str] | None, option: str, known: Sequence[str]) -> list[str] | None:
    """The words of an option that was given several times, or once with commas; None if it was not.

    Raises UserError for a word that is not known.
    """
    words = _split(given)
    for word in words:
        if word not in known:
            raise UserError(f"{option}: {word!r} should be one of {', '.join(known)}.")
    return words or None


def counts_of(
    given: Sequence[str] | None, option: str, *, least: int = 1, word: str | None = None
) -> list[int | str] | None:
    """The whole numbers of an option that was given several times, or once with commas; None if it
    was not.

    Instead of a number `word` may stand, if there is one. Raises UserError for anything else.
    """
    counts: list[int | str] = []
    for text in _split(given):
        if text == word:
            counts.append(text)
            continue
        if not text.isascii() or not text.isdigit() or int(text) < least:
            other = f", or {word}" if word else ""
            raise UserError(
                f"{option}: {text!r} should be a whole number of at least {least}{other}."
            )
        counts.append(int(text))
    return counts or None


def model_name(model: str) -> str:
    """A model's name as sections take it: a folder of one word is a path. Raises UserError for any
    other single word.
    """
    from distill.recipe.model_reference import check_model_name, no_folder

    if Path(model).is_dir() and "/" not in model:
        return f"./{model}"
    try:
        return check_model_name(model, known=())
    except ValueError as error:
        raise UserError(no_folder(model), key="MODEL") from error


@contextmanager
def as_options(names: Mapping[str, str]) -> Iterator[None]:
    """What goes wrong is told in the command line's words: `names` has those of a recipe's keys."""
    try:
        yield
    except UserError as error:
        text = str(error)
        for key, option in names.items():
            text = text.replace(key, option)
        raise UserError(text) from error


def _split(given: Sequence[str] | None) -> list[str]:
    return [
        part
        for text in given or ()
        for part in (piece.strip() for piece in text.split(","))
        if part
    ]
