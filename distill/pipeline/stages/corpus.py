"""The corpus stage: text sources become training and held-out documents."""

from __future__ import annotations

from pathlib import Path

from distill.pipeline.run import Run
from distill.pipeline.stages.dependencies import describe_sources
from distill.pipeline.stages.stage import Stage
from distill.report.results.corpus import CorpusResult


def depends_on(run: Run) -> dict[str, object]:
    """The sources' files, and what documents are drawn and filtered by."""
    return {
        "seed": run.recipe.seed,
        "language": run.recipe.language,
        "sources": describe_sources(run, run.recipe.corpus.sources),
    }


def execute(run: Run, output: Path) -> CorpusResult:
    """Texts into training and held-out documents."""
    from distill.corpus.collect import collect_corpus

    result = collect_corpus(
        run.recipe.corpus,
        language=run.recipe.language,
        seed=run.recipe.seed,
        output=output,
        progress=run.progress,
    )
    run.progress.warn(result.warnings)
    return result


STAGE = Stage(
    name="corpus",
    revision=1,
    reads=(),
    depends_on=depends_on,
    result=CorpusResult,
    execute=execute,
)
