"""Classes and tags by a model's own head: no fine-tuning, and how often a student answers as its
teacher does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from distill.evaluation.keeping import SCRATCH
from distill.evaluation.kinds.kind import (
    Advance,
    Subject,
    UnmeasuredError,
    WithoutFineTunes,
)
from distill.evaluation.own_head import (
    check_head,
    gold_labels,
    own_head,
    predict_labels,
    read_test_rows,
)
from distill.evaluation.resampling import observe
from distill.evaluation.scores import Reference, no_score, score_models
from distill.evaluation.statistics import (
    NUMBERS,
    Statistic,
    class_statistic,
    entity_statistic,
    mean_statistic,
    set_statistic,
)
from distill.evaluation.tasks import Row
from distill.models import LoadedModel
from distill.models.task_heads import TaskHead
from distill.recipe import OwnHeadTask
from distill.recipe.model_reference import OWN_MODELS
from distill.report.results.evaluation import Score
from distill.runtime.errors import UserError

Values = Mapping[str, Any]
"""Gold and predicted labels, a list a row; or a reason why there are none."""


def load_with_head(
    subject: Subject, check: Callable[[TaskHead | None], None]
) -> tuple[LoadedModel, TaskHead]:
    """The model and its head, which `check` raises UserError about if it does not fit.

    Raises that of the teacher and what is made from it, and UnmeasuredError of any other model.
    """
    if subject.name == SCRATCH:  # it would be trained for nothing
        raise UnmeasuredError("it is trained from nothing, and no head with it")
    model = subject.load()
    head = own_head(model.model)
    try:
        check(head)
    except UserError as error:
        if subject.name in OWN_MODELS and subject.name != "untrained":
            raise
        raise UnmeasuredError(error.text.rstrip(".")) from error
    assert head is not None, "a check refuses a model without"
    return model, head


class OwnHead(WithoutFineTunes):
    """The kinds of fine-tuned tasks with `head: own`."""

    def __init__(self, hub_type: str) -> None:
        self.hub_type = hub_type

    def read(self, task: OwnHeadTask, seed: int) -> list[Row]:
        """Test rows."""
        return read_test_rows(task, seed)

    def measure(
        self, subject: Subject, task: OwnHeadTask, rows: list[Row], advance: Advance
    ) -> Values:
        """Gold and predicted labels of each row. Raises UnmeasuredError for a model whose head does
        not answer the task, and UserError where it is the teacher.
        """
        return subject.keep(task.name, lambda: self._predict(subject, task, rows, advance))

    def scores(
        self,
        task: OwnHeadTask,
        rows: list[Row],
        measurements: Mapping[str, Values],
        of: Reference,
    ) -> list[Score]:
        """Shares and F1 over rows; agreement is with the reference."""
        return [
            score
            for metric in task.metrics
            for score in self._scores(task, metric, measurements, of)
        ]

    def _scores(
        self, task: OwnHeadTask, metric: str, measurements: Mapping[str, Values], of: Reference
    ) -> list[Score]:
        if metric == "agreement" and of.name not in measurements:
            reason = f"{of.label} was not evaluated"
            return [no_score(model, task.name, metric, reason) for model in measurements]
        rows = len(next(iter(measurements.values()))["gold"]) if measurements else 0
        observed = {
            model: observe(
                [_statistic(task, metric, values, measurements.get(of.name))],
                rows,
                of.seed,
                has_seeds=False,
            )
            for model, values in measurements.items()
        }
        provenance = self.provenance(measurements, rows)
        return score_models(task.name, metric, observed, of, None, provenance)

    def size(self, rows: list[Row]) -> int:
        """Test rows."""
        return len(rows)

    def _predict(
        self, subject: Subject, task: OwnHeadTask, rows: list[Row], advance: Advance
    ) -> Values:
        detail = f"{subject.name} on {task.name}"
        model, head = load_with_head(
            subject, lambda head: check_head(task, rows, head, subject.name)
        )
        predicted = predict_labels(
            model,
            rows,
            head,
            longest=subject.section.max_length,
            advance=lambda share: advance(share, detail),
        )
        return {"gold": gold_labels(rows, head), "predicted": predicted}


def _statistic(
    task: OwnHeadTask, metric: str, values: Values, reference: Values | None
) -> Statistic:
    """Agreement is accuracy with the reference's answers for labels."""
    gold, predicted = values["gold"], values["predicted"]
    if metric == "agreement" and reference is not None:
        gold, metric = reference["predicted"], "accuracy"
    if task.kind == "similarity":
        return NUMBERS[metric](np.array(gold), np.array(predicted))
    if task.kind == "multilabel":
        if metric == "accuracy":
            same = [{*both[0]} == {*both[1]} for both in zip(gold, predicted, strict=True)]
            return mean_statistic(np.array(same, dtype=np.float64))
        return set_statistic(metric, gold, predicted)
    if metric == "entity_f1":
        return entity_statistic(gold, predicted)
    return class_statistic(metric, gold, predicted)
