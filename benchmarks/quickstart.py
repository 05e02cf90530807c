"""Keeps the quickstart's figures: what README.md quotes, with the machine, versions and commit they were taken at.

    make quickstart && .venv/bin/python benchmarks/quickstart.py

reads runs/quickstart/ and writes benchmarks/results/quickstart.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from provenance import commit

from distill import __version__
from distill.report.content import headline

RUN, RESULT = Path("runs/quickstart"), Path(__file__).parent / "results" / "quickstart.json"


def main() -> None:
    """Write the figures of the finished run."""
    report = json.loads((RUN / "report.json").read_text(encoding="utf-8"))
    stages = {path.parent.name: json.loads(path.read_text())["seconds"] for path in sorted(RUN.glob("*/stage.json"))}
    kept = {
        "commit": commit(),
        "version": __version__,
        "overrides": report["overrides"],
        "machine": report["machine"],
        "seconds": {name: round(seconds, 1) for name, seconds in stages.items()},
        "headline": headline(report),
        "teacher": report["teacher"],
        "student": report["student"],
        "vocabulary": report["vocabulary"],
        "distillation": {key: value for key, value in report["distillation"].items() if key != "fidelity"},
        "fidelity": report["distillation"]["fidelity"][-1],
        "evaluation": report["evaluation"],
        "benchmark": report["benchmark"],
    }
    RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(table(kept), "\n\n", curve(kept), sep="")
    print(f"\n{json.dumps(kept['headline'], indent=2)}\n{sum(stages.values()):.0f} s in all; kept in {RESULT}")


def curve(kept: dict[str, Any]) -> str:
    """Sizes of vocabulary and what they leave, as README.md shows them."""
    lines = [
        "| seen | pieces | sentences as before | words as before | unknown characters | tokens a word | parameters |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    often = {1: "once", 2: "twice"}
    for point in kept["vocabulary"]["curve"]:
        seen = often.get(point["min_count"], f"{point['min_count']} times")
        lines.append(
            f"| {seen} | {point['pieces']:,} | {point['heldout_identical']:.1%} "
            f"| {point['heldout_words_identical']:.1%} | {point['heldout_unknown_characters']:.3%} "
            f"| {point['tokens_per_word']:.3f} | {point['parameters'] / 1e6:.1f}M |"
        )
    return "\n".join(lines)


def table(kept: dict[str, Any]) -> str:
    """The figures as README.md shows them: a row a model."""
    scores = {(row["model"], row["metric"]): row for row in kept["evaluation"]}
    speed = {row["model"]: row for row in kept["benchmark"] if (row["batch_size"], row["length"]) == (1, 128)}
    lines = [
        "| | parameters | on disk | MRR@10 (95% interval) | of the teacher's | recall@1 | ms, 128 tokens |",
        "|---|---:|---:|---|---:|---:|---:|",
    ]
    names = dict.fromkeys([*(row["model"] for row in kept["evaluation"]), *speed])
    for model in names:
        fast = speed.get(model)
        size = (
            (f"{fast['parameters'] / 1e6:.1f}M", f"{fast['bytes_on_disk'] / 1e6:.0f} MB", f"{fast['median_ms']:.0f}")
            if fast
            else ("", "", "")
        )
        lines.append(f"| {model} | {size[0]} | {size[1]} | {_scores(scores, model)} | {size[2]} |")
    return "\n".join(lines)


def _scores(scores: dict[tuple[str, str], Any], model: str) -> str:
    if (model, "mrr@10") not in scores:
        return " | | "
    mrr, recall = scores[model, "mrr@10"], scores[model, "recall@1"]
    return f"{mrr['mean']:.3f} ({mrr['low']:.3f} to {mrr['high']:.3f}) | {mrr['retention']:.1%} | {recall['mean']:.3f}"


if __name__ == "__main__":
    main()
