"""What the tests of the export share: students without and with a head, and the report of a run in
the user's folder.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from distill.models import LoadedModel, load_with_tokenizer
from distill.student.depth import keep_layers
from tests.report.examples import example_recipe, example_results

SECRET = "jane.doe-home"
"""Stands for the user's folder, which is nobody else's business."""


@pytest.fixture(scope="session")
def student(tiny_teacher: Path) -> LoadedModel:
    teacher = load_with_tokenizer(str(tiny_teacher))
    return LoadedModel(model=keep_layers(teacher.model, [2, 4]), tokenizer=teacher.tokenizer)


@pytest.fixture(scope="session")
def masked_student(tiny_teacher: Path) -> LoadedModel:
    """A student that predicts masked tokens, by a head tied to its embeddings."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    torch.manual_seed(0)
    config = AutoConfig.from_pretrained(tiny_teacher, num_hidden_layers=1)
    return LoadedModel(
        model=AutoModelForMaskedLM.from_config(config).eval(),
        tokenizer=load_with_tokenizer(str(tiny_teacher)).tokenizer,
    )


@pytest.fixture(scope="session")
def local_report() -> dict[str, Any]:
    """The report of a run on a local teacher and local text, in the user's folder."""
    from tests.report.examples import report_content

    source = {"path": f"/home/{SECRET}/text/*.jsonl", "licence": "cc0-1.0"}
    task = {
        "name": "faq",
        "kind": "retrieval",
        "source": {"path": f"/home/{SECRET}/faq.jsonl"},
        "query": "q",
        "passage": "a",
    }
    recipe = example_recipe(
        teacher={"model": f"/home/{SECRET}/models/mine", "licence": "mit"},
        corpus={"sources": [source]},
        evaluation={"tasks": [task]},
    )
    results = example_results("benchmark")
    results["corpus"]["sources"][0] |= {
        "name": recipe.corpus.sources[0].label,
        "location": recipe.corpus.sources[0].location,
    }
    results["student"]["teacher"]["name"] = recipe.teacher.model
    return report_content(recipe, results)
