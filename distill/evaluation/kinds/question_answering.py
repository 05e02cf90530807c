"""Question answering: each answer's place in its passage is found by the model's own head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill.evaluation.kinds.kind import Advance, Subject, UnmeasuredError, WithoutFineTunes
from distill.evaluation.kinds.own_head import load_with_head
from distill.evaluation.question_answering import (
    PER_QUESTION,
    Question,
    check_answers_questions,
    find_answers,
    read_questions,
)
from distill.evaluation.scores import Reference
from distill.recipe import QuestionAnsweringTask
from distill.report.results.evaluation import Score
from distill.runtime.errors import UserError

Values = Mapping[str, Any]
"""For each metric what each question contributes, and how that was come by."""


class QuestionAnswering(WithoutFineTunes):
    """The kind `question_answering`."""

    hub_type = "question-answering"

    def read(self, task: QuestionAnsweringTask, seed: int) -> list[Question]:
        """Questions with their passages and answers."""
        return read_questions(task, seed)

    def measure(
        self, subject: Subject, task: QuestionAnsweringTask, rows: list[Question], advance: Advance
    ) -> Values:
        """What each question contributes to each metric. Raises UnmeasuredError for a model whose
        head finds no answers, and UserError where it is the teacher.
        """

        def measure() -> Values:
            found = _answers(subject, task, rows, advance)
            return {
                metric: [
                    PER_QUESTION[metric](answer, row.answers)
                    for answer, row in zip(found, rows, strict=True)
                ]
                for metric in task.metrics
            }

        return subject.keep(task.name, measure)

    def scores(
        self,
        task: QuestionAnsweringTask,
        rows: list[Question],
        measurements: Mapping[str, Values],
        of: Reference,
    ) -> list[Score]:
        """Means over questions."""
        return self.mean_scores(task, measurements, of, len(rows), lambda metric: 0.0)

    def size(self, rows: list[Question]) -> int:
        """Questions."""
        return len(rows)


def _answers(
    subject: Subject, task: QuestionAnsweringTask, rows: list[Question], advance: Advance
) -> list[str]:
    model, _ = load_with_head(
        subject, lambda head: check_answers_questions(task, head, subject.name)
    )
    detail, longest = f"{subject.name} on {task.name}", subject.section.max_length
    try:
        return find_answers(model, rows, longest, lambda share: advance(share, detail))
    except UserError as error:
        raise UnmeasuredError(error.text.rstrip(".")) from error
