"""What MLflow keeps of a run in the project's own store, and that one which cannot be reached stops
nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from distill import __version__
from distill.report.formats import format_count
from distill.runtime.progress import Progress
from distill.tracking import Tracker, experiment_views, tracking_uri
from distill.tracking.tracker import flatten, readable
from tests.evaluation.conftest import toy_records

STAGES = {"corpus", "vocabulary", "student", "distillation", "evaluation", "benchmark", "export"}


@pytest.fixture(scope="module")
def shared() -> dict[str, Any]:
    return {}


@pytest.fixture
def store(shared, distill, write_recipe, tmp_path, monkeypatch) -> Iterator[dict[str, Any]]:
    """A finished run's folder, the client of its store, its parent run, and the child runs by
    name.
    """
    import mlflow

    if not shared:
        changes = {"distillation.tokens": 8000, "tracking.register": True}
        recipe = write_recipe(**changes, **_one_fine_tune(tmp_path))
        done = distill("recipe", recipe)
        assert done.returncode == 0, done.stderr
        client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlruns' / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("tiny")
        runs = client.search_runs([experiment.experiment_id])
        (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
        children = {run.info.run_name: run for run in runs if run is not parent}
        shared.update(
            folder=tmp_path,
            client=client,
            parent=parent,
            children=children,
            uri=client.tracking_uri,
        )
        shared.update(said=done.stderr)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(shared["uri"])
    yield shared
    mlflow.set_tracking_uri(before)


def _one_fine_tune(folder: Path) -> dict[str, Any]:
    """An evaluation that fine-tunes, as only that has a score on dev: each model for one step."""
    rows = folder / "toy.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in toy_records(40)))
    splits = {name: {"path": str(rows)} for name in ("train", "dev", "test")}
    faq = {"path": str(folder / "faq.jsonl")}
    return {
        "evaluation.models": ["teacher", "student"],
        "evaluation.tasks": [
            {"name": "faq", "kind": "retrieval", "source": faq, "query": "q", "passage": "a"},
            {"name": "toy", "kind": "classification", "metrics": ["accuracy"], **splits},
        ],
        "evaluation.seeds": 2,
        "evaluation.learning_rates": [1e-3],
        "evaluation.max_steps": 1,
    }


def test_a_run_is_one_finished_parent_with_a_child_for_each_stage(store):
    parent, children = store["parent"], store["children"]
    size = format_count(children["student"].data.metrics["parameters"])
    assert re.fullmatch(rf"teacher0 to {size}, \d{{4}}-\d\d-\d\d", parent.info.run_name)
    assert set(children) >= STAGES
    for stage in STAGES:
        assert children[stage].data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert children[stage].data.tags["stage"] == stage
        assert children[stage].data.metrics["seconds"] >= 0
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}


def test_every_model_and_task_has_a_child_of_the_evaluation_with_the_reported_scores(store):
    report = json.loads((store["folder"] / "runs" / "tiny" / "report.json").read_text())
    names = {f"evaluation/{row['model']}/{row['task']}" for row in report["evaluation"]}
    assert names == set(store["children"]) - STAGES
    for row in report["evaluation"]:
        run = store["children"][f"evaluation/{row['model']}/{row['task']}"]
        assert run.data.tags["mlflow.parentRunId"] == store["children"]["evaluation"].info.run_id
        assert (run.data.tags["model"], run.data.tags["task"]) == (row["model"], row["task"])
        assert run.data.metrics[_clean(row["metric"])] == readable(row["mean"])


def _clean(metric: str) -> str:
    return metric.replace("@", "_")


def test_the_recipe_is_the_parents_parameters(store):
    parameters = store["parent"].data.params
    assert parameters["distillation.tokens"] == "8000"
    assert parameters["distillation.objectives.relations"] == "0.5"
    assert parameters["vocabulary.min_count"] == "1"
    assert parameters["overrides"] == "none"


def test_the_parent_and_its_children_say_where_they_come_from(store):
    for run in (
        store["parent"],
        store["children"]["distillation"],
        store["children"]["evaluation/student/faq"],
    ):
        tags = run.data.tags
        assert (tags["language"], tags["distill_version"], tags["device"]) == (
            "sv",
            __version__,
            "cpu",
        )
        assert Path(tags["teacher"]).name.startswith("teacher")
        assert "git_commit" not in tags  # the working folder is no repository
    assert store["parent"].data.tags["mlflow.source.name"].endswith("tiny.yaml")


def test_the_load_of_the_machine_is_logged_beside_the_losses(store):
    run = store["children"]["distillation"]
    assert run.data.metrics["system/system_memory_usage_megabytes"] > 0
    assert {"system/cpu_utilization_percentage", "system/disk_usage_percentage"} <= set(
        run.data.metrics
    )
    assert not [
        name for name in store["children"]["evaluation"].data.metrics if name.startswith("system/")
    ]


def test_the_view_that_the_ui_opens_has_each_run_once_by_retention_with_the_headline(store):
    client, experiment = (
        store["client"],
        store["client"].get_experiment(store["parent"].info.experiment_id),
    )
    tag = json.loads(experiment.tags["mlflow.sharedViewState.distill"])
    view = json.loads(tag["state"])
    assert tag == {"name": "best first", "createdAt": 0, "state": tag["state"], **view}
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`retention`", False)
    shown = {
        column.split("`")[1] for column in view["selectedColumns"] if column.startswith("metrics.")
    }
    assert shown <= set(store["parent"].data.metrics)
    (found,) = client.search_runs([experiment.experiment_id], view["searchFilter"])
    assert found.info.run_id == store["parent"].info.run_id


def test_the_student_is_the_best_of_its_language_so_far(store):
    best = store["client"].get_model_version_by_alias("distill-sv", "best")
    assert int(best.version) == 1
    assert best.run_id == store["parent"].info.run_id
    report = json.loads((store["folder"] / "runs" / "tiny" / "report.json").read_text())
    (row,) = [row for row in report["evaluation"] if row["dev"] and row["model"] == "student"]
    assert float(best.tags["dev/toy"]) == row["dev"]
    assert {"teacher", "tasks"} <= set(best.tags)
    assert "dev/faq" not in best.tags
    assert "version 1 of distill-sv is the best so far" in store["said"]


def test_a_finished_run_leaves_nothing_of_tracking_in_its_folder(store):
    assert not list((store["folder"] / "runs" / "tiny").glob("tracking*"))


def test_losses_are_logged_step_by_step(store):
    run = store["children"]["distillation"].info.run_id
    for name in ("loss", "loss/hidden", "loss/relations", "loss/embedding", "learning_rate"):
        history = store["client"].get_metric_history(run, name)
        assert [metric.step for metric in history][:2] == [10, 20]
        assert all(metric.value >= 0 for metric in history)


def test_the_headline_is_the_parents_metrics(store):
    metrics = store["parent"].data.metrics
    assert metrics["student_parameters"] == store["children"]["student"].data.metrics["parameters"]
    first = [f"retention/{name}" for name in ("faq/mrr_10", "toy/accuracy")]
    kept = [metrics[name] for name in first if name in metrics]
    assert metrics["retention"] == pytest.approx(sum(kept) / len(kept), rel=1e-3)
    assert {"heldout_identical", "vocabulary_kept", "latency_ms"} <= set(metrics)
    assert (
        "of what the teacher scores above guessing"
        in store["parent"].data.tags["mlflow.note.content"]
    )


def test_report_recipe_and_plots_are_artifacts(store):
    run = store["parent"].info.run_id
    assert {"report.html", "report.json", "tiny.yaml", "plots"} <= {
        f.path for f in store["client"].list_artifacts(run)
    }
    plots = store["client"].list_artifacts(run, "plots")
    assert plots
    assert all(plot.path.endswith(".png") and plot.file_size > 1000 for plot in plots)


def test_artifacts_lie_beside_the_projects_own_store(store):
    for artifacts in ("report.html", "report.json"):
        assert len(list((store["folder"] / "mlruns" / "artifacts" / "tiny").rglob(artifacts))) >= 1


def test_the_logged_student_loads_from_the_store_and_computes_the_same(store):
    import mlflow
    import torch
    from transformers import AutoModel, AutoTokenizer

    (logged,) = store["client"].search_logged_models([store["parent"].info.experiment_id])
    assert logged.name == "student"
    loaded = mlflow.transformers.load_model(logged.model_uri, return_type="components")
    export = store["folder"] / "runs" / "tiny" / "export"
    batch = AutoTokenizer.from_pretrained(export)("Regeringen och fisken.", return_tensors="pt")
    assert torch.equal(
        loaded["tokenizer"]("Regeringen och fisken.", return_tensors="pt")["input_ids"],
        batch["input_ids"],
    )
    with torch.inference_mode():
        states = [
            model.eval()(**batch).last_hidden_state
            for model in (loaded["model"], AutoModel.from_pretrained(export))
        ]
    assert torch.equal(*states)


def test_the_logged_student_predicts_without_anything_from_outside(store, monkeypatch):
    import socket

    import mlflow
    import numpy

    def refuse(*_: object) -> None:
        raise AssertionError("nothing should be asked of a network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    best = mlflow.transformers.load_model("models:/distill-sv@best")
    (states,) = best("Regeringen och fisken.")
    assert numpy.array(states).shape[1] == best.model.config.hidden_size
    assert numpy.isfinite(states).all()


def test_a_store_that_cannot_be_reached_does_not_stop_or_hold_up_a_run(
    distill, write_recipe, tmp_path
):
    uri = "http://127.0.0.1:9"
    done = distill(
        "recipe", write_recipe(), "--until", "corpus", MLFLOW_TRACKING_URI=uri, timeout=60
    )
    assert done.returncode == 0, done.stderr
    away, last = [line for line in done.stderr.splitlines() if uri in line]
    assert "going on without it" in away
    assert "did not come back" in last
    assert "Traceback" not in done.stderr
    assert (tmp_path / "runs" / "tiny" / "report.html").is_file()
    assert not (tmp_path / "mlruns").exists()
    (kept,) = (tmp_path / "runs" / "tiny").glob("tracking-*/events.jsonl")
    assert str(kept.parent.relative_to(tmp_path)) in last


@pytest.fixture
def tracker(tmp_path, monkeypatch):
    """`tracker()`: a tracker of the run in the working folder, with a store there."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "run").mkdir()
    before = mlflow.get_tracking_uri()
    yield lambda: Tracker("tiny", tmp_path / "run", Progress(quiet=True))
    mlflow.set_tracking_uri(before)


