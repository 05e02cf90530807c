"""Training text packed without padding: documents go in; memory-mapped blocks of equal length come
out.

The ids of all documents, or of slices of a very long one, stand one after another, an end token
between them, and are cut into blocks; each block begins and ends with the special tokens that the
tokenizer puts around a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from distill.runtime.slices import slices_of_words
from distill.training.chunks import Chunks, ChunkWriter, special_around

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ENCODE_CHARACTERS = 2_000_000


def write_blocks(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase, folder: Path, *, block_tokens: int
) -> Chunks:
    """Pack `texts` into blocks of `block_tokens` ids, write them to `folder`, and map them back.

    What is left at the end and fills no block is a shorter one. Raises ValueError if a block has no
    room for text.
    """
    before, after = special_around(tokenizer)
    room = block_tokens - len(before) - len(after)
    if room < 1:
        raise ValueError(
            f"a block of {block_tokens} tokens has no room beside {len(before) + len(after)} "
            "special ones"
        )
    separator = [i for i in (tokenizer.sep_token_id, tokenizer.eos_token_id) if i is not None][:1]
    with ChunkWriter(folder) as writer:
        pending: list[int] = []
        for encoded in _encode(texts, tokenizer):
            pending += [*encoded, *separator]
            while len(pending) >= room:
                writer.add([*before, *pending[:room], *after])
                del pending[:room]
        if pending:
            writer.add([*before, *pending, *after])
    return writer.chunks


def _encode(texts: Iterable[str], tokenizer: PreTrainedTokenizerBase) -> Iterator[list[int]]:
    batch: list[str] = []
    size = 0
    # A long text in parts, for a tokenizer takes memory for all of it.
    for text in chain.from_iterable(map(slices_of_words, texts)):
        batch.append(text)
        size += len(text)
        if size >= _ENCODE_CHARACTERS:
            yield from tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]
            batch, size = [], 0
    if batch:
        yield from tokenizer(batch, add_special_tokens=False, verbose=False)["input_ids"]
