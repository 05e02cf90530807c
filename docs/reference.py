"""Writes the pages of the reference that follow from the code: `make schema`.

    python docs/reference.py

writes docs/reference-recipe.md from the schema of a recipe, with examples out of recipes/, and
docs/reference-commands.md from the command line.
"""

from __future__ import annotations

import html
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import typer
import yaml
from typer.cli import get_docs_for_click

from distill.cli import app
from distill.recipe import Recipe
from distill.recipe.reading import load_recipe
from distill.recipe.schema import recipe_schema
from distill.recipe.section import ENVIRONMENT_NAME, Section

DOCS = Path(__file__).parent
Node = dict[str, Any]
COUNT = "count, such as `400k`"
EXAMPLES: dict[str, object] = {
    "batches": 32,
    "config": {"num_hidden_layers": 4, "hidden_size": 312},
    "coverage": 0.999,
    "embedding_size": 128,
    "evaluation_steps": 30,
    "example": "Köket är öppet till nio.",
    "format": "jsonl",
    "hidden_size": 256,
    "intermediate_size": 1024,
    "kept": "sv",
    "labels": {"neg": "negative", "pos": "positive"},
    "lexicon": "/usr/share/dict/swedish",
    "licence": "apache-2.0",
    "max_dev": 512,
    "max_sentences": 500,
    "max_test": 1000,
    "max_train": "2k",
    "micro_batch_tokens": "2k",
    "model": "my-organisation/my-student",
    "pattern": "▁?[0-9]+",
    "patience": 4,
    "push": "my-organisation/danish",
    "relation_heads": 12,
    "relation_layer": 10,
    "revision": "main",
    "size": "32k",
    "source_language": "en",
    "task": "sentiment",
    "terms": "terms.txt",
    "text": "text",
    "text_pair": "text2",
    "words": "tokens",
}
"""Examples of keys that no recipe of this repository gives."""


def pages() -> dict[str, str]:
    """The text of each page, by its name."""
    return {"reference-recipe.md": recipe_page(), "reference-commands.md": commands_page()}


def commands_page() -> str:
    """Every command with its arguments, options and defaults, as its --help has them."""
    command = typer.main.get_command(app)
    context = typer.Context(command, info_name="distill")  # type: ignore[arg-type]
    text = html.unescape(get_docs_for_click(obj=command, ctx=context, name="distill"))
    text = re.sub(r"\* `--help`: .+\n", "", text)
    text = re.sub(r"\*\*Options\*\*:\n\n(?=\n|\*\*|##|$)", "", text)
    text = re.sub(r"<(\w[\w \[\]]*)>", r"\1", text)
    text = re.sub(r"\[default: \((.+)\)\]", r"[default: \1]", text)
    text = re.sub(r"\n\[dim\](distill .+)\[/dim\]", r" `\1`", text)  # a command's line and example
    text = re.sub(r"^(distill .+)\n +\[dim\](.+)\[/dim\]$", r"- `\1`: \2", text, flags=re.M)
    text = re.sub(r"^Example: (.+)$", r"Example: `\1`", text, flags=re.M)
    text = re.sub(r"\n{3,}", "\n\n", text)
    head = "# Commands\n\nWhat `--help` says. `distill` is short for `python -m distill`.\n\n"
    return head + text.partition("\n")[2].strip() + "\n"


def recipe_page() -> str:
    """Every section of a recipe with its keys: type, default, meaning and an example."""
    schema, examples = recipe_schema(), shipped_examples()
    parts = [
        "# Recipe",
        "Every key of a recipe. A key without a default is needed; a wrong or unknown one is told "
        "before anything runs. [recipes/schema.json](../recipes/schema.json) holds the same for "
        "editors, which then complete and explain keys. Counts may be written as `400k`, `1.5M` or "
        "`2B`. Examples are those of [recipes](../recipes/swedish.yaml) that come with distill.",
        "## The recipe\n\n" + table("Recipe", schema, examples),
    ]
    for name in order_of_sections(schema):
        section = schema["$defs"][name]
        parts.append(
            f"## {title_of(name)}\n\n{section.get('description', '')}\n\n"
            + table(name, schema, examples)
        )
    return "\n\n".join(parts) + "\n"


def order_of_sections(schema: Node) -> list[str]:
    """The sections, each after the one that first names it, in the order of a recipe."""
    found: list[str] = []

    def visit(node: object) -> None:
        for name in references(node):
            if name not in found:
                found.append(name)
                visit(schema["$defs"][name]["properties"])

    visit(schema["properties"])
    return found