def test_a_run_that_did_not_finish_is_gone_on_with_and_a_finished_one_is_not(tracker):
    def runs() -> dict[str, str]:
        found = one._store._client.search_runs(
            [one._store._experiment], order_by=["attributes.start_time ASC"]
        )
        return {run.info.run_id: run.info.status for run in found}

    one = tracker()
    one.start("tiny", {"a": {"b": 1}}, {})
    with pytest.raises(KeyboardInterrupt), one.child("corpus"):
        raise KeyboardInterrupt
    one.finish("KILLED")
    killed = runs()
    assert list(killed.values()) == ["KILLED", "KILLED"]
    again = tracker()
    again.start("tiny", {"a": {"b": 1}}, {})
    with again.child("corpus"):
        again.log({"documents": 3, "unknown": None})
    again.finish("FINISHED")
    assert runs() == dict.fromkeys(killed, "FINISHED")
    third = tracker()
    third.start("tiny", {}, {})
    assert len(runs()) == 3


def test_a_stage_that_is_gone_on_with_has_each_of_its_children_once(tracker):
    def score(one: Tracker, *, is_killed: bool) -> list[str]:
        one.start("tiny", {}, {})
        with one.child("evaluation"):
            with one.child("evaluation/teacher/faq"):
                one.log({"mrr": 0.5})
            if is_killed:
                raise KeyboardInterrupt
        one.finish("FINISHED")
        found = one._store._client.search_runs(
            [one._store._experiment], "attributes.run_name LIKE 'evaluation%'"
        )
        assert {run.info.status for run in found} == {"FINISHED"}
        return sorted(run.info.run_name for run in found)

    killed = tracker()
    with pytest.raises(KeyboardInterrupt):
        score(killed, is_killed=True)
    killed.finish("KILLED")
    assert score(tracker(), is_killed=False) == ["evaluation", "evaluation/teacher/faq"]
    assert len(score(tracker(), is_killed=False)) == 4  # the next run's are its own


