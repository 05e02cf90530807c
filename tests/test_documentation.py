"""What the documentation says of the code is so."""

from __future__ import annotations

import json
import re

from distill.report.model import Report
from tests.conftest import ROOT
from tests.test_house import FLOOR_OF


def test_every_key_of_the_glossary_is_one_of_the_report() -> None:
    text = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    keys = {
        key.split(".")[0].removesuffix("[]") for key in re.findall(r"`([a-z_.\[\]0-9]+)` \|", text)
    }
    assert keys and keys <= set(Report.model_fields)


def test_every_room_is_in_the_table_of_rooms() -> None:
    text = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z]+)/`", text.split("## Where things are")[1]))
    assert set(FLOOR_OF) <= named


def test_links_between_the_documents_lead_somewhere() -> None:
    for document in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name}: {link}"


def test_every_promise_names_a_test_that_exists() -> None:
    text = (ROOT / "docs" / "promises.md").read_text(encoding="utf-8")
    named = re.findall(r"\| `(tests/[\w/]+\.py)::(\w+)` \|", text)
    assert len(named) == sum(
        line.startswith("| ") and "`tests/" in line for line in text.split("\n")
    )
    for file, test in named:
        assert f"def {test}(" in (ROOT / file).read_text(encoding="utf-8"), f"{file}::{test}"


def test_the_schema_explains_every_key_in_one_line() -> None:
    schema = json.loads((ROOT / "recipes" / "schema.json").read_text(encoding="utf-8"))
    for section in schema["$defs"].values():
        for key in section["properties"].values():
            assert "\n" not in key.get("description", "").split("\n\n")[0]
