"""Every model on every task: scores with intervals, each compared with a reference.

What was measured stands line by line in measured.jsonl, so that an interrupted evaluation resumes
with what is missing. The processes of a launch share the fine-tunes, and whatever else is measured,
out among them: each takes what no other has begun.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from distill.evaluation.finished import MEASURED, Finished
from distill.evaluation.kinds import kind_of
from distill.evaluation.measuring import Measurements, measure_models
from distill.evaluation.overlap import measure_overlap
from distill.evaluation.scores import Reference
from distill.evaluation.subject import INT8
from distill.evaluation.tasks import TaskRows
from distill.models import LoadedModel
from distill.models.sentence_form import SentenceForm
from distill.recipe import EvaluationSection, TeacherSection
from distill.report.results.evaluation import EvaluationResult, Score
from distill.runtime.runtime import Runtime


def evaluate_models(
    section: EvaluationSection,
    *,
    load: Callable[[str], LoadedModel],
    teacher_section: TeacherSection,
    output: Path,
    runtime: Runtime,
    reference: str = "teacher",
    on_scores: Callable[[str, str, Sequence[Score]], None] = lambda model, task, scores: None,
    documents: Callable[[], Iterable[str]] | None = None,
    sentence_form: SentenceForm | None = None,
    sentences: Callable[[], Sequence[str]] = lambda: (),
) -> EvaluationResult:
    """Score every model of the section on every task; `load` gives a model and its tokenizer by
    name.

    All are compared with the model named `reference`, where it is among them. `sentence_form` is
    how the teacher, and what is made from it, make sentence vectors. In what `documents` gives, the
    text that was distilled on, rows of the tasks are looked for; by `sentences` export judges the
    student in int8. Resumes with what `output` does not hold yet. A baseline that cannot be loaded
    gets scores without a mean that say why. The processes of a launch all call this; the result of
    those but the first is empty. Raises UserError for what the user can put right, and Interrupted
    after a signal.
    """
    rows = {task.name: kind_of(task).read(task, runtime.seed) for task in section.tasks}
    learnt = {
        name: part
        for task in section.tasks
        for name, part in kind_of(task).fine_tunes(task, rows[task.name]).items()
    }
    warnings = (warning for name, part in learnt.items() for warning in _unlearnt(name, part))
    runtime.progress.warn(warnings)
    finished = Finished(output / MEASURED, runtime.interruption, runtime.processes)
    names = order_models(section, reference)
    measured = measure_models(
        section,
        rows,
        names=names,
        load=load,
        teacher=teacher_section,
        finished=finished,
        runtime=runtime,
        reference=reference,
        sentence_form=sentence_form,
        sentences=sentences,
    )
    finished.finish()
    if not runtime.processes.is_first:
        return EvaluationResult(scores=[], rows={}, counts={}, margin=section.margin)
    of = Reference(
        name=reference, seed=runtime.seed, margin=section.margin, protocol=section.protocol
    )
    scores = _scores(section, rows, measured, of, names)
    for (model, task_name), group in groupby(
        scores, key=lambda score: (score.model, score.base_task or score.task)
    ):
        on_scores(model, task_name, list(group))
    content = json.dumps([asdict(score) for score in scores], indent=2)
    (output / "scores.json").write_text(content + "\n", encoding="utf-8")
    sizes = {task.name: kind_of(task).size(rows[task.name]) for task in section.tasks}
    cut = measured.cut
    counts = {
        name: {**part.counts, "cut": cut[name]} if name in cut else part.counts
        for name, part in learnt.items()
    }
    return EvaluationResult(
        scores=scores,
        rows=sizes,
        counts=counts,
        margin=section.margin,
        overlap=measure_overlap(rows, documents()) if documents and rows else None,
    )


def _unlearnt(name: str, rows: TaskRows) -> Iterator[str]:
    for split, classes in rows.unlearnt.items():
        yield (
            f"evaluation: task {name}: the training rows lack classes of {split} "
            f"({', '.join(classes[:5])}); no model can learn them, and they count as missed"
        )


def _scores(
    section: EvaluationSection,
    rows: Mapping[str, Any],
    measured: Measurements,
    of: Reference,
    names: Sequence[str],
) -> list[Score]:
    """Model by model, each in the order of the tasks."""
    scores = [
        score
        for task in section.tasks
        for score in kind_of(task).scores(task, rows[task.name], measured.by_task[task.name], of)
    ]
    tasks = [task.name for task in section.tasks]
    return sorted(
        [*scores, *measured.unmeasured],
        key=lambda row: (names.index(row.model), tasks.index(row.base_task or row.task)),
    )


def order_models(section: EvaluationSection, reference: str) -> list[str]:
    """The models in the order in which they are measured.

    The reference comes first, as the others are compared with it; int8 last, as it is scored in the
    student's fine-tunes.
    """
    if not section.tasks:
        return []
    return sorted(section.models, key=lambda name: (name != reference, name == INT8))
