"""Pairs of texts as token chunks, for teachers that read two texts at once: pairs go in, each with
wrong second texts besides; memory-mapped ids come out.

A reranker is asked about passages that look right and are not; pairs of rows alone would never show
the student what the teacher says of such.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from distill.corpus.shared_words import Passages
from distill.runtime.slices import in_runs
from distill.training.chunks import Chunks, ChunkWriter
from distill.training.text_pairs import encode_pairs, tells_texts_apart

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

TextPair = tuple[str, str]
_BLOCK = 10_000
"""Pairs among which wrong second texts are looked for."""
_BLOCK_CHARACTERS = 20_000_000
_ENCODE_BATCH = 1000


def write_pairs(
    pairs: Iterable[TextPair],
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    negatives: int,
    longest: int,
    seed: int,
) -> Chunks:
    """Encode `pairs`, each with so many `negatives`, and write ids.raw and offsets.npy to `folder`.

    A pair of more than `longest` tokens loses the end of its longer text. Memory is bounded by a
    block of pairs.
    """
    random, typed = np.random.default_rng(seed), tells_texts_apart(tokenizer)
    blocks = in_runs(pairs, _characters, characters=_BLOCK_CHARACTERS, count=_BLOCK)
    with ChunkWriter(folder) as writer:
        for block in blocks:
            asked = [*with_negatives(block, negatives, random)]
            for start in range(0, len(asked), _ENCODE_BATCH):
                firsts, seconds = zip(*asked[start : start + _ENCODE_BATCH], strict=True)
                for pair in encode_pairs(firsts, seconds, tokenizer, longest):
                    writer.add(pair.ids, pair.types if typed else None)
    return writer.chunks


def with_negatives(
    pairs: Sequence[TextPair], count: int, random: np.random.Generator
) -> Iterator[TextPair]:
    """Each pair, and after it its first text with `count` second texts of other pairs: half of them
    those that share most words with it, the rest drawn; fewer where there are not so many.
    """
    numbers = {second: number for number, second in enumerate(dict.fromkeys(s for _, s in pairs))}
    seconds = [*numbers]
    count = min(count, len(seconds) - 1)
    if count < 1:
        yield from pairs
        return
    by_words = (count + 1) // 2
    nearest = Passages(seconds).nearest([first for first, _ in pairs], by_words + 1)
    for (first, second), near in zip(pairs, nearest, strict=True):
        own = numbers[second]
        chosen = [int(number) for number in near if number != own][:by_words]
        while len(chosen) < count:
            drawn = int(random.integers(len(seconds)))
            if drawn != own and drawn not in chosen:
                chosen.append(drawn)
        yield first, second
        yield from ((first, seconds[number]) for number in chosen)


def _characters(pair: TextPair) -> int:
    return len(pair[0]) + len(pair[1])
