"""The real command line, end to end, on a tiny teacher."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from distill.pipeline.run import Run
from distill.recipe.reading import load_recipe
from distill.runtime.errors import UserError
from distill.runtime.interruption import Interruption
from distill.runtime.progress import Progress


def test_a_recipe_leaves_every_stage_its_report_and_a_student_that_stock_classes_load(
    write_recipe, distill, tmp_path
):
    done = distill("recipe", write_recipe(**{"export.onnx": True}))
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "tiny"
    for stage in (
        "corpus",
        "vocabulary",
        "student",
        "distillation",
        "evaluation",
        "benchmark",
        "export",
    ):
        assert json.loads((run / stage / "stage.json").read_text())["seconds"] >= 0
    report = json.loads((run / "report.json").read_text())
    assert report["vocabulary"]["max_abs_hidden_difference"] == 0.0
    assert report["student"]["layers"] == 2
    assert {
        "model.safetensors",
        "modules.json",
        "onnx/model.onnx",
        "onnx/model_quantized.onnx",
    } <= {*report["export"]["files"]}

    import torch
    from transformers import AutoModel, AutoTokenizer

    states = []
    for folder in (run / "export", run / "distillation" / "model"):
        batch = AutoTokenizer.from_pretrained(folder)("Regeringen och fisken.", return_tensors="pt")
        with torch.inference_mode():
            states.append(AutoModel.from_pretrained(folder).eval()(**batch).last_hidden_state)
    assert torch.equal(*states)
    assert isinstance(run, Path)


@pytest.fixture
def started(write_recipe, tmp_path):
    """A run of which nothing is there yet."""
    recipe = load_recipe(str(write_recipe()))
    return Run(
        file=recipe,
        folder=tmp_path / "run",
        progress=Progress(quiet=True),
        interruption=Interruption(),
    )


def test_a_name_with_a_slash_is_another_model(started, tiny_teacher):
    loaded = started.load(str(tiny_teacher))
    assert torch.equal(
        next(loaded.model.parameters()), next(started.load("teacher").model.parameters())
    )
    assert started.model_folder(str(tiny_teacher)) == tiny_teacher
    with pytest.raises(UserError, match="there is no folder"):
        started.load("./no/such/model")


def test_scratch_is_the_evaluations(started):
    with pytest.raises(
        UserError, match=r"scratch is trained by the evaluation; name it in evaluation.models"
    ):
        started.load("scratch")
    assert started.model_folder("scratch") == started.folder / "evaluation" / "scratch" / "model"
