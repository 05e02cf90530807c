"""The benchmark stage: size, latency and memory of every model."""

from __future__ import annotations

from pathlib import Path

from distill.pipeline.run import Run
from distill.pipeline.stages.stage import Stage
from distill.report.results.benchmark import BenchmarkResult


def depends_on(run: Run) -> dict[str, object]:
    """The models that the run does not make itself."""
    from distill.benchmark.subjects import describe_subject
    from distill.recipe.model_reference import ModelRef

    return {
        name: describe_subject(name, run.hashes)
        for name in run.recipe.benchmark.models
        if not ModelRef.of(name).is_own
    }


def execute(run: Run, output: Path) -> BenchmarkResult:
    """Every model's size and latency."""
    from distill.benchmark.measure import measure_models
    from distill.benchmark.subjects import Subject, open_subject, subject_of
    from distill.models.after_pooling import SentenceVectors
    from distill.onnx.files import batches_of
    from distill.recipe.model_reference import ModelRef

    sentences = run.judging_sentences()
    vectors = SentenceVectors(run.recipe.teacher.pooling, run.sentence_form.after)

    def open_model(name: str) -> Subject:
        if not ModelRef.of(name).is_own:
            return open_subject(name)
        loaded = run.load(name)
        judged = (batches_of(loaded.tokenizer, sentences), vectors)
        return subject_of(loaded.model, run.model_folder(name), judged)

    return measure_models(
        run.recipe.benchmark, open_model=open_model, output=output, progress=run.progress
    )


STAGE = Stage(
    name="benchmark",
    revision=3,
    reads=("corpus", "vocabulary", "student", "distillation"),
    depends_on=depends_on,
    result=BenchmarkResult,
    execute=execute,
)
