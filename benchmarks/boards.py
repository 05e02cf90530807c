"""An exported student's scores in EuroEval beside those of `protocol: euroeval` on the same rows.

    python examples/euroeval/score.py board.yaml STUDENT > euroeval.jsonl  in its environment
    DISTILL_DATA=... python -m distill benchmark STUDENT --tasks board.yaml --output ours
    python -m benchmarks.boards euroeval.jsonl ours

writes benchmarks/results/boards.json and prints the table.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.provenance import provenance
from benchmarks.setting import RESULTS
from distill.report.formats import format_interval, format_metric, format_score, markdown_table

Row = dict[str, Any]
SCORE = ("mean", "low", "high")


def main() -> None:
    """Pair the scores, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("euroeval", type=Path, help="what examples/euroeval/score.py printed")
    parser.add_argument("ours", type=Path, help="the folder that `distill benchmark` wrote")
    parser.add_argument("--euroeval-version", default="18.3.0")
    options = parser.parse_args()
    theirs = [json.loads(line) for line in options.euroeval.read_text().splitlines() if line]
    report = json.loads((options.ours / "benchmark.json").read_text(encoding="utf-8"))
    rows = paired(theirs, report["evaluation"])
    kept = {
        **provenance({"protocol": report["protocol"], "euroeval": options.euroeval_version}),
        "scores": rows,
    }
    (RESULTS / "boards.json").write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(table(rows))


def paired(theirs: list[Row], ours: list[Row]) -> list[Row]:
    """For each of EuroEval's scores ours on the same task and metric, and whether the intervals
    share a value.
    """
    rows = []
    for their in theirs:
        own = next(row for row in ours if all(row[key] == their[key] for key in ("task", "metric")))
        rows.append(
            {
                "task": their["task"],
                "metric": their["metric"],
                "euroeval": {key: their[key] for key in SCORE},
                "distill": {key: own[key] for key in SCORE},
                "overlap": their["low"] <= own["high"] and own["low"] <= their["high"],
            }
        )
    return rows


def table(rows: list[Row]) -> str:
    """A row a task and metric."""
    return markdown_table(
        ["task, metric", "EuroEval", "distill", "intervals overlap"],
        [
            [
                f"{row['task']}, {format_metric(row['metric'])}",
                *(
                    f"{format_score(cell['mean'])} ({format_interval(cell['low'], cell['high'])})"
                    for cell in (row["euroeval"], row["distill"])
                ),
                "yes" if row["overlap"] else "no",
            ]
            for row in rows
        ],
        words=1,
    )


if __name__ == "__main__":
    main()
