"""The recipe's schema as JSON Schema, by which editors complete keys and explain them; `make
schema` writes it.

python -m distill.recipe.schema > recipes/schema.json
"""

from __future__ import annotations

import json
import sys
from typing import Any

from distill.recipe import Recipe


def recipe_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a recipe: every key with its type, default and meaning; unknown ones
    are errors.
    """
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **Recipe.model_json_schema(),
    }
    for section in schema["$defs"].values():
        keys = section["properties"]
        if "licence" in keys:  # a recipe may spell it either way, of which pydantic names one
            keys["license"] = keys["licence"]
    _unwrap(schema)
    return schema


def _unwrap(node: object) -> None:
    """Join the lines of every description, which the source wraps."""
    if isinstance(node, dict):
        if isinstance(text := node.get("description"), str):
            paragraphs = text.split("\n\n")
            node["description"] = "\n\n".join(" ".join(part.split()) for part in paragraphs)
        for value in node.values():
            _unwrap(value)
    elif isinstance(node, list):
        for value in node:
            _unwrap(value)


if __name__ == "__main__":
    json.dump(recipe_schema(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
