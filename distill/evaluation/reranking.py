"""Reranking by a cross-encoder: queries and passages go in; the rank of each query's answer among
the passages that share most words with it comes out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from distill.corpus.shared_words import Passages
from distill.evaluation.encoding import encode_texts
from distill.evaluation.metrics import ranks_of_answers
from distill.evaluation.own_head import head_answers
from distill.evaluation.retrieval import RetrievalRows, read_retrieval_rows
from distill.evaluation.tasks import cap_rows
from distill.models import LoadedModel
from distill.models.loading import position_limit
from distill.models.task_heads import TaskHead
from distill.recipe import RerankingTask
from distill.runtime.batching import rows_of_like_length
from distill.runtime.errors import UserError

_BATCH_TOKENS = 4096
_QUERIES = 16
"""Whose pairs are encoded at a time."""
ABSENT = 1e9
"""The rank of an answer that is not among the candidates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RerankingRows:
    """Queries, and the passages that are ranked for each."""

    of: RetrievalRows
    candidates: np.ndarray
    """The numbers of each query's passages, those that share most words with it first, [queries,
    candidates].
    """

    @property
    def has_answer(self) -> np.ndarray:
        """Whether each query's answer is among its candidates, [queries]."""
        return np.asarray((self.candidates == self.of.answers[:, None]).any(axis=1))

    def ranks(self, scores: np.ndarray) -> np.ndarray:
        """The rank of each query's answer by the scores of its candidates, [queries, candidates];
        `ABSENT` where it is not among them.
        """
        places = (self.candidates == self.of.answers[:, None]).argmax(axis=1)
        return np.where(self.has_answer, ranks_of_answers(scores, places), ABSENT)


def read_reranking_rows(task: RerankingTask, seed: int) -> RerankingRows:
    """The task's rows, with each query's candidates. Raises UserError as retrieval does."""
    rows = read_retrieval_rows(task)
    random = np.random.default_rng([seed, *task.name.encode()])
    chosen = cap_rows([*range(len(rows.queries))], task.max_test, random)
    rows = replace(
        rows, queries=[rows.queries[i] for i in chosen], answers=rows.answers[np.array(chosen)]
    )
    count = min(task.candidates, len(rows.passages))
    return RerankingRows(of=rows, candidates=Passages(rows.passages).nearest(rows.queries, count))


def check_scores_pairs(task: RerankingTask, head: TaskHead | None, model: str) -> None:
    """Nothing if the model's head scores pairs. Raises UserError that says what it answers."""
    if head is not None and head.task == "pair score":
        return
    has = "no head for a task" if head is None else f"a head that answers {head.words}"
    raise UserError(
        f"evaluation task {task.name}: reranking needs a cross-encoder, which scores a pair of "
        f"texts, and {model} has {has}; measure an encoder by retrieval."
    )


def score_candidates(
    model: LoadedModel, rows: RerankingRows, longest: int, advance: Callable[[float], object]
) -> np.ndarray:
    """What the model's head gives each query with each of its candidates, [queries, candidates]."""
    limit = min(longest, model.tokenizer.model_max_length, position_limit(model.model))
    scores = np.zeros(rows.candidates.shape)
    for start in range(0, len(scores), _QUERIES):
        block = rows.candidates[start : start + _QUERIES]
        queries = np.repeat(np.arange(start, start + len(block)), block.shape[1])
        inputs, _ = encode_texts(
            [rows.of.queries[i] for i in queries],
            [rows.of.passages[i] for i in block.ravel()],
            model.tokenizer,
            limit,
        )
        found = np.zeros(len(inputs))
        for chosen in rows_of_like_length([len(item.ids) for item in inputs], _BATCH_TOKENS):
            logits = head_answers(model, [inputs[i] for i in chosen])
            found[chosen] = logits[:, 0].double().numpy()
        scores[start : start + len(block)] = found.reshape(block.shape)
        advance(len(block) / len(scores))
    return scores
