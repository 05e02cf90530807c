"""Every model on every task is measured once, by whichever process of the launch comes to it
first.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from distill.evaluation.finished import ElsewhereError, Finished
from distill.evaluation.keeping import SCRATCH
from distill.evaluation.kinds import UnmeasuredError, kind_of
from distill.evaluation.protocol import is_planned, planned
from distill.evaluation.subject import INT8, EvaluatedModel
from distill.evaluation.tfidf import TFIDF
from distill.models import LoadedModel
from distill.models.sentence_form import SentenceForm
from distill.recipe import EvaluationSection, FineTunedTask, TeacherSection
from distill.recipe.task_section import TaskSection
from distill.report.results.evaluation import Score
from distill.runtime.errors import UserError
from distill.runtime.precision import choose_precision
from distill.runtime.runtime import Runtime


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurements:
    """What an evaluation has measured."""

    by_task: dict[str, dict[str, Any]]
    """Of each model on each task what the task's kind gives, by the names of both."""
    unmeasured: list[Score] = field(default_factory=list)
    """Scores without a mean, which say why."""
    cut: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    """By the names of fine-tuned task and model: rows of each split that were too long."""


def measure_models(
    section: EvaluationSection,
    rows: Mapping[str, Any],
    *,
    names: Sequence[str],
    load: Callable[[str], LoadedModel],
    teacher: TeacherSection,
    finished: Finished,
    runtime: Runtime,
    reference: str,
    sentence_form: SentenceForm | None,
    sentences: Callable[[], Sequence[str]],
) -> Measurements:
    """What the models of those names give on the section's tasks, whose rows are `rows` by name.

    Returns on every process of a launch when all is measured. Raises UserError for what the user
    can put right, on the first process, and Interrupted after a signal.
    """
    if runtime.processes.count > 1:  # each by itself could find another one faster
        precision = runtime.processes.share(choose_precision(section.precision, runtime.device))
        section = section.model_copy(update={"precision": precision})
    measured = Measurements(by_task={task.name: {} for task in section.tasks})
    parts = sum(count_parts(name, task, section) for name in names for task in section.tasks)
    percent = 100 / max(1, parts)
    already = min(100.0, percent * finished.count(names, partial(is_planned, section)))
    with runtime.progress.task("evaluation", total=100, unit="%", already=already) as bar:

        def advance(share: float, detail: str) -> None:
            bar.advance(percent * share, detail)

        def load_resting(name: str) -> LoadedModel:
            began = time.monotonic()
            try:
                if name != SCRATCH:
                    return load(name)
                with finished.claimed(name):  # this trains it, with a progress of its own
                    return load(name)
            finally:
                bar.rest(time.monotonic() - began)

        def subject_of(name: str) -> EvaluatedModel:
            return EvaluatedModel(
                name,
                section=section,
                teacher=teacher,
                seed=runtime.seed,
                finished=finished,
                load=load_resting,
                device=runtime.device,
                is_reference=name == reference,
                sentence_form=sentence_form,
                sentences=sentences,
            )

        def is_done(subject: EvaluatedModel, task: TaskSection) -> bool:
            """Measure the model on the task, unless other processes are at some of it."""
            name, kind = subject.name, kind_of(task)
            try:
                measurement = kind.measure(subject, task, rows[task.name], advance)
            except ElsewhereError:
                return False
            except UnmeasuredError as error:
                measured.unmeasured.extend(kind.unmeasured(name, task, str(error)))
                advance(count_parts(name, task, section), f"{name}: {error}")
            except UserError:
                if runtime.processes.is_first:
                    raise  # the first process tells; to it the others leave the rest
            else:
                measured.by_task[task.name][name] = measurement
                for part, tuned in kind.fine_tuned(task, measurement).items():
                    measured.cut.setdefault(part, {})[name] = tuned.cut
            return True

        together = runtime.processes.count > 1
        left = (
            spread_work(names, section, rows)
            if together
            else [(n, [*section.tasks]) for n in names]
        )
        told = finished.taken_up
        while left:
            before = left
            left = []
            for name, tasks in before:
                subject = subject_of(name)  # one model at a time is in memory
                if elsewhere := [task for task in tasks if not is_done(subject, task)]:
                    left.append((name, elsewhere))
            if left == before:
                finished.wait()
            if finished.taken_up > told:
                advance(finished.taken_up - told, "measured by other processes")
                told = finished.taken_up
    return measured


def spread_work(
    names: Sequence[str], section: EvaluationSection, rows: Mapping[str, Any]
) -> list[tuple[str, list[TaskSection]]]:
    """Every model on every task by itself, what takes long first: at the end, no process waits long
    for another. A scratch is trained before it is measured.
    """

    def learnt(task: TaskSection) -> int:
        parts = kind_of(task).fine_tunes(task, rows[task.name]).values()
        return sum(len(str(row.content)) for part in parts for row in part.train)

    tasks = sorted(section.tasks, key=learnt, reverse=True)
    models = sorted(names, key=lambda name: name != SCRATCH)
    return [(name, [task]) for task in tasks for name in models]


def count_parts(model: str, task: TaskSection, section: EvaluationSection) -> int:
    """How many parts the work has; those of int8 are the student's, and a bag of words learns
    once.
    """
    if model == INT8 and isinstance(task, FineTunedTask):
        return 0
    parts = kind_of(task).parts(task, section)
    once = model == TFIDF and isinstance(task, FineTunedTask)
    return parts // planned(section) if once else parts
