"""Scores on benchmarks of the Hub: a report goes in; the files of `.eval_results/` come out, which
the Hub shows on the student's page and on the benchmark's.

A dataset is a benchmark where its repository says so in eval.yaml (the Hub's documentation,
"Evaluation Results").
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

FOLDER = ".eval_results"
DECLARATION = "eval.yaml"

Declared = Mapping[str, Any]
"""What eval.yaml says."""

_UNFIT = re.compile(r"[^\w.-]+")
"""What a file's name does without."""


def write_benchmarks(report: Mapping[str, Any], output: Path) -> None:
    """Leave a file for each task of which all rows of a benchmark's split were scored; none where
    the Hub cannot be asked.
    """
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    for task, rows, score in _scored_on_the_hub(report):
        benchmark = _task_of(declared_by(rows["hub"], rows.get("revision")), rows)
        if benchmark is None:
            continue
        entry = EvalResultEntry(
            dataset_id=rows["hub"],
            task_id=benchmark,
            value=round(score["mean"], 4),
            dataset_revision=rows.get("revision"),
            notes=_notes(task, score),
        )
        (output / FOLDER).mkdir(exist_ok=True)
        content = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False)
        name = _UNFIT.sub("-", task["name"])
        (output / FOLDER / f"{name}.yaml").write_text(content, encoding="utf-8")


def declared_by(dataset: str, revision: str | None) -> Declared:
    """What the dataset's eval.yaml says; nothing where it is no benchmark, or there is no Hub."""
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    from distill.runtime.hub import PATIENCE_SECONDS, hub_or_cache

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    try:
        with hub_or_cache():
            file = hf_hub_download(
                dataset,
                DECLARATION,
                repo_type="dataset",
                revision=revision,
                etag_timeout=PATIENCE_SECONDS,
            )
        declared = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError, ValueError, yaml.YAMLError):
        return {}
    return declared if isinstance(declared, Mapping) else {}


def _scored_on_the_hub(
    report: Mapping[str, Any],
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]]:
    """Tasks whose test rows are a dataset of the Hub, those rows, and the student's score by the
    task's first metric.
    """
    scores = {
        (score["task"], score["metric"]): score
        for score in report["evaluation"] or []
        if score["model"] == "student"
        and score["mean"] is not None
        and math.isfinite(score["mean"])
    }
    for task in report["recipe"]["evaluation"]["tasks"]:
        rows = task.get("test") or task.get("source") or {}
        metrics = task.get("metrics") or []
        score = scores.get((task["name"], metrics[0])) if metrics else None
        if rows.get("hub") and score and not _leaves_rows_out(task):
            yield task, rows, score


def _leaves_rows_out(task: Mapping[str, Any]) -> bool:
    """Whether the task takes some of its rows alone, or changes what they say."""
    return task.get("max_test") is not None or bool(task.get("labels"))


def _task_of(declared: Declared, rows: Mapping[str, Any]) -> str | None:
    """The id of the benchmark's task that has these rows."""
    wanted = (rows.get("config") or "default", rows.get("split"))
    tasks = declared.get("tasks")
    for task in tasks if isinstance(tasks, list) else []:
        if not isinstance(task, Mapping) or not (isinstance(task.get("id"), str) and task["id"]):
            continue
        if (task.get("config") or "default", task.get("split") or "test") == wanted:
            return str(task["id"])
    return None


def _notes(task: Mapping[str, Any], score: Mapping[str, Any]) -> str:
    """How the figure was come by."""
    is_tuned = task.get("train") and not task.get("head")
    tuned = "fine-tuned on its training rows" if is_tuned else "as it is"
    low, high = score.get("low"), score.get("high")
    between = f", 95% interval {low:.4f} to {high:.4f}" if low is not None else ""
    seeds = f", mean of {len(score['scores'])} seeds" if len(score["scores"]) > 1 else ""
    return f"{score['metric']}{between}, {tuned}{seeds}"
