"""How scores were come by, and what they allow to be said: report.json's content goes in; facts of
tasks and models, and verdicts in words, come out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distill.report.content import summary_scores
from distill.report.formats import format_metric

Row = Mapping[str, Any]
AT_CHANCE = "at chance"
AT_EDGE = "edge of the grid"
_COMMIT = 7
"""Characters of a commit that are shown."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskFacts:
    """The rows of a task, and what guessing scores on them."""

    task: str
    train: int | None
    """Rows that each fine-tune learnt from; None where nothing is fine-tuned."""
    distinct: int | None
    """Of them those that differ."""
    test: int | None
    chance: tuple[tuple[str, float], ...]
    """By metric, as a person writes it; none where nobody can say."""
    overlap: Row | None
    """Rows that also stand in the text of the distillation, as report.json has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFacts:
    """In what a model was measured, and the learning rates that dev chose."""

    model: str
    runtime: str
    threads: str
    commit: str
    rates: tuple[tuple[float, bool] | None, ...]
    """For each fine-tuned task the learning rate, and whether it was the last that was tried."""


def verdict_of(score: Row, margin: float | None) -> str:
    """What the difference from the reference allows to be said; nothing where it has no
    interval.
    """
    low, high = score.get("difference_low"), score.get("difference_high")
    if low is None or high is None:
        return ""
    if score.get("equivalent") and margin is not None:
        return f"as good within ±{margin:g}"
    return "worse" if high < 0 else "better" if low > 0 else "not decided"


def task_facts(content: Mapping[str, Any]) -> list[TaskFacts]:
    """Of every task for which a score says how it was come by."""
    by_task: dict[str, list[Row]] = {}
    for score in _told(content):
        by_task.setdefault(score["task"], []).append(score)
    overlap = content.get("overlap") or {}
    return [
        _facts_of_task(task, scores, overlap.get(scores[0].get("base_task") or task))
        for task, scores in by_task.items()
    ]


def fine_tuned_tasks(content: Mapping[str, Any]) -> list[str]:
    """Those for which learning rates were chosen."""
    chosen = (score["task"] for score in _told(content) if score.get("learning_rate") is not None)
    return list(dict.fromkeys(chosen))


def model_facts(content: Mapping[str, Any]) -> list[ModelFacts]:
    """Of every model for which a score says how it was come by."""
    tasks, by_model = fine_tuned_tasks(content), dict[str, list[Row]]()
    for score in _told(content):
        by_model.setdefault(score["model"], []).append(score)
    return [_facts_of_model(model, scores, tasks) for model, scores in by_model.items()]


def at_edge(content: Mapping[str, Any]) -> dict[str, list[str]]:
    """By model the tasks whose learning rate was the last that was tried."""
    tasks, rates = fine_tuned_tasks(content), {}
    for facts in model_facts(content):
        edges = [task for task, rate in zip(tasks, facts.rates, strict=True) if rate and rate[1]]
        if edges:
            rates[facts.model] = edges
    return rates


def rows_in_words(facts: TaskFacts) -> str:
    """The rows of a task: 701 rows of train, 204 of test."""
    test = f"{facts.test:,} of test"
    if facts.train is None:
        return f"{facts.test:,} rows of test"
    fewer = facts.distinct is not None and facts.distinct < facts.train
    return (
        f"{facts.train:,} rows of train{f' ({facts.distinct:,} distinct)' if fewer else ''}, {test}"
    )


def chance_in_words(facts: TaskFacts) -> str:
    """What guessing scores: macro-F1 0.143, accuracy 0.250."""
    return ", ".join(f"{metric} {value:.3f}" for metric, value in facts.chance)


def tasks_seen(content: Mapping[str, Any]) -> list[str]:
    """The tasks of which rows also stand in the text of the distillation."""
    return [
        task
        for task, splits in (content.get("overlap") or {}).items()
        if any(split and split["shared"] for split in splits.values())
    ]


def overlap_in_words(facts: TaskFacts) -> str:
    """The rows that share 12 words in a row with the text of the distillation, and those that stand
    there whole: 60 (2 whole) of 204 of test.
    """
    parts = [
        f"{counted['shared']:,} ({counted['exact']:,} whole) of {counted['rows']:,} of {split}"
        for split in ("train", "test")
        if (counted := (facts.overlap or {}).get(split))
    ]
    return ", ".join(parts)


def rate_in_words(rate: tuple[float, bool] | None) -> str:
    """A learning rate, with a word if no rate beyond it was tried."""
    return "–" if rate is None else f"{rate[0]:g}{f' ({AT_EDGE})' if rate[1] else ''}"


def _told(content: Mapping[str, Any]) -> list[Row]:
    return [
        score
        for score in summary_scores(content)
        if score["mean"] is not None and score.get("provenance")
    ]


def _facts_of_task(task: str, scores: Sequence[Row], overlap: Row | None) -> TaskFacts:
    how = next(
        (score for score in _hows(scores) if score["train_rows"] is not None),
        scores[0]["provenance"],
    )
    chance = {format_metric(score["metric"]): score["chance"] for score in scores}
    return TaskFacts(
        task=task,
        train=how["train_rows"],
        distinct=how["distinct_train_rows"],
        test=how["test_rows"],
        chance=tuple((metric, value) for metric, value in chance.items() if value is not None),
        overlap=overlap,
    )


def _facts_of_model(model: str, scores: Sequence[Row], tasks: Sequence[str]) -> ModelFacts:
    chosen: dict[str, tuple[float, bool]] = {
        score["task"]: (score["learning_rate"], bool(score["provenance"]["rate_at_edge"]))
        for score in scores
        if score.get("learning_rate") is not None
    }
    hows = _hows(scores)
    return ModelFacts(
        model=model,
        runtime=_distinct(" ".join(filter(None, (h["runtime"], h["precision"]))) for h in hows),
        threads=_distinct(str(h["threads"] or "") for h in hows),
        commit=_distinct((h["commit"] or "")[:_COMMIT] for h in hows),
        rates=tuple(chosen.get(task) for task in tasks),
    )


def _hows(scores: Sequence[Row]) -> list[Row]:
    return [score["provenance"] for score in scores]


def _distinct(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(value for value in values if value)) or "–"
