"""Results of a run, made up but consistent, as the stages return them: a report of any part of the
way.
"""

from __future__ import annotations

import copy
from typing import Any

from distill.pipeline.records import adapter
from distill.pipeline.stages import stage_named
from distill.recipe import Recipe
from distill.report.model import Report, StageResults, plain

STAGES = ("corpus", "vocabulary", "student", "distillation", "evaluation", "benchmark", "export")
MODELS = ("teacher", "trimmed", "student", "initial", "untrained")


def example_recipe(**changes: Any) -> Recipe:
    """A valid recipe; `changes` replace whole sections."""
    sections: dict[str, Any] = {
        "name": "tiny",
        "language": "sv",
        "teacher": {
            "model": "organisation/teacher",
            "licence": "mit",
            "prefixes": {"query": "query: ", "passage": "passage: "},
        },
        "corpus": {"sources": [{"hub": "organisation/text", "licence": "cc-by-4.0"}]},
        "student": {"layers": 2},
        "evaluation": {
            "tasks": [
                {
                    "name": "faq",
                    "kind": "retrieval",
                    "source": {"hub": "organisation/faq"},
                    "query": "q",
                    "passage": "a",
                }
            ]
        },
    }
    return Recipe.model_validate(sections | changes)


def example_results(
    until: str = "export", tasks: tuple[str, ...] = ("faq",), models: tuple[str, ...] = MODELS
) -> dict[str, Any]:
    """What the stages up to and including `until` returned."""
    geometry = {
        "embedding_parameters": 19_360,
        "hidden_size": 32,
        "intermediate_size": 64,
        "vocabulary_size": 605,
    }
    scores = [
        {
            "model": model,
            "task": task,
            "metric": metric,
            "scores": [0.8 * 0.9**place],
            "mean": 0.8 * 0.9**place,
            "low": 0.75 * 0.9**place,
            "high": 0.85 * 0.9**place,
            "retention": 0.9**place,
            "reason": None,
        }
        for place, model in enumerate(models)
        for task in tasks
        for metric in ("mrr@10", "recall@1")
    ]
    latencies = {"teacher": 12.1, "trimmed": 12.0, "student": 6.0}
    every = {
        "corpus": {
            "documents": 12_345,
            "bytes": 9_876_543,
            "words": 1_234_567,
            "heldout_documents": 123,
            "dropped": {"too short": 7},
            "foreign_share": None,
            "sources": [
                {
                    "name": "organisation/text",
                    "location": "hub organisation/text",
                    "licence": "cc-by-4.0",
                    "files": 0,
                    "rows": 12_352,
                    "bytes": 9_876_543,
                    "lines": 12_352,
                    "invalid_utf8": 0,
                    "invalid_json": 2,
                    "first_invalid": None,
                }
            ],
        },
        "vocabulary": {
            "original": 605,
            "kept": 400,
            "heldout_sentences": 100,
            "heldout_identical": 0.97,
            "heldout_identical_sentences": 97,
            "heldout_identical_raw": 0.97,
            "heldout_raw_agreement": 1.0,
            "heldout_words_identical": 0.99,
            "heldout_round_trip": 1.0,
            "heldout_unk_rate": 0.0,
            "heldout_unk_rate_original": 0.0,
            "heldout_unknown_characters": 0.0001,
            "heldout_unknown_characters_original": 0.0,
            "tokens_per_word": 1.61,
            "tokens_per_word_original": 1.6,
            "compared_sentences": 97,
            "compared_share": 1.0,
            "compared_seconds": 1.5,
            "unequal_share_below": 3 / 97,
            "max_abs_hidden_difference": 0.0,
            "max_abs_logit_difference": 0.0,
            "chosen": curve_point(2, 400),
            "unfiltered_curve": None,
            "sources": [
                {"name": "text", "weight": 1.0, "heldout_sentences": 100, "heldout_identical": 0.97}
            ],
            "curve": [curve_point(count, 500 - 4 * count) for count in (1, 3, 10, 50)],
        },
        "student": {
            **geometry,
            "parameters": 38_432,
            "layers": 2,
            "teacher_layers": [2, 4],
            "teacher": {
                "name": "organisation/teacher",
                **geometry,
                "parameters": 56_832,
                "layers": 4,
            },
        },
        "distillation": {
            "tokens": 4_000,
            "steps": 16,
            "seconds": 2.5,
            "tokens_per_second": 1_600.0,
            "final_loss": 0.5,
            "objectives": {"hidden": 1.0, "relations": 0.5},
            "precision": "float32",
            "epochs": 0.3,
            "best_step": 16,
            "skipped_batches": 0,
            "processes": 1,
            "resumed_from": None,
            "fidelity": [],
        },
        "evaluation": {"scores": scores, "rows": dict.fromkeys(tasks, 20), "counts": {}},
        "benchmark": {
            "measurements": [
                measurement(
                    model, batch_size=batch, length=length, median_ms=latencies.get(model, 9.0)
                )
                for batch in (1, 32)
                for length in (32, 128)
                for model in models
                if model not in ("initial", "untrained")
            ],
            "machine": {
                "processor": "Some Processor",
                "cores": 2,
                "memory_bytes": 8_000_000_000,
                "gpu": None,
                "python": "3.11.7",
                "torch": "2.13.0",
                "transformers": "5.23.0",
                "onnxruntime": "1.32.0",
            },
        },
        "export": {
            "path": "tiny/export",
            "files": ["README.md"],
            "licence": "cc-by-4.0",
            "runtimes": {"float32_reason": None, "int8_reason": None, "left_whole": 0},
            "proof": {
                "sentences": 64,
                "onnx_max_abs_difference": None,
                "int8_cosine": None,
                "int8_centred_cosine": None,
                "int8_time": None,
            },
            "warnings": [],
            "pushed_to": None,
            "reason": "pushing was not asked for",
        },
    }
    return {stage: copy.deepcopy(every[stage]) for stage in STAGES[: STAGES.index(until) + 1]}


