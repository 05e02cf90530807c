from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.pipeline.checks import check_student, check_surroundings
from distill.recipe.reading import load_recipe
from distill.runtime.errors import UserError
from tests.pipeline.shapes import CONFIGS, SECTIONS, recipe_of

CONTRADICTIONS: list[tuple[dict[str, Any], str]] = [
    ({"layers": 9}, r"student: 9 layers are more than the teacher's 4\."),
    ({"layers": [1, 7]}, r"student: layer 7 is named and the teacher has 4\."),
    (
        {"layers": 2, "hidden_size": 64},
        r"student: hidden_size 64 is larger than the teacher's 32\.",
    ),
    (
        {"layers": 2, "hidden_size": 20},
        r"student: hidden_size 20 is not divisible into heads of 8.*16 or 24",
    ),
    (
        {"layers": 2, "intermediate_size": 65},
        r"student: intermediate_size 65 is larger than the teacher's 64\.",
    ),
]


@pytest.mark.parametrize(
    ("section", "message"), CONTRADICTIONS, ids=[str(section) for section, _ in CONTRADICTIONS]
)
def test_a_student_that_does_not_fit_the_teacher_is_refused_by_name(
    section: dict[str, Any], message: str
) -> None:
    recipe = recipe_of(
        "m", student=section, distillation={"objectives": {"hidden": 0, "relations": 1}}
    )
    with pytest.raises(UserError, match=message):
        check_student(recipe, CONFIGS["bert"]())


def test_all_that_does_not_fit_is_reported_at_once() -> None:
    recipe = recipe_of(
        "m",
        student={"layers": 9, "hidden_size": 20},
        distillation={"objectives": {"hidden": 1, "embedding": 1}},
    )
    with pytest.raises(UserError) as error:
        check_student(recipe, CONFIGS["bert"]())
    lines = str(error.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["student", "student"]


@pytest.mark.parametrize("objective", ["logits", "mlm"])
def test_predicting_pieces_needs_a_language_model_head(objective: str) -> None:
    recipe = recipe_of(
        "m", student={"layers": 2}, distillation={"objectives": {"hidden": 1, objective: 0.5}}
    )
    with pytest.raises(
        UserError,
        match=rf"distillation\.objectives\.{objective}: the .* needs a language-model head; "
        r"BertModel",
    ):
        check_student(recipe, CONFIGS["bert"]())


def test_attention_is_compared_head_by_head() -> None:
    objectives = {"hidden": 0, "attention": 1}
    recipe = recipe_of(
        "m", student={"layers": 2, "hidden_size": 16}, distillation={"objectives": objectives}
    )
    with pytest.raises(
        UserError,
        match=r"objectives\.attention: .* the student has 2 where the teacher has 4; use relations",
    ):
        check_student(recipe, CONFIGS["bert"]())


def test_relations_are_of_a_layer_that_the_teacher_has() -> None:
    recipe = recipe_of(
        "m",
        student={"layers": 2},
        distillation={"objectives": {"relations": 1}, "relation_layer": 9},
    )
    with pytest.raises(UserError, match=r"relation_layer: 9 is more than the teacher's 4 layers"):
        check_student(recipe, CONFIGS["bert"]())


@pytest.mark.parametrize("section", SECTIONS)
@pytest.mark.parametrize("family", CONFIGS)
def test_a_student_that_fits_is_let_through(family: str, section: dict[str, Any]) -> None:
    objectives = {"hidden": 1, "relations": 1, "embedding": 1}
    check_student(
        recipe_of("m", student=section, distillation={"objectives": objectives}), CONFIGS[family]()
    )


def test_layers_that_an_architecture_cannot_begin_with_are_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"student: layer 2 cannot be the first of a ModernBERT"):
        check_student(recipe_of("m", student={"layers": 2}), CONFIGS["modernbert"]())


def test_an_architecture_that_cannot_be_narrowed_is_refused_by_name() -> None:
    from transformers import GPT2Config

    recipe = recipe_of("m", student={"layers": 2, "intermediate_size": 16})
    with pytest.raises(
        UserError, match="cannot narrow a model of architecture gpt2; known are bert"
    ):
        check_student(recipe, GPT2Config())


def test_the_surroundings_of_a_good_recipe_are_let_through(
    write_recipe: Callable[..., Path],
) -> None:
    check_surroundings(load_recipe(str(write_recipe()), []).recipe)


@pytest.mark.parametrize("name", ["./none", "some/where/deep"])
def test_a_model_to_compare_with_that_is_not_there_is_told_before_the_run(
    write_recipe: Callable[..., Path], name: str
) -> None:
    path = write_recipe(**{"benchmark.models": ["student", name]})
    with pytest.raises(
        UserError,
        match=f"^benchmark.models: there is no folder {name}; a Hub id reads organisation/name",
    ):
        check_surroundings(load_recipe(str(path), []).recipe)


def test_everything_missing_in_the_surroundings_is_reported_at_once(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_recipe(
        **{
            "teacher.model": str(tmp_path / "no-teacher"),
            "corpus.sources": [
                {"path": str(tmp_path / "no-text.txt")},
                {"package": "no-such-package", "files": "*.txt"},
            ],
        }
    )
    with pytest.raises(UserError) as error:
        check_surroundings(load_recipe(str(path), []).recipe)
    message = str(error.value)
    assert [part in message for part in ("no-text.txt", "no-such-package", "no-teacher")] == [
        True
    ] * 3
    assert len(message.splitlines()) == 3


def test_what_the_vocabulary_names_is_looked_for_beforehand(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    keep = {"terms": str(tmp_path / "no-terms.txt")}
    path = write_recipe(
        **{"vocabulary.lexicon": str(tmp_path / "no-words.txt"), "vocabulary.keep": keep}
    )
    with pytest.raises(UserError) as error:
        check_surroundings(load_recipe(str(path), []).recipe)
    lines = str(error.value).splitlines()
    assert len(lines) == 2 and "no-words.txt" in lines[0] and "no-terms.txt" in lines[1]


def test_a_piece_that_the_teacher_lacks_is_told_beforehand_with_the_nearest(
    write_recipe: Callable[..., Path],
) -> None:
    path = write_recipe(**{"vocabulary.keep": {"pieces": ["kung"]}})
    says = "vocabulary.keep.pieces: the teacher has no piece 'kung'; did you mean '▁kung'?"
    with pytest.raises(UserError, match=re.escape(says)):
        check_surroundings(load_recipe(str(path), []).recipe)


def test_a_file_that_is_not_there_is_told_before_torch_is_loaded(
    write_recipe: Callable[..., Path], tmp_path: Path
) -> None:
    path = write_recipe(**{"corpus.sources": [{"path": str(tmp_path / "no-text.txt")}]})
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "distill", "recipe", str(path), "--dry-run"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "no-text.txt: there is no such file" in done.stderr
    loaded = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines()}
    assert "distill" in loaded and not loaded & {"torch", "transformers", "datasets"}


def test_a_source_on_the_hub_is_not_looked_for_beforehand(tiny_teacher: Path) -> None:
    check_surroundings(recipe_of(tiny_teacher))


def test_a_teacher_without_safetensors_is_refused_before_anything_runs(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_teacher, tmp_path / "teacher")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="is refused: it holds more than weights, or is damaged"):
        check_surroundings(recipe_of(folder))