def test_what_mlflow_does_not_allow_in_a_name_is_replaced_and_a_long_value_cut(tracker):
    one = tracker()
    one.start("tiny", {"list": ["x" * 600], "söurce@x": 1}, {})
    one.log({"mrr@10": 0.5}, step=3)
    run = one._store._client.get_run(one._store.runs[one._current])
    assert run.data.metrics == {"mrr_10": 0.5}
    assert len(run.data.params["list"]) == 500
    assert len(run.data.params) == 2


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.9123456, 0.9123), (12.3456, 12.35), (1234.56, 1235), (15_587_328, 15_587_328), (0, 0)],
)
def test_figures_are_rounded_as_a_person_reads_them_and_counts_are_whole(value, shown):
    assert readable(value) == shown


def test_nested_parameters_are_flattened():
    assert flatten({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None}) == {
        "a.b": 1,
        "a.c.d": [1, 2],
        "e": None,
    }


def test_the_environment_names_the_store(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking")
    assert tracking_uri() == "http://tracking"
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert tracking_uri() == "sqlite:///mlruns/mlflow.db"


def test_the_ui_is_told_where_it_shows_an_experiment_by_what_matters(tmp_path: Path) -> None:
    import mlflow

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri)
    client.create_experiment("another's")
    own = client.create_experiment("tiny", tags={"mlflow.sharedViewState.distill": "{}"})
    assert experiment_views(uri, "http://here") == {
        "tiny": f"http://here/#/experiments/{own}/runs?viewStateShareKey=distill&workflowType=machine_learning"
    }


def test_another_working_folder_has_another_store_in_the_same_process(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    found = []
    for name in ("one", "two"):
        (tmp_path / name / "run").mkdir(parents=True)
        monkeypatch.chdir(tmp_path / name)
        tracker = Tracker("tiny", tmp_path / name / "run", Progress(quiet=True))
        tracker.start(name, {}, {})
        tracker.finish("FINISHED")
        runs = tracker._store._client.search_runs([tracker._store._experiment])
        found.append([run.info.run_name for run in runs])
    assert found == [["one"], ["two"]]
    assert "MLFLOW_TRACKING_URI" not in os.environ
