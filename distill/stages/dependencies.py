"""What each stage's result depends on besides the stages it reads: a run goes in; plain values, for a fingerprint, come out.

Parts of the recipe outside the stage's own section, and the identity of what it reads from outside.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from distill.errors import UserError
from distill.recipe import Source
from distill.recipe.evaluation import OWN_MODELS
from distill.run import Run


def of_corpus(run: Run) -> dict[str, Any]:
    """The sources' files, and what documents are drawn and filtered by."""
    return {"seed": run.recipe.seed, "language": run.recipe.language, "sources": _sources(run.recipe.corpus.sources)}


def of_vocabulary(run: Run) -> dict[str, Any]:
    """The teacher's files, and those of the word lists."""
    from distill.teacher import describe_teacher

    return {
        "teacher": describe_teacher(run.recipe.teacher.model, run.recipe.teacher.revision),
        "lists": _sources(run.recipe.vocabulary.word_lists),
    }


def of_student(run: Run) -> dict[str, Any]:
    """An existing model's files, and what pruning draws and recovers by."""
    from distill.teacher import describe_teacher

    section = run.recipe.student
    needed: dict[str, Any] = {}
    if section.model:
        needed["model"] = describe_teacher(section.model, section.revision)
    if section.config is not None or section.hidden_size is not None or section.intermediate_size is not None:
        needed["seed"] = run.recipe.seed
        if section.pruning.recover_tokens:
            needed["distillation"] = run.recipe.distillation.model_dump(mode="json")
    return needed


def of_distillation(run: Run) -> dict[str, Any]:
    """How the teacher is to be used, and what is drawn."""
    return {"seed": run.recipe.seed, "teacher": _teacher_section(run)}


def of_evaluation(run: Run) -> dict[str, Any]:
    """The tasks' files, local baselines' files, and what scratch is trained by."""
    section = run.recipe.evaluation
    needed: dict[str, Any] = {
        "seed": run.recipe.seed,
        "teacher": _teacher_section(run),
        "sources": _sources(source for task in section.tasks for source in task.sources),
        "baselines": _baselines(section.models),
    }
    if "scratch" in section.models:
        needed["distillation"] = run.recipe.distillation.model_dump(mode="json")
    return needed


def of_benchmark(run: Run) -> dict[str, Any]:
    """The models that the run does not make itself."""
    from distill.benchmark.subjects import describe_subject
    from distill.recipe.benchmark import is_own_model

    return {name: describe_subject(name) for name in run.recipe.benchmark.models if not is_own_model(name)}


def of_inspection(run: Run) -> dict[str, Any]:
    """The sentences' files, and local baselines' files."""
    from distill.inspection.sentences import describe_sentences

    section = run.recipe.inspection
    assert section is not None
    return {
        "seed": run.recipe.seed,
        "language": run.recipe.language,
        "teacher": _teacher_section(run),
        "sentences": describe_sentences(section.sentences_path, section.languages),
        "baselines": _baselines(section.models),
    }


def of_export(run: Run) -> dict[str, Any]:
    """The recipe as it was written, which is handed over as well."""
    return {"recipe": run.file.text, "overrides": run.file.overrides}


def _teacher_section(run: Run) -> dict[str, Any]:
    return run.recipe.teacher.model_dump(exclude={"licence"})


def _sources(sources: Iterable[Source]) -> list[dict[str, Any]]:
    from distill.corpus.sources import describe_source

    return [describe_source(source) for source in sources]


def _baselines(models: Iterable[str]) -> list[dict[str, Any]]:
    """The files of local models that the run does not make itself; one that is not there is scored so, not refused."""
    from distill.teacher import describe_teacher

    described: list[dict[str, Any]] = []
    for name in models:
        if name not in OWN_MODELS:
            try:
                described.append(describe_teacher(name, "main"))
            except UserError:
                described.append({"missing": name})
    return described
