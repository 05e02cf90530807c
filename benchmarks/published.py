"""Copies published scores of well-known encoders, which a report shows beside its own, out of the
leaderboards' files.

    DISTILL_DATA=... .venv/bin/python benchmarks/published.py

reads euroeval_swedish_encoders.csv and superlim2_submissions.json in $DISTILL_DATA/reference and
writes distill/report/published.json.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

REFERENCE = Path(os.environ.get("DISTILL_DATA", "data")) / "reference"
RESULT = Path(__file__).parents[1] / "distill" / "report" / "published.json"
MODELS = (
    "KB/bert-base-swedish-cased",
    "af-ai-center/bert-base-swedish-uncased",
    "google-bert/bert-base-multilingual-cased",
    "distilbert/distilbert-base-multilingual-cased",
    "KBLab/electra-small-swedish-cased-discriminator",
    "AddedK/kbbert-distilled-cased",
    "FacebookAI/xlm-roberta-base",
    "FacebookAI/xlm-roberta-large",
)
"""By the Hub ids that a recipe would use."""
EUROEVAL = {
    "swerec": ("SweReC", "mcc"),
    "suc3": ("SUC 3.0", "entity_f1"),
    "scala_sv": ("ScaLA", "mcc"),
}
"""The first figure of each column, which is the task's main metric; that of SUC 3.0 leaves MISC
out.
"""
SUPERLIM = {"sweparaphrase": ("SweParaphrase", "alpha"), "absabank-imm": ("ABSAbank-Imm", "alpha")}
SUPERLIM_NAMES = {
    "FacebookAI/xlm-roberta-base": "xlm-roberta-base",
    "FacebookAI/xlm-roberta-large": "xlm-roberta-large",
}
"""What SuperLim calls a model that the Hub has since moved."""
PROTOCOLS = {
    "EuroEval": "mean over 10 fine-tunes of 1,024 rows each, training and test rows drawn anew; "
    "entities without MISC",
    "SuperLim 2": "one figure on the test split, hyperparameters searched by its authors",
}


def main() -> None:
    """Write every figure that the files have of MODELS."""
    scores = [score for model in MODELS for score in (*euroeval(model), *superlim(model))]
    content = json.dumps({"protocols": PROTOCOLS, "scores": scores}, ensure_ascii=False, indent=2)
    RESULT.write_text(content + "\n", encoding="utf-8")
    print(f"{len(scores)} scores of {len({score['model'] for score in scores})} models in {RESULT}")


def euroeval(model: str) -> Iterator[dict[str, Any]]:
    """EuroEval's figures of a model, in percent with half their interval there, as fractions of 1
    here.
    """
    with (REFERENCE / "euroeval_swedish_encoders.csv").open(encoding="utf-8", newline="") as file:
        row = next(
            (row for row in csv.DictReader(file) if row["model"].lower() == model.lower()), None
        )
    for column, (task, metric) in EUROEVAL.items() if row else ():
        assert row is not None
        if found := re.match(r"(-?[\d.]+) ± ([\d.]+) / ", row[column]):
            mean, half = (Decimal(number) / 100 for number in found.groups())
            version = f", measured by version {row['swerec_version']}" if column == "swerec" else ""
            yield {
                "model": model,
                "task": task,
                "metric": metric,
                "mean": float(mean),
                "low": float(mean - half),
                "high": float(mean + half),
                "protocol": "EuroEval",
                "source": row["source"] + version,
            }


def superlim(model: str) -> Iterator[dict[str, Any]]:
    """SuperLim's figures of a model on its test splits."""
    entries = json.loads((REFERENCE / "superlim2_submissions.json").read_text(encoding="utf-8"))
    name = SUPERLIM_NAMES.get(model, model)
    for entry in (entry for entry in entries if entry["model"]["model_name"] == name):
        for key, (task, metric) in SUPERLIM.items():
            yield {
                "model": model,
                "task": task,
                "metric": metric,
                "mean": entry["tasks"][key]["test"][metric],
                "low": None,
                "high": None,
                "protocol": "SuperLim 2",
                "source": entry["repo_link"],
            }


if __name__ == "__main__":
    main()
