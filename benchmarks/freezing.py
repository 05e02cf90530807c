"""Whether freezing the first layers helps a model to carry a task from English to other languages.

    DISTILL_DATA=... .venv/bin/python benchmarks/freezing.py runs/swedish-small/distillation/model

fine-tunes the teacher of recipes/sib200.yaml, and the models that are named, on English topics of
SIB-200 with the first k layers (and the embeddings) as they are, for k = 0 to all, by that recipe's
protocol, and tests them in every language: on two CPU cores about half an hour. Writes
benchmarks/results/freezing.json and prints the table of docs/results.md. What was measured is
kept in --output, so that the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from provenance import provenance

from distill.cli.scoring import score_models
from distill.models import load_config
from distill.recipe.model_reference import ModelRef
from distill.recipe.reading import TasksFile, load_recipe
from distill.report.estimates import Estimate, span_of
from distill.report.formats import markdown_table
from distill.runtime.interruption import Interruption
from distill.runtime.progress import Progress, silence_libraries

RESULT = Path(__file__).parent / "results" / "freezing.json"
LANGUAGES = "en,fr,es,de,el,bg,ru,tr,ar,vi,th,zh,hi,sw,ur,sv,da,no,fi,is"
SOURCE = "en"
METRIC = "macro_f1"
LEARNING_RATES = "3e-4,1e-3,1e-1"
"""A head alone wants a far higher rate than a whole model; dev chooses for each k."""


def main() -> None:
    """Measure what is asked for, keep it, and print the table and what follows from it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("models", nargs="*", help="models besides the teacher")
    parser.add_argument(
        "--steps", type=int, default=4, help="into how many depths a model's layers are divided"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--languages", default=LANGUAGES)
    parser.add_argument("--learning-rates", default=LEARNING_RATES)
    parser.add_argument(
        "--output", type=Path, default=Path(tempfile.gettempdir()) / "distill-freezing"
    )
    given = parser.parse_args()
    silence_libraries()
    settings = {
        "evaluation.seeds": given.seeds,
        "evaluation.learning_rates": f"[{given.learning_rates}]",
        "evaluation.tasks.0.cross_lingual.languages": f"[{given.languages}]",
        "evaluation.tasks.0.cross_lingual.settings": "[transfer]",
    }
    teacher = load_recipe("sib200").recipe.teacher.model
    arms: dict[str, dict[int, dict[str, Any]]] = {}
    for name, model in {
        "teacher": teacher,
        **{name_of(model): model for model in given.models},
    }.items():
        for frozen in depths(
            load_config(ModelRef.of(model).location).num_hidden_layers, given.steps
        ):
            print(f"{name}: the first {frozen} layers frozen", flush=True)
            arms.setdefault(name, {})[frozen] = measure(
                model, {**settings, "evaluation.freeze_layers": frozen}, given.output
            )
    content = {
        **provenance({key: str(value) for key, value in settings.items()}),
        **summarised(arms),
    }
    RESULT.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(
        table(content),
        "",
        *(line["verdict"] for line in content["models"].values()),
        f"\nkept in {RESULT}",
        sep="\n",
    )


def name_of(model: str) -> str:
    """What a model is called in the table: of a run's model the run and the stage."""
    parts = [part for part in Path(model).parts if part not in ("runs", "model", "/")]
    return "/".join(parts[-2:])


def depths(layers: int, steps: int) -> list[int]:
    """How many layers are frozen, from none to all."""
    return sorted({round(layers * step / steps) for step in range(steps + 1)})


def measure(model: str, settings: Mapping[str, Any], output: Path) -> dict[str, Any]:
    """The scores in each language over the seeds, and the learning rate that dev chose."""
    file = load_recipe("sib200", [f"{key}={value}" for key, value in settings.items()])
    tasks = TasksFile(
        path=file.path,
        evaluation=file.recipe.evaluation,
        teacher=file.recipe.teacher,
        seed=file.recipe.seed,
    )
    result = score_models(
        [model], tasks, output=output, progress=Progress(), interruption=Interruption()
    )
    scores = [
        score for score in result.scores if score.metric == METRIC and score.language is not None
    ]
    return {
        "learning_rate": scores[0].learning_rate,
        "scores": {str(score.language): score.scores for score in scores},
    }


def summarised(arms: Mapping[str, Mapping[int, Mapping[str, Any]]]) -> dict[str, Any]:
    """For each model and k: English, the mean of the other languages, and its paired difference
    from k = 0; the verdict.
    """
    models: dict[str, Any] = {}
    for name, by_depth in arms.items():
        others = {frozen: abroad(arm["scores"]) for frozen, arm in by_depth.items()}
        rows = []
        for frozen, arm in by_depth.items():
            difference = others[frozen] - others[0]
            rows.append(
                {
                    "frozen": frozen,
                    "learning_rate": arm["learning_rate"],
                    "english": interval(arm["scores"][SOURCE], span_of(METRIC)),
                    "others": interval(others[frozen], span_of(METRIC)),
                    "difference": interval(difference) if frozen else None,
                    "scores": arm["scores"],
                }
            )
        models[name] = {"rows": rows, "verdict": verdict(name, rows)}
    return {"metric": METRIC, "source_language": SOURCE, "models": models}


def abroad(scores: Mapping[str, Sequence[float]]) -> np.ndarray:
    """The mean over the languages that were not learnt from, [seeds]."""
    return np.asarray(
        np.mean([found for language, found in scores.items() if language != SOURCE], axis=0)
    )


def interval(
    values: Sequence[float] | np.ndarray, span: tuple[float, float] | None = None
) -> dict[str, float | None]:
    """Mean and 95% interval over the seeds, on these test rows, within the `span` that values can
    have; no interval of one.
    """
    count, mean = len(values), float(np.mean(values))
    if count < 2:
        return {"mean": mean, "low": None, "high": None}
    error = float(np.std(values, ddof=1)) / count**0.5
    low, high = Estimate(value=mean, error=error, freedom=count - 1).interval(span)
    return {"mean": mean, "low": low, "high": high}


def verdict(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """Whether freezing helps abroad, as far as the intervals tell."""
    frozen = [row for row in rows if row["difference"] is not None]
    better = [
        row["frozen"]
        for row in frozen
        if row["difference"]["low"] is not None and row["difference"]["low"] > 0
    ]
    worse = [
        row["frozen"]
        for row in frozen
        if row["difference"]["high"] is not None and row["difference"]["high"] < 0
    ]
    best = max(rows, key=lambda row: row["others"]["mean"])
    said = (
        f"{name}: the best mean abroad is that of k = {best['frozen']} "
        f"({100 * best['others']['mean']:.1f}); "
    )
    if better:
        return (
            said
            + f"freezing helps beyond its interval at k = {', '.join(map(str, better))}, so the "
            "advice holds."
        )
    if len(worse) == len(frozen):
        return said + "freezing hurts beyond its interval at every k, so the advice does not hold."
    undecided = [row["frozen"] for row in frozen if row["frozen"] not in worse]
    harmed = f"it hurts at k = {', '.join(map(str, worse))}, and " if worse else ""
    return (
        said
        + f"{harmed}the intervals do not decide at k = {', '.join(map(str, undecided))}: no help "
        "is shown."
    )


def table(content: Mapping[str, Any]) -> str:
    """Macro-F1 in per cent: a row a model and k."""
    titles = [
        "",
        "frozen layers",
        "English",
        "other languages",
        "difference from none frozen",
        "learning rate",
    ]
    rows = [
        [
            name,
            str(row["frozen"]),
            _per_cent(row["english"]),
            _per_cent(row["others"]),
            _per_cent(row["difference"], sign=True),
            f"{row['learning_rate']:g}",
        ]
        for name, model in content["models"].items()
        for row in model["rows"]
    ]
    return markdown_table(titles, rows, words=1)


def _per_cent(cell: Mapping[str, float | None] | None, sign: bool = False) -> str:
    if cell is None or cell["mean"] is None:
        return ""
    form = "{:+.1f}" if sign else "{:.1f}"
    bounds = (
        ""
        if cell["low"] is None or cell["high"] is None
        else f" ({100 * cell['low']:.1f} to {100 * cell['high']:.1f})"
    )
    return form.format(100 * cell["mean"]) + bounds


if __name__ == "__main__":
    main()
