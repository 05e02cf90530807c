"""What an exported student needs in each runtime, and what a forgotten prefix costs it.

    .venv/bin/python -m distill recipe quickstart.yaml --set export.openvino=true
    .venv/bin/python benchmarks/exported.py runs/quickstart/export

Latency, loading and memory are those of `distill benchmark`, on one thread. Agreement is the share
of 200 of the quickstart's questions for which a runtime finds the same first answer as torch in
float32. Prefixes are left out of questions, of answers, or of both. Writes
benchmarks/results/exported.json.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from provenance import provenance
from setting import PASSAGE, QUERY, RESULTS, read_tasks

from distill import benchmark
from distill.evaluation.embedding import embed
from distill.evaluation.metrics import ranks_by_vectors, reciprocal_ranks
from distill.models import load_with_tokenizer
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.layout import FLOAT32, INT8
from distill.openvino.encoder import OpenvinoEncoder
from distill.openvino.layout import FLOAT32 as OPENVINO, INT8 as OPENVINO_INT8

FILES = {
    "torch": "model.safetensors",
    "onnx": FLOAT32,
    "onnx_int8": INT8,
    "openvino": OPENVINO,
    "openvino_int8": OPENVINO_INT8,
}
COMPARED = 200
"""Of how many questions and answers the first answers are compared."""
Embed = Callable[[list[str]], np.ndarray]


def main() -> None:
    """Measure both, print, keep."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    tasks = read_tasks()
    report = json.loads((options.folder / "report.json").read_text(encoding="utf-8"))
    embeds = {runtime: embedder(runtime, options.folder) for runtime in FILES}
    found = {
        "student": report["student"] | {"tokens": report["distillation"]["tokens"]},
        "prefixes": prefix_costs(embeds["torch"], tasks.questions, tasks.answers),
        "runtimes": runtime_rows(
            options, embeds, tasks.questions[:COMPARED], tasks.answers[:COMPARED]
        ),
        **provenance(
            {
                "threads": 1,
                "seconds": options.seconds,
                "questions": len(tasks.questions),
                "compared": COMPARED,
            }
        ),
        "versions": {name: version(name) for name in ("openvino", "nncf", "onnxruntime")},
    }
    (RESULTS / "exported.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(json.dumps({key: found[key] for key in ("prefixes", "runtimes")}, indent=2))


def embedder(runtime: str, folder: Path) -> Embed:
    """Unit vectors of texts by the folder's file for a runtime, one text at a time but in torch."""
    student = load_with_tokenizer(str(folder))
    if runtime == "torch":
        return lambda texts: embed(
            student.model, student.tokenizer, texts, pooling="mean", longest=512
        )
    kind = OnnxEncoder if runtime.startswith("onnx") else OpenvinoEncoder
    encoder = kind(folder / FILES[runtime], threads=1)

    def vectors(texts: list[str]) -> np.ndarray:
        rows = []
        for text in texts:
            ids = np.array([student.tokenizer(text, truncation=True)["input_ids"]], np.int64)
            rows.append(encoder(ids, np.ones_like(ids))[0].mean(0))
        table = np.stack(rows)
        return table / np.linalg.norm(table, axis=1, keepdims=True)

    return vectors


def prefix_costs(vectors: Embed, questions: list[str], answers: list[str]) -> list[dict[str, Any]]:
    """MRR@10 with and without prefixes, and the difference with its 95% interval over questions."""
    with_prefix = {
        True: (
            vectors([QUERY + text for text in questions]),
            vectors([PASSAGE + t for t in answers]),
        ),
        False: (vectors(questions), vectors(answers)),
    }
    right = np.arange(len(questions))
    draws = np.random.default_rng(0).integers(0, len(right), (10_000, len(right)))
    rows, whole = [], None
    for query, passage in ((True, True), (False, False), (False, True), (True, False)):
        ranks = ranks_by_vectors(with_prefix[query][0], with_prefix[passage][1], right)
        scores = reciprocal_ranks(ranks)
        whole = scores if whole is None else whole
        apart = (scores - whole)[draws].mean(1)
        rows.append(
            {
                "query": query,
                "passage": passage,
                "mrr@10": float(scores.mean()),
                "difference": float((scores - whole).mean()),
                "low": float(np.quantile(apart, 0.025)),
                "high": float(np.quantile(apart, 0.975)),
            }
        )
    return rows


def runtime_rows(
    options: argparse.Namespace, embeds: dict[str, Embed], questions: list[str], answers: list[str]
) -> list[dict[str, Any]]:
    """A row for each runtime: file, bytes, milliseconds, loading, memory, agreement with torch."""
    measured = benchmark(
        str(options.folder),
        runtimes=list(FILES),
        devices=["cpu"],
        threads=[1],
        batch_sizes=[1, 32],
        lengths=[128],
        seconds=options.seconds,
        progress=False,
    ).measurements
    rows, reference = [], None
    for runtime, embedded in embeds.items():
        queries = embedded([QUERY + text for text in questions])
        passages = embedded([PASSAGE + text for text in answers])
        first = (queries @ passages.T).argmax(1)
        reference = (first, passages) if reference is None else reference
        mine = [row for row in measured if runtime == name_of(row.runtime, row.precision)]
        rows.append(
            {
                "runtime": runtime,
                "file": FILES[runtime],
                "bytes": mine[0].bytes_on_disk,
                "load_ms": mine[0].load_ms,
                "median_ms": {f"{r.batch_size}x{r.length}": r.median_ms for r in mine},
                "rounds": {f"{r.batch_size}x{r.length}": r.rounds for r in mine},
                "peak_memory_bytes": max(row.peak_memory_bytes or 0 for row in mine),
                "same_first_answer": float((first == reference[0]).mean()),
                "mean_cosine": float((passages * reference[1]).sum(1).mean()),
            }
        )
    return rows


def name_of(runtime: str, precision: str) -> str:
    """What the command line calls a runtime in a precision."""
    return runtime if precision == "float32" else f"{runtime}_{precision}"


if __name__ == "__main__":
    main()
