"""An exported student in EuroEval, on labelled rows of your own.

    python score.py swedish.yaml ../../runs/quickstart/export

reads the seeds and the tasks of a recipe's `evaluation`, so that distill and EuroEval have the same
rows, and prints EuroEval's scores as JSON, a line for each. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# Both are read once, when the libraries below are loaded.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import seqeval.metrics
import sklearn.metrics
import yaml
from euroeval import Benchmarker
from euroeval.data_models import DatasetConfig, Task
from euroeval.languages import get_all_languages
from euroeval.metrics.base import Metric
from euroeval.tasks import LA, NER, SENT

Row = dict[str, Any]
METRICS = {"mcc": "mcc", "macro_f1": "macro_f1", "entity_f1": "micro_f1"}
"""EuroEval's name for a metric of a recipe."""


class LocalMetric(Metric):
    """A metric of EuroEval's, by the library that its script on the Hub calls."""

    def __init__(self, name: str, compute: Callable[[Sequence[Any], Sequence[Any]], float]) -> None:
        super().__init__(name=name, pretty_name=name)
        self.compute = compute

    def __call__(self, predictions: Sequence[Any], references: Sequence[Any], **_: object) -> float:
        """The score of all predictions."""
        return float(self.compute(references, predictions))


def entity_f1(references: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]]) -> float:
    """F1 of whole entities."""
    return seqeval.metrics.f1_score([*map(list, references)], [*map(list, predictions)])


OF_CLASSES = [
    LocalMetric("mcc", sklearn.metrics.matthews_corrcoef),
    LocalMetric("macro_f1", partial(sklearn.metrics.f1_score, average="macro")),
]
OF_ENTITIES = [LocalMetric("micro_f1_no_misc", entity_f1), LocalMetric("micro_f1", entity_f1)]


def read_rows(path: str) -> Iterator[Row]:
    """The rows of a JSON Lines file, plain or gzipped; ${NAME} in its path is a variable's."""
    found = Path(os.path.expandvars(path))
    with (
        gzip.open(found, "rt", encoding="utf-8")
        if found.suffix == ".gz"
        else found.open(encoding="utf-8") as lines
    ):
        yield from map(json.loads, lines)


def euroeval_rows(task: Row, split: str) -> list[Row]:
    """The rows of a split with EuroEval's columns. It compares labels in lower case, as text."""
    rows = read_rows(task[split]["path"])
    if task["kind"] == "tokens":
        words, label = task.get("words", "words"), task.get("label", "labels")
        return [
            {"tokens": row[words], "labels": [str(tag).lower() for tag in row[label]]}
            for row in rows
        ]
    text, label = task.get("text", "text"), task.get("label", "label")
    return [
        {"text": row[text], "label": str(row[label]).lower()}
        for row in rows
        if row[label] is not None
    ]


def write_dataset(task: Row, language: str, folder: Path) -> DatasetConfig:
    """Write the rows to a folder that stands where a dataset's id on the Hub would."""
    folder.mkdir(parents=True)
    labels: set[str] = set()
    for split, name in (("train", "train"), ("dev", "validation"), ("test", "test")):
        rows = euroeval_rows(task, split)
        for row in rows:
            labels |= {row["label"]} if "label" in row else {*row["labels"]}
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return DatasetConfig(
        name=task["name"],
        pretty_name=task["name"],
        source=str(folder),
        task=euroeval_task(task, labels),
        languages=[get_all_languages()[language]],
        labels=sorted(labels),
        prompt_label_mapping="auto",
        val_split="validation",
        unofficial=True,
    )


def euroeval_task(task: Row, labels: set[str]) -> Task:
    """What EuroEval calls such a task, with metrics that are here already."""
    if task["kind"] == "tokens":
        return replace(NER, metrics=OF_ENTITIES)
    return replace(LA if labels == {"correct", "incorrect"} else SENT, metrics=OF_CLASSES)


def evaluate(recipe: Row, student: Path) -> Iterator[Row]:
    """EuroEval's means over seeds, each with its 95% interval."""
    section = recipe["evaluation"]
    for task in section["tasks"]:
        with TemporaryDirectory() as temporary:
            # A copy: EuroEval writes its checkpoints into a local model's folder.
            copy = shutil.copytree(student, Path(temporary) / "student")
            dataset = write_dataset(task, recipe["language"], Path(temporary) / task["name"])
            (result,) = Benchmarker(
                dataset=dataset,
                num_iterations=section.get("seeds", 10),
                cache_dir=str(Path(temporary) / "cache"),
                save_results=False,
                progress_bar=False,
                raise_errors=True,
            ).benchmark(model=str(copy))
        for metric in task["metrics"]:
            total = result.results["total"]
            mean, half = (total[f"test_{METRICS[metric]}{end}"] / 100 for end in ("", "_se"))
            yield {
                "task": task["name"],
                "metric": metric,
                "mean": mean,
                "low": mean - half,
                "high": mean + half,
            }


def main() -> None:
    """Print the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("recipe", type=Path)
    parser.add_argument("student", type=Path)
    options = parser.parse_args()
    recipe = yaml.safe_load(options.recipe.read_text(encoding="utf-8"))
    for score in evaluate(recipe, options.student):
        print(json.dumps(score), flush=True)


if __name__ == "__main__":
    main()
