"""What was measured of a model on a task goes in; its scores, each compared with the reference's,
come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from distill.evaluation.cross_lingual import cross_lingual_scores, no_cross_lingual_scores
from distill.evaluation.protocol import Measured
from distill.evaluation.scores import TEACHER, no_score, query_score, seed_score, share_score
from distill.recipe import FineTunedTask, MaskedTask, RetrievalTask, Task
from distill.report.results.evaluation import Score


def scores_of(
    model: str, task: Task, found: Any, whole: Any, reference: str, seed: int
) -> list[Score]:
    """Every metric's score, in several languages of every language and their average too.

    `found` and `whole`, the reference's, None where it was not evaluated, are what the stage
    measured: of a task that is fine-tuned a Measured or several, else for each metric what each row
    contributes, or a reason.
    """
    called = TEACHER if reference == "teacher" else reference
    if _is_cross_lingual(task):
        return cross_lingual_scores(model, task, found, whole, called)
    return [_score(model, task, metric, found, whole, called, seed) for metric in task.metrics]


def no_scores(model: str, task: Task, reason: str) -> list[Score]:
    """The same of a model that could not be measured, and why."""
    if _is_cross_lingual(task):
        return no_cross_lingual_scores(model, task, reason)
    return [no_score(model, task.name, metric, reason) for metric in task.metrics]


def _is_cross_lingual(task: Task) -> TypeGuard[FineTunedTask]:
    return not isinstance(task, RetrievalTask | MaskedTask) and task.cross_lingual is not None


def _score(
    model: str, task: Task, metric: str, found: Any, whole: Any, called: str, seed: int
) -> Score:
    """A metric's score, compared with the reference's, `whole`, where it was evaluated."""
    if isinstance(found, Measured):
        values = whole.values[metric] if isinstance(whole, Measured) else None
        return seed_score(
            model, task.name, metric, found.values[metric], values, found.learning_rate, called
        )
    if "reason" in found:
        return no_score(model, task.name, metric, found["reason"])
    own, other = np.array(found[metric]), _array(whole, metric)
    score = share_score if isinstance(task, MaskedTask) else query_score
    return score(model, task.name, metric, own, other, seed, called)


def _array(values: Mapping[str, Any] | None, metric: str) -> np.ndarray | None:
    return np.array(values[metric]) if values and metric in values else None
