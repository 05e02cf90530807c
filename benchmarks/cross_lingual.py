r"""Keeps what a teacher carries from one language to others, next to published figures on XNLI.

    DISTILL_DATA=... .venv/bin/python -m distill benchmark package:multilingual-e5-small \
        --tasks sib200 --output sib200
    .venv/bin/python benchmarks/cross_lingual.py sib200

reads sib200/benchmark.json, writes benchmarks/results/cross_lingual.json and prints the table of
docs/results.md.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from provenance import provenance

RESULT = Path(__file__).parent / "results" / "cross_lingual.json"
PUBLISHED = {
    "source": "Conneau et al. 2020, Unsupervised Cross-lingual Representation Learning at Scale, "
    "Table 1: XNLI accuracy in per "
    "cent, averaged over fifteen languages; another task with another protocol, not comparable "
    "figure by figure",
    "transfer": {"mBERT": 66.3, "XLM (MLM+TLM)": 75.1, "XLM-R": 80.9},
    "translate_train_all": {"XLM (MLM+TLM)": 77.8, "XLM-R": 83.6},
}
"""Averages as the paper's table has them."""


def main(folder: str) -> None:
    """Write the scores of a finished `benchmark --tasks sib200`."""
    report = json.loads((Path(folder) / "benchmark.json").read_text(encoding="utf-8"))
    rows = [
        row
        for row in report["evaluation"]
        if row["setting"] is not None and row["metric"] == "macro_f1"
    ]
    scores: dict[str, dict[str, Any]] = {}
    for row in rows:
        told = ("scores", "mean", "low", "high", "learning_rate", "provenance")
        cell = {key: row[key] for key in told}
        scores.setdefault(f"{row['model']} {row['setting']}", {})[row["language"] or "average"] = (
            cell
        )
    kept = {
        **provenance({"protocol": report["protocol"]}),
        "macro_f1": scores,
        "published": PUBLISHED,
    }
    RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(table(scores), f"\nkept in {RESULT}", sep="\n")


def table(scores: dict[str, dict[str, Any]]) -> str:
    """Macro-F1 in per cent: a row a setting, the average and each language a column."""
    languages = list(next(iter(scores.values())))
    lines = [f"| | {' | '.join(languages)} |", f"|---|{'---:|' * len(languages)}"]
    for name, cells in scores.items():
        figures = [f"{100 * cells[language]['mean']:.1f}" for language in languages]
        lines.append(f"| {name} | {' | '.join(figures)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["sib200"])
