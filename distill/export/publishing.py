"""What is handed over tells nothing of the user's folders: a report or a recipe goes in; it comes
out without them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from distill.export.metadata import last_name, teacher_origin
from distill.recipe.model_reference import PACKAGE
from distill.runtime.secrets import without_password

_PART = r"[^\s\"',;:\[\](){}#/\\]"
_ABSOLUTE = re.compile(
    rf"(?<![\w.*:/\\$}})\]-])(?:file://)?(?:~\w*|[A-Za-z]:)?(?:[/\\]{_PART}+)+[/\\]?"
)
"""A path from the root, from somebody's home or from a drive; not what follows other text, as in a
URL or a glob.
"""


def without_folders(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report fit to be published: a local teacher and local files go by their last name, not by
    the user's folders.
    """
    public = _public_names(report["recipe"])

    def published(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: published(item) for key, item in value.items()}
        if isinstance(value, list):
            return [published(item) for item in value]
        if not isinstance(value, str) or value in public:
            return public.get(value, value)
        return _shortened(value, public)  # a reason can tell of them

    return {key: published(item) for key, item in report.items()}


def public_recipe(text: str, report: Mapping[str, Any]) -> str:
    """The user's own words, but for secrets in addresses, and absolute paths, of which the last
    name stays.
    """
    text = without_password(text)
    known = {
        path: name
        for path, name in _public_names(report["recipe"]).items()
        if _ABSOLUTE.match(path)
    }
    shortened = _shortened(text, known)
    words = [
        match.span()
        for word, is_word in set(_strings(report["recipe"]))
        if is_word and _ABSOLUTE.search(word)
        for match in re.finditer(re.escape(word), shortened)
    ]

    def last(match: re.Match[str]) -> str:
        is_word = any(start <= match.start() and match.end() <= end for start, end in words)
        return match[0] if is_word else last_name(match[0])

    return _ABSOLUTE.sub(last, shortened)


def _shortened(text: str, public: Mapping[str, str]) -> str:
    for path in sorted(
        (path for path in public if "/" in path or "\\" in path), key=len, reverse=True
    ):
        text = text.replace(path, public[path])
    return text


def _public_names(recipe: Mapping[str, Any]) -> dict[str, str]:
    """What the recipe says of local models and files, each with what may be told of it."""
    rows = [
        task[split]
        for task in recipe["evaluation"]["tasks"]
        for split in ("source", "train", "dev", "test")
        if task.get(split)
    ]
    sources = [*recipe["corpus"]["sources"], *rows]
    public = {source["path"]: last_name(source["path"]) for source in sources if source.get("path")}
    public |= {
        text: last_name(text)
        for text, is_word in _strings(recipe)
        if not is_word and _ABSOLUTE.match(text)
    }
    models = [recipe["teacher"]["model"], *recipe["evaluation"]["models"]]
    folders = (
        model
        for model in models
        if not model.startswith(PACKAGE) and teacher_origin(model) != model
    )
    return public | {folder: teacher_origin(folder) for folder in folders}


_WORDS = {"pieces", "pattern", "prefixes", "labels"}
"""Keys whose values are text, whatever they look like: `</s>` and `/km` are pieces, not folders."""


def _strings(value: Any, *, is_word: bool = False) -> Iterator[tuple[str, bool]]:
    """The strings in a recipe, and whether each is a word, which is no path whatever it looks
    like.
    """
    if isinstance(value, str):
        yield value, is_word
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if is_word:
                yield key, True
            yield from _strings(item, is_word=is_word or key in _WORDS)
    elif isinstance(value, list):
        for item in value:
            yield from _strings(item, is_word=is_word)
