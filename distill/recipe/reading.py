"""From a recipe's file, and `--set` overrides, to a checked Recipe; every error is found and
reported in one go.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distill.recipe import EvaluationSection, Recipe, TeacherSection
from distill.recipe.yaml_file import KeyPath, checked, key_lines, kind_of, parse_yaml, read_text
from distill.runtime.errors import UserError

_INDEX = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeFile:
    """A recipe with the file and the text it was read from."""

    path: Path
    text: str
    recipe: Recipe
    overrides: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TasksFile:
    """What any models are measured by: tasks and protocol, and what of a recipe besides bears on
    scores.
    """

    path: Path
    evaluation: EvaluationSection
    teacher: TeacherSection | None
    """A recipe's, for its pooling and prefixes."""
    seed: int


def recipe_folders() -> list[Path]:
    """Where recipes are looked for by name: the working folder's `recipes`, then those that
    ship.
    """
    package = Path(__file__).parents[1]
    shipped = [package / "recipes", package.parent / "recipes"]  # installed wheel, source tree
    return list(
        dict.fromkeys([Path("recipes"), *(folder for folder in shipped if folder.is_dir())])
    )


def list_recipes() -> Iterator[Path]:
    """The recipes that can be run by name."""
    seen: set[str] = set()
    for folder in recipe_folders():
        for path in sorted(folder.glob("*.y*ml"), key=lambda path: path.stem):
            if path.stem not in seen:
                seen.add(path.stem)
                yield path


def find_recipe(name: str) -> Path:
    """The file that `name` means: as given, then in the recipe folders, with or without .yaml.

    Raises UserError, with the nearest names, if there is none.
    """
    endings = ("",) if name.endswith((".yaml", ".yml")) else ("", ".yaml", ".yml")
    for folder in (Path(), *recipe_folders()):
        for ending in endings:
            path = folder / (name + ending)
            if os.path.isfile(path):  # noqa: PTH113 - pathlib's raises for a name too long
                return path
    if os.path.isdir(name):  # noqa: PTH112
        raise UserError(f"{name} is a folder; name a recipe, a YAML file.")
    known = {path.stem: path.name for path in list_recipes()}
    near = difflib.get_close_matches(Path(name).stem, known, n=3, cutoff=0.5)
    hint = (
        f"did you mean {' or '.join(near)}?"
        if near
        else f"known recipes: {', '.join(known) or 'none'}."
    )
    raise UserError(f"There is no recipe {name}, neither as a file nor in recipes/; {hint}")


def load_recipe(name: str, overrides: Sequence[str] = ()) -> RecipeFile:
    """Read and check the recipe that `name` means, with `section.key=value` overrides applied.

    Raises UserError with every error found.
    """
    path = find_recipe(name)
    text = read_text(path)
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise UserError(
            f"{path}: a recipe is a mapping (name: ..., language: ..., teacher: ...); found "
            f"{kind_of(data)}."
        )
    origins = {_apply_override(data, override): override for override in overrides}
    recipe = checked(Recipe, data, path, lines=lambda: key_lines(text), origins=origins)
    return RecipeFile(path=path, text=text, recipe=recipe, overrides=tuple(overrides))


def load_tasks(name: str) -> TasksFile:
    """Read and check the tasks that `name` means: a file with a list of tasks, or a recipe, found
    as `find_recipe` does.

    Raises UserError with every error found, or if there is no task.
    """
    path = find_recipe(name)
    text = read_text(path)
    data = parse_yaml(text, str(path))
    if isinstance(data, list):
        lines = {("tasks", *key): line for key, line in key_lines(text).items()}
        evaluation = checked(
            EvaluationSection, {"tasks": data}, path, what="the tasks", lines=lambda: lines
        )
        tasks_file = TasksFile(path=path, evaluation=evaluation, teacher=None, seed=0)
    elif isinstance(data, dict):
        recipe = load_recipe(str(path)).recipe
        tasks_file = TasksFile(
            path=path, evaluation=recipe.evaluation, teacher=recipe.teacher, seed=recipe.seed
        )
    else:
        raise UserError(
            f"{path}: should hold a list of tasks (- name: ...) or a recipe; found {kind_of(data)}."
        )
    if not tasks_file.evaluation.tasks:
        raise UserError(f"{path}: there is no task in it.")
    return tasks_file


def _apply_override(data: dict[str, Any], override: str) -> KeyPath:
    """Set `section.key=value` in `data`; the path that was set."""
    key, separator, value = override.partition("=")
    if not separator or not all(key.split(".")):
        raise UserError(
            f"--set {override}: write section.key=value, such as --set distillation.tokens=400k."
        )
    path: KeyPath = tuple(
        int(part) if _INDEX.fullmatch(part) else part for part in key.strip().split(".")
    )
    holder: Any = data
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(holder, list) and isinstance(part, int) and part < len(holder):
            pass
        elif not isinstance(holder, dict) or isinstance(part, int):
            raise UserError(
                f"--set {override}: {'.'.join(map(str, path[:depth])) or 'the recipe'} has no "
                f"entry {part}."
            )
        elif not last and holder.get(part) is None:
            holder[part] = {}
        if last:
            holder[part] = parse_yaml(value, f"--set {override}")
        else:
            holder = holder[part]
    return path
