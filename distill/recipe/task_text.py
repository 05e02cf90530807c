"""Labelled rows as text: a corpus source that names a task of the recipe becomes the source of that
task's rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TEXT = {
    "classification": "text",
    "multilabel": "text",
    "pair_classification": "text1",
    "similarity": "text1",
}
"""By a task's kind, the column of its texts where it names none."""
_OF_THE_TASK = ("task", "split", "column")
"""What such a source says in place of where its text is."""


def with_task_text(recipe: Any) -> Any:
    """A recipe's plain values with each `{task: NAME, split: train}` among the corpus sources
    replaced by where that task's rows are; what is no such recipe is left to the type check.

    Raises ValueError if there is no such task or split, or test rows would be learnt from.
    """
    try:
        sources, tasks = recipe["corpus"]["sources"], recipe.get("evaluation", {}).get("tasks", [])
        named = {task["name"]: task for task in tasks}
        replaced = [_rows_of(named, source) if "task" in source else source for source in sources]
    except (AttributeError, KeyError, TypeError):
        return recipe
    return {**recipe, "corpus": {**recipe["corpus"], "sources": replaced}}


def _rows_of(tasks: Mapping[str, Any], source: Mapping[str, Any]) -> Mapping[str, Any]:
    name, split = source["task"], source.get("split", "train")
    if name not in tasks:
        known = ", ".join(tasks) or "none"
        raise ValueError(f"corpus.sources names the task {name}; evaluation.tasks has {known}")
    task = tasks[name]
    if split not in ("train", "dev"):
        raise ValueError(
            f"corpus.sources takes rows of {split} of the task {name}; only train and dev rows can "
            "be learnt from"
        )
    if not isinstance(task.get(split), dict):
        raise ValueError(f"corpus.sources takes rows of {split}, which the task {name} lacks")
    if task["kind"] not in _TEXT:
        raise ValueError(
            f"corpus.sources names the task {name}, and {task['kind']} has no column of texts; "
            "name a source of its sentences"
        )
    column = source.get("column") or task.get("text") or _TEXT[task["kind"]]
    rest = {key: value for key, value in source.items() if key not in _OF_THE_TASK}
    both = {}
    if task["kind"] == "pair_classification" and "head" in task and "column" not in source:
        both = {"text_pair": task.get("text_pair") or "text2"}  # its head reads pairs
    return {**task[split], **both, **rest, "column": column}
