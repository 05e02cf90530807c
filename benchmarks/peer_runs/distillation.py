"""Distillation by distill and by sentence-transformers in the same minutes, scored alike."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peer_runs import environments
from benchmarks.peer_runs.commands import run
from benchmarks.peer_runs.kept import Kept
from benchmarks.setting import PASSAGE, QUERY
from distill import __version__
from distill.corpus.documents import read_documents
from distill.models import load_with_tokenizer

RUNNERS = Path(__file__).parent
LAYERS = [2, 4, 6, 8, 10, 12]
FIDELITY_CHUNKS = 1000


def measure_distillation(kept: Kept, options: argparse.Namespace) -> None:
    """The quickstart's student and those of sentence-transformers, with their teacher."""
    settings = {"recipe": "quickstart", "layers": LAYERS, "minutes": options.minutes}
    kept.open("distillation", settings)
    folder: Path = options.folder / f"distillation-{options.minutes:g}"
    folder.mkdir(exist_ok=True)
    quickstart = folder / "runs" / "quickstart"
    teacher, student = (quickstart / stage / "model" for stage in ("vocabulary", "distillation"))

    def distilled() -> dict[str, Any]:
        # Far more tokens than fit, so that the minutes are what ends it.
        command = [sys.executable, "-m", "distill", "recipe", "quickstart.yaml"]
        for setting in (f"minutes={options.minutes}", f"tokens={int(1e6 * options.minutes) + 1}"):
            command += ["--set", f"distillation.{setting}"]
        command += ["--until", "distillation"]
        run(command, folder / "distill.txt", options.timeout + 2 * options.minutes)
        result = json.loads((quickstart / "distillation" / "stage.json").read_text())["result"]
        told = {key: result[key] for key in ("tokens", "steps", "seconds", "precision")}
        return {"version": __version__, **told, **scores(student, quickstart)}

    precision = kept.row("distillation", "distill", distilled).get("precision")
    if not teacher.is_dir() or precision is None:
        return  # the trimmed teacher, its text and its precision are those of distill's run
    kept.row("distillation", "teacher, trimmed", lambda: scores(teacher, quickstart))
    for rate in options.learning_rates:
        kept.row(
            "distillation",
            f"sentence-transformers, learning rate {rate:g}",
            partial(
                distil_with_sentence_transformers, rate, precision, options, folder, quickstart
            ),
        )


def distil_with_sentence_transformers(
    rate: float, precision: str, options: argparse.Namespace, folder: Path, quickstart: Path
) -> dict[str, Any]:
    """What its example makes of the same text in the same minutes."""
    peer = environments.SENTENCE_TRANSFORMERS
    python = environments.make(peer, options.folder / "environments", options.newer_python)
    texts, output = folder / "texts.json", folder / f"sentence-transformers-{rate:g}"
    chunks = prefixed_chunks(quickstart / "corpus" / "train.jsonl")
    texts.write_text(json.dumps(chunks, ensure_ascii=False), encoding="utf-8")
    shutil.rmtree(output, ignore_errors=True)
    command = [python, RUNNERS / "run_sentence_transformers.py", "--texts", texts]
    command += ["--teacher", quickstart / "vocabulary" / "model", "--layers", *LAYERS]
    command += ["--minutes", options.minutes, "--learning-rate", rate, "--precision", precision]
    log = folder / "sentence-transformers.txt"
    run([*command, "--output", output], log, options.timeout + 2 * options.minutes)
    told: dict[str, Any] = json.loads(log.read_text().strip().splitlines()[-1])
    scored = scores(output, quickstart)
    return {"version": peer.version, **told, "precision": precision, **scored}


def prefixed_chunks(documents: Path, seed: int = 0) -> list[str]:
    """The documents in runs of 8 to 64 words with a prefix each, in any order: what distill's
    student reads.
    """
    import numpy as np

    from distill.training.chunks import cut_words

    draw = np.random.default_rng(seed)
    chunks = [
        (QUERY, PASSAGE)[int(draw.integers(2))] + run_of_words
        for document in read_documents(documents)
        for run_of_words in cut_words(document.text, (8, 64), draw)
    ]
    return [chunks[i] for i in draw.permutation(len(chunks))]


def scores(folder: Path, quickstart: Path) -> dict[str, Any]:
    """The quickstart's task, and how near held-out vectors are to the trimmed teacher's."""
    from distill import evaluate, load_recipe
    from distill.evaluation.embedding import embed
    from distill.onnx.closeness import closeness

    chunks = prefixed_chunks(quickstart / "corpus" / "heldout.jsonl")[:FIDELITY_CHUNKS]
    vectors = []
    for path in (folder, quickstart / "vocabulary" / "model"):
        loaded = load_with_tokenizer(str(path))
        model = loaded.model.float().eval()
        vectors.append(embed(model, loaded.tokenizer, chunks, pooling="mean", longest=512))
    near = closeness(*vectors)
    tasks = [
        task.model_dump(exclude_unset=True)
        for task in load_recipe("quickstart.yaml").recipe.evaluation.tasks
    ]
    # In memory, so that every model has the same pooling and prefixes, whatever its files say.
    loaded = load_with_tokenizer(str(folder))
    result = evaluate(
        {"student": loaded},
        tasks,
        pooling="mean",
        prefixes={"query": QUERY, "passage": PASSAGE},
        max_length=512,
        precision="float32",
        progress=False,
    )
    retrieval = {
        score.metric: {"mean": score.mean, "low": score.low, "high": score.high}
        for score in result.scores
    }
    return {
        "parameters": loaded.model.num_parameters(),
        "retrieval": retrieval,
        "chunks": near.rows,
        "centred_cosine": near.centred_cosine,
        "neighbour_agreement": near.neighbours,
    }
