"""Retrieval: each query's passage is found among all by sentence vectors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from distill.evaluation.kinds.kind import Advance, Reference, Subject, WithoutFineTunes
from distill.evaluation.retrieval import RetrievalRows, read_retrieval_rows, retrieval_values
from distill.evaluation.scores import query_score
from distill.recipe import RetrievalTask
from distill.report.results.evaluation import Score

Values = Mapping[str, list[float]]
"""For each metric what each query contributes."""


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
            texts, detail = len(rows.queries) + len(rows.passages), f"{subject.name} on {task.name}"
            values = retrieval_values(
                subject.load(),
                rows,
                task,
                subject.teacher,
                advance=lambda done: advance(done / texts, detail),
            )
            return {metric: contributions.tolist() for metric, contributions in values.items()}

        return subject.keep(task.name, measure)  # type: ignore[return-value]

    def scores(
        self,
        model: str,
        task: RetrievalTask,
        measurement: Values,
        reference: Values | None,
        of: Reference,
    ) -> list[Score]:
        """Means over queries, with bootstrapped intervals."""
        return [
            query_score(
                model,
                task.name,
                metric,
                np.array(measurement[metric]),
                None if reference is None else np.array(reference[metric]),
                of.seed,
                of.label,
            )
            for metric in task.metrics
        ]

    def size(self, rows: RetrievalRows) -> int:
        """Queries."""
        return len(rows.queries)
