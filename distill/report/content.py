"""The few figures of a report by which runs are compared."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from distill.recipe.model_reference import reference_among, reference_in_words
from distill.report.formats import format_count


def headline(content: Mapping[str, Any]) -> dict[str, float]:
    """The few figures by which runs are compared: retention in all and of each score, sizes,
    latency, fidelity of trimming.

    What matters most comes first: MLflow shows them in this order.
    """
    figures: dict[str, float] = {}
    if leading := leading_retention(content):
        figures["retention"] = fmean(leading.values())
    for language, (kept, _) in language_retention(content).items():
        figures[f"retention_{language}"] = kept
    if content["student"]:
        figures["student_parameters"] = content["student"]["parameters"]
    latencies = _compared_latencies(content, "student", "trimmed")
    if latencies is not None:
        figures["latency_ms"] = latencies[0]
        figures["latency_ratio_to_trimmed"] = latencies[0] / latencies[1]
    if (small := latency_ratio(content, form=INT8)) is not None:
        figures["latency_ratio_to_trimmed_int8"] = small
    if content["vocabulary"]:
        figures["vocabulary_kept"] = content["vocabulary"]["kept"]
        figures["heldout_identical"] = content["vocabulary"]["heldout_identical"]
    for score in student_scores(content):
        name = f"{score['task']}/{score['metric']}"
        if score["retention"] is not None:
            figures[f"retention/{name}"] = score["retention"]
        if score.get("equivalent") is not None:
            figures[f"equivalent/{name}"] = int(score["equivalent"])
    return figures


def student_scores(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The student's scores, those of single languages left out."""
    return [score for score in summary_scores(content) if score["model"] == "student"]


