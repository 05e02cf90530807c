"""How much faster pieces are counted by distinct words than by `Tokenizer.encode_batch`, on text
that is really new and on text that repeats itself.

    DISTILL_DATA=... .venv/bin/python benchmarks/counting.py              about ten minutes
    DISTILL_DATA=... .venv/bin/python benchmarks/counting.py --sizes 10   a quick look

takes documents of all sources in equal shares, chosen by content, until there are 10, 30 and all
88 MB of Swedish, then all languages together. More text has more words that were seen before, so
the ratio grows with it; the row `repeated` says what it would reach where nothing new came at all.
Files are read and parsed in our time, not in `encode_batch`'s. Both use every core; processor
seconds, children included, are the fairer figure where others use the machine too. Writes
benchmarks/results/counting.json.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from resource import RUSAGE_CHILDREN, RUSAGE_SELF, getrusage
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.corpus.documents import document_batches
from distill.runtime.workers import available_workers
from distill.vocabulary.counting import count_text

if TYPE_CHECKING:
    from distill.vocabulary.families import Vocabulary

# Whatever stands here is loaded again by each counting process, as it is a script's; the command
# line loads as little.
RESULT = Path(__file__).parent / "results" / "counting.json"
REPEATS = 10


def main() -> None:
    """Measure every size, print a table, keep the figures."""
    from provenance import provenance
    from setting import TEACHER

    from distill.models import load_tokenizer
    from distill.vocabulary.families import open_vocabulary

    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=float, nargs="+", default=[10, 30, 1000, 2000])
    options = parser.parse_args()
    vocabulary = open_vocabulary(load_tokenizer(TEACHER))
    swedish, everything = texts("sv"), list(chain.from_iterable(map(texts, ("sv", "en", "da"))))
    rows = []
    for size in options.sizes:
        whole = swedish if size <= 1000 else everything
        chosen = list(share_of(whole, size * 1e6))
        name = "Swedish" if whole is swedish else "Swedish, English, Danish"
        rows.append(measure(name, chosen, vocabulary))
    smallest = list(share_of(swedish, min(options.sizes) * 1e6))
    rows.append(measure("repeated", smallest * REPEATS, vocabulary))
    kept = {**provenance(vars(options)), "rows": rows}
    RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


def texts(language: str) -> list[str]:
    """All cleaned documents of a language."""
    from distill.corpus.cleaning import clean_text
    from distill.corpus.formats import Tally
    from distill.corpus.sources import column_value, read_source
    from distill.recipe import Source

    source = Source(path=f"{os.environ['DISTILL_DATA']}/{language}/text/*.jsonl.gz")
    rows = (column_value(row, "text", source) for row in read_source(source, Tally()))
    return [text for row in rows if (text := clean_text(row))]


def share_of(documents: list[str], size: float) -> Iterator[str]:
    """About `size` bytes of the documents, chosen by content."""
    from distill.corpus.cleaning import content_hash

    share = size / sum(len(text.encode()) for text in documents)
    return (text for text in documents if content_hash(text) < share * 2**64)


def measure(name: str, documents: list[str], vocabulary: Vocabulary) -> dict[str, Any]:
    """Both ways on one text, one after the other; they must count the same."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "documents.jsonl"
        lines = (json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in documents)
        file.write_text("".join(lines), encoding="utf-8")
        size = sum(len(text.encode()) for text in documents)
        words = Counter(word for text in documents for word in text.split())
        batches = document_batches(file)
        workers = available_workers() if len(batches) > 1 else 1
        ours, counts = spent(lambda: count_text(batches, vocabulary, workers=workers).pieces[0])
    theirs, encoded = spent(lambda: encode_batch(documents, vocabulary))
    assert np.array_equal(counts, encoded), "both count the same"
    row = {
        "text": name,
        "bytes": size,
        "words": words.total(),
        "distinct_words": len(words),
        "processes": workers,
        **{f"{kind}_seconds": seconds for kind, seconds in ours.items()},
        **{f"encode_batch_{kind}_seconds": seconds for kind, seconds in theirs.items()},
        **{f"{kind}_ratio": theirs[kind] / ours[kind] for kind in ours},
    }
    print(
        f"{name:<26}{size / 1e6:>8.0f} MB {words.total() / len(words):>6.1f} times a word; "
        f"processor {ours['processor']:.1f} s against {theirs['processor']:.1f} s, "
        f"{row['processor_ratio']:.1f} times; wall {row['wall_ratio']:.1f} times",
        flush=True,
    )
    return row


def encode_batch(documents: list[str], vocabulary: Vocabulary) -> np.ndarray:
    """How often each piece occurs, by the tokenizer alone, some megabytes at a time."""
    counts = np.zeros(vocabulary.size, dtype=np.int64)
    start = 0
    ends = np.cumsum([len(text) for text in documents])
    while start < len(documents):
        end = int(np.searchsorted(ends, (ends[start - 1] if start else 0) + 4_000_000)) + 1
        batch = vocabulary.backend.encode_batch(documents[start:end], add_special_tokens=False)
        ids = np.concatenate([np.asarray(encoding.ids, dtype=np.int64) for encoding in batch])
        counts += np.bincount(ids, minlength=vocabulary.size)
        start = end
    return counts


def spent(action: Callable[[], np.ndarray]) -> tuple[dict[str, float], np.ndarray]:
    """Processor and wall seconds, those of ended children included, and what came of it."""

    def now() -> dict[str, float]:
        used = [getrusage(who) for who in (RUSAGE_SELF, RUSAGE_CHILDREN)]
        return {
            "processor": sum(usage.ru_utime + usage.ru_stime for usage in used),
            "wall": time.monotonic(),
        }

    before = now()
    result = action()
    return {kind: seconds - before[kind] for kind, seconds in now().items()}, result


if __name__ == "__main__":
    main()
