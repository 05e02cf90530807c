"""Reranking: a cross-encoder ranks the passages that share most words with each query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.evaluation.chance import retrieval_chance
from distill.evaluation.kinds.kind import Advance, Subject, WithoutFineTunes
from distill.evaluation.kinds.own_head import load_with_head
from distill.evaluation.metrics import PER_QUERY
from distill.evaluation.reranking import (
    RerankingRows,
    check_scores_pairs,
    read_reranking_rows,
    score_candidates,
)
from distill.evaluation.scores import Reference
from distill.evaluation.tfidf import TFIDF
from distill.recipe import RerankingTask
from distill.report.results.evaluation import Score

Values = Mapping[str, Any]
"""For each metric what each query contributes, and how that was come by."""


class Reranking(WithoutFineTunes):
    """The kind `reranking`."""

    hub_type = "text-ranking"

    def read(self, task: RerankingTask, seed: int) -> RerankingRows:
        """Queries, passages, and which are ranked for each query."""
        return read_reranking_rows(task, seed)

    def measure(
        self, subject: Subject, task: RerankingTask, rows: RerankingRows, advance: Advance
    ) -> Values:
        """What each query contributes to each metric; of a bag of words in the order in which it
        found the passages. Raises UnmeasuredError for a model whose head does not score pairs, and
        UserError where it is the teacher.
        """

        def measure() -> Values:
            ranks = rows.ranks(_scores(subject, task, rows, advance))
            return {metric: PER_QUERY[metric](ranks).tolist() for metric in task.metrics}

        return subject.keep(task.name, measure)

    def scores(
        self,
        task: RerankingTask,
        rows: RerankingRows,
        measurements: Mapping[str, Values],
        of: Reference,
    ) -> list[Score]:
        """Means over queries."""
        queries, candidates = rows.candidates.shape
        share = float(rows.has_answer.mean())
        return self.mean_scores(
            task,
            measurements,
            of,
            queries,
            lambda metric: share * retrieval_chance(metric, candidates),
        )

    def size(self, rows: RerankingRows) -> int:
        """Queries."""
        return len(rows.of.queries)


def _scores(
    subject: Subject, task: RerankingTask, rows: RerankingRows, advance: Advance
) -> np.ndarray:
    detail = f"{subject.name} on {task.name}"
    if subject.name == TFIDF:
        advance(1, detail)
        return np.broadcast_to(-np.arange(rows.candidates.shape[1]), rows.candidates.shape)
    model, _ = load_with_head(subject, lambda head: check_scores_pairs(task, head, subject.name))
    longest = subject.section.max_length
    return score_candidates(model, rows, longest, lambda share: advance(share, detail))
