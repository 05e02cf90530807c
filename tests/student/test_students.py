"""Every kind of student through the real command line, on a tiny recipe."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Distill = Callable[..., Any]
OBJECTIVES = {"hidden": 1.0, "relations": 0.5, "embedding": 1.0}


def student_of(recipe: Path, distill: Distill, folder: Path) -> dict[str, Any]:
    """What the student stage of a run that ends well says."""
    done = distill("recipe", recipe, "--until", "distillation")
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "runs" / "tiny" / "student" / "stage.json").read_text())["result"]


def test_a_narrower_student_is_pruned_in_steps_with_distillation_between_them(
    write_recipe: Callable[..., Path], distill: Distill, tmp_path: Path
) -> None:
    pruning = {"steps": 2, "batches": 2, "recover_tokens": 300}
    shape = {"layers": 2, "hidden_size": 16, "intermediate_size": 32, "pruning": pruning}
    student = student_of(write_recipe(student=shape), distill, tmp_path)
    assert (student["layers"], student["hidden_size"], student["intermediate_size"]) == (2, 16, 32)


@pytest.mark.parametrize("weights", ["copied", "random"])
def test_a_student_can_have_a_config_of_its_own(
    write_recipe: Callable[..., Path], distill: Distill, tmp_path: Path, weights: str
) -> None:
    config = {
        "hidden_size": 24,
        "num_attention_heads": 2,
        "num_hidden_layers": 3,
        "intermediate_size": 40,
    }
    student = student_of(
        write_recipe(student={"config": config, "weights": weights}), distill, tmp_path
    )
    assert (student["layers"], student["hidden_size"], student["intermediate_size"]) == (3, 24, 40)


def test_an_existing_model_with_the_teachers_vocabulary_can_be_the_student(
    write_recipe: Callable[..., Path], distill: Distill, tmp_path: Path, tiny_teacher: Path
) -> None:
    student = student_of(write_recipe(student={"model": str(tiny_teacher)}), distill, tmp_path)
    assert student["layers"] == 4
    assert student["vocabulary_size"] < 600


def test_a_key_that_no_config_has_is_a_users_mistake(
    write_recipe: Callable[..., Path], distill: Distill
) -> None:
    done = distill("recipe", write_recipe(student={"config": {"hiden_size": 24}}))
    assert done.returncode == 2
    assert "hidden_size" in done.stderr
    assert "Traceback" not in done.stderr


def test_two_ways_to_a_student_are_one_too_many(
    write_recipe: Callable[..., Path], distill: Distill
) -> None:
    done = distill("recipe", write_recipe(student={"layers": 2, "config": {"hidden_size": 24}}))
    assert done.returncode == 2
    assert "cannot have both config and layers; choose one" in done.stderr
