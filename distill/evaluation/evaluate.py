"""Every model on every task: scores with intervals, each compared with a reference.

What was measured stands line by line in measured.jsonl, so that an interrupted evaluation resumes
with what is missing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Any

from distill.evaluation.finished import MEASURED, Finished
from distill.evaluation.kinds import UnmeasuredError, kind_of
from distill.evaluation.overlap import measure_overlap
from distill.evaluation.protocol import planned
from distill.evaluation.scores import Reference
from distill.evaluation.subject import INT8, EvaluatedModel
from distill.evaluation.tasks import TaskRows
from distill.evaluation.tfidf import TFIDF
from distill.models import LoadedModel
from distill.models.sentence_form import SentenceForm
from distill.recipe import EvaluationSection, FineTunedTask, TeacherSection
from distill.recipe.tasks import TaskSection
from distill.report.results.evaluation import EvaluationResult, Score
from distill.runtime.interruption import Interruption
from distill.runtime.progress import Progress


def evaluate_models(
    section: EvaluationSection,
    *,
    load: Callable[[str], LoadedModel],
    teacher_section: TeacherSection,
    seed: int,
    output: Path,
    progress: Progress,
    interruption: Interruption | None = None,
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
    gets scores without a mean that say why. Raises UserError for what the user can put right, and
    Interrupted after a signal.
    """
    rows = {task.name: kind_of(task).read(task, seed) for task in section.tasks}
    learnt = {
        name: part
        for task in section.tasks
        for name, part in kind_of(task).fine_tunes(task, rows[task.name]).items()
    }
    counts = {name: part.counts for name, part in learnt.items()}
    progress.warn(warning for name, part in learnt.items() for warning in _unlearnt(name, part))
    finished = Finished(output / MEASURED, interruption or Interruption())
    names = order_models(section, reference)
    of = Reference(name=reference, seed=seed, margin=section.margin, protocol=section.protocol)
    measurements: dict[str, dict[str, object]] = {task.name: {} for task in section.tasks}
    unmeasured: list[Score] = []
    cut: dict[str, dict[str, dict[str, int]]] = {}
    parts = sum(count_parts(name, task, section) for name in names for task in section.tasks)
    percent = 100 / max(1, parts)
    already = percent * finished.count(names)
    with progress.task("evaluation", total=100, unit="%", already=already) as bar:

        def advance(share: float, detail: str) -> None:
            bar.advance(percent * share, detail)

        def load_resting(name: str) -> LoadedModel:
            began = time.monotonic()
            try:
                return load(name)  # scratch is trained by this, with a progress of its own
            finally:
                bar.rest(time.monotonic() - began)

        for name in names:
            subject = EvaluatedModel(
                name,
                section=section,
                teacher=teacher_section,
                seed=seed,
                finished=finished,
                load=load_resting,
                is_reference=name == reference,
                sentence_form=sentence_form,
                sentences=sentences,
            )
            for task in section.tasks:
                kind = kind_of(task)
                try:
                    measurement = kind.measure(subject, task, rows[task.name], advance)
                except UnmeasuredError as error:
                    unmeasured += kind.unmeasured(name, task, str(error))
                    advance(count_parts(name, task, section), f"{name}: {error}")
                else:
                    measurements[task.name][name] = measurement
                    for part, measured in kind.fine_tuned(task, measurement).items():
                        cut.setdefault(part, {})[name] = measured.cut
    scores = _scores(section, rows, measurements, unmeasured, of, names)
    for (model, task_name), group in groupby(
        scores, key=lambda score: (score.model, score.base_task or score.task)
    ):
        on_scores(model, task_name, list(group))
    content = json.dumps([asdict(score) for score in scores], indent=2)
    (output / "scores.json").write_text(content + "\n", encoding="utf-8")
    sizes = {task.name: kind_of(task).size(rows[task.name]) for task in section.tasks}
    counts = {
        name: {**count, "cut": cut[name]} if name in cut else count
        for name, count in counts.items()
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
    measurements: Mapping[str, Mapping[str, Any]],
    unmeasured: Sequence[Score],
    of: Reference,
    names: Sequence[str],
) -> list[Score]:
    """Model by model, each in the order of the tasks."""
    scores = [
        score
        for task in section.tasks
        for score in kind_of(task).scores(task, rows[task.name], measurements[task.name], of)
    ]
    tasks = [task.name for task in section.tasks]
    return sorted(
        [*scores, *unmeasured],
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


def count_parts(model: str, task: TaskSection, section: EvaluationSection) -> int:
    """How many parts the work has; those of int8 are the student's, and a bag of words learns
    once.
    """
    if model == INT8 and isinstance(task, FineTunedTask):
        return 0
    parts = kind_of(task).parts(task, section)
    once = model == TFIDF and isinstance(task, FineTunedTask)
    return parts // planned(section) if once else parts
