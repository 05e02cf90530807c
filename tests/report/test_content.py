from __future__ import annotations

import json
from typing import Any

import pytest

from distill.report.content import (
    INT8,
    headline,
    latency_ratio,
    leading_retention,
    summary,
)
from tests.report.examples import (
    STAGES,
    example_recipe,
    example_report,
    example_results,
    measurement,
    report_content,
)

# The contract of DESIGN.md: readers rely on these keys.
KEYS: dict[str, set[str]] = {
    "teacher": {"name", "parameters", "vocabulary_size"},
    "corpus": {"documents", "bytes", "heldout_documents"},
    "vocabulary": {
        "original",
        "kept",
        "heldout_sentences",
        "heldout_identical",
        "heldout_unk_rate",
        "heldout_unk_rate_original",
        "tokens_per_word",
        "tokens_per_word_original",
        "max_abs_hidden_difference",
    },
    "student": {
        "parameters",
        "embedding_parameters",
        "layers",
        "hidden_size",
        "intermediate_size",
        "vocabulary_size",
    },
    "distillation": {
        "tokens",
        "steps",
        "seconds",
        "tokens_per_second",
        "final_loss",
        "objectives",
        "resumed_from",
    },
    "evaluation": {"model", "task", "metric", "scores", "mean", "low", "high", "retention"},
    "benchmark": {
        "model",
        "device",
        "threads",
        "precision",
        "batch_size",
        "length",
        "median_ms",
        "p95_ms",
        "sequences_per_second",
        "parameters",
        "bytes_on_disk",
        "peak_memory_bytes",
    },
    "export": {"path", "files", "pushed_to"},
}


@pytest.mark.parametrize("part", KEYS)
def test_a_full_report_has_the_keys_that_readers_rely_on(part: str) -> None:
    content = example_report()
    for row in content[part] if isinstance(content[part], list) else [content[part]]:
        assert KEYS[part] <= row.keys()


@pytest.mark.parametrize("part", KEYS)
def test_the_stages_own_results_have_the_keys_that_readers_rely_on(part: str) -> None:
    from dataclasses import fields

    from distill.evaluation.evaluate import Score
    from distill.report.results.benchmark import Measurement
    from distill.report.results.corpus import CorpusResult
    from distill.report.results.distillation import DistillationResult
    from distill.report.results.export import ExportResult
    from distill.report.results.student import StudentResult
    from distill.report.results.vocabulary import VocabularyResult

    results: dict[str, Any] = {
        "corpus": CorpusResult,
        "vocabulary": VocabularyResult,
        "student": StudentResult,
        "teacher": StudentResult,
        "distillation": DistillationResult,
        "evaluation": Score,
        "benchmark": Measurement,
        "export": ExportResult,
    }
    # What a stage says of the teacher is a dictionary: its name, and the same keys as of the
    # student.
    assert KEYS[part] - {"name"} <= {field.name for field in fields(results[part])}


@pytest.mark.parametrize("until", STAGES[:-1])
def test_stages_that_did_not_run_are_null_and_the_reason_names_them(until: str) -> None:
    content = example_report(until)
    missing = STAGES[STAGES.index(until) + 1 :]
    assert {part for part in KEYS if content[part] is None} == {
        *missing,
        *(["teacher"] if "student" in missing else []),
    }
    assert content["reason"] == f"not run yet: {', '.join(missing)}"


def test_a_full_report_has_no_reason() -> None:
    assert "reason" not in example_report()


def test_the_recipe_stands_in_the_report_as_it_can_be_read_again() -> None:
    recipe = example_recipe()
    assert type(recipe).model_validate(json.loads(json.dumps(example_report()))["recipe"]) == recipe


def test_a_hidden_difference_that_could_not_be_measured_has_a_reason() -> None:
    results = example_results()
    results["vocabulary"]["max_abs_hidden_difference"] = None
    assert (
        report_content(example_recipe(), results)["vocabulary"]["reason"]
        == "no held-out sentence keeps its segmentation"
    )


def test_making_a_report_leaves_the_results_as_they_were() -> None:
    results = example_results()
    report_content(example_recipe(), results)
    assert results == example_results()


def rows(model: str, **changes: Any) -> list[dict[str, Any]]:
    return [measurement(model, **changes)]


def test_the_latency_ratio_is_that_of_batch_1_at_the_longest_length_with_most_threads() -> None:
    def both(ratio: float, **setting: int) -> list[dict[str, Any]]:
        return [
            measurement("trimmed", median_ms=10.0, **setting),
            measurement("student", median_ms=10 * ratio, **setting),
        ]

    benchmark = [
        *both(0.9, batch_size=32, length=128, threads=2),
        *both(0.5, batch_size=1, length=128, threads=2),
        *both(0.8, batch_size=1, length=128, threads=1),
        *both(0.7, batch_size=1, length=32, threads=2),
    ]
    assert latency_ratio({"benchmark": benchmark}) == pytest.approx(0.5)


