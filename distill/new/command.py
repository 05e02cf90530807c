"""Writing a recipe: a language goes in; a new file with a recipe for it comes out."""

from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from distill.corpus.language import LanguageIdentifier
from distill.new.languages import Language, find_language
from distill.new.tasks import known_tasks
from distill.new.teachers import KnownTeacher, find_teacher
from distill.recipe.reading import recipe_folders
from distill.runtime.errors import UserError

XLM_R, MMBERT = "FacebookAI/xlm-roberta-base", "jhu-clsp/mmBERT-base"


def write_recipe(language: str, path: Path | None = None, teacher: str | None = None) -> Path:
    """Write a recipe for `language`, a code or an English name, to `path` or <language>.yaml, and
    say where it is; with a `teacher` that is known by name.

    Raises UserError if there is no such language or teacher, or if the file is there already.
    """
    found = find_language(language)
    known = find_teacher(teacher) if teacher else None
    path = path or Path(f"{recipe_name(found)}.yaml")
    if path.suffix not in (".yaml", ".yml") or not re.fullmatch(
        r"[A-Za-z0-9][A-Za-z0-9._-]*", path.stem
    ):
        raise UserError(
            f"--output: {path} should be a file's name such as {recipe_name(found)}.yaml."
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
        found,
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


def recipe_name(language: Language) -> str:
    """The language's English name as a file is called: swedish, norwegian-bokmal."""
    plain = unicodedata.normalize("NFKD", language.name).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall(r"[a-z0-9]+", plain)) or language.code


def recipe_text(
    language: Language, name: str, schema: str, known: KnownTeacher | None = None
) -> str:
    """A commented recipe, in YAML; `schema` is where editors find its schema, `known` its teacher,
    which by default is one that knows the language.
    """
    usual = XLM_R if language.in_xlm_r else MMBERT
    environment = Environment(
        loader=PackageLoader("distill.new"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return environment.get_template("recipe.yaml.jinja").render(
        language=language,
        name=name,
        schema=schema,
        teacher=known.model if known else usual,
        known=known,
        layers=(known or find_teacher(usual)).student_layers,
        filtered=LanguageIdentifier(language.code).knows
        and not language.in_other_script,  # it goes by letters
        tasks=known_tasks(language),
    )
