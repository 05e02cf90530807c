"""How fast and how small trimming is: counting against `Tokenizer.encode_batch`, and XLM-R base
trimmed and saved.

    .venv/bin/python benchmarks/trim.py                          text of journal_digital
    .venv/bin/python benchmarks/trim.py --text "my/*.jsonl.gz"   text of your own
    .venv/bin/python benchmarks/trim.py --gigabytes 0.05         a quick look

repeats the text until there is a gigabyte of it, counts pieces of XLM-R's vocabulary in it both
ways in one run (reading and parsing counted against us, not against `encode_batch`), lets ten times
as much text, with new words at every repetition, show the memory that counting takes, and trims a
random XLM-R base to the pieces found. Writes benchmarks/results/trim.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from process_memory import proportional_memory
from provenance import provenance

from distill.corpus.cleaning import clean_text
from distill.corpus.documents import DocumentBatch, document_batches
from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.models import load_tokenizer
from distill.recipe import Source
from distill.runtime.workers import available_workers
from distill.vocabulary.counting import count_text
from distill.vocabulary.families import Vocabulary, open_vocabulary

RESULT = Path(__file__).parent / "results" / "trim.json"
TEACHER = "package:multilingual-e5-small"
"""Its tokenizer is XLM-R's."""
T = TypeVar("T")


@dataclass(frozen=True)
class Disguised:
    """A batch of documents whose small letters are shifted along the alphabet, so that its words
    are new ones.
    """

    batch: DocumentBatch
    shift: int

    def __iter__(self) -> Iterator[tuple[int, str]]:
        letters = "abcdefghijklmnopqrstuvwxyzåäö"
        table = str.maketrans(letters, letters[self.shift :] + letters[: self.shift])
        return ((source, text.translate(table)) for source, text in self.batch)