def curve_point(min_count: int, pieces: int) -> dict[str, Any]:
    """A size of vocabulary."""
    return {
        "min_count": min_count,
        "pieces": pieces,
        "heldout_identical": 1 - 0.01 * min_count,
        "heldout_words_identical": 1 - 0.005 * min_count,
        "heldout_unknown_characters": 0.0001,
        "tokens_per_word": 1.61,
        "parameters": 37_472 + 32 * pieces,
        "bytes": 4 * (37_472 + 32 * pieces),
    }


def report_content(recipe: Recipe, results: dict[str, Any]) -> dict[str, Any]:
    """What report.json holds of a run whose stages returned `results`."""
    typed = {
        stage: adapter(stage_named(stage).result).validate_python(result)
        for stage, result in results.items()
    }
    return plain(Report.of(recipe, StageResults(**typed)))


def measurement(model: str, **changes: Any) -> dict[str, Any]:
    """A row of the benchmark."""
    row = {
        "model": model,
        "device": "cpu",
        "threads": 1,
        "runtime": "torch",
        "precision": "float32",
        "batch_size": 1,
        "length": 32,
        "median_ms": 12.0,
        "p95_ms": 13.0,
        "sequences_per_second": 83.3,
        "floor_ms": 5.0,
        "rounds": 200,
        "parameters": 38_432,
        "bytes_on_disk": 200_000,
        "load_ms": 150.0,
        "peak_memory_bytes": 400_000_000,
        "reason": None,
    }
    return row | changes


def example_history(points: int = 40) -> dict[str, Any]:
    """What the distillation leaves in history.json."""
    return {
        "losses": [
            {"tokens": 100 * i, "loss": 1.5 / i, "hidden": 1 / i, "relations": 0.5 / i}
            for i in range(1, points + 1)
        ],
        "fidelity": [
            {
                "tokens": 100 * i,
                "hidden_cosine": 0.9,
                "pooled_cosine": 0.95,
                "neighbour_agreement": 0.3,
            }
            for i in range(points)
        ],
    }


def example_report(until: str = "export", **recipe_changes: Any) -> dict[str, Any]:
    """report.json of a run that got as far as `until`."""
    return report_content(example_recipe(**recipe_changes), example_results(until))


def measured_report() -> dict[str, Any]:
    """A report whose scores say how they were come by: the student is as good as its teacher on
    topics, and the untrained model at chance.
    """
    models = ("teacher", "student", "student_int8", "untrained")
    content = report_content(example_recipe(), example_results(tasks=("topics",), models=models))
    means = {"teacher": 0.61, "student": 0.6, "student_int8": 0.55, "untrained": 0.15}
    content["evaluation"] = [
        {**row, **measured_score(row["model"], means[row["model"]])}
        for row in content["evaluation"]
        if row["metric"] == "mrr@10"
    ]
    content["overlap"] = {
        "topics": {
            "train": {"rows": 801, "exact": 40, "shared": 55},
            "test": {"rows": 204, "exact": 2, "shared": 60},
        }
    }
    return content


def measured_score(model: str, mean: float) -> dict[str, Any]:
    """The figures of a fine-tuned model in report.json."""
    apart, is_int8 = mean - 0.61, model == "student_int8"
    differs = model != "teacher"
    return {
        "metric": "macro_f1",
        "mean": mean,
        "low": mean - 0.01,
        "high": mean + 0.01,
        "chance": 0.143,
        "difference": apart,
        "difference_low": apart - 0.005 if differs else None,
        "difference_high": apart + 0.005 if differs else None,
        "equivalent": abs(apart) + 0.004 < 0.02 if differs else None,
        "learning_rate": 3e-4 if model == "student" else 1e-4,
        "dev": mean + 0.02,
        "provenance": {
            "test_rows": 204,
            "train_rows": 701,
            "distinct_train_rows": 321,
            "rate_at_edge": model == "student",
            "precision": "int8" if is_int8 else "float32",
            "runtime": "onnx" if is_int8 else "torch",
            "threads": 2,
            "commit": "abc1234def",
        },
    }
