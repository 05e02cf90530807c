"""From a recipe's file, and `--set` overrides, to a checked Recipe; every error is found and reported in one go."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from distill.errors import UserError
from distill.recipe import Recipe
from distill.recipe.tasks import TASK_KINDS

Path_ = tuple[str | int, ...]
_INDEX = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True, kw_only=True, slots=True)
class RecipeFile:
    """A recipe with the file and the text it was read from."""

    path: Path
    text: str
    recipe: Recipe
    overrides: tuple[str, ...]


class _Loader(yaml.SafeLoader):
    """Safe YAML whose `no` is Norwegian, whose 1e-4 is a number, and whose keys occur once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"key {key.value!r} occurs twice", key.start_mark)
                seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


# YAML 1.2's core schema: only true and false are booleans, and a float may do without a dot.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in rules if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^(?:[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"),
    list("-+0123456789."),
)


def recipe_folders() -> list[Path]:
    """Where recipes are looked for by name: the working folder's `recipes`, then those that ship."""
    package = Path(__file__).parent
    shipped = [package / "recipes", package.parent / "recipes"]  # installed wheel, source tree
    return list(dict.fromkeys([Path("recipes"), *(folder for folder in shipped if folder.is_dir())]))


def list_recipes() -> Iterator[Path]:
    """The recipes that can be run by name."""
    seen: set[str] = set()
    for folder in recipe_folders():
        for path in sorted(folder.glob("*.y*ml")):
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
    hint = f"did you mean {' or '.join(near)}?" if near else f"known recipes: {', '.join(known) or 'none'}."
    raise UserError(f"There is no recipe {name}, neither as a file nor in recipes/; {hint}")


def load_recipe(name: str, overrides: Sequence[str] = ()) -> RecipeFile:
    """Read and check the recipe that `name` means, with `section.key=value` overrides applied.

    Raises UserError with every error found.
    """
    path = find_recipe(name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error}).") from error
    data = parse_yaml(text, str(path))
    if not isinstance(data, dict):
        raise UserError(f"{path}: a recipe is a mapping (name: ..., language: ..., teacher: ...); found {_kind(data)}.")
    origins = {_apply_override(data, override): override for override in overrides}
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        lines = _key_lines(text)
        by_key = {_recipe_path(details): details for details in reversed(error.errors())}  # one of a union's members
        found = [_explain(key, details, str(path), lines, origins) for key, details in reversed(by_key.items())]
        count = "1 error" if len(found) == 1 else f"{len(found)} errors"
        raise UserError("\n".join([f"{path}: {count} in the recipe:", *(f"  {line}" for line in found)])) from error
    return RecipeFile(path=path, text=text, recipe=recipe, overrides=tuple(overrides))


def parse_yaml(text: str, where: str) -> Any:
    """The plain value that YAML `text` stands for. Raises UserError with line and column if it does not parse."""
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(f"{where}{place}: this is not valid YAML: {error.problem or error.context}.") from error
    except Exception as error:  # PyYAML trips in many ways over a value that does not fit its explicit tag
        raise UserError(f"{where}: this is not valid YAML: {str(error).splitlines()[0] if str(error) else error}.") from error


def _apply_override(data: dict[str, Any], override: str) -> Path_:
    """Set `section.key=value` in `data`; the path that was set."""
    key, separator, value = override.partition("=")
    if not separator or not all(key.split(".")):
        raise UserError(f"--set {override}: write section.key=value, such as --set distillation.tokens=400k.")
    path: Path_ = tuple(int(part) if _INDEX.fullmatch(part) else part for part in key.strip().split("."))
    holder: Any = data
    for depth, part in enumerate(path):
        last = depth == len(path) - 1
        if isinstance(holder, list) and isinstance(part, int) and part < len(holder):
            pass
        elif not isinstance(holder, dict) or isinstance(part, int):
            raise UserError(f"--set {override}: {'.'.join(map(str, path[:depth])) or 'the recipe'} has no entry {part}.")
        elif not last and holder.get(part) is None:
            holder[part] = {}
        if last:
            holder[part] = parse_yaml(value, f"--set {override}")
        else:
            holder = holder[part]
    return path


