"""The corpus stage: text sources become training and held-out documents."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from distill.pipeline.run import Run
from distill.pipeline.stages.dependencies import describe_sources
from distill.pipeline.stages.stage import Stage
from distill.recipe.section import meaning
from distill.report.results.corpus import CorpusResult

if TYPE_CHECKING:
    from distill.corpus.overlap import Passages


def depends_on(run: Run) -> dict[str, object]:
    """The sources' files, and what documents are drawn and filtered by."""
    needed: dict[str, object] = {
        "seed": run.recipe.seed,
        "language": run.recipe.language,
        "sources": describe_sources(run, run.recipe.corpus.sources),
    }
    if run.recipe.corpus.without_tasks:
        tasks = run.recipe.evaluation.tasks
        needed["tasks"] = [
            {"task": meaning(task), "sources": describe_sources(run, task.sources)}
            for task in tasks
        ]
    return needed


def execute(run: Run, output: Path) -> CorpusResult:
    """Texts into training and held-out documents."""
    from distill.corpus.collect import collect_corpus
    from distill.runtime.workers import available_workers

    result = collect_corpus(
        run.recipe.corpus,
        language=run.recipe.text_languages,
        seed=run.recipe.seed,
        output=output,
        progress=run.progress,
        without=_text_of_tasks(run) if run.recipe.corpus.without_tasks else None,
        workers=available_workers(),
    )
    run.progress.warn(result.warnings)
    return result


def _text_of_tasks(run: Run) -> Passages:
    """What no document may share."""
    from distill.corpus.overlap import Passages
    from distill.evaluation.kinds import kind_of
    from distill.evaluation.overlap import task_texts

    tasks = [kind_of(task).read(task, run.recipe.seed) for task in run.recipe.evaluation.tasks]
    splits = [texts for rows in tasks for texts in task_texts(rows).values()]
    return Passages([text for split in splits for row in split for text in row])


STAGE = Stage(
    name="corpus",
    revision=1,
    reads=(),
    depends_on=depends_on,
    result=CorpusResult,
    execute=execute,
)
