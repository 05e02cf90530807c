"""Question answering by a model's own head: questions with their passages go in; the words of each
passage that the head takes for the answer come out, and how near they are to the right ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from distill.corpus.formats import Tally
from distill.corpus.sources import cell, column_value, read_source
from distill.corpus.words import find_words
from distill.evaluation.encoding import Input
from distill.evaluation.own_head import head_answers
from distill.evaluation.tasks import cap_rows
from distill.models import LoadedModel
from distill.models.loading import position_limit
from distill.models.task_heads import TaskHead
from distill.recipe import QuestionAnsweringTask
from distill.runtime.batching import rows_of_like_length
from distill.runtime.errors import UserError

_BATCH_TOKENS = 4096
_LONGEST_ANSWER = 30
"""Tokens of an answer at most."""
_BEST = 20
"""So many starts and ends are tried with one another."""
_OVERLAP = 0.33
"""Share of a window of a long passage that the next one has, too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question, the passage that answers it, and the answers that count as right."""

    text: str
    passage: str
    answers: tuple[str, ...]


def read_questions(task: QuestionAnsweringTask, seed: int) -> list[Question]:
    """The task's rows that have an answer. Raises UserError if a column is missing, or none has."""
    questions = []
    for record in read_source(task.source, Tally()):
        text, passage = (
            column_value(record, column, task.source) for column in (task.question, task.passage)
        )
        answers = _answers(cell(record, task.answer, task.source))
        if text.strip() and passage.strip() and answers:
            questions.append(Question(text=text, passage=passage, answers=answers))
    if not questions:
        raise UserError(
            f"evaluation task {task.name}: no row of {task.source.location} has a question, a "
            f"passage and an answer (columns {task.question}, {task.passage}, {task.answer})."
        )
    return cap_rows(questions, task.max_test, np.random.default_rng([seed, *task.name.encode()]))


def check_answers_questions(task: QuestionAnsweringTask, head: TaskHead | None, model: str) -> None:
    """Nothing if the model's head finds answers. Raises UserError that says what it answers."""
    if head is not None and head.task == "answer span":
        return
    has = "no head for a task" if head is None else f"a head that answers {head.words}"
    raise UserError(
        f"evaluation task {task.name}: question_answering needs a head that finds an answer's "
        f"span, and {model} has {has}."
    )


def find_answers(
    model: LoadedModel,
    questions: Sequence[Question],
    longest: int,
    advance: Callable[[float], object],
) -> list[str]:
    """What the model's head takes for the answer in each passage, which is read in windows where it
    is long.

    Raises UserError where the tokenizer cannot tell where in a text its tokens stand.
    """
    tokenizer = model.tokenizer
    if not tokenizer.is_fast:
        raise UserError(
            f"{type(tokenizer).__name__} does not tell where in a text its tokens stand, so no "
            "answer can be read off"
        )
    limit = min(longest, tokenizer.model_max_length, position_limit(model.model))
    encoded = tokenizer(
        [question.text for question in questions],
        [question.passage for question in questions],
        truncation="only_second",
        max_length=limit,
        stride=int(_OVERLAP * limit / 2),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
        verbose=False,
    )
    types = encoded.get("token_type_ids")
    inputs = [
        Input(ids=ids, types=None if types is None else types[i])
        for i, ids in enumerate(encoded["input_ids"])
    ]
    best = [(-np.inf, "")] * len(questions)
    lengths = [len(item.ids) for item in inputs]
    for chosen in rows_of_like_length(lengths, _BATCH_TOKENS):
        logits_BL2 = head_answers(model, [inputs[i] for i in chosen])
        for at, logits_L2 in zip(chosen, logits_BL2, strict=True):
            of = encoded["overflow_to_sample_mapping"][at]
            of_passage = np.array([number == 1 for number in encoded.sequence_ids(at)])
            score, (first, last) = best_span(logits_L2[: lengths[at]], of_passage)
            if score > best[of][0]:
                offsets = encoded["offset_mapping"][at]
                found = questions[of].passage[offsets[first][0] : offsets[last][1]]
                best[of] = (score, found)
        advance(len(chosen) / len(inputs))
    return [found for _, found in best]


def best_span(logits_L2: torch.Tensor, of_passage: np.ndarray) -> tuple[float, tuple[int, int]]:
    """The highest sum of a start's and an end's logit, and where those stand: in the passage, in
    order, and no more than an answer's length apart.
    """
    starts, ends = np.where(of_passage, logits_L2.double().numpy().T, -np.inf)
    tried = [np.argsort(-side, kind="stable")[:_BEST] for side in (starts, ends)]
    spans = [
        (float(starts[first] + ends[last]), (int(first), int(last)))
        for first in tried[0]
        for last in tried[1]
        if first <= last < first + _LONGEST_ANSWER
    ]
    return max(spans, default=(-np.inf, (0, 0)), key=lambda span: span[0])


def exact_match(found: str, answers: Sequence[str]) -> float:
    """1 if it is one of the answers, but for case, punctuation and blanks (Rajpurkar et al. 2016,
    section 5); articles count, which are English.
    """
    return max(float(_words(found) == _words(answer)) for answer in answers)


def word_f1(found: str, answers: Sequence[str]) -> float:
    """F1 of the words that it shares with the nearest of the answers (the same section)."""
    return max(_f1(_words(found), _words(answer)) for answer in answers)


PER_QUESTION: dict[str, Callable[[str, Sequence[str]], float]] = {
    "exact_match": exact_match,
    "f1": word_f1,
}
"""For each metric what a question contributes to its mean."""


def _f1(found: Sequence[str], answer: Sequence[str]) -> float:
    if not found or not answer:
        return float(found == answer)
    shared = (Counter(found) & Counter(answer)).total()
    return 2 * shared / (len(found) + len(answer))


def _words(text: str) -> list[str]:
    return find_words(text.casefold())


def _answers(value: Any) -> tuple[str, ...]:
    """The answers of a cell: a text, several, or SQuAD's {"text": [...]}."""
    if isinstance(value, dict):
        value = value.get("text")
    given = value if isinstance(value, list) else [value]
    return tuple(str(answer) for answer in given if isinstance(answer, str) and answer.strip())
