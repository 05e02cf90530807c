"""What the documentation tells to type can be typed: every command is known to the command line,
and is run here or says what it needs.
"""

from __future__ import annotations

import csv
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer
import yaml

from distill.cli import app
from distill.corpus.formats import READERS
from distill.distillation.objectives import OBJECTIVES
from distill.evaluation.kinds import KINDS, kind_of
from distill.recipe import Recipe, objectives as recipe_objectives, tasks as recipe_tasks
from distill.recipe.formats import FORMATS
from distill.recipe.reading import list_recipes
from tests.conftest import ROOT, swedish_sentences

Distill = Callable[..., subprocess.CompletedProcess[str]]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(
        page
        for page in sorted((ROOT / "docs").glob("*.md"))
        if not page.name.startswith("reference-")
    ),
]
NEEDS = re.compile(r"^# needs .*(Hub|GPU|finished run|processes)", flags=re.M)
"""How a block says that nobody can run it just so."""
GERMAN = "your-language.md"
"""The page whose recipe and commands are run one after the other."""


def blocks(page: Path, language: str = "") -> list[str]:
    """The fenced blocks of a page in a language, or in none."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, flags=re.M | re.S)
    return [block for kind, block in fenced if kind == language]


def commands(block: str) -> list[list[str]]:
    """The arguments of every call of distill in a block, however it is launched."""
    lines = block.replace("\\\n", " ").splitlines()
    typed = [shlex.split(line, comments=True) for line in lines if "distill " in line]
    return [
        words[words.index("distill") + 1 :]
        for words in typed
        if "distill" in words and (words[0] == "distill" or "-m" in words)
    ]


DOCUMENTED = [
    (page.name, arguments)
    for page in PAGES
    for block in blocks(page)
    for arguments in commands(block)
]


@pytest.mark.parametrize(
    ("page", "arguments"), DOCUMENTED, ids=[f"{p}: {shlex.join(a)}" for p, a in DOCUMENTED]
)
def test_a_documented_command_is_one(page: str, arguments: list[str]) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    command = group.commands[arguments[0]]  # type: ignore[attr-defined]
    command.make_context(arguments[0], arguments[1:])  # a wrong option raises


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_a_block_of_commands_is_run_here_or_says_what_it_needs(page: Path) -> None:
    for block in blocks(page):
        if [words for words in commands(block) if words != ["doctor"]] and page.name != GERMAN:
            assert NEEDS.search(block), f"{page.name}:\n{block}"


def test_the_recipes_that_commands_name_are_shipped_or_written_on_the_page() -> None:
    shipped = {path.name for path in list_recipes()}
    for name, arguments in DOCUMENTED:
        if arguments[0] == "recipe":
            page = next(page for page in PAGES if page.name == name)
            written = {
                f"{found}.yaml"
                for found in re.findall(r"^name: (\w+)", page.read_text(), flags=re.M)
            }
            assert arguments[1] in shipped | written, f"{name}: {arguments}"


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_python_in_the_documentation_is_python(page: Path) -> None:
    for block in blocks(page, "python"):
        compile(block, page.name, "exec")


EXCERPTS = [
    (page.name, block)
    for page in PAGES
    for block in blocks(page, "yaml")
    if "name:" not in block.split("\n")[0]
]


@pytest.mark.parametrize(("page", "block"), EXCERPTS, ids=[page for page, _ in EXCERPTS])
def test_a_part_of_a_recipe_is_one(page: str, block: str) -> None:
    rest = {
        "name": "x",
        "language": "sv",
        "teacher": {"model": "organisation/teacher"},
        "corpus": {"sources": [{"path": "texts.txt"}]},
    }
    Recipe.model_validate({**rest, **yaml.safe_load(block)})


@pytest.fixture
def registries() -> Iterator[None]:
    """What is registered from outside is forgotten afterwards."""
    kept = [(table, dict(table)) for table in (OBJECTIVES, READERS, KINDS)]
    formats = list(FORMATS)
    yield
    for table, before in kept:
        table.clear()
        table.update(before)  # type: ignore[arg-type]
    FORMATS[:] = formats
    recipe_objectives._REGISTERED.clear()
    recipe_tasks._REGISTERED.clear()


def test_what_the_page_on_extending_registers_a_recipe_takes(registries: None) -> None:
    names: dict[str, Any] = {"__name__": "extending"}
    for block in blocks(ROOT / "docs" / "extending.md", "python"):
        exec(compile(block, "docs/extending.md", "exec", dont_inherit=True), names)
    recipe = Recipe.model_validate(
        {
            "name": "x",
            "language": "sv",
            "teacher": {"model": "organisation/teacher"},
            "corpus": {"sources": [{"path": "texts.par"}, {"path": "a", "format": "par"}]},
            "distillation": {"objectives": {"hidden": 1.0, "last": 0.5}},
            "evaluation": {
                "tasks": [{"name": "short", "kind": "length", "source": {"path": "texts.txt"}}]
            },
        }
    )
    (task,) = recipe.evaluation.tasks
    assert isinstance(kind_of(task), names["Length"])
    assert "last" in OBJECTIVES and "par" in READERS


def test_the_readmes_snippet_trims(
    tmp_path: Path, tiny_teacher: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("texts.txt").write_text("\n".join(swedish_sentences(400)), encoding="utf-8")
    (snippet,) = blocks(ROOT / "README.md", "python")
    assert '"intfloat/multilingual-e5-small"' in snippet
    here = snippet.replace("intfloat/multilingual-e5-small", str(tiny_teacher))
    names: dict[str, Any] = {}
    exec(compile(here, "README.md", "exec", dont_inherit=True), names)
    assert Path("trimmed/model.safetensors").is_file()
    assert names["trimming"].proof.max_abs_hidden_difference == 0


@pytest.fixture
def german(tmp_path: Path, tiny_teacher: Path) -> list[list[str]]:
    """What the page begins with in a folder, smaller; the commands that it tells to type."""
    page = ROOT / "docs" / GERMAN
    shutil.copytree(tiny_teacher, tmp_path / "teacher")
    (tmp_path / "texts").mkdir()
    documents = [" ".join(swedish_sentences(3, seed)) for seed in range(160)]
    (tmp_path / "texts" / "a.txt").write_text("\n".join(documents), encoding="utf-8")
    with (tmp_path / "reviews.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text", "label"])
        rows.writerows([text, text[0] < "k"] for text in swedish_sentences(100, seed=5))
    (recipe,) = blocks(page, "yaml")
    small = {"tokens: 2M": "tokens: 4k", "layers: 6": "layers: 2", "seeds: 3": "seeds: 2"}
    for told, here in small.items():
        assert told in recipe
        recipe = recipe.replace(told, here)
    (tmp_path / "german.yaml").write_text(recipe, encoding="utf-8")
    (split,) = blocks(page, "python")
    (tmp_path / "split.py").write_text(split, encoding="utf-8")
    subprocess.run(["python3", "split.py"], cwd=tmp_path, check=True)
    return [words for block in blocks(page) for words in commands(block)]


def test_the_page_on_ones_own_data_begins_as_it_says(
    german: list[list[str]], distill: Distill
) -> None:
    dry = next(words for words in german if "--dry-run" in words)
    done = distill(*dry)
    assert done.returncode == 0, done.stderr
    assert "distillation: 4,000 tokens" in done.stdout


@pytest.mark.slow
def test_the_page_on_ones_own_data_leads_to_a_scored_student(
    german: list[list[str]], distill: Distill, tmp_path: Path
) -> None:
    quick = ["--set", "benchmark.seconds=0.1", "--set", "distillation.tokens=4k"]
    for words in german:
        done = distill(*words, *quick)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "runs" / "german" / "report.html").is_file()
    assert (tmp_path / "runs" / "german" / "export" / "model.safetensors").is_file()
