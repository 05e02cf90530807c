"""Retrieval: each query's passage is found among all by sentence vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.evaluation.chance import retrieval_chance
from distill.evaluation.kinds.kind import Advance, Subject, UnmeasuredError, WithoutFineTunes
from distill.evaluation.prompts import vector_form
from distill.evaluation.retrieval import RetrievalRows, read_retrieval_rows, retrieval_values
from distill.evaluation.scores import Reference
from distill.evaluation.tfidf import TFIDF, rank_passages
from distill.recipe import RetrievalTask
from distill.recipe.asymmetric import ASYMMETRIC
from distill.report.results.evaluation import Score

Values = Mapping[str, Any]
"""For each metric what each query contributes, and how that was come by."""


class Retrieval(WithoutFineTunes):
    """The kind `retrieval`."""

    hub_type = "text-retrieval"

    def read(self, task: RetrievalTask, seed: int) -> RetrievalRows:
        """Queries and passages."""
        return read_retrieval_rows(task)

    def measure(
        self, subject: Subject, task: RetrievalTask, rows: RetrievalRows, advance: Advance
    ) -> Values:
        """What each query contributes to each metric."""

        def measure() -> Values:
            values = _values(subject, task, rows, advance)
            return {metric: contributions.tolist() for metric, contributions in values.items()}

        return subject.keep(task.name, measure)

    def scores(
        self,
        task: RetrievalTask,
        rows: RetrievalRows,
        measurements: Mapping[str, Values],
        of: Reference,
    ) -> list[Score]:
        """Means over queries."""
        passages = len(rows.passages)
        return self.mean_scores(
            task,
            measurements,
            of,
            len(rows.queries),
            lambda metric: retrieval_chance(metric, passages),
        )

    def size(self, rows: RetrievalRows) -> int:
        """Queries."""
        return len(rows.queries)


def _values(
    subject: Subject, task: RetrievalTask, rows: RetrievalRows, advance: Advance
) -> dict[str, np.ndarray]:
    texts, detail = len(rows.queries) + len(rows.passages), f"{subject.name} on {task.name}"
    if subject.name == TFIDF:
        advance(1, detail)
        return rank_passages(rows, task)
    is_pair = subject.name == ASYMMETRIC
    model = subject.load_other("student") if is_pair else subject.load()
    form = vector_form(
        subject.name,
        model,
        section=subject.section,
        teacher=subject.teacher,
        is_reference=subject.is_reference,
        of_teacher=subject.sentence_form,
    )
    if form.refused:
        raise UnmeasuredError(f"{subject.name} {form.refused}")
    return retrieval_values(
        model,
        rows,
        task,
        form,
        advance=lambda done: advance(done / texts, detail),
        passages_by=subject.load_other("trimmed") if is_pair else None,
    )
