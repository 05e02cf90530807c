"""What any models can do: their names and a file of tasks go in; scores with intervals come out,
the first model as reference.

They are fine-tuned by the code of the evaluation stage, and measurements are kept, so that an
interrupted command goes on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.pipeline.records import fingerprint
from distill.pipeline.stages.evaluation import STAGE as EVALUATION
from distill.recipe import TeacherSection
from distill.recipe.model_reference import ModelRef
from distill.recipe.reading import TasksFile
from distill.recipe.section import meaning
from distill.runtime.files import write_whole
from distill.runtime.hashes import FileHashes
from distill.runtime.interruption import Interruption
from distill.runtime.progress import Progress

if TYPE_CHECKING:
    from distill.report.results.evaluation import EvaluationResult


def score_models(
    models: Sequence[str],
    tasks: TasksFile,
    *,
    output: Path,
    progress: Progress,
    interruption: Interruption,
) -> EvaluationResult:
    """Every model on every task, compared with the first; goes on from what `output` holds of the
    same tasks and protocol.

    Raises UserError for rows that cannot be read, before a model is loaded, and Interrupted after a
    signal.
    """
    from distill.benchmark.subjects import describe_subject
    from distill.corpus.sources import describe_source
    from distill.evaluation.evaluate import evaluate_models
    from distill.models import load_with_tokenizer

    section = tasks.evaluation.model_copy(update={"models": list(models)})
    teacher = tasks.teacher or TeacherSection(model=models[0])
    hashes = FileHashes(output / ".hashes.json")
    mark = fingerprint(
        {
            "section": meaning(section.model_copy(update={"models": []})),
            "sources": [
                describe_source(source, hashes) for task in section.tasks for source in task.sources
            ],
            "sentences": teacher.model_dump(include={"pooling", "prefixes"}),
            "seed": tasks.seed,
            "revision": EVALUATION.revision,
        }
    )
    folder = (
        output / "scores" / mark
    )  # other tasks have another: none undoes hours of another's work
    folder.mkdir(parents=True, exist_ok=True)
    _forget_changed(folder, {name: describe_subject(name, hashes) for name in models})
    return evaluate_models(
        section,
        load=lambda name: load_with_tokenizer(ModelRef.of(name).location),
        teacher_section=teacher,
        seed=tasks.seed,
        output=folder,
        progress=progress,
        interruption=interruption,
        reference=models[0],
    )


def _forget_changed(folder: Path, described: Mapping[str, Any]) -> None:
    """Take out of the folder what was measured of models whose files are no longer the same; note
    those of all.
    """
    note, measured = folder / "models.json", folder / "measured.jsonl"
    known: dict[str, object] = (
        json.loads(note.read_text(encoding="utf-8")) if note.is_file() else {}
    )
    changed = {name for name, files in described.items() if known.get(name, files) != files}
    if changed and measured.is_file():
        lines = measured.read_text(encoding="utf-8").splitlines(keepends=True)
        write_whole(measured, "".join(line for line in lines if not _is_of(line, changed)))
    write_whole(note, json.dumps({**known, **described}, indent=2) + "\n")


def _is_of(line: str, models: set[str]) -> bool:
    try:
        return json.loads(line)["model"] in models
    except ValueError:  # a line that was cut off is of nothing
        return True