def test_int8_is_compared_with_int8_and_named_so() -> None:
    content = example_report() | {
        "benchmark": [
            *rows("student", median_ms=4.0),
            *rows("trimmed", median_ms=8.0),
            *rows("student_int8", median_ms=3.0, runtime="onnx", precision="int8"),
            *rows("trimmed", median_ms=5.0, runtime="onnx", precision="int8"),
        ]
    }
    assert latency_ratio(content) == 0.5 and latency_ratio(content, form=INT8) == 0.6
    assert headline(content)["latency_ratio_to_trimmed_int8"] == 0.6
    assert (
        "0.50 times the trimmed teacher's latency, both in torch's float32, and 0.60 times, both "
        "in int8"
    ) in summary(content)


def test_for_the_latency_ratio_length_goes_before_threads() -> None:
    benchmark = [
        *(
            measurement(model, median_ms=ms, length=128, threads=1)
            for model, ms in (("student", 1.0), ("trimmed", 2.0))
        ),
        *(
            measurement(model, median_ms=ms, length=32, threads=2)
            for model, ms in (("student", 3.0), ("trimmed", 4.0))
        ),
    ]
    assert latency_ratio({"benchmark": benchmark}) == 0.5


@pytest.mark.parametrize(
    "benchmark",
    [
        None,
        [],
        rows("student"),
        rows("student") + rows("trimmed", length=64),
        rows("student") + rows("trimmed", median_ms=None),
        rows("student", device="cuda", threads=None) + rows("trimmed", device="cuda", threads=None),
    ],
    ids=["not run", "no rows", "one model", "no setting in common", "not measured", "GPU alone"],
)
def test_there_is_no_latency_ratio_without_both_models_in_one_setting(benchmark: Any) -> None:
    assert latency_ratio({"benchmark": benchmark}) is None


def test_a_length_that_one_model_lacks_does_not_hide_the_ratio_of_the_others() -> None:
    benchmark = [
        *rows("student", median_ms=3.0),
        *rows("trimmed", median_ms=6.0),
        *rows("student", length=512),
    ]
    assert latency_ratio({"benchmark": benchmark}) == 0.5


def test_the_headline_has_the_figures_by_which_runs_are_compared() -> None:
    assert headline(example_report()) == {
        "heldout_identical": 0.97,
        "student_parameters": 38_432,
        "retention/faq/mrr@10": pytest.approx(0.81),
        "retention/faq/recall@1": pytest.approx(0.81),
        "latency_ratio_to_trimmed": 0.5,
        "latency_ms": 6.0,
        "retention": pytest.approx(0.81),
        "vocabulary_kept": 400,
    }


def test_the_headline_begins_with_what_runs_are_told_apart_by() -> None:
    assert list(headline(example_report()))[:3] == ["retention", "student_parameters", "latency_ms"]


def test_retention_is_the_mean_over_tasks_of_each_ones_first_metric() -> None:
    def score(
        task: str, metric: str, retention: float | None, model: str = "student"
    ) -> dict[str, Any]:
        return {"model": model, "task": task, "metric": metric, "retention": retention}

    rows = [
        score("faq", "mrr@10", 1.0, "teacher"),
        score("faq", "mrr@10", 0.6),
        score("faq", "recall@1", 0.1),
        score("unmeasured", "mcc", None),
        score("topics", "macro_f1", 0.8),
    ]
    content = {**example_report(), "evaluation": rows}
    assert leading_retention(content) == {"faq/mrr@10": 0.6, "topics/macro_f1": 0.8}
    assert headline(content)["retention"] == pytest.approx(0.7)


def test_the_summary_says_the_headline_in_words() -> None:
    assert summary(example_report()) == (
        "38.4k parameters of the teacher's 56.8k; 81.0% of what the teacher scores above guessing; "
        "0.50 times the trimmed teacher's latency; "
        "97.0% of held-out sentences segmented as before; tables and plots in report.html, under "
        "Artifacts."
    )


def test_the_summary_names_the_trimmed_teacher_where_that_is_the_reference() -> None:
    content = example_report()
    content["recipe"]["evaluation"] |= {"models": ["trimmed", "student"], "margin": 0.02}
    for score in content["evaluation"]:
        score["equivalent"] = True
    said = summary(content)
    assert "81.0% of what the trimmed teacher scores above guessing" in said
    assert "as good as the trimmed teacher within ±0.02 on 1 of 1 task tested" in said


def test_the_summary_of_part_of_the_way_says_what_there_is() -> None:
    assert summary(example_report("corpus")) == "tables and plots in report.html, under Artifacts."


@pytest.mark.parametrize("until", STAGES)
def test_the_headline_of_part_of_the_way_has_part_of_the_figures(until: str) -> None:
    assert headline(example_report(until)).keys() <= headline(example_report()).keys()
