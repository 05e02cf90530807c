"""Writing a recipe: a language goes in; a new file with a recipe for it comes out."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from distill.corpus.language import LanguageIdentifier
from distill.new.languages import Language, find_language
from distill.new.tasks import known_tasks
from distill.new.teachers import KnownTeacher, find_teacher
from distill.recipe.reading import recipe_folders
from distill.runtime.errors import UserError

XLM_R, MMBERT = "FacebookAI/xlm-roberta-base", "jhu-clsp/mmBERT-base"


def write_recipe(
    language: str | Sequence[str], path: Path | None = None, teacher: str | None = None
) -> Path:
    """Write a recipe for one language or several, codes or English names, to `path` or
    <language>.yaml, and say where it is; with a `teacher` that is known by name.

    Raises UserError if there is no such language or teacher, or one language stands there twice, or
    if the file is there already.
    """
    given = [language] if isinstance(language, str) else language
    languages = [find_language(entry) for entry in given]
    codes = [entry.code for entry in languages]
    if twice := next((entry for entry in languages if codes.count(entry.code) > 1), None):
        raise UserError(f"{twice.name} is named twice; name each language once.")
    known = find_teacher(teacher) if teacher else None
    path = path or Path(f"{recipe_name(languages)}.yaml")
    if path.suffix not in (".yaml", ".yml") or not re.fullmatch(
        r"[A-Za-z0-9][A-Za-z0-9._-]*", path.stem
    ):
        raise UserError(
            f"--output: {path} should be a file's name such as {recipe_name(languages)}.yaml."
        )
    if not path.parent.is_dir():
        raise UserError(f"--output: there is no folder {path.parent}; make it, or name another.")
    schema = next(
        (
            folder / "schema.json"
            for folder in recipe_folders()
            if (folder / "schema.json").is_file()
        ),
        None,
    )
    text = recipe_text(
        languages,
        path.stem,
        os.path.relpath(schema, path.parent) if schema else "schema.json",
        known,
    )
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise UserError(
            f"{path} is there already; remove it, or name another file with --output."
        ) from None
    return path


def recipe_name(languages: Language | Sequence[Language]) -> str:
    """The English names as a file is called: swedish, norwegian-bokmal, swedish-english."""
    if isinstance(languages, Language):
        return _plain_name(languages)
    return "-".join(map(_plain_name, languages))


def _plain_name(language: Language) -> str:
    plain = unicodedata.normalize("NFKD", language.name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain)) or language.code


def recipe_text(
    language: Language | Sequence[Language],
    name: str,
    schema: str,
    known: KnownTeacher | None = None,
) -> str:
    """A commented recipe, in YAML, for one language or several; `schema` is where editors find its
    schema, `known` its teacher, which by default is one that knows the languages.
    """
    languages = [language] if isinstance(language, Language) else list(language)
    in_xlm_r = all(language.in_xlm_r for language in languages)
    usual = XLM_R if in_xlm_r else MMBERT
    environment = Environment(
        loader=PackageLoader("distill.new"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template("recipe.yaml.jinja").render(
        languages=languages,
        name=name,
        schema=schema,
        in_xlm_r=in_xlm_r,
        teacher=known.model if known else usual,
        known=known,
        layers=(known or find_teacher(usual)).student_layers,
        depth=(known or find_teacher(usual)).layers,
        filtered=all(
            LanguageIdentifier(language.code).knows and not language.in_other_script
            for language in languages
        ),  # it goes by letters
        tasks=[(language, task) for language in languages for task in known_tasks(language)],
    )
