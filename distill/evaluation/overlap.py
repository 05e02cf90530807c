"""How many rows of tasks also stand in the text of the distillation: rows and documents go in;
counts come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from distill.corpus.overlap import Passages
from distill.evaluation.cross_lingual import CrossLingualRows
from distill.evaluation.question_answering import Question
from distill.evaluation.reranking import RerankingRows
from distill.evaluation.retrieval import RetrievalRows
from distill.evaluation.tasks import Row, TaskRows
from distill.report.results.evaluation import Overlap, SplitOverlap

Texts = tuple[str, ...]
"""Those of a row: one, or a pair."""


def measure_overlap(tasks: Mapping[str, Any], documents: Iterable[str]) -> dict[str, Overlap]:
    """By task how many rows of its training and test sets stand in the documents; `tasks` are rows
    as their kinds read them. One reading of the documents serves all.
    """
    splits = {name: task_texts(rows) for name, rows in tasks.items()}
    flat = [
        text
        for parts in splits.values()
        for split in parts.values()
        for row in split
        for text in row
    ]
    contained, shared = map(iter, Passages(flat).find(documents))

    def count(rows: Sequence[Texts]) -> SplitOverlap:
        exact = [[bool(next(contained)) for _ in row] for row in rows]
        partly = [[bool(next(shared)) for _ in row] for row in rows]
        return SplitOverlap(
            rows=len(rows), exact=sum(map(all, exact)), shared=sum(map(any, partly))
        )

    return {
        name: Overlap(**{split: count(rows) for split, rows in parts.items() if rows})
        for name, parts in splits.items()
    }


def task_texts(rows: Any) -> dict[str, list[Texts]]:
    """The texts of a task's rows by split, train and test; dev counts as train. None of a kind that
    is not known here.
    """
    if isinstance(rows, TaskRows):
        return {"train": _of_rows([*rows.train, *rows.dev]), "test": _of_rows(rows.test)}
    if isinstance(rows, CrossLingualRows):
        parts = [task_texts(part) for part in rows.fine_tunes.values()]
        return {
            split: list(dict.fromkeys(texts for part in parts for texts in part[split]))
            for split in ("train", "test")
        }
    if isinstance(rows, RerankingRows):
        return task_texts(rows.of)
    if isinstance(rows, RetrievalRows):
        pairs = zip(rows.queries, np.array(rows.passages)[rows.answers].tolist(), strict=True)
        return {"train": [], "test": list(pairs)}
    if isinstance(rows, list) and all(isinstance(row, Question) for row in rows):
        return {"train": [], "test": [(row.text, row.passage) for row in rows]}
    if isinstance(rows, list) and all(isinstance(row, (Row, str)) for row in rows):
        return {"train": [], "test": _of_rows(rows)}
    return {"train": [], "test": []}


def _of_rows(rows: Sequence[Row | str]) -> list[Texts]:
    return [
        (row,)
        if isinstance(row, str)
        else tuple(filter(None, (row.text, row.text_pair, " ".join(row.words))))
        for row in rows
    ]