def _explain(path: Path_, details: ErrorDetails, file: str, lines: dict[Path_, int], origins: dict[Path_, str]) -> str:
    """One error in one line: where, which key, what was found, what would be right."""
    key = ".".join(str(part) for part in path) or "recipe"
    # Blamed on the override that set the value or what it lies in; an error of a whole section (a contradiction, say)
    # also on one that touched the section.
    set_it = [text for at, text in origins.items() if path[: len(at)] == at]
    touched = [text for at, text in origins.items() if path and at[: len(path)] == path]
    override = next(reversed(touched + set_it), None)
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    where = f"--set {override}" if override else f"line {line}" if line else file
    kind, message = details["type"], details["msg"]
    if kind == "extra_forbidden":
        known = _known_keys(details["loc"][:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        right = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
        return f"{where}: {key}: unknown key; {right}"
    if kind == "missing":
        return f"{where}: {key}: is missing"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        found = details["input"].get("kind") if isinstance(details["input"], dict) else None
        trouble = "is missing" if found is None else f"there is no {found!r}"
        return f"{where}: {key}.kind: {trouble}; kinds are {', '.join(TASK_KINDS)}"
    message = message.removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if kind == "value_error":
        return f"{where}: {key}: {message}"
    return f"{where}: {key}: {message}; found {_kind(details['input'])}"


def _recipe_path(details: ErrorDetails) -> Path_:
    """The error's path as a recipe writes it: pydantic adds the names of union members, which no known key has."""
    location = details["loc"]
    # The user's own key, whatever it looks like.
    own = (str(location[-1]),) if details["type"] in ("extra_forbidden", "invalid_key") else ()
    path: list[str | int] = []
    for part in location[: len(location) - len(own)]:
        if isinstance(part, str) and not part.isidentifier():
            continue
        if isinstance(part, str) and path and part in {"int", "str", "float", "bool"}:
            continue
        if path and isinstance(path[-1], int) and part in TASK_KINDS:
            continue
        path.append(part)
    return (*path, *own)


def _known_keys(location: Sequence[str | int]) -> list[str]:
    """The keys that the section at a pydantic location may have."""
    models: list[type[BaseModel]] = [Recipe]
    for part in location:
        if isinstance(part, int):
            continue
        if part in TASK_KINDS and all("kind" in model.model_fields for model in models):
            models = [model for model in models if part in get_args(model.model_fields["kind"].annotation)]
        else:
            fields = [model.model_fields[part] for model in models if part in model.model_fields]
            models = [inner for field in fields for inner in _inner_models(field.annotation)] or models
    return list(dict.fromkeys(key for model in models for key in model.model_fields))


def _inner_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for part in getattr(annotation, "__args__", ()) for inner in _inner_models(part)]


def _key_lines(text: str) -> dict[Path_, int]:
    """The line (from 1) of every key of the YAML text."""
    lines: dict[Path_, int] = {}
    seen: set[int] = set()

    def visit(node: yaml.Node | None, path: Path_) -> None:
        if node is None or id(node) in seen:  # aliases can nest without end, or double with every level
            return
        seen.add(id(node))
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                inner = (*path, str(key.value))
                lines[inner] = key.start_mark.line + 1
                visit(value, inner)
        elif isinstance(node, yaml.SequenceNode):
            for index, value in enumerate(node.value):
                lines[(*path, index)] = value.start_mark.line + 1
                visit(value, (*path, index))

    visit(yaml.compose(text, Loader=_Loader), ())
    return lines


def _kind(value: object) -> str:
    """What was found, short enough for one line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        plain = len(value) <= 8 and not any(isinstance(item, (list, dict)) for item in value)
        return repr(value) if plain and len(repr(value)) <= 40 else "a list"
    return "nothing" if value is None else repr(value)[:60]
