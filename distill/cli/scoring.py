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

from distill.evaluation.finished import line_of, read_entries
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
from distill.runtime.runtime import Runtime

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
    from distill.models.loading import own_prompts

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
    # The file's prefixes are for models that say nothing of theirs.
    silent = [name for name in models if not own_prompts(ModelRef.of(name).location)]
    prompts = dict.fromkeys(silent, teacher.prefixes) | section.prompts
    section = section.model_copy(update={"prompts": prompts})
    _forget_changed(folder, {name: describe_subject(name, hashes) for name in models})
    return evaluate_models(
        section,
        load=lambda name: load_with_tokenizer(ModelRef.of(name).location),
        teacher_section=teacher,
        output=folder,
        runtime=Runtime(progress=progress, interruption=interruption, seed=tasks.seed),
        reference=models[0],
    )


def _forget_changed(folder: Path, described: Mapping[str, Any]) -> None:
    """Take out of the folder what was measured of models whose files are no longer the same; note
    those of all.
    """
    note, measured = folder / "models.json", folder / "measured.jsonl"
    known = _read_note(note)
    changed = {name for name, files in described.items() if known.get(name, files) != files}
    if changed:
        kept = (entry for entry in read_entries(measured) if entry["model"] not in changed)
        write_whole(measured, "".join(map(line_of, kept)))
    write_whole(note, json.dumps({**known, **described}, indent=2) + "\n")


def _read_note(note: Path) -> dict[str, Any]:
    """What the folder says of its models; nothing where it cannot be read."""
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
