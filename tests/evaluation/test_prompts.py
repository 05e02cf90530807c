from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from distill.evaluation.prompts import VectorForm, vector_form
from distill.models import LoadedModel, load_with_tokenizer
from distill.recipe import EvaluationSection, Prefixes, TeacherSection

TEACHER = TeacherSection.model_validate(
    {"model": "m", "prefixes": {"query": "query: ", "passage": "passage: "}}
)
NONE = Prefixes()


@pytest.fixture
def folder_of(tiny_teacher: Path, tmp_path: Path) -> Any:
    """The tiny teacher as a sentence-transformers folder with these prompts and this pooling."""

    def folder(prompts: dict[str, str] | None, pooling: str = "mean_tokens") -> LoadedModel:
        path = tmp_path / "other"
        shutil.copytree(tiny_teacher, path)
        modules = [
            {"type": "sentence_transformers.models.Transformer", "path": ""},
            {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"},
        ]
        (path / "1_Pooling").mkdir()
        texts = {
            "modules.json": modules,
            "1_Pooling/config.json": {f"pooling_mode_{pooling}": True},
            "config_sentence_transformers.json": {} if prompts is None else {"prompts": prompts},
        }
        for name, content in texts.items():
            (path / name).write_text(json.dumps(content), encoding="utf-8")
        return load_with_tokenizer(str(path))

    return folder


def form_of(
    name: str, model: LoadedModel, *, is_reference: bool = False, **keys: Any
) -> VectorForm:
    section = EvaluationSection.model_validate(keys)
    return vector_form(name, model, section=section, teacher=TEACHER, is_reference=is_reference)


@pytest.mark.parametrize("name", ["teacher", "student", "scratch"])
def test_models_of_the_run_have_the_teachers_prefixes(name: str, tiny: LoadedModel) -> None:
    assert form_of(name, tiny).prefixes == TEACHER.prefixes


def test_another_model_has_the_prompts_of_its_folder_and_its_pooling(folder_of: Any) -> None:
    model = folder_of({"query": "search: ", "document": "found: "}, "cls_token")
    form = form_of("./other", model)
    assert form.prefixes == Prefixes(query="search: ", passage="found: ")
    assert form.pooling == "cls"


def test_another_model_without_prompts_has_none(folder_of: Any) -> None:
    assert form_of("./other", folder_of({"query": "", "document": ""})).prefixes == NONE


def test_a_model_that_says_nothing_has_no_prompts(tiny: LoadedModel) -> None:
    assert form_of("./other", tiny).prefixes == NONE
    assert form_of("./other", tiny).pooling == "mean"


def test_a_recipe_can_say_what_a_models_files_do_not(tiny: LoadedModel) -> None:
    form = form_of("org/other", tiny, models=["org/other"], prompts={"org/other": {"query": "q: "}})
    assert form.prefixes == Prefixes(query="q: ")


def test_the_first_of_models_that_are_compared_has_what_was_said_of_it(tiny: LoadedModel) -> None:
    assert form_of("./first", tiny, is_reference=True).prefixes == TEACHER.prefixes


def test_prompts_of_a_model_that_is_not_evaluated_are_refused() -> None:
    with pytest.raises(ValueError, match="prompts names org/b, which models does not"):
        EvaluationSection.model_validate({"models": ["teacher"], "prompts": {"org/b": {}}})
