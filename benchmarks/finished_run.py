"""Keeps a finished run's figures: what README.md and docs/results.md quote, with the machine,
versions and commit they were taken at.

    make quickstart && .venv/bin/python benchmarks/finished_run.py quickstart

reads runs/quickstart/, writes benchmarks/results/quickstart.json and prints the tables of
docs/results.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from provenance import commit

from distill import __version__
from distill.recipe.model_reference import reference_in_words
from distill.report.content import headline, is_plain, margin_of, reference_in_report
from distill.report.formats import (
    format_bytes,
    format_count,
    format_interval,
    format_metric,
    format_score,
    format_share,
    markdown_table,
)
from distill.report.measured import verdict_of
from distill.report.scoreboard import build_scoreboard
from distill.report.scores import with_interval

RESULTS = Path(__file__).parent / "results"


def main(name: str) -> None:
    """Write the figures of the finished run of that name."""
    run, result = Path("runs", name), RESULTS / f"{name}.json"
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    stages = {
        path.parent.name: json.loads(path.read_text())["seconds"]
        for path in sorted(run.glob("*/stage.json"))
    }
    kept = {
        "commit": commit(),
        "version": __version__,
        "overrides": report["overrides"],
        "machine": report["machine"],
        "seconds": {name: round(seconds, 1) for name, seconds in stages.items()},
        "headline": headline(report),
        "reference": reference_in_report(report),
        "margin": margin_of(report),
        "teacher": report["teacher"],
        "student": report["student"],
        "vocabulary": report["vocabulary"],
        "distillation": {
            key: value for key, value in report["distillation"].items() if key != "fidelity"
        },
        "fidelity": report["distillation"]["fidelity"][-1],
        "evaluation": report["evaluation"],
        "scratch": report.get("scratch"),
        "benchmark": report["benchmark"],
    }
    result.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(table(kept), differences(kept), curve(kept), sep="\n\n")
    print(
        f"\n{json.dumps(kept['headline'], indent=2)}\n{sum(stages.values()):.0f} s in all; kept in "
        f"{result}"
    )


def curve(kept: dict[str, Any]) -> str:
    """Sizes of vocabulary and what they leave, as docs/results.md shows them."""
    titles = [
        "seen",
        "pieces",
        "sentences as before",
        "words as before",
        "unknown characters",
        "tokens a word",
        "parameters",
    ]
    often = {1: "once", 2: "twice"}
    rows = [
        [
            often.get(point["min_count"], f"{point['min_count']} times"),
            f"{point['pieces']:,}",
            format_share(point["heldout_identical"]),
            format_share(point["heldout_words_identical"]),
            f"{point['heldout_unknown_characters']:.3%}",
            f"{point['tokens_per_word']:.3f}",
            format_count(point["parameters"]),
        ]
        for point in kept["vocabulary"]["curve"]
    ]
    return markdown_table(titles, rows, words=1)


def table(kept: dict[str, Any]) -> str:
    """The figures as docs/results.md shows them: a row a model, each task by its first metric."""
    tasks = dict.fromkeys(row["task"] for row in kept["evaluation"])
    metric = {
        task: next(row["metric"] for row in kept["evaluation"] if row["task"] == task)
        for task in tasks
    }
    scores = {
        (row["model"], row["task"]): row
        for row in kept["evaluation"]
        if row["metric"] == metric[row["task"]]
    }
    timed = [row for row in kept["benchmark"] if (row["batch_size"], row["length"]) == (1, 128)]
    # What everybody runs, on most threads; a model that has int8 alone by that.
    speed = {
        row["model"]: row
        for row in sorted(timed, key=lambda row: (is_plain(row), row["threads"] or 0))
    }
    heads = [f"{task}, {format_metric(metric[task])}" for task in tasks]
    reference = reference_in_words(kept["reference"])
    titles = ["", "parameters", "on disk", "ms, 128 tokens", *heads, f"of {reference}'s"]
    rows = []
    for model in dict.fromkeys([*(row["model"] for row in kept["evaluation"]), *speed]):
        found = [scores.get((model, task)) for task in tasks]
        shares = [row["retention"] for row in found if row and row["retention"] is not None]
        mean = format_share(fmean(shares)) if shares and len(shares) == len(tasks) else ""
        rows.append([model, *_size(speed.get(model)), *map(_score, found), mean])
    return markdown_table(titles, rows, words=1)


def differences(kept: dict[str, Any]) -> str:
    """How far each model is from the reference on each task and on the mean of them, and what that
    allows to be said.
    """
    recipe = {"evaluation": {"margin": kept["margin"]}}
    board = build_scoreboard({**kept, "published": [], "recipe": recipe})
    columns = board.columns[: board.tasks]
    heads = [f"{column.task}, {format_metric(column.metric)}" for column in columns]
    rows = [
        [
            line.model,
            *(_difference(cell, board.margin) for cell in (*line.cells[: board.tasks], line.mean)),
        ]
        for line in board.lines
        if line.model != kept["reference"] and any(line.cells)
    ]
    return markdown_table([f"less {kept['reference']}", *heads, "mean of the tasks"], rows, words=1)


def _difference(cell: Mapping[str, Any] | None, margin: float | None) -> str:
    if cell is None or cell.get("difference") is None:
        return ""
    low, high = cell.get("difference_low"), cell.get("difference_high")
    said = verdict_of(cell, margin)
    return with_interval(cell["difference"], low, high, "+.3f") + (f": {said}" if said else "")


def _size(fast: dict[str, Any] | None) -> list[str]:
    if fast is None:
        return ["", "", ""]
    return [
        format_count(fast["parameters"]),
        format_bytes(fast["bytes_on_disk"]),
        f"{fast['median_ms']:.0f}",
    ]


def _score(row: dict[str, Any] | None) -> str:
    if row is None or row["mean"] is None:
        return ""
    mean, interval = format_score(row["mean"]), format_interval(row["low"], row["high"])
    return f"{mean} ({interval})" if interval else mean


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["quickstart"])
