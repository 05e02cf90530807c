from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from distill.recipe.reading import load_recipe, parse_yaml
from distill.recipe.schema import recipe_schema
from tests.conftest import ROOT

RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
SCHEMA = ROOT / "recipes" / "schema.json"
MINIMAL: dict[str, Any] = {
    "name": "tiny",
    "language": "sv",
    "teacher": {"model": "organisation/teacher"},
    "corpus": {"sources": [{"path": "a.txt"}]},
}


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


def test_the_shipped_schema_is_that_of_the_recipe() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == recipe_schema(), (
        "make schema writes it anew"
    )


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_editors_find_nothing_wrong_with_a_recipe_that_ships(
    path: Path, validator: Draft202012Validator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISTILL_DATA", "data")
    text = path.read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    assert [error.message for error in validator.iter_errors(parse_yaml(text, path))] == []
    assert load_recipe(str(path)).recipe.name == path.stem


@pytest.mark.parametrize(
    ("section", "wrong"),
    [
        ("distillation", {"tokens": "many"}),
        ("distillation", {"tokenz": 5}),
        ("vocabulary", {"identical": "most"}),
        ("evaluation", {"protocol": "mine"}),
        ("evaluation", {"tasks": [{"kind": "classification", "name": "a"}]}),
    ],
)
def test_editors_see_what_a_recipe_cannot_say(
    section: str, wrong: dict[str, Any], validator: Draft202012Validator
) -> None:
    assert validator.is_valid(MINIMAL) and not validator.is_valid(MINIMAL | {section: wrong})


@pytest.mark.parametrize(
    ("section", "right"),
    [
        ("distillation", {"tokens": "400M", "batch_tokens": 1024}),
        ("corpus", {"sources": [{"path": "a.txt", "max_bytes": "2GB", "license": "mit"}]}),
        ("vocabulary", {"keep": ["▁kWh"]}),
        ("student", {"pruning": {"recover_tokens": "10k"}, "layers": [2, 4]}),
    ],
)
def test_editors_take_what_a_recipe_can_say(
    section: str, right: dict[str, Any], validator: Draft202012Validator
) -> None:
    assert validator.is_valid(MINIMAL | {section: right})


def test_every_key_explains_itself() -> None:
    sections = recipe_schema()["$defs"].values()
    silent = [
        f"{section['title']}.{key}"
        for section in sections
        for key, value in section["properties"].items()
        if "description" not in value and "$ref" not in value
    ]
    assert silent == []
