from __future__ import annotations

from pathlib import Path

import pytest

from distill.recipe.model_reference import (
    OWN_MODELS,
    ModelRef,
    check_model_name,
    reference_among,
    reference_in_words,
)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("student", "own"),
        ("scratch", "own"),
        ("FacebookAI/xlm-roberta-base", "hub"),
        ("bert", "hub"),
        ("package:multilingual-e5-small", "package"),
        ("./mine", "folder"),
        ("~/models/mine", "folder"),
        ("/models/mine", "folder"),
        ("runs/danish/export", "folder"),
        ("models\\mine", "folder"),
    ],
)
def test_a_name_is_of_one_kind(name: str, kind: str) -> None:
    assert ModelRef.of(name).kind == kind
    assert ModelRef.of(name).is_own == (name in OWN_MODELS)


def test_a_word_with_a_slash_is_the_folder_of_that_name_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert ModelRef.of("runs/danish").kind == "hub"
    (tmp_path / "runs" / "danish").mkdir(parents=True)
    assert ModelRef.of("runs/danish").kind == "folder"


def test_a_run_stands_for_the_student_that_it_exported(tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    assert ModelRef.of(str(tmp_path)).location == str(tmp_path)
    (export / "config.json").touch()
    assert ModelRef.of(str(tmp_path)).location == str(export)
    (tmp_path / "config.json").touch()
    assert ModelRef.of(str(tmp_path)).location == str(tmp_path)


def test_what_follows_package_is_the_packages_model() -> None:
    assert ModelRef.of("package:e5").package == "e5"
    assert ModelRef.of("a/package").package is None


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("studnet", "did you mean student?"),
        ("qwertz", "models: teacher, "),
        ("scratch", "scratch is not among the models here"),
    ],
)
def test_a_name_that_no_model_can_have_is_told_with_the_nearest(name: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        check_model_name(name, tuple(own for own in OWN_MODELS if own != "scratch"))


@pytest.mark.parametrize(
    ("models", "reference", "words"),
    [
        (["student", "trimmed", "teacher"], "teacher", "the teacher"),
        (["student", "trimmed", "./mine"], "trimmed", "the trimmed teacher"),
        (["student", "./mine"], "teacher", "the teacher"),
    ],
)
def test_models_are_compared_with_the_teacher_or_where_it_is_left_out_with_the_trimmed_one(
    models: list[str], reference: str, words: str
) -> None:
    assert reference_among(models) == reference
    assert reference_in_words(reference) == words
    assert reference_in_words("./mine") == "./mine"
