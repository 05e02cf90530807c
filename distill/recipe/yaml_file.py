"""YAML that somebody wrote by hand: text goes in; a checked section comes out, or every error with
its line, in one go.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from distill.recipe.tasks import TASK_KINDS
from distill.runtime.errors import UserError

KeyPath = tuple[str | int, ...]
"""Where a value stands: evaluation, tasks, 0, kind."""
Checked = TypeVar("Checked", bound=BaseModel)


MOST_MERGED = 1_000
"""Keys that merging (`<<`) may add to a document; nested merges double them at every level."""
MOST_DIGITS = 100
"""Of a whole number: nothing that a recipe counts has more."""


class _Loader(yaml.SafeLoader):
    """Safe YAML whose `no` is Norwegian, whose 1e-4 is a number, and whose keys occur once."""

    merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        before = len(node.value)
        super().flatten_mapping(node)
        self.merged += max(0, len(node.value) - before)
        if self.merged > MOST_MERGED:
            raise yaml.constructor.ConstructorError(
                None, None, f"merging adds more than {MOST_MERGED:,} keys", node.start_mark
            )

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > MOST_DIGITS:
            raise yaml.constructor.ConstructorError(
                None, None, f"a number of {len(node.value):,} digits", node.start_mark
            )
        number: int = super().construct_yaml_int(node)
        return number

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key {key.value!r} occurs twice", key.start_mark
                    )
                seen.add(key.value)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)
# YAML 1.2's core schema: only true and false are booleans, and a float may do without a dot.
_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in rules
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:float")
    ]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")
)
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"^(?:[-+]?(?:\d+\.\d*|\.\d+|\d+)(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    list("-+0123456789."),
)


def read_text(path: Path) -> str:
    """The text of a YAML file. Raises UserError if it has none."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read as UTF-8 text ({error}).") from error


def parse_yaml(text: str, where: str) -> Any:
    """The plain value that YAML `text` stands for. Raises UserError with line and column if it does
    not parse.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise UserError(
            f"{where}{position}: this is not valid YAML: {error.problem or error.context}."
        ) from error
    except (
        Exception
    ) as error:  # PyYAML trips in many ways over a value that does not fit its explicit tag
        raise UserError(
            f"{where}: this is not valid YAML: "
            f"{str(error).splitlines()[0] if str(error) else error}."
        ) from error


def checked(
    kind: type[Checked],
    data: Any,
    path: Path,
    *,
    what: str = "the recipe",
    lines: Callable[[], dict[KeyPath, int]],
    origins: Mapping[KeyPath, str] = MappingProxyType({}),
) -> Checked:
    """The value that `data`, read from the file, stands for; `lines` are those of its keys,
    `origins` the overrides.

    Raises UserError with every error found.
    """
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        known = lines()
        by_key = {
            _recipe_path(details): details for details in reversed(error.errors())
        }  # one of a union's members
        problems = [
            _explain(key, details, str(path), known, origins, kind)
            for key, details in reversed(by_key.items())
        ]
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        raise UserError(
            "\n".join([f"{path}: {count} in {what}:", *(f"  {line}" for line in problems)])
        ) from error


def _explain(
    path: KeyPath,
    details: ErrorDetails,
    file: str,
    lines: Mapping[KeyPath, int],
    origins: Mapping[KeyPath, str],
    kind_of_file: type[BaseModel],
) -> str:
    """One error in one line: where, which key, what was found, what would be right."""
    key = ".".join(str(part) for part in path) or "recipe"
    # Blamed on the override that set the value or what it lies in; an error of a whole section (a
    # contradiction, say) also on one that touched the section.
    set_it = [text for at, text in origins.items() if path[: len(at)] == at]
    touched = [text for at, text in origins.items() if path and at[: len(path)] == path]
    override = next(reversed(touched + set_it), None)
    line = next((lines[path[:n]] for n in range(len(path), 0, -1) if path[:n] in lines), None)
    where = f"--set {override}" if override else f"line {line}" if line else file
    kind, message = details["type"], details["msg"]
    if kind == "extra_forbidden":
        known = _known_keys(kind_of_file, details["loc"][:-1])
        near = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.5)
        right = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}"
        return f"{where}: {key}: unknown key; {right}"
    if kind == "missing":
        return f"{where}: {key}: is missing"
    if kind in ("union_tag_not_found", "union_tag_invalid"):
        named = details["input"].get("kind") if isinstance(details["input"], dict) else None
        trouble = "is missing" if named is None else f"there is no {named!r}"
        return f"{where}: {key}.kind: {trouble}; kinds are {', '.join(TASK_KINDS)}"
    message = message.removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    if kind == "value_error":
        return f"{where}: {key}: {message}"
    return f"{where}: {key}: {message}; found {kind_of(details['input'])}"


def _recipe_path(details: ErrorDetails) -> KeyPath:
    """The error's path as a recipe writes it: pydantic adds the names of union members, which no
    known key has.
    """
    location = details["loc"]
    # The user's own key, whatever it looks like.
    last = (str(location[-1]),) if details["type"] in ("extra_forbidden", "invalid_key") else ()
    path: list[str | int] = []
    for part in location[: len(location) - len(last)]:
        if isinstance(part, str) and not part.isidentifier():
            continue
        if isinstance(part, str) and path and part in {"int", "str", "float", "bool"}:
            continue
        if path and isinstance(path[-1], int) and part in TASK_KINDS:
            continue
        path.append(part)
    return (*path, *last)


def _known_keys(outermost: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    """The keys that the section at a pydantic location may have."""
    models: list[type[BaseModel]] = [outermost]
    for part in location:
        if isinstance(part, int):
            continue
        if part in TASK_KINDS and all("kind" in model.model_fields for model in models):
            models = [
                model for model in models if part in get_args(model.model_fields["kind"].annotation)
            ]
        else:
            fields = [model.model_fields[part] for model in models if part in model.model_fields]
            models = [
                inner for field in fields for inner in _inner_models(field.annotation)
            ] or models
    return list(dict.fromkeys(key for model in models for key in model.model_fields))


def _inner_models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [inner for part in getattr(annotation, "__args__", ()) for inner in _inner_models(part)]


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line (from 1) of every key of the YAML text."""
    lines: dict[KeyPath, int] = {}
    seen: set[int] = set()

    def visit(node: yaml.Node | None, path: KeyPath) -> None:
        if (
            node is None or id(node) in seen
        ):  # aliases can nest without end, or double with every level
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


def kind_of(value: object) -> str:
    """What was found, short enough for one line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        plain = len(value) <= 8 and not any(isinstance(item, (list, dict)) for item in value)
        return repr(value) if plain and len(repr(value)) <= 40 else "a list"
    return "nothing" if value is None else repr(value)[:60]