def main() -> None:
    """Measure everything, print a table, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--text", help="files to take text from; without it the package journal_digital's"
    )
    parser.add_argument("--column", default="text")
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument(
        "--only-model", action="store_true", help="trim the model again, and keep the other figures"
    )
    parser.add_argument("--part", choices=["memory", "model"], help=argparse.SUPPRESS)
    parser.add_argument("--given", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part == "memory":
        print(json.dumps(counting_memory(Path(options.given))))
    elif options.part == "model":
        print(json.dumps(trim_base(int(options.given))))
    elif options.only_model:
        kept = json.loads(RESULT.read_text(encoding="utf-8"))
        write({**kept, "model": model_figures(kept["model"]["pieces"])})
    else:
        source = Source(path=options.text, column=options.column) if options.text else NEWSREELS
        with tempfile.TemporaryDirectory() as folder:
            measure(source, int(options.gigabytes * 1e9), Path(folder))


NEWSREELS = Source(package="journal_digital", files="journal_digital/corpus/**/*.srt")


def measure(source: Source, size: int, folder: Path) -> None:
    """All parts on one text of `size` bytes."""
    file = folder / "documents.jsonl"
    documents = write_documents(source, size, file)
    vocabulary, workers = open_vocabulary(load_tokenizer(TEACHER)), available_workers()
    print(
        f"{file.stat().st_size / 1e9:.2f} GB in {documents:,} documents; {workers} processes",
        flush=True,
    )
    seconds, counts = timed(
        lambda: count_text(document_batches(file), vocabulary, workers=workers).pieces[0]
    )
    print(f"counting, files read and parsed: {seconds:.1f} s", flush=True)
    encoding, encoded = encode_batch(file, vocabulary)
    print(
        f"encode_batch alone: {encoding:.1f} s, {encoding / seconds:.1f} times as long", flush=True
    )
    assert (counts == encoded).all(), "both count the same"
    pieces = len({*np.flatnonzero(counts >= 3).tolist(), *vocabulary.special})
    kept: dict[str, Any] = {
        **provenance(),
        "text": {"source": source.label, "bytes": file.stat().st_size, "documents": documents},
        "counting": {
            "seconds": seconds,
            "encode_batch_seconds": encoding,
            "ratio": encoding / seconds,
            "workers": workers,
        },
        "memory": part("memory", file),
        "model": model_figures(pieces),
    }
    write(kept)


def model_figures(pieces: int) -> dict[str, Any]:
    """What trimming a model takes, and by which commit on which machine."""
    return {**part("model", pieces), **provenance()}


def write(kept: dict[str, Any]) -> None:
    """Keep the figures, and print them."""
    RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
    print(table(kept))


def write_documents(source: Source, size: int, file: Path) -> int:
    """The source's cleaned documents, again and again until there are `size` bytes of lines; how
    many.
    """
    texts = (
        clean_text(column_value(record, source.column, source))
        for record in read_source(source, Tally())
    )
    lines = [
        json.dumps({"source": 0, "text": text}, ensure_ascii=False) + "\n" for text in texts if text
    ]
    written = documents = 0
    with file.open("w", encoding="utf-8") as out:
        for line in cycle(lines):
            written, documents = written + len(line.encode()), documents + 1
            out.write(line)
            if written >= size:
                return documents
    return documents


def encode_batch(file: Path, vocabulary: Vocabulary) -> tuple[float, np.ndarray]:
    """Seconds spent in `Tokenizer.encode_batch` over the file's texts, and how often each piece
    occurs.
    """
    counts = np.zeros(vocabulary.size, dtype=np.int64)
    seconds = 0.0
    for batch in document_batches(file, 4_000_000):
        texts = [text for _, text in batch]
        spent, encodings = timed(
            lambda texts=texts: vocabulary.backend.encode_batch(texts, add_special_tokens=False)
        )
        seconds += spent
        for encoding in encodings:
            counts += np.bincount(encoding.ids, minlength=vocabulary.size)
    return seconds, counts


def counting_memory(file: Path) -> dict[str, float]:
    """Peak memory of counting ten times the file's text, beyond the process with the tokenizer
    loaded, in bytes.
    """
    vocabulary = open_vocabulary(load_tokenizer(TEACHER))
    batches = [Disguised(batch, shift) for shift in range(10) for batch in document_batches(file)]
    before = proportional_memory()
    with Peak() as peak:
        seconds, _ = timed(lambda: count_text(batches, vocabulary, workers=available_workers()))
    return {
        "bytes_of_text": 10.0 * file.stat().st_size,
        "seconds": seconds,
        "peak_bytes_above_tokenizer": peak.bytes - before,
    }


def trim_base(pieces: int) -> dict[str, float]:
    """Seconds and memory for trimming a random XLM-R base to so many pieces, and saving it."""
    import torch
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    from distill.models.saving import save_model
    from distill.vocabulary.trimming import renumbering, trim_model

    vocabulary = open_vocabulary(load_tokenizer(TEACHER))
    config = XLMRobertaConfig(
        vocab_size=vocabulary.size,
        max_position_embeddings=514,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
    )
    torch.manual_seed(0)
    model = XLMRobertaForMaskedLM(config).eval()
    special = sorted(vocabulary.special)
    others = [i for i in sorted(vocabulary.ids.values()) if i not in vocabulary.special]
    new_ids = renumbering([*special, *others[: pieces - len(special)]])
    own = sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    before = proportional_memory()

    def trim_and_save() -> None:
        with tempfile.TemporaryDirectory() as folder:
            save_model(
                trim_model(model, new_ids, shared=True), vocabulary.trim(new_ids), Path(folder)
            )

    with Peak() as peak:
        seconds, _ = timed(trim_and_save)
    return {
        "parameters": model.num_parameters(),
        "pieces": len(new_ids),
        "seconds": seconds,
        "model_bytes": own,
        "peak_over_model": (own + peak.bytes - before) / own,
    }


class Peak:
    """The most memory that this process and its children take while the block runs."""

    bytes = 0

    def __enter__(self) -> Peak:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            self.bytes = max(self.bytes, proportional_memory())


def part(name: str, given: Path | int) -> dict[str, float]:
    """One part of the benchmark in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--part", name, "--given", str(given)],
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def timed(action: Callable[[], T]) -> tuple[float, T]:
    """Seconds, and what came of it."""
    started = time.perf_counter()
    result = action()
    return time.perf_counter() - started, result


def table(kept: dict[str, Any]) -> str:
    """The figures for a reader."""
    counting, memory, model = kept["counting"], kept["memory"], kept["model"]
    size = kept["text"]["bytes"]
    rate, encoding_rate = (
        size / counting[key] / 1e6 for key in ("seconds", "encode_batch_seconds")
    )
    rows = [
        ("counting, files read and parsed", f"{counting['seconds']:.1f} s", f"{rate:.1f} MB/s"),
        (
            "Tokenizer.encode_batch alone",
            f"{counting['encode_batch_seconds']:.1f} s",
            f"{encoding_rate:.1f} MB/s",
        ),
        ("", "", f"{counting['ratio']:.1f} times as long"),
        (
            f"memory at {memory['bytes_of_text'] / 1e9:.1f} GB of text",
            f"{memory['peak_bytes_above_tokenizer'] / 1e6:.0f} MB",
            "above the loaded tokenizer",
        ),
        (
            "XLM-R base trimmed and saved",
            f"{model['seconds']:.1f} s",
            f"{model['peak_over_model']:.2f} times its memory",
        ),
    ]
    return "\n".join(f"{what:<34}{figure:>10}   {note}" for what, figure, note in rows)


if __name__ == "__main__":
    main()
