"""Trimming by distill and by others: text and a teacher go in; time, memory, fidelity come out."""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.peer_runs import environments, segmentation
from benchmarks.peer_runs.commands import repeated, run
from benchmarks.peer_runs.environments import Peer
from benchmarks.peer_runs.kept import Kept
from benchmarks.setting import NEWSREELS, TEACHER
from distill import __version__
from distill.corpus.cleaning import clean_text, split_sentences
from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.models import load_with_tokenizer
from distill.models.saving import save_model
from distill.recipe import Source
from distill.runtime.version import commit

RUNNERS = Path(__file__).parent
SENTENCES_A_DOCUMENT = 60
"""That are held out: a novel would be most of the sentences."""


def measure_trimming(kept: Kept, options: argparse.Namespace) -> None:
    """Every peer, and distill at each size that a peer came to."""
    folder: Path = options.folder / "trimming"
    teacher = saved_teacher(options.folder / "teacher")
    texts, sentences, read = write_texts(options, folder)
    settings = {**read, "min_count": options.min_count, "teacher": TEACHER}
    kept.open("trimming", settings)
    sizes = []
    for peer in environments.TRIMMERS:
        trim = partial(trim_with, peer, options, teacher, texts, sentences)
        row = kept.row("trimming", peer.name, trim)
        if "pieces" in row and row["pieces"] not in sizes:
            sizes.append(row["pieces"])
    variants = {"distill": [], "distill, by frequency alone": ["--no-alphabet", "--no-symbols"]}
    for size in sizes:
        for name, arguments in variants.items():
            trim = partial(trim_with_distill, size, arguments, options, teacher, texts, sentences)
            kept.row("trimming", f"{name}, {size} pieces", trim)


def write_texts(options: argparse.Namespace, folder: Path) -> tuple[Path, Path, dict[str, Any]]:
    """A folder with the documents to trim by, a file of held-out sentences that are not in them,
    and what they are.
    """
    source, name = NEWSREELS, NEWSREELS.label
    if options.text:
        source = Source(path=options.text, column=options.column)
        name = Path(options.text).name
    elif data := os.environ.get("DISTILL_DATA"):
        source, name = Source(path=f"{data}/sv/text/*.jsonl.gz"), "sv/text/*.jsonl.gz"
    documents = [
        text
        for row in read_source(source, Tally())
        if (text := clean_text(column_value(row, source.column, source)))
    ]
    draw = random.Random(0)
    draw.shuffle(documents)
    apart: list[str] = []
    while len(apart) < 1.5 * options.heldout and len(documents) > 1:
        unseen = split_sentences(documents.pop())
        apart += draw.sample(unseen, min(len(unseen), SENTENCES_A_DOCUMENT))
    size = 0
    shutil.rmtree(folder / "texts", ignore_errors=True)
    (folder / "texts").mkdir(parents=True)
    seen: set[str] = set()
    limit = float("inf") if options.megabytes is None else options.megabytes * 1e6
    count = 0
    with (folder / "texts" / "train.jsonl").open("w", encoding="utf-8") as file:
        for text in documents:
            if size >= limit:
                break
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            seen.update(split_sentences(text))
            size, count = size + len(text.encode()), count + 1
    sentences = [sentence for sentence in dict.fromkeys(apart) if sentence not in seen]
    heldout = folder / "heldout.json"
    kept = sentences[: options.heldout]
    heldout.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
    about = {"text": name, "bytes": size, "documents": count, "heldout_sentences": len(kept)}
    return folder / "texts", heldout, about


def trim_with(
    peer: Peer, options: argparse.Namespace, teacher: Path, texts: Path, sentences: Path
) -> dict[str, Any]:
    """A peer's figures."""
    python = environments.make(peer, options.folder / "environments", options.newer_python)
    work = options.folder / "trimming" / peer.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    runner = [python, RUNNERS / f"run_{peer.name}.py"]
    given, trimmed, log = work / "teacher", work / "trimmed", work / "log.txt"
    run([*runner, "prepare", teacher, given], log, options.timeout)

    def trim() -> tuple[float, int]:
        for made in (trimmed, work / "cache"):  # what a data set leaves there would be reused
            shutil.rmtree(made, ignore_errors=True)
        return run(
            [*runner, "trim", given, texts, trimmed, options.min_count], log, options.timeout
        )

    cost = repeated(trim)
    run([*runner, "compare", given, trimmed, sentences], log, options.timeout)
    compared: dict[str, Any] = json.loads(log.read_text().strip().splitlines()[-1])
    remark = {"remark": peer.remark} if peer.remark else {}
    return {"version": peer.version, **cost, **compared, **remark}


def trim_with_distill(
    size: int,
    arguments: list[str],
    options: argparse.Namespace,
    teacher: Path,
    texts: Path,
    sentences: Path,
) -> dict[str, Any]:
    """The figures of `distill trim` at a number of pieces, its proof included."""
    output = options.folder / "trimming" / "distill"
    log = output.with_name("distill.txt")
    command = [sys.executable, "-m", "distill", "trim", teacher, texts / "train.jsonl"]
    command += ["--output", output, "--size", size, "--heldout", 0.01, *arguments]

    def trim() -> tuple[float, int]:
        shutil.rmtree(output, ignore_errors=True)
        return run(command, log, options.timeout)

    cost = repeated(trim)
    unseen = json.loads(sentences.read_text(encoding="utf-8"))
    compared = segmentation.compare(segmentation.load(teacher), segmentation.load(output), unseen)
    return {"version": __version__, "commit": commit(), **cost, **compared}


def saved_teacher(folder: Path) -> Path:
    """The quickstart's teacher as a folder."""
    if not (folder / "config.json").is_file():
        loaded = load_with_tokenizer(TEACHER)
        save_model(loaded.model, loaded.tokenizer, folder)
    return folder
