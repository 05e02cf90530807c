from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from distill.distillation import rehearsal
from distill.pipeline import cost
from distill.pipeline.cost import (
    COSTS,
    evaluation_operations,
    keep_cost,
    predict_costs,
    read_costs,
    stage_work,
)
from distill.pipeline.dry_run import dry_run_lines
from distill.pipeline.plan import make_plan
from distill.pipeline.run import Run
from distill.recipe.reading import load_recipe
from distill.runtime.interruption import Interruption
from distill.runtime.progress import Progress

WriteRecipe = Callable[..., Path]


@pytest.fixture
def run_of(write_recipe: WriteRecipe, tmp_path: Path) -> Callable[..., Run]:
    def make(**changes: Any) -> Run:
        file = load_recipe(str(write_recipe(**changes)), [])
        progress, interruption = Progress(quiet=True), Interruption()
        folder = tmp_path / "runs" / "tiny"
        return Run(file=file, folder=folder, progress=progress, interruption=interruption)

    return make


def test_the_last_run_on_this_machine_tells_what_the_next_takes(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = run_of()
    plan = make_plan(run.recipe)
    run.folder.mkdir(parents=True)
    for stage in run.recipe.stages:
        work = stage_work(stage, run, plan)
        assert work, stage
        keep_cost(run.folder.parent, stage, work / 2, 30.0)
    found = predict_costs(run, plan)
    assert tuple(found) == run.recipe.stages
    for one in found.values():
        assert (one.seconds, one.by) == (pytest.approx(60.0), "by the last run here")
    monkeypatch.setattr(cost, "machine_name", lambda: "another")
    assert predict_costs(run, plan)["evaluation"].seconds is None


def test_a_damaged_file_of_costs_counts_as_none(tmp_path: Path) -> None:
    keep_cost(tmp_path, "corpus", 10.0, 2.0)
    assert read_costs(tmp_path) == {"corpus": 5.0}
    (tmp_path / COSTS).write_text((tmp_path / COSTS).read_text()[:-9])
    assert read_costs(tmp_path) == {}
    keep_cost(tmp_path, "corpus", 12.0, 2.0)
    assert read_costs(tmp_path) == {"corpus": 6.0}


def test_rehearsed_operations_tell_the_time_of_distillation_and_of_evaluation(
    run_of: Callable[..., Run],
) -> None:
    run = run_of()
    plan = make_plan(run.recipe)
    found = predict_costs(run, plan, rate=plan.operations / 20)
    assert found["distillation"].seconds == pytest.approx(20)
    evaluated = evaluation_operations(run.recipe, plan)
    assert evaluated and found["evaluation"].seconds == pytest.approx(
        20 * evaluated / plan.operations
    )


def test_scratch_reads_what_the_students_minutes_have_room_for(run_of: Callable[..., Run]) -> None:
    changes = {"evaluation.models": ["student", "scratch"]}
    run, short = run_of(**changes), run_of(**changes, **{"distillation.minutes": 1})
    plan = replace(make_plan(run.recipe), tokens=4_000_000, operations=1e15)
    rate = plan.operations / 120  # two minutes
    whole, half = (predict_costs(one, plan, rate)["evaluation"].seconds for one in (run, short))
    assert whole and half == pytest.approx(whole / 2, rel=0.05)


def test_an_evaluation_grows_with_epochs_seeds_and_models(
    run_of: Callable[..., Run], tmp_path: Path
) -> None:
    rows = [{"text": f"ett ord till {n}", "label": "ab"[n % 2]} for n in range(64)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = {"path": str(tmp_path / "rows.jsonl")}
    task = {"name": "toy", "kind": "classification", "train": source, "test": source}

    def operations(models: list[str], **changes: Any) -> float:
        changed = {f"evaluation.{key}": value for key, value in changes.items()}
        run = run_of(**{"evaluation.tasks": [task], "evaluation.models": models}, **changed)
        found = evaluation_operations(run.recipe, make_plan(run.recipe))
        assert found
        return found

    one = operations(["student"], seeds=2, learning_rates=[1e-4], epochs=2)
    assert operations(["student"], seeds=4, learning_rates=[1e-4], epochs=2) == 2 * one
    assert 1.5 * one < operations(["student"], seeds=2, learning_rates=[1e-4], epochs=4) < 2 * one
    assert operations(["student", "initial"], seeds=2, learning_rates=[1e-4], epochs=2) == 2 * one
    assert operations(["student"], seeds=2, learning_rates=[1e-4], epochs=2, max_steps=2) < one


@pytest.mark.parametrize("chunked", [True, False])
def test_whole_steps_are_rehearsed_without_weights_or_text(
    run_of: Callable[..., Run], monkeypatch: pytest.MonkeyPatch, chunked: bool
) -> None:
    monkeypatch.setattr(rehearsal, "_SECONDS", 0.05)
    objectives = {"hidden": 1.0, "embedding": 1.0 if chunked else 0.0}
    run = run_of(**{"distillation.objectives": objectives, "distillation.chunk_words": None})
    lines = list(dry_run_lines(run, until=None, force=None, measure=True))
    assert any("distillation  to do, about" in line and "rehearsed" in line for line in lines)
    assert any("evaluation    to do, about" in line and "rehearsed" in line for line in lines)
    assert any(line.startswith("in all about") for line in lines)
    assert not run.folder.exists()
