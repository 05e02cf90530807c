"""What `symbols` costs and saves: the real teacher trimmed to Swedish with and without it, seen on
text that nothing was chosen by.

    DISTILL_DATA=... python -m benchmarks.symbols --output benchmarks/results/symbols.json

The vocabulary is chosen on laws, debates and manuals; the texts to check by are tweets (WNUT 2017,
all rows), opinions on immigration (ABSAbank-Imm) and sentences of an encyclopaedia (SIB-200).
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.provenance import measure_to_file
from distill.corpus.cleaning import content_hash
from distill.models import load_with_tokenizer
from distill.recipe import VocabularySection
from distill.runtime.progress import Progress
from distill.runtime.workers import available_workers
from distill.vocabulary.counting import batch_texts
from distill.vocabulary.heldout import HeldOutSentences
from distill.vocabulary.in_memory import trim_teacher

TEACHER = "package:multilingual-e5-small"
TRAINING = ("sfs_laws", "riksdag_interpellations_train", "debian_docs")
HELDOUT = 0.02
CHECKS = {
    "tweets, English": "en/tasks/wnut17_ner/*.jsonl.gz",
    "opinions, Swedish": "sv/tasks/absabank_imm/*.jsonl.gz",
    "encyclopaedia, Swedish": "sib200/sv/*.jsonl.gz",
}


def rows(pattern: str) -> Iterator[str]:
    """The texts of the data's files, words of tagged ones joined by blanks."""
    for path in sorted(Path(os.environ["DISTILL_DATA"]).glob(pattern)):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                row = json.loads(line)
                yield row.get("text") or " ".join(row["tokens"])


def measure(section: VocabularySection) -> dict[str, Any]:
    """Pieces, parameters and fidelity under one setting."""
    teacher = load_with_tokenizer(TEACHER, "main")
    held, training = HeldOutSentences(), []
    for name in TRAINING:
        for text in rows(f"sv/text/{name}.jsonl.gz"):
            if content_hash(text) < HELDOUT * 2**64:
                for sentence in HeldOutSentences.of([text]):
                    held.add(0, sentence)
            else:
                training.append(text)
    trimmed = trim_teacher(
        teacher,
        section,
        batch_texts(training),
        held,
        checks={name: HeldOutSentences.of(rows(pattern)) for name, pattern in CHECKS.items()},
        workers=available_workers(),
        progress=Progress(),
    )
    return {
        "chosen": asdict(trimmed.chosen),
        "symbols_unseen": trimmed.symbols_unseen,
        "heldout_sentences": len(held),
        "checks": [
            {key: value for key, value in asdict(one).items() if key != "curve"}
            for one in trimmed.checks
        ],
    }


def main() -> None:
    """Measure both settings and write them."""
    settings: list[dict[str, Any]] = [{"symbols": False}, {"symbols": True}]
    measure_to_file(
        __doc__,
        {"teacher": TEACHER, "training": TRAINING, "heldout": HELDOUT, "min_count": 3},
        lambda: [{**keys, **measure(VocabularySection(**keys))} for keys in settings],
    )


if __name__ == "__main__":
    main()