def references(node: object) -> Iterator[str]:
    """The sections that a part of the schema refers to."""
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"].rpartition("/")[2]
        for key, value in node.items():
            if key not in ("default", "discriminator"):
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def table(name: str, schema: Node, examples: dict[tuple[str, str], object]) -> str:
    """A row a key."""
    sections = schema["$defs"]
    section = sections.get(name, schema)
    lines = ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key, node in section["properties"].items():
        if key == "license":  # the other spelling of licence, beside which it stands
            continue
        cells = [
            "`licence`, `license`" if key == "licence" else f"`{key}`",
            type_of(node),
            default_of(node),
            meaning_of(node, sections),
        ]
        example = examples.get((name, key), EXAMPLES.get(key) if needs_example(node) else None)
        if example is not None:
            cells[3] += f" Example: {code({key: example})}"
        lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines)


def needs_example(node: Node) -> bool:
    """Whether neither a default nor a section of its own shows what a key's value looks like."""
    return node.get("default") is None and not list(references(node))


def meaning_of(node: Node, sections: Node) -> str:
    """What a key means, on one line; of a section what the section is."""
    told = node.get("description") or "".join(
        sections[name].get("description", "") for name in references(node)
    )
    return str(told).replace("\n\n", " ")


def default_of(node: Node) -> str:
    """A key's default; nothing where it must be given."""
    default = node.get("default", "")
    if isinstance(default, dict):
        return "its defaults"
    return "none" if default is None else code(default) if "default" in node else ""


def type_of(node: Node) -> str:
    """A key's type in words."""
    if "$ref" in node:
        title = title_of(node["$ref"].rpartition("/")[2])
        return f"[{title.lower()}](#{title.lower().replace(' ', '-')})"
    if options := node.get("anyOf") or node.get("oneOf"):
        kinds = [type_of(option) for option in options if option.get("type") != "null"]
        if COUNT in kinds:
            return COUNT
        return "; or ".join(dict.fromkeys(kinds))
    if "const" in node or "enum" in node:
        return ", ".join(code(value) for value in node.get("enum", [node.get("const")]))
    if node.get("type") == "array":
        each = node.get("items") or next(iter(node.get("prefixItems", [])), {})
        return f"list of {type_of(each)}"
    words = {"integer": "whole number", "number": "number", "boolean": "true or false"}
    words |= {"object": "mapping", "string": "text"}
    if node.get("pattern", "").endswith("([kMB]?)$"):
        return COUNT
    return words.get(str(node.get("type")), "any") + bounds_of(node)


def bounds_of(node: Node) -> str:
    """Between what a number lies, in words."""
    names = {"minimum": "at least", "exclusiveMinimum": "above"}
    names |= {"maximum": "at most", "exclusiveMaximum": "below"}
    told = [f"{word} {node[key]:,}" for key, word in names.items() if key in node]
    return f", {', '.join(told)}" if told else ""


def title_of(name: str) -> str:
    """A section's name in words: `KeepSection` is Keep, `OwnHeadTask` Own head task."""
    words = re.findall(r"[A-Z][a-z]+", name.removesuffix("Section"))
    return " ".join(words).capitalize()


def code(value: object) -> str:
    """A value as a recipe writes it, in backticks."""
    text = yaml.safe_dump([value], default_flow_style=True, width=10_000, sort_keys=False)
    text = text.strip()[1:-1]
    return f"`{text[1:-1] if isinstance(value, dict) else text}`"


def shipped_examples() -> dict[tuple[str, str], object]:
    """What the recipes of this repository give a key, by section and key; the first that differs
    from the default.
    """
    found: dict[tuple[str, str], object] = {}
    for path in sorted(DOCS.parent.glob("recipes/*.yaml")):
        names = ENVIRONMENT_NAME.findall(path.read_text(encoding="utf-8"))
        with patch.dict(os.environ, {name: f"${{{name}}}" for name in names}):
            recipe = load_recipe(str(path)).recipe
        for key, value in values_of(recipe):
            found.setdefault(key, value)
    return found


def values_of(section: Section | Recipe) -> Iterator[tuple[tuple[str, str], object]]:
    """The plain values of a section and of those in it that differ from their defaults."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        parts = value if isinstance(value, list) else [value]
        inner = [part for part in parts if isinstance(part, Section)]
        for part in inner:
            yield from values_of(part)
        if not inner and value != field.get_default(call_default_factory=True):
            yield (type(section).__name__, name), section.model_dump(mode="json")[name]


if __name__ == "__main__":
    for page, text in pages().items():
        (DOCS / page).write_text(text, encoding="utf-8")
