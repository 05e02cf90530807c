"""What a model card tells a person, worked out from a report: scores side by side, what was lost,
what to cite.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.dates import format_date

from distill.distillation.objectives import OBJECTIVES
from distill.report.grid import Grid, Row, build_grid

Score = Mapping[str, Any]

_TRIMMING = (
    "trimming the vocabulary to a language",
    "Abdaoui, Pradel and Sigel 2020, Load What You Need: Smaller Versions of Multilingual BERT",
    "2010.05609",
)
_PRUNING = ("structural pruning", "Fang et al. 2023, DepGraph", "2301.12900")

MEANINGS = {
    "trimmed": "the teacher with this vocabulary",
    "initial": "the student before distillation",
    "asymmetric": "the student for queries and the trimmed teacher for passages",
    "untrained": "its architecture with random weights",
    "scratch": "its architecture, trained without a teacher on as many tokens",
    "tfidf": "a bag of words: TF-IDF with a linear SVM, for retrieval its cosine",
}
"""What a run's own models are, besides teacher and student."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreLine:
    """One task under one metric; None where a model was not measured."""

    task: str
    metric: str
    by_model: Mapping[str, Score]

    def of(self, model: str) -> Score | None:
        """The model's score, if it has one."""
        score = self.by_model.get(model)
        return score if score is not None and score["mean"] is not None else None


def language_name(code: str | Sequence[str]) -> str:
    """A language's English name, or its code where that is not known; of several all of them."""
    if not isinstance(code, str):
        *others, last = map(language_name, code)
        return f"{', '.join(others)} and {last}"
    return Locale("en").languages.get(code) or code


def example_text(code: str | Sequence[str]) -> str:
    """A few words in the language that no corpus holds: a date, as CLDR writes it; of a language
    that it lacks, in figures.
    """
    code = code if isinstance(code, str) else code[0]
    try:
        return str(format_date(date(2026, 1, 1), "full", locale=Locale.parse(code)))
    except (UnknownLocaleError, ValueError):
        return "2026-01-01"


def score_lines(scores: Iterable[Score]) -> list[ScoreLine]:
    """The scores of each task and metric side by side; of a task in several languages, what stands
    for all of them.
    """
    lines: dict[tuple[str, str], dict[str, Score]] = {}
    for score in scores:
        if score.get("language") is None:
            lines.setdefault((score["task"], score["metric"]), {})[score["model"]] = score
    return [
        ScoreLine(task=task, metric=metric, by_model=shown)
        for (task, metric), shown in lines.items()
    ]


def unmeasured(scores: Iterable[Score]) -> list[tuple[str, str, str]]:
    """Model, task and reason of what has no score."""
    return list(
        dict.fromkeys(
            (score["model"], score["task"], str(score["reason"]))
            for score in scores
            if score["mean"] is None
        )
    )


def furthest_below(lines: Iterable[ScoreLine]) -> ScoreLine | None:
    """Where the student is furthest below the reference, if it is anywhere beyond its interval."""
    falls = [
        (score["difference"], line)
        for line in lines
        if (score := line.of("student"))
        and score.get("difference_high") is not None
        and score["difference_high"] < 0
    ]
    return min(falls, key=lambda pair: pair[0])[1] if falls else None


def equivalent(lines: Iterable[ScoreLine]) -> list[str]:
    """The tasks on which the student passed the test of equivalence with the reference, by their
    first metrics.
    """
    first = {line.task: line for line in reversed(list(lines))}
    return [
        task
        for task, line in reversed(first.items())
        if (score := line.of("student")) and score.get("equivalent")
    ]


def likeness(report: Mapping[str, Any]) -> float | None:
    """The mean cosine of the finished student's sentence vectors to the teacher's, the mean taken
    out, on held-out text, where it was measured.
    """
    measured: list[dict[str, float | None]] = report["distillation"]["fidelity"]
    kept = min(
        measured, key=lambda row: row["objective"] or 0.0, default=None
    )  # the best of them is what was kept
    return None if kept is None else kept.get("pooled_centred_cosine")


def speed_grid(rows: Sequence[Row]) -> Grid:
    """Latency in each device's place with the most threads."""
    most: dict[str, int] = {}
    for row in rows:
        most[row["device"]] = max(most.get(row["device"], 0), row["threads"] or 0)
    return build_grid([row for row in rows if (row["threads"] or 0) == most[row["device"]]])


def slower_in_int8(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Where the student's int8 file takes longer than the fastest of its float32, each with
    that.
    """
    best: dict[tuple[Any, ...], Row] = {}
    slower = []
    for precision in ("float32", "int8"):
        for row in rows:
            if (
                row["model"] not in ("student", "student_int8")
                or row["precision"] != precision
                or row["median_ms"] is None
            ):
                continue
            other = best.get(_setting(row))
            if precision == "float32":
                best[_setting(row)] = (
                    row
                    if other is None
                    else min(other, row, key=lambda candidate: float(candidate["median_ms"]))
                )
            elif other is not None and row["median_ms"] > other["median_ms"]:
                slower.append((row, other))
    return slower


def references(report: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """For what, by whom and which arXiv number: the papers of what was done."""
    recipe, done = report["recipe"], [_TRIMMING]
    if any(recipe["student"].get(size) for size in ("hidden_size", "intermediate_size")):
        done.append(_PRUNING)
    for name in report["distillation"]["objectives"]:
        if (objective := OBJECTIVES.get(name)) is not None:
            done.append((objective.purpose, objective.paper, objective.arxiv))
    by_paper: dict[tuple[str, str], list[str]] = {}
    for purpose, paper, number in done:
        by_paper.setdefault((paper, number), []).append(purpose)
    return [
        (" and ".join(purposes), paper, number) for (paper, number), purposes in by_paper.items()
    ]


def ingredients(report: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """What the student was made from, each with its licence."""
    recipe = report["recipe"]
    began_as = (
        [("the model that the student began as", None)] if recipe["student"].get("model") else []
    )
    sources = [(source["name"], source["licence"]) for source in report["corpus"]["sources"]]
    return list(
        dict.fromkeys([("the teacher", recipe["teacher"].get("licence")), *began_as, *sources])
    )


def _setting(row: Row) -> tuple[Any, ...]:
    return row["device"], row["threads"], row["batch_size"], row["length"]
