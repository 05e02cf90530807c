"""Keeps the quickstart's figures: what README.md quotes, with the machine, versions and commit they were taken at.

    make quickstart && .venv/bin/python benchmarks/quickstart.py

reads runs/quickstart/ and writes benchmarks/results/quickstart.json.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from distill import __version__
from distill.report.content import headline

RUN, RESULT = Path("runs/quickstart"), Path(__file__).parent / "results" / "quickstart.json"


def main() -> None:
    """Write the figures of the finished run."""
    report = json.loads((RUN / "report.json").read_text(encoding="utf-8"))
    stages = {path.parent.name: json.loads(path.read_text())["seconds"] for path in sorted(RUN.glob("*/stage.json"))}
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    kept = {
        "commit": commit,
        "version": __version__,
        "overrides": report["overrides"],
        "machine": report["machine"],
        "seconds": {name: round(seconds, 1) for name, seconds in stages.items()},
        "headline": headline(report),
        "teacher": report["teacher"],
        "student": report["student"],
        "vocabulary": {key: value for key, value in report["vocabulary"].items() if key != "curve"},
        "distillation": {key: value for key, value in report["distillation"].items() if key != "fidelity"},
        "fidelity": report["distillation"]["fidelity"][-1],
        "evaluation": report["evaluation"],
        "benchmark": report["benchmark"],
    }
    RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(f"{RESULT}: {json.dumps(kept['headline'])}, {sum(stages.values()):.0f} s in all")


if __name__ == "__main__":
    main()
