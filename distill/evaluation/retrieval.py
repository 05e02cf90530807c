"""Retrieval by sentence vectors: queries and passages go in; what each query contributes to every
metric comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.evaluation.embedding import embed
from distill.evaluation.metrics import PER_QUERY, ranks_by_vectors
from distill.evaluation.prompts import VectorForm
from distill.models import LoadedModel
from distill.models.after_pooling import compare
from distill.models.loading import position_limit
from distill.recipe import RerankingTask, RetrievalTask
from distill.runtime.errors import UserError


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrievalRows:
    """Queries, distinct passages, and which passage answers each query."""

    queries: list[str]
    passages: list[str]
    answers: np.ndarray


def retrieval_values(
    model: LoadedModel,
    rows: RetrievalRows,
    task: RetrievalTask,
    form: VectorForm,
    advance: Callable[[float], object] = lambda texts: None,
    passages_by: LoadedModel | None = None,
) -> dict[str, np.ndarray]:
    """For each metric, what each query contributes; passages are read by another model where one is
    given, whose vectors compare with the model's.
    """

    def vectors(model: LoadedModel, prefix: str, texts: list[str]) -> np.ndarray:
        longest = min(model.tokenizer.model_max_length, position_limit(model.model))
        longest = min(longest, form.length or longest)
        prefixed = [prefix + text for text in texts]
        return embed(
            model.model,
            model.tokenizer,
            prefixed,
            pooling=form.pooling,
            longest=longest,
            after=form.after,
            advance=advance,
        )

    queries = vectors(model, form.prefixes.query, rows.queries)
    passages = vectors(passages_by or model, form.prefixes.passage, rows.passages)

    def likeness(queries: np.ndarray, passages: np.ndarray) -> np.ndarray:
        by = form.after.similarity
        return compare(torch.from_numpy(queries), torch.from_numpy(passages), by).numpy()

    ranks = (
        ranks_by_vectors(queries, passages, rows.answers)
        if form.after.similarity in ("cosine", "dot")
        else ranks_by_vectors(queries, passages, rows.answers, compare=likeness)
    )
    return {metric: PER_QUERY[metric](ranks) for metric in task.metrics}


def read_retrieval_rows(task: RetrievalTask | RerankingTask) -> RetrievalRows:
    """The task's rows; equal passages count as one.

    Raises UserError if a column is missing or fewer than two rows are whole.
    """
    queries: list[str] = []
    answers: list[int] = []
    passages: dict[str, int] = {}
    for record in read_source(task.source, Tally()):
        query, passage = (
            column_value(record, column, task.source).strip()
            for column in (task.query, task.passage)
        )
        if query and passage:
            queries.append(query)
            answers.append(passages.setdefault(passage, len(passages)))
    if len(passages) < 2:
        raise UserError(
            f"evaluation task {task.name}: {task.source.location} has {len(passages)} passages "
            "with a query; "
            "at least two are needed."
        )
    return RetrievalRows(queries=queries, passages=list(passages), answers=np.array(answers))
