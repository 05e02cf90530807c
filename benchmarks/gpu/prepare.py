"""Prepare the bundle: text and teacher go in; a folder of at most 60 MB comes out.

The text is Swedish: that of the folder which DISTILL_DATA names, else the newsreels of the
quickstart.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from benchmarks.gpu.bundle import (
    REFERENCE,
    TASKS,
    Bundle,
    Manifest,
    Retrieval,
    write_chunks,
    write_manifest,
    write_teacher,
)
from benchmarks.gpu.steps.sanity import losses_of, states_of
from benchmarks.provenance import commit
from benchmarks.setting import NEWSREELS, PASSAGE, QUERY, QUESTIONS
from distill import __version__, trim
from distill.corpus.cleaning import clean_text
from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.library.distil import hold_out
from distill.models import LoadedModel, load_with_tokenizer
from distill.recipe import Source
from distill.runtime.progress import Progress
from distill.student.depth import choose_layers
from distill.training.chunks import Chunks, write_chunks as encode_chunks

ROOT = Path(__file__).parent.parent.parent
LIMIT_BYTES = 60_000_000
WHEEL_PYTHON = "3.12"
WHEELS = ("pydantic", "pydantic_core", "annotated-types", "typing-inspection", "torch-pruning")
"""What distillation and latency import and a machine with PyTorch, transformers and accelerate
lacks.
"""
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
HELDOUT_TOKENS = 40_000
PROVEN_TEXTS = 100
"""Held-out documents, three sentences of each, that the trimmed teacher is proven on."""
REFERENCE_TEXTS = 8
MOST_QUESTIONS = 1500
"""Of a task, spread over it."""
PREFIXES = {"query": QUERY, "passage": PASSAGE}


def prepare(
    folder: Path,
    *,
    model: str,
    documents: int | None,
    objectives: dict[str, float],
    minutes: float,
    wheels: bool,
    progress: Progress,
) -> Bundle:
    """Write the bundle to `folder`, replacing what is there.

    `documents` bounds the text, `objectives` and `minutes` say how the student is distilled.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    training, heldout = hold_out(read_texts(documents, progress), 0.005)
    np.random.default_rng(0).shuffle(training)  # what there is no room for is of every source
    untrimmed = load_with_tokenizer(model)
    sentences = [line for text in heldout[:PROVEN_TEXTS] for line in text.splitlines()[:3]]
    trimmed = trim(
        untrimmed.model, untrimmed.tokenizer, training, min_count=3, heldout=sentences, workers=2
    )
    teacher = LoadedModel(model=trimmed.model, tokenizer=trimmed.tokenizer)
    write_teacher(folder, teacher.model, teacher.tokenizer)
    (folder / TASKS).write_text(
        json.dumps({name: asdict(task) for name, task in read_tasks().items()}, ensure_ascii=False),
        encoding="utf-8",
    )
    if wheels:
        download_wheels(folder / "wheels")
    layers = teacher.model.config.num_hidden_layers
    room = LIMIT_BYTES - Bundle(folder).size - 2_000_000  # for the reference and the manifest
    with tempfile.TemporaryDirectory() as name:
        unseen = encode(heldout[:500], teacher, Path(name) / "heldout", progress)
        rows = int(np.searchsorted(unseen.offsets, HELDOUT_TOKENS))
        unseen = Chunks(ids=unseen.ids, offsets=unseen.offsets[: max(2, rows)])
        write_chunks(folder, "heldout", unseen, room)
        chunks = encode(training, teacher, Path(name) / "train", progress)
        room -= sum(path.stat().st_size for path in folder.glob("heldout-*"))
        written = write_chunks(folder, "train", chunks, room)
        manifest = Manifest(
            commit=commit(),
            version=__version__,
            untrimmed_pieces=untrimmed.model.config.vocab_size,
            layers=choose_layers(layers // 2, layers),
            pooling="mean",
            prefixes=PREFIXES,
            distillation={
                "objectives": objectives,
                "tokens": 10_000_000_000,
                "minutes": minutes,
                "batch_tokens": 8192,
                "learning_rate": 1e-3,
                "chunk_words": [8, 64],
                "validations": 8,
                "checkpoint_seconds": 1e6,
            },
            tokens=written,
            tokens_left_out=int(chunks.offsets[-1]) - written,
        )
    write_manifest(folder, manifest)
    bundle = Bundle(folder)
    write_reference(bundle, [text[:200] for text in heldout[:REFERENCE_TEXTS]], progress)
    write_manifest(folder, manifest)
    return Bundle(folder)


def read_texts(documents: int | None, progress: Progress) -> list[str]:
    """Cleaned Swedish documents; `documents` at most."""
    if data := os.environ.get("DISTILL_DATA"):
        source = Source(path=f"{data}/sv/text/*.jsonl.gz", column="text")
    else:
        source = NEWSREELS
    texts = []
    with progress.task("gpu: reading text", unit="documents") as task:
        for row in task.counted(read_source(source, Tally())):
            texts.append(clean_text(column_value(row, "text", source)))
            if documents is not None and len(texts) >= documents:
                break
    return [text for text in texts if text]


def read_tasks() -> dict[str, Retrieval]:
    """The quickstart's questions and, where DISTILL_DATA names a folder that has them, those of
    SweQUAD, and of the Swedish SQuAD, which choose.
    """
    sources = {"construction-faq": QUESTIONS}
    folder = Path(os.environ.get("DISTILL_DATA", "")) / "sv" / "tasks"
    if folder.is_dir():
        sources["swequad"] = Source(path=f"{folder}/swequad/*.jsonl.gz")
        sources["squad"] = Source(path=f"{folder}/squad_sv/dev.jsonl.gz")
    tasks = {}
    for name, source in sources.items():
        rows = list(read_source(source, Tally()))
        rows = rows[:: max(1, len(rows) // MOST_QUESTIONS)]
        queries, answers = ([column_value(row, key, source) for row in rows] for key in "qa")
        passages = list(dict.fromkeys(answers))
        index = {passage: i for i, passage in enumerate(passages)}
        tasks[name] = Retrieval(
            queries=queries, passages=passages, answers=[index[answer] for answer in answers]
        )
    return tasks


def encode(texts: Sequence[str], teacher: LoadedModel, folder: Path, progress: Progress) -> Chunks:
    """The texts as the distillation reads them."""
    folder.mkdir()
    with progress.task(
        f"gpu: encoding {folder.name} text", total=len(texts), unit="documents"
    ) as task:
        return encode_chunks(
            task.counted(texts),
            teacher.tokenizer,
            folder,
            prefixes=list(PREFIXES.values()),
            chunk_words=(8, 64),
            longest=teacher.tokenizer.model_max_length,
            seed=0,
        )


def write_reference(bundle: Bundle, texts: list[str], progress: Progress) -> None:
    """What this machine computes from the bundle: ids, hidden states and the losses of 20 steps."""
    teacher = bundle.teacher()
    encoded = bundle.encode(texts)
    np.savez(
        bundle.folder / REFERENCE,
        texts=np.array(texts),
        ids=np.concatenate(encoded),
        states=states_of(teacher, encoded, torch.device("cpu"), torch.float32),
        losses=losses_of(bundle, "cpu", "float32", progress=progress),
    )


def download_wheels(folder: Path) -> None:
    """The wheels that the machine lacks, for Python 3.12 on Linux."""
    pinned = constraints()
    wanted = [f"{name}=={pinned[name]}" if name in pinned else name for name in WHEELS]
    # pydantic pins its core to the last digit.
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
    command += ["--only-binary=:all:", "--python-version", WHEEL_PYTHON, "--implementation", "cp"]
    command += [part for platform in PLATFORMS for part in ("--platform", platform)]
    subprocess.run([*command, "--dest", str(folder), *wanted], check=True)


def constraints() -> dict[str, str]:
    """The pinned version of each package of constraints.txt, or else the one installed here."""
    from importlib import metadata

    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = [re.split("==", line.split("#")[0].strip()) for line in lines if "==" in line]
    pinned = {name.lower(): version for name, version in pairs}
    for name in WHEELS:
        pinned.setdefault(name, metadata.version(name))
    return pinned


def absent_packages() -> set[str]:
    """Modules of this project's dependencies that such a machine lacks, whose import the rehearsal
    forbids.
    """
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    names = {re.split(r"[<>=!\[]", line)[0] for line in content["project"]["dependencies"]}
    there = {"accelerate", "huggingface_hub", "matplotlib", "numpy", "onnx", "onnxruntime"}
    there |= {"onnxscript", "psutil", "pyyaml", "rich", "safetensors", "scikit-learn", "scipy"}
    there |= {"tokenizers", "torch", "transformers", "typer", "jinja2", "fsspec", *WHEELS}
    modules = {"lingua-language-detector": "lingua", "fonttools": "fontTools", "umap-learn": "umap"}
    return {modules.get(name, name) for name in names - there}
