"""What the documentation says of the code is so."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
import yaml

from distill import __version__
from distill.recipe.reading import load_recipe
from distill.report.formats import (
    format_bytes,
    format_count,
    format_interval,
    format_score,
    format_share,
)
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


PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]


def anchors(page: Path) -> set[str]:
    """What a link to a heading of the page is called, on the site and on code hosts."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.+)$", text, flags=re.M)
    return {re.sub(r"[^\w\- ]", "", line).strip().lower().replace(" ", "-") for line in headings}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_between_the_documents_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s:]+)\)", page.read_text(encoding="utf-8")):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_every_page_is_in_the_sites_navigation() -> None:
    listed = set(re.findall(r": ([\w-]+\.md)$", (ROOT / "mkdocs.yml").read_text(), flags=re.M))
    assert listed == {page.name for page in (ROOT / "docs").glob("*.md")}


def test_the_reference_pages_are_what_the_code_says() -> None:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "docs" / "reference.py")
    assert spec is not None and spec.loader is not None
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    for name, text in reference.pages().items():
        written = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert written == text, f"docs/{name} is stale: make schema"


def test_the_changes_and_the_citation_are_of_this_version() -> None:
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changes, flags=re.M)[0] == __version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__


def test_every_workflow_runs_targets_that_make_has() -> None:
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), flags=re.M))
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        jobs = yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]
        steps = [step for job in jobs.values() for step in job["steps"]]
        called = {step["run"].split()[1] for step in steps if "run" in step}
        assert called and called <= targets, path.name


def test_the_readme_can_be_read_in_one_sitting() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 9_000


def test_the_readmes_and_the_results_figures_are_those_of_the_quickstarts_file() -> None:
    kept = json.loads((ROOT / "benchmarks/results/quickstart.json").read_text(encoding="utf-8"))
    speed = {
        row["model"]: row
        for row in kept["benchmark"]
        if (row["batch_size"], row["length"]) == (1, 128)
    }
    for row in kept["evaluation"]:
        if row["metric"] != "mrr@10" or row["model"] not in speed:
            continue
        size = speed[row["model"]]
        cells = [
            row["model"],
            format_count(size["parameters"]),
            format_bytes(size["bytes_on_disk"]),
            f"{size['median_ms']:.0f}",
            f"{format_score(row['mean'])} ({format_interval(row['low'], row['high'])})",
            format_share(row["retention"]),
        ]
        for document in ("README.md", "docs/results.md"):
            text = (ROOT / document).read_text(encoding="utf-8")
            assert f"| {' | '.join(cells)} |" in text, document


def test_the_readmes_recipe_is_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TEXTS", str(tmp_path))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (tmp_path / "danish.yaml").write_text(text.split("```yaml\n")[1].split("```")[0], "utf-8")
    assert load_recipe(str(tmp_path / "danish.yaml")).recipe.language == "da"


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
