"""Classes and tags by a model's own head: no fine-tuning, and how often a student answers as its
teacher does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from distill.evaluation.kinds.kind import (
    Advance,
    Reference,
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
from distill.evaluation.scores import no_score, row_score, share_score
from distill.evaluation.tasks import Row
from distill.recipe import OwnHeadTask
from distill.recipe.model_reference import OWN_MODELS
from distill.report.results.evaluation import Score
from distill.runtime.errors import UserError

Values = Mapping[str, Any]
"""Gold and predicted labels, a list a row; or a reason why there are none."""


class OwnHead(WithoutFineTunes):
    """The kinds `classification`, `pair_classification` and `tokens` with `head: own`."""

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
        model: str,
        task: OwnHeadTask,
        measurement: Values,
        reference: Values | None,
        of: Reference,
    ) -> list[Score]:
        """Shares and F1 over rows, with bootstrapped intervals; agreement is with the
        reference.
        """
        gold, own = measurement["gold"], measurement["predicted"]
        other = None if reference is None else reference["predicted"]
        labels = sorted({*chain(*gold), *chain(*own), *chain(*(other or []))})
        found = []
        for metric in task.metrics:
            if metric == "agreement" and other is None:
                found.append(no_score(model, task.name, metric, f"{of.label} was not evaluated"))
            elif metric == "macro_f1":
                counts = f1_counts(gold, own, labels)
                whole = None if other is None else f1_counts(gold, other, labels)
                found.append(
                    row_score(
                        model, task.name, metric, counts, whole, of.seed, of.label, macro_f1_of
                    )
                )
            else:
                right = other if metric == "agreement" and other is not None else gold
                whole = None if other is None else hits(right, other)
                counts = hits(right, own)
                found.append(
                    share_score(model, task.name, metric, counts, whole, of.seed, of.label)
                )
        return found

    def size(self, rows: list[Row]) -> int:
        """Test rows."""
        return len(rows)

    def _predict(
        self, subject: Subject, task: OwnHeadTask, rows: list[Row], advance: Advance
    ) -> Values:
        model, detail = subject.load(), f"{subject.name} on {task.name}"
        head = own_head(model.model)
        try:
            check_head(task, rows, head, subject.name)
        except UserError as error:
            if subject.name in OWN_MODELS and subject.name not in ("scratch", "untrained"):
                raise
            raise UnmeasuredError(error.text) from error
        assert head is not None, "check_head refuses a model without"
        predicted = predict_labels(
            model,
            rows,
            head,
            longest=subject.section.max_length,
            advance=lambda share: advance(share, detail),
        )
        return {"gold": gold_labels(rows, head), "predicted": predicted}


def hits(right: Sequence[Sequence[str]], own: Sequence[Sequence[str]]) -> np.ndarray:
    """For each row how many labels are right, and how many there are: [rows, 2]."""
    return np.array(
        [
            (sum(a == b for a, b in zip(one, other, strict=True)), len(one))
            for one, other in zip(right, own, strict=True)
        ]
    )


def f1_counts(
    gold: Sequence[Sequence[str]], own: Sequence[Sequence[str]], labels: Sequence[str]
) -> np.ndarray:
    """For each row and label how often it is right, in the gold and predicted: [rows, 3,
    labels].
    """
    place = {name: at for at, name in enumerate(labels)}
    counts = np.zeros((len(gold), 3, len(labels)))
    for row, (one, other) in enumerate(zip(gold, own, strict=True)):
        for wanted, found in zip(one, other, strict=True):
            counts[row, 0, place[wanted]] += wanted == found
            counts[row, 1, place[wanted]] += 1
            counts[row, 2, place[found]] += 1
    return counts


def macro_f1_of(counts: np.ndarray) -> float:
    """F1 of each label that occurs in either, averaged over labels, of the counts of some rows."""
    right, wanted, found = counts.sum(axis=0)
    occurs = wanted + found > 0
    return float((2 * right[occurs] / (wanted + found)[occurs]).mean()) if occurs.any() else 0.0
