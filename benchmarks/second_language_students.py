"""What a second language costs in scores: students of six layers for Swedish, for English and for
both, after as many tokens in all, or in each language.

    DISTILL_DATA=... python -m benchmarks.second_language_students --output FILE
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any

from benchmarks.provenance import measure_to_file
from benchmarks.second_language import rows
from benchmarks.setting import PASSAGE, QUERY, TEACHER, measure_tasks, read_tasks
from distill import distil, trim
from distill.models import LoadedModel, load_with_tokenizer

TOKENS = 350_000
ARMS = ((["sv"], TOKENS), (["en"], TOKENS), (["sv", "en"], TOKENS), (["sv", "en"], 2 * TOKENS))
SETTINGS: dict[str, Any] = {
    "layers": 6,
    "batch_tokens": 512,
    "learning_rate": 1e-3,
    "chunk_words": (8, 64),
}


def taught(languages: Sequence[str], tokens: int) -> LoadedModel:
    """A student of the teacher, trimmed to what the languages have twice."""
    whole = load_with_tokenizer(TEACHER)
    of_each = [list(rows(language)) for language in languages]
    mixed = [text for text in chain.from_iterable(zip_longest(*of_each)) if text]
    trimmed = trim(whole.model, whole.tokenizer, mixed, min_count=2)
    student = distil(
        trimmed.model,
        trimmed.tokenizer,
        mixed,
        tokens=tokens,
        pooling="mean",
        prefixes=[QUERY, PASSAGE],
        **SETTINGS,
    )
    return LoadedModel(model=student.model, tokenizer=student.tokenizer)


def scores(model: LoadedModel, languages: Sequence[str]) -> dict[str, Any]:
    """MRR@10 of answers, and macro-F1 of a probe of topics, in each language."""
    return {language: measure_tasks(model, read_tasks(language)) for language in languages}


def measure() -> list[dict[str, Any]]:
    """The teacher's scores, and those of each student."""
    results: list[dict[str, Any]] = [
        {"model": "teacher", "scores": scores(load_with_tokenizer(TEACHER), ["sv", "en"])}
    ]
    for languages, tokens in ARMS:
        model = taught(languages, tokens)
        results.append(
            {
                "model": "student",
                "languages": languages,
                "tokens": tokens,
                "parameters": model.model.num_parameters(),
                "scores": scores(model, languages),
            }
        )
    return results


if __name__ == "__main__":
    measure_to_file(__doc__, {"teacher": TEACHER, **SETTINGS}, measure)
