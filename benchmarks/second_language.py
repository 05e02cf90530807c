"""What a second language costs: the real teacher trimmed to Swedish, to English and to both, at the
same target in each language.

    DISTILL_DATA=... python -m benchmarks.second_language --output FILE
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.provenance import measure_to_file
from distill.corpus.cleaning import content_hash
from distill.models import load_with_tokenizer
from distill.recipe import VocabularySection
from distill.runtime.progress import Progress
from distill.runtime.workers import available_workers
from distill.vocabulary.heldout import HeldOutSentences
from distill.vocabulary.in_memory import trim_teacher

TEACHER = "package:multilingual-e5-small"
CHARACTERS, HELDOUT = 20_000_000, 0.05
TARGETS: list[dict[str, Any]] = [{"identical": 0.9}, {"identical": 0.95}, {"min_count": 3}]
LANGUAGES = (["sv"], ["en"], ["sv", "en"])


def rows(language: str) -> Iterator[str]:
    """The same share of each file of a language's text, drawn by content."""
    files = sorted(Path(os.environ["DISTILL_DATA"]).glob(f"{language}/text/*.jsonl.gz"))
    for path in files:
        left = CHARACTERS // len(files)
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                text = json.loads(line)["text"]
                yield text
                left -= len(text)
                if left < 0:
                    break


def measure(languages: Sequence[str], target: dict[str, Any]) -> dict[str, Any]:
    """Pieces, parameters and fidelity in each language."""
    held, training = HeldOutSentences(), []
    for number, language in enumerate(languages):
        for text in rows(language):
            if content_hash(text) < HELDOUT * 2**64:
                for sentence in HeldOutSentences.of([text]):
                    held.add(number, sentence)
            else:
                training.append((number, text))
    batches = [training[start : start + 2000] for start in range(0, len(training), 2000)]
    trimmed = trim_teacher(
        load_with_tokenizer(TEACHER, "main"),
        VocabularySection.model_validate(target),
        batches,
        held,
        weights=[1.0] * len(languages),
        languages=languages,
        workers=available_workers(),
        progress=Progress(),
    )
    return {
        "languages": list(languages),
        "target": target,
        "heldout_sentences": len(held),
        "chosen": asdict(trimmed.chosen),
        "each": [
            {key: value for key, value in asdict(one).items() if key != "curve"}
            for one in trimmed.languages
        ],
    }


def main() -> None:
    """Measure every combination and write them."""
    measure_to_file(
        __doc__,
        {"teacher": TEACHER, "characters": CHARACTERS, "heldout": HELDOUT},
        lambda: [measure(languages, target) for target in TARGETS for languages in LANGUAGES],
    )


if __name__ == "__main__":
    main()
