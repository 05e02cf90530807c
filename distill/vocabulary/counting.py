"""How often each piece of a tokenizer occurs in text.

Where the pre-tokenizer splits on white space, a word is segmented the same wherever it stands, so each distinct word
is segmented once and weighed by its frequency.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

T = TypeVar("T")
_BATCH = 20_000


def splits_on_white_space(tokenizer: Tokenizer) -> bool:
    """Whether no piece of this tokenizer can depend on more than one white-space separated word."""
    pre_tokenizer = json.loads(tokenizer.to_str()).get("pre_tokenizer")
    return any(step["type"] in ("WhitespaceSplit", "Whitespace", "BertPreTokenizer") for step in _steps(pre_tokenizer))


def count_units(texts: Iterable[str], tokenizer: Tokenizer) -> Counter[str]:
    """Frequencies of the strings that can be segmented on their own: words where that is exact, else whole lines."""
    by_words = splits_on_white_space(tokenizer)
    units: Counter[str] = Counter()
    for text in texts:
        # Not at every white space: a normaliser may delete some (XLM-R's deletes U+000B and U+001C) and so join words.
        units.update(text.replace("\n", " ").split(" ") if by_words else text.split("\n"))
    del units[""]
    return units


def count_pieces(units: Counter[str], tokenizer: Tokenizer) -> np.ndarray:
    """How often each piece occurs: int64, one count an id, in text given as unit frequencies."""
    counts = np.zeros(tokenizer.get_vocab_size(with_added_tokens=True), dtype=np.int64)
    for batch in _batches(units.items()):
        encodings = tokenizer.encode_batch_fast([unit for unit, _ in batch], add_special_tokens=False)
        lengths = np.fromiter((len(encoding) for encoding in encodings), dtype=np.int64, count=len(batch))
        ids = np.fromiter((i for encoding in encodings for i in encoding.ids), dtype=np.int64, count=int(lengths.sum()))
        weights = np.repeat(np.fromiter((count for _, count in batch), dtype=np.int64, count=len(batch)), lengths)
        np.add.at(counts, ids, weights)
    return counts


def count_characters(units: Iterable[str], tokenizer: Tokenizer) -> set[str]:
    """The characters of the text as the model sees it: after the tokenizer's own normalisation."""
    characters: set[str] = set()
    for batch in _batches(units):
        text = " ".join(batch)
        characters.update(tokenizer.normalizer.normalize_str(text) if tokenizer.normalizer else text)
    return characters


def _steps(pre_tokenizer: dict[str, Any] | None) -> list[dict[str, Any]]:
    if pre_tokenizer is None:
        return []
    return [step for inner in pre_tokenizer.get("pretokenizers", []) for step in _steps(inner)] or [pre_tokenizer]


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