def leading_scores(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The student's score in the first metric of each task."""
    first: dict[str, Mapping[str, Any]] = {}
    for score in student_scores(content):
        first.setdefault(score["task"], score)
    return list(first.values())


def summary_scores(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The scores but those of single languages of a cross-lingual task, whose averages stand for
    them.
    """
    return [score for score in content["evaluation"] or [] if score.get("language") is None]


def leading_retention(content: Mapping[str, Any]) -> dict[str, float]:
    """The student's retention in the first metric of each task, by task and metric; none of a task
    whose first metric has none.
    """
    return {
        f"{score['task']}/{score['metric']}": score["retention"]
        for score in leading_scores(content)
        if score["retention"] is not None
    }


def language_retention(content: Mapping[str, Any]) -> dict[str, tuple[float, int]]:
    """For each language that tasks name, the student's mean retention in their first metrics, and
    of how many tasks that is.
    """
    tasks = (content["recipe"].get("evaluation") or {}).get("tasks", [])
    languages = {task["name"]: task.get("language") for task in tasks}
    by_language: dict[str, list[float]] = {}
    for score in leading_scores(content):
        language = languages.get(score["task"])
        if language and score["retention"] is not None:
            by_language.setdefault(language, []).append(score["retention"])
    return {language: (fmean(kept), len(kept)) for language, kept in by_language.items()}


def dev_scores(content: Mapping[str, Any], model: str) -> dict[str, float]:
    """What a model's fine-tunes score on dev, by task; none of a task without dev."""
    scores = [score for score in summary_scores(content) if score["model"] == model]
    return {
        score["task"]: score["dev"] for score in scores if score.get("dev") is not None
    }  # the same under every metric of a task


def summary(content: Mapping[str, Any]) -> str:
    """The headline as a sentence; nothing in it comes from a recipe, so that it is fit for
    Markdown.
    """
    figures = headline(content)
    parts = []
    if "student_parameters" in figures:
        of = content["teacher"]["parameters"]
        parts.append(
            f"{format_count(figures['student_parameters'])} parameters of the teacher's "
            f"{format_count(of)}"
        )
    if "retention" in figures:
        tasks = len(leading_retention(content))
        parts.append(
            f"{figures['retention']:.1%} of what "
            f"{reference_in_words(reference_in_report(content))} scores above guessing"
            + (f" (mean of {tasks} tasks)" if tasks > 1 else "")
        )
    parts += [line for line in (_equivalence(content), _guessing(content)) if line]
    if "latency_ratio_to_trimmed" in figures:
        parts.append(
            f"{figures['latency_ratio_to_trimmed']:.2f} times the trimmed teacher's latency"
            + (
                f", both in torch's float32, and {figures['latency_ratio_to_trimmed_int8']:.2f} "
                "times, both in int8"
                if "latency_ratio_to_trimmed_int8" in figures
                else ""
            )
        )
    if "heldout_identical" in figures:
        parts.append(
            f"{figures['heldout_identical']:.1%} of held-out sentences segmented as before"
        )
    return "; ".join([*parts, "tables and plots in report.html, under Artifacts"]) + "."


def reference_in_report(content: Mapping[str, Any]) -> str:
    """The model with which the others are compared."""
    evaluation = content.get("recipe", {}).get("evaluation") or {}  # a comparison has no recipe
    return str(content.get("reference") or reference_among(evaluation.get("models", ())))


def margin_of(content: Mapping[str, Any]) -> float | None:
    """Differences within it count as none."""
    recipe = content.get("recipe", {})  # a comparison of models has none
    margin: float | None = recipe.get("evaluation", {}).get("margin")
    return margin


def _equivalence(content: Mapping[str, Any]) -> str:
    """On how many tasks the student passed the test of equivalence with the reference."""
    margin = margin_of(content)
    tested = [score for score in leading_scores(content) if score.get("equivalent") is not None]
    if not tested or margin is None:
        return ""
    passed = sum(score["equivalent"] for score in tested)
    reference = reference_in_words(reference_in_report(content))
    as_good, count = f"as good as {reference} within ±{margin:g}", len(tested)
    if not passed:
        where = "the task" if count == 1 else f"any of the {count} tasks"
        return f"not shown to be {as_good} on {where} tested"
    return f"{as_good} on {passed} of {count} task{'' if count == 1 else 's'} tested"


def _guessing(content: Mapping[str, Any]) -> str:
    """On how many tasks the student may do no better than guessing."""
    count = sum(is_at_chance(score) for score in leading_scores(content))
    return f"at chance on {count} task{'s' if count > 1 else ''}" if count else ""


def is_at_chance(score: Mapping[str, Any]) -> bool:
    """Whether a score's interval reaches down to what guessing scores."""
    chance, low = score.get("chance"), score.get("low")
    return chance is not None and low is not None and bool(low <= chance)


TORCH, INT8 = ("torch", "float32"), ("onnx", "int8")
"""Runtime and precision in which two models are compared: the same for both."""


def is_plain(row: Mapping[str, Any]) -> bool:
    """Whether a row of the benchmark is of what everybody runs: torch in float32 on the CPU."""
    return _runs_in(row, TORCH)


def _runs_in(row: Mapping[str, Any], form: tuple[str, str]) -> bool:
    return (row["device"], row["runtime"], row["precision"]) == ("cpu", *form)


def latency_ratio(
    content: Mapping[str, Any],
    model: str = "student",
    of: str = "trimmed",
    form: tuple[str, str] = TORCH,
) -> float | None:
    """Median latency of `model` over that of `of` in the same runtime and precision on the CPU, at
    batch 1 and the longest length, with all threads.
    """
    latencies = _compared_latencies(content, model, of, form)
    return None if latencies is None else latencies[0] / latencies[1]


def _compared_latencies(
    content: Mapping[str, Any], model: str, of: str, form: tuple[str, str] = TORCH
) -> tuple[float, float] | None:
    """The median milliseconds of both where `latency_ratio` compares them."""
    rows = [
        row
        for row in content["benchmark"] or []
        if _runs_in(row, form) and row["median_ms"] is not None
    ]
    by_setting: dict[tuple[int, int, int], dict[str, float]] = {}
    for row in rows:
        setting = (-row["batch_size"], row["length"], row["threads"])
        name = row["model"].removesuffix("_int8")  # one row of a model in each runtime
        by_setting.setdefault(setting, {})[name] = row["median_ms"]
    both = {
        setting: latencies
        for setting, latencies in by_setting.items()
        if model in latencies and of in latencies
    }
    if not both:
        return None
    latencies = both[max(both)]
    return latencies[model], latencies[of]
