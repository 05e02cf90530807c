from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from distill.new.command import recipe_name, recipe_text, write_recipe
from distill.new.languages import find_language
from distill.new.teachers import KNOWN_TEACHERS, KnownTeacher
from distill.recipe.reading import load_recipe
from distill.recipe.schema import recipe_schema
from distill.runtime.errors import UserError
from tests.conftest import ROOT, distill_command, distill_environment

LANGUAGES = [
    "sv",
    "da",
    "fi",
    "no",
    "is",
    "de",
    "en",
    "zh",
    "ar",
    "fa",
    "ja",
    "ko",
    "sw",
    "ur",
    "mt",
    "ceb",
    "sme",
    "qu",
    "sr-Latn",
]


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_new_recipe_validates_here_and_in_an_editor(code: str, tmp_path: Path) -> None:
    path = write_recipe(code, tmp_path / "new.yaml")
    recipe = load_recipe(str(path)).recipe
    assert recipe.language == find_language(code).code and recipe.name == "new"
    errors = Draft202012Validator(recipe_schema()).iter_errors(
        yaml.safe_load(path.read_text(encoding="utf-8"))
    )
    assert [error.message for error in errors] == []


@pytest.mark.parametrize("teacher", [one for one in KNOWN_TEACHERS if not one.refused])
def test_a_new_recipe_says_of_a_known_teacher_what_it_needs(
    teacher: KnownTeacher, tmp_path: Path
) -> None:
    path = write_recipe("sv", tmp_path / "new.yaml", teacher.model.split("/")[1])
    recipe = load_recipe(str(path)).recipe
    said = recipe.teacher
    assert (said.model, said.licence) == (teacher.model, teacher.licence)
    assert said.pooling == (teacher.pooling or "mean")
    assert (said.prefixes.query, said.prefixes.passage) == (teacher.query, teacher.passage)
    assert bool(recipe.distillation.objectives.embedding) == (teacher.pooling is not None)
    first = recipe.student.kept_layers
    assert isinstance(first, int) or (first[0], first[-1]) == (1, teacher.layers)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gte-multilingual-base", "remote code is never run"),
        ("multilingual-e5-bass", "did you mean intfloat/multilingual-e5-base"),
        ("another", "docs/teacher.md has a table"),
    ],
)
def test_a_teacher_that_cannot_be_one_is_refused(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        write_recipe("sv", tmp_path / "new.yaml", name)


@pytest.mark.parametrize(
    ("given", "code", "fineweb"),
    [
        ("sv", "sv", "swe_Latn"),
        ("swe", "sv", "swe_Latn"),
        ("sv-SE", "sv", "swe_Latn"),
        (" Swedish ", "sv", "swe_Latn"),
        ("norwegian", "no", "nob_Latn"),
        ("zh", "zh", "cmn_Hani"),
        ("persian", "fa", "fas_Arab"),
        ("estonian", "et", "ekk_Latn"),
        ("serbian", "sr", "srp_Cyrl"),
        ("ro", "ro", "ron_Latn"),
        ("ko", "ko", "kor_Hang"),
        ("ceb", "ceb", "ceb_Latn"),
        ("sr_Latn", "sr", "srp_Latn"),
        ("zh-Hant-TW", "zh", "cmn_Hani"),
        ("sv-Latn", "sv", "swe_Latn"),
    ],
)
def test_a_language_goes_by_code_or_name_and_is_found_in_fineweb(
    given: str, code: str, fineweb: str
) -> None:
    found = find_language(given)
    assert (found.code, found.fineweb) == (code, fineweb)


@pytest.mark.parametrize("given", ["", "zzz", "swedisch", "../etc", "a" * 500])
def test_what_is_no_language_is_the_users_error(given: str) -> None:
    with pytest.raises(UserError, match="There is no language"):
        find_language(given)


def test_the_nearest_name_is_proposed() -> None:
    with pytest.raises(UserError, match=r"did you mean swedish\?"):
        find_language("swedsh")


def test_a_language_that_xlm_r_did_not_learn_has_another_teacher() -> None:
    texts = {code: recipe_text(find_language(code), "new", "schema.json") for code in ("sv", "mt")}
    assert (
        "model: FacebookAI/xlm-roberta-base" in texts["sv"]
        and "model: jhu-clsp/mmBERT-base" in texts["mt"]
    )


def test_what_is_known_of_a_language_in_its_usual_script_is_not_offered_in_another() -> None:
    text = recipe_text(find_language("sr-Latn"), "new", "schema.json")
    assert "A small Serbian (Latin) encoder" in text
    assert "language_filter" not in text and "wikiann" not in text and "sib200" not in text
    assert find_language("zh-Hant").sib200 == "zho_Hant"


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("sv", "swedish"),
        ("nb", "norwegian-bokmal"),
        ("zh", "chinese"),
        ("sr-Latn", "serbian-latin"),
    ],
)
def test_a_recipe_is_named_as_files_are(code: str, name: str) -> None:
    assert recipe_name(find_language(code)) == name


@pytest.mark.parametrize("name", ["danish", "finnish"])
def test_a_recipe_that_ships_is_what_is_written_for_its_language(name: str) -> None:
    shipped = (ROOT / "recipes" / f"{name}.yaml").read_text(encoding="utf-8")
    assert shipped == recipe_text(find_language(name), name, "schema.json")


def test_the_command_writes_a_recipe_once_and_says_what_to_do_next(tmp_path: Path) -> None:
    def run() -> subprocess.CompletedProcess[str]:
        command = distill_command("new", "danish")
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=distill_environment(),
            capture_output=True,
            text=True,
            check=False,
        )

    first = run()
    assert first.returncode == 0 and "recipe danish.yaml --dry-run" in first.stdout
    header = (tmp_path / "danish.yaml").read_text(encoding="utf-8").splitlines()[0]
    schema = re.fullmatch(r"# yaml-language-server: \$schema=(.*)", header)
    assert schema and (tmp_path / schema[1]).is_file()
    again = run()
    assert (
        again.returncode == 2
        and "danish.yaml is there already" in again.stderr
        and "Traceback" not in again.stderr
    )


@pytest.mark.parametrize(
    ("output", "message"),
    [("a.txt", "should be a file's name"), ("no/b.yaml", "there is no folder")],
)
def test_a_place_that_a_recipe_cannot_have_is_the_users_error(
    output: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=message):
        write_recipe("sv", tmp_path / output)


def test_a_recipe_of_several_languages_validates_and_has_text_and_tasks_of_each(
    tmp_path: Path,
) -> None:
    path = write_recipe(["swedish", "no"], tmp_path / "new.yaml")
    recipe = load_recipe(str(path)).recipe
    assert recipe.languages == ("sv", "no") and recipe.text_languages == ["sv", "no"]
    assert {task.language for task in recipe.evaluation.tasks} == {"sv", "no"}
    names = [task.name for task in recipe.evaluation.tasks]
    assert "topics-sv" in names and "topics-no" in names
    errors = Draft202012Validator(recipe_schema()).iter_errors(
        yaml.safe_load(path.read_text(encoding="utf-8"))
    )
    assert [error.message for error in errors] == []
    assert recipe_name([find_language("sv"), find_language("en")]) == "swedish-english"


def test_a_language_that_is_named_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="Swedish is named twice"):
        write_recipe(["sv", "swedish"], tmp_path / "new.yaml")
