"""The real command line, end to end, on a tiny teacher."""

from __future__ import annotations

import json
from pathlib import Path


def test_a_recipe_leaves_every_stage_its_report_and_a_student_that_stock_classes_load(write_recipe, distill, tmp_path):
    done = distill("recipe", write_recipe())
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "tiny"
    for stage in ("corpus", "vocabulary", "student", "distillation", "evaluation", "benchmark", "export"):
        assert json.loads((run / stage / "stage.json").read_text())["seconds"] >= 0
    report = json.loads((run / "report.json").read_text())
    assert report["vocabulary"]["max_abs_hidden_difference"] == 0.0
    assert report["student"]["layers"] == 2

    import torch
    from transformers import AutoModel, AutoTokenizer

    states = []
    for folder in (run / "export", run / "distillation" / "model"):
        batch = AutoTokenizer.from_pretrained(folder)("Regeringen och fisken.", return_tensors="pt")
        with torch.inference_mode():
            states.append(AutoModel.from_pretrained(folder).eval()(**batch).last_hidden_state)
    assert torch.equal(*states)
    assert isinstance(run, Path)
