"""The evaluation stage: tasks and models go in; scores.json comes out, a score for every model, task and metric."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np

from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.errors import UserError
from distill.evaluation.embedding import embed
from distill.evaluation.metrics import PER_QUERY, bootstrap_interval, ranks_of_answers
from distill.progress import Progress
from distill.recipe import EvaluationSection, Prefixes, RetrievalTask, TeacherSection
from distill.teacher import Teacher
from distill.teacher.loading import position_limit


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """One model on one task under one metric; `low` and `high` bound the 95% interval."""

    model: str
    task: str
    metric: str
    scores: list[float]
    mean: float
    low: float
    high: float
    retention: float | None
    """The mean as a fraction of the teacher's."""
    reason: str | None = None
    """Why something is not measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluationResult:
    """Every score, and how many rows each task had."""

    scores: list[Score]
    rows: dict[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrievalRows:
    """Queries, distinct passages, and which passage answers each query."""

    queries: list[str]
    passages: list[str]
    answers: np.ndarray


def run(
    section: EvaluationSection,
    *,
    load: Callable[[str], Teacher],
    teacher_section: TeacherSection,
    seed: int,
    output: Path,
    progress: Progress,
    on_scores: Callable[[str, str, Sequence[Score]], None] = lambda model, task, scores: None,
) -> EvaluationResult:
    """Score every model of the section on every task; `load` gives a model and its tokenizer by name."""
    tasks = {task.name: (task, read_retrieval_rows(task)) for task in section.tasks}
    values: dict[tuple[str, str], dict[str, np.ndarray]] = {}
    texts = sum(len(rows.queries) + len(rows.passages) for _, rows in tasks.values())
    # The teacher comes first where it is among the models: the others' retention is measured against it.
    names = sorted(section.models, key=lambda name: name != "teacher") if tasks else []
    scores: list[Score] = []
    with progress.task("evaluation", total=texts * len(names), unit="texts") as bar:
        for name in names:
            model = load(name)
            for task, rows in tasks.values():
                values[name, task.name] = retrieval_values(
                    model, rows, task, teacher_section, advance=partial(bar.advance, detail=str(name))
                )
                own = [
                    score(name, task.name, metric, values[name, task.name], values.get(("teacher", task.name)), seed)
                    for metric in task.metrics
                ]
                scores += own
                on_scores(name, task.name, own)
    (output / "scores.json").write_text(json.dumps([asdict(s) for s in scores], indent=2) + "\n", encoding="utf-8")
    return EvaluationResult(scores=scores, rows={name: len(rows.queries) for name, (_, rows) in tasks.items()})


def score(
    model: str, task: str, metric: str, own: dict[str, np.ndarray], teacher: dict[str, np.ndarray] | None, seed: int
) -> Score:
    """A metric's mean over queries with its interval, and as a fraction of the teacher's."""
    mean = float(own[metric].mean())
    low, high = bootstrap_interval(own[metric], seed)
    whole = None if teacher is None else float(teacher[metric].mean())
    retention = mean / whole if whole else None
    reason = None if retention is not None else "the teacher was not evaluated" if whole is None else "the teacher scores 0"
    return Score(
        model=model,
        task=task,
        metric=metric,
        scores=[mean],
        mean=mean,
        low=low,
        high=high,
        retention=retention,
        reason=reason,
    )


def retrieval_values(
    model: Teacher,
    rows: RetrievalRows,
    task: RetrievalTask,
    teacher_section: TeacherSection,
    advance: Callable[[float], object] = lambda texts: None,
) -> dict[str, np.ndarray]:
    """For each metric, what each query contributes."""
    prefixes: Prefixes = teacher_section.prefixes
    longest = min(model.tokenizer.model_max_length, position_limit(model.model))

    def vectors(prefix: str, texts: list[str]) -> np.ndarray:
        prefixed = [prefix + text for text in texts]
        return embed(model.model, model.tokenizer, prefixed, pooling=teacher_section.pooling, longest=longest, advance=advance)

    similarity = vectors(prefixes.query, rows.queries) @ vectors(prefixes.passage, rows.passages).T
    ranks = ranks_of_answers(similarity, rows.answers)
    return {metric: PER_QUERY[metric](ranks) for metric in task.metrics}


def read_retrieval_rows(task: RetrievalTask) -> RetrievalRows:
    """The task's rows; equal passages count as one.

    Raises UserError if a column is missing or fewer than two rows are whole.
    """
    queries: list[str] = []
    answers: list[int] = []
    passages: dict[str, int] = {}
    for record in read_source(task.source, Tally()):
        query, passage = (column_value(record, column, task.source).strip() for column in (task.query, task.passage))
        if query and passage:
            queries.append(query)
            answers.append(passages.setdefault(passage, len(passages)))
    if len(passages) < 2:
        raise UserError(
            f"evaluation task {task.name}: {task.source.location} has {len(passages)} passages with a query; "
            "at least two are needed."
        )
    return RetrievalRows(queries=queries, passages=list(passages), answers=np.array(answers))
