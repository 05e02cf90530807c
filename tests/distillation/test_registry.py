from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from distill.distillation.loop import distil
from distill.distillation.objectives import OBJECTIVES, Comparison, Objective, register
from distill.recipe import DistillationSection, objectives as recipe_objectives
from distill.runtime.runtime import Runtime
from distill.training.chunks import Chunks
from tests.distillation.pairs import tiny_pair


def last_states_apart(pair: Comparison) -> torch.Tensor:
    mask = pair.batch.mask.unsqueeze(-1)
    apart = (pair.student.last.float() - pair.teacher.last.float()).abs() * mask
    return apart.sum() / mask.sum()


@pytest.fixture
def toy() -> Iterator[Objective]:
    """An objective that the package knows nothing of."""
    objective = Objective(
        key="toy",
        purpose="staying near the last layer",
        paper="Nobody 2026",
        arxiv="0000.00000",
        count=lambda batch: batch.tokens,
        value=last_states_apart,
    )
    register(objective)
    yield objective
    del OBJECTIVES["toy"]
    recipe_objectives._REGISTERED.clear()


def test_a_recipe_trains_by_an_objective_that_was_registered_from_outside(
    toy: Objective, tiny_teacher: Path, chunks: tuple[Chunks, Chunks], tmp_path: Path
) -> None:
    section = DistillationSection.model_validate(
        {
            "objectives": {"hidden": 0, "toy": 2.0},
            "tokens": 4000,
            "batch_tokens": 160,
            "precision": "float32",
        }
    )
    pair = tiny_pair(tiny_teacher)
    state = distil(pair, *chunks, section, checkpoint=tmp_path / "c", runtime=Runtime())
    assert set(state.history[0]) == {"tokens", "loss", "toy"}
    assert state.history[0]["loss"] == pytest.approx(2 * state.history[0]["toy"])
    assert state.history[-1]["toy"] < state.history[0]["toy"]


def test_a_registered_weight_is_part_of_what_the_section_says(toy: Objective) -> None:
    section = DistillationSection.model_validate({"objectives": {"hidden": 1, "toy": 0.5}})
    assert section.objectives.weights == {"hidden": 1.0, "toy": 0.5}
    assert section.model_dump()["objectives"]["toy"] == 0.5


def test_a_key_that_nothing_registered_is_an_unknown_key() -> None:
    with pytest.raises(ValueError, match=r"objectives\.toy\n\s+Extra inputs are not permitted"):
        DistillationSection.model_validate({"objectives": {"hidden": 1, "toy": 0.5}})
