"""The vocabulary stage: the teacher keeps the pieces of its language, and the proof says so."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from distill.pipeline.run import Run
from distill.pipeline.stages.dependencies import describe_sources
from distill.pipeline.stages.stage import Stage
from distill.report.results.vocabulary import VocabularyResult


def depends_on(run: Run) -> dict[str, object]:
    """The teacher's files and prefixes, the word lists, and the texts to check by."""
    from distill.models import model_identity

    teacher = run.recipe.teacher
    return {
        "teacher": model_identity(teacher.model, teacher.revision, run.hashes),
        "prefixes": teacher.prefixes.distinct,
        "lists": describe_sources(run, run.recipe.vocabulary.word_lists),
        "checks": describe_sources(run, run.recipe.vocabulary.check),
    }


def execute(run: Run, output: Path) -> VocabularyResult:
    """The teacher with the language's pieces alone, and the proof."""
    from distill.corpus.documents import document_batches, uncleaned_texts
    from distill.runtime.workers import available_workers
    from distill.vocabulary.curve import curve_table, fidelity_lines
    from distill.vocabulary.select import select_vocabulary

    batches, foreign = (
        document_batches(run.folder / "corpus" / "train.jsonl"),
        run.folder / "corpus" / "foreign.jsonl",
    )
    result = select_vocabulary(
        run.recipe.vocabulary,
        teacher=run.teacher,
        batches=batches,
        heldout=run.sentences(),
        uncleaned=uncleaned_texts(run.folder / "corpus" / "heldout.jsonl"),
        foreign=document_batches(foreign) if foreign.is_file() else (),
        prompts=run.recipe.teacher.prefixes.distinct,
        form=run.sentence_form if run.sentence_form.is_declared else None,
        sources=[(source.label, source.weight) for source in run.recipe.corpus.sources],
        languages=run.recipe.text_languages,
        output=output,
        workers=available_workers() if len(batches) > 1 else 1,
        progress=run.progress,
    )
    for line in [*curve_table(result.curve, result.chosen), *fidelity_lines(result)]:
        run.progress.say(line)
    for point in result.curve:
        figures = asdict(point)
        pieces = figures.pop("pieces")
        run.tracker.log({f"curve/{name}": value for name, value in figures.items()}, pieces)
    run.tracker.artifact(output / "curve.json")
    run.progress.warn(result.warnings)
    return result


STAGE = Stage(
    name="vocabulary",
    revision=5,
    reads=("corpus",),
    depends_on=depends_on,
    result=VocabularyResult,
    execute=execute,
)
