"""Training text packed without padding: documents go in; memory-mapped blocks of equal length come
out.

The ids of all documents stand one after another, an end token between them, and are cut into
blocks; each block begins and ends with the special tokens that the tokenizer puts around a text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from distill.runtime.slices import in_runs, slices_of_words
from distill.training.chunks import Chunks, ChunkWriter, special_around

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ENCODE_CHARACTERS = 500_000


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
        for encoded, is_end in _encode(texts, tokenizer):
            pending += [*encoded, *(separator if is_end else [])]
            while len(pending) >= room:
                writer.add([*before, *pending[:room], *after])
                del pending[:room]
        if pending:
            writer.add([*before, *pending, *after])
    return writer.chunks


def _encode(
    texts: Iterable[str], tokenizer: PreTrainedTokenizerBase
) -> Iterator[tuple[list[int], bool]]:
    """The ids of the texts, of a long one slice by slice (a tokenizer takes memory for all that it
    is given), and whether they end a text.
    """
    for run in in_runs(_parts(texts), lambda part: len(part[0]), characters=_ENCODE_CHARACTERS):
        parts = [part for part, _ in run]
        ids = tokenizer(parts, add_special_tokens=False, verbose=False)["input_ids"]
        yield from zip(ids, (is_end for _, is_end in run), strict=True)


def _parts(texts: Iterable[str]) -> Iterator[tuple[str, bool]]:
    for text in texts:
        *before, last = slices_of_words(text)
        yield from ((part, False) for part in before)
        yield last, True
