"""The few figures of a report by which runs are compared."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from distill.report.formats import format_count


def headline(content: Mapping[str, Any]) -> dict[str, float]:
    """The few figures by which runs are compared: retention in all and of each score, sizes,
    latency, fidelity of trimming.

    What matters most comes first: MLflow shows them in this order.
    """
    figures: dict[str, float] = {}
    if leading := leading_retention(content):
        figures["retention"] = fmean(leading.values())
    if content["student"]:
        figures["student_parameters"] = content["student"]["parameters"]
    latencies = _compared_latencies(content, "student", "trimmed")
    if latencies is not None:
        figures["latency_ms"] = latencies[0]
        figures["latency_ratio_to_trimmed"] = latencies[0] / latencies[1]
    if content["vocabulary"]:
        figures["vocabulary_kept"] = content["vocabulary"]["kept"]
        figures["heldout_identical"] = content["vocabulary"]["heldout_identical"]
    for score in summary_scores(content):
        if score["model"] == "student" and score["retention"] is not None:
            figures[f"retention/{score['task']}/{score['metric']}"] = score["retention"]
    return figures


def summary_scores(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The scores but those of single languages of a cross-lingual task, whose averages stand for
    them.
    """
    return [score for score in content["evaluation"] or [] if score.get("language") is None]


def leading_retention(content: Mapping[str, Any]) -> dict[str, float]:
    """The student's retention in the first metric of each task, by task and metric; none of a task
    whose first metric has none.
    """
    first: dict[str, Mapping[str, Any]] = {}
    for score in summary_scores(content):
        if score["model"] == "student":
            first.setdefault(score["task"], score)
    return {
        f"{score['task']}/{score['metric']}": score["retention"]
        for score in first.values()
        if score["retention"] is not None
    }


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
            f"{figures['retention']:.1%} of what the teacher scores above guessing"
            + (f" (mean of {tasks} tasks)" if tasks > 1 else "")
        )
    if "latency_ratio_to_trimmed" in figures:
        parts.append(
            f"{figures['latency_ratio_to_trimmed']:.2f} times the trimmed teacher's latency"
        )
    if "heldout_identical" in figures:
        parts.append(
            f"{figures['heldout_identical']:.1%} of held-out sentences segmented as before"
        )
    return "; ".join([*parts, "tables and plots in report.html, under Artifacts"]) + "."


def is_plain(row: Mapping[str, Any]) -> bool:
    """Whether a row of the benchmark is of what everybody runs: torch in float32 on the CPU."""
    return (row["device"], row["runtime"], row["precision"]) == ("cpu", "torch", "float32")


def latency_ratio(
    content: Mapping[str, Any], model: str = "student", of: str = "trimmed"
) -> float | None:
    """Median latency of `model` over that of `of` in torch's float32, at batch 1 and the longest
    length, with all threads.
    """
    latencies = _compared_latencies(content, model, of)
    return None if latencies is None else latencies[0] / latencies[1]


def _compared_latencies(
    content: Mapping[str, Any], model: str, of: str
) -> tuple[float, float] | None:
    """The median milliseconds of both where `latency_ratio` compares them."""
    rows = [
        row for row in content["benchmark"] or [] if is_plain(row) and row["median_ms"] is not None
    ]
    by_setting: dict[tuple[int, int, int], dict[str, float]] = {}
    for row in rows:
        setting = (-row["batch_size"], row["length"], row["threads"])
        by_setting.setdefault(setting, {})[row["model"]] = row["median_ms"]
    both = {
        setting: found for setting, found in by_setting.items() if model in found and of in found
    }
    if not both:
        return None
    found = both[max(both)]
    return found[model], found[of]
