"""Training text as token chunks on disk: documents go in; memory-mapped ids, and an order of
batches, come out.

A chunk is a run of words with one of the teacher's prefixes in front, of a length drawn anew each
time, so that the student sees what it will be asked for: short queries and long passages
(`distill.training.blocks` packs text instead). Batches hold chunks of nearly one length, hardly any
padding. The order is a pure function of seed and epoch, which is what makes a resumed run equal an
uninterrupted one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import torch

from distill.runtime.batching import split_rows
from distill.runtime.files import flush, write_whole
from distill.runtime.hashes import hash_file
from distill.runtime.slices import slices_of_words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_ENCODE_BATCH = 2000
_IDS, _TYPES, _OFFSETS, _HASHES = "ids.raw", "types.raw", "offsets.npy", "hashes.json"
LONGEST_WORD = 60
"""Characters that a word between blanks may have; a longer one is text without blanks."""
CHARACTERS_OF_WORD = 3
"""That count as a word in such text: words have about two characters in Chinese, four in Thai."""


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """Chunks of token ids, special tokens and prefix included."""

    ids: np.ndarray
    """Every chunk's ids after one another, uint32."""
    offsets: np.ndarray
    """Where each chunk starts, and where the last ends, int64."""
    types: np.ndarray | None = None
    """Of pairs, of which text each token is, uint8, where the tokenizer says so."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each chunk."""
        return np.diff(self.offsets)

    def batch(
        self, rows: Sequence[int] | np.ndarray, padding: int
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Ids and mask of the given chunks, [rows, longest], int64."""
        places, mask = self._places(rows)
        ids = np.where(mask, self.ids[places], padding)
        return torch.from_numpy(ids.astype(np.int64)), torch.from_numpy(mask.astype(np.int64))

    def batch_types(self, rows: Sequence[int] | np.ndarray) -> torch.Tensor | None:
        """Of which text each token of the given chunks is, [rows, longest], int64."""
        if self.types is None:
            return None
        places, mask = self._places(rows)
        return torch.from_numpy(np.where(mask, self.types[places], 0).astype(np.int64))

    def _places(self, rows: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where each token stands among all, and whether there is one, [rows, longest]."""
        lengths = self.lengths[rows][:, None]
        at = np.arange(lengths.max())[None, :]
        mask = at < lengths
        return np.where(mask, self.offsets[rows][:, None] + at, 0), mask


def cut_words(
    text: str, chunk_words: tuple[int, int], random: np.random.Generator
) -> Iterator[str]:
    """The text in runs of words, each run's length drawn log-uniformly from `chunk_words`.

    Log-uniform, so that short and long runs get about the same share of the draws per doubling. A
    rest shorter than the minimum joins the run before it or, where there is none, stands alone.
    Where words stand without blanks, as in Chinese, Japanese, Thai or Khmer, a few characters count
    as a word.
    """
    words, (low, high) = split_words(text), chunk_words
    ahead = list(islice(words, 1))
    while ahead:
        size = round(float(np.exp(random.uniform(np.log(low), np.log(high)))))
        ahead += islice(words, max(0, size + low - len(ahead)))
        end = size if len(ahead) - size >= low else len(ahead)
        yield "".join(ahead[:end]).rstrip()
        ahead = ahead[end:] or list(islice(words, 1))


def split_words(text: str) -> Iterator[str]:
    """The words of a text, each with a blank after it where one stood; what is longer than any word
    comes in parts of a few characters.
    """
    for part in slices_of_words(text):
        for word in part.split():
            if len(word) <= LONGEST_WORD:
                yield word + " "
                continue
            last = (len(word) - 1) // CHARACTERS_OF_WORD * CHARACTERS_OF_WORD
            for start in range(0, last, CHARACTERS_OF_WORD):
                yield word[start : start + CHARACTERS_OF_WORD]
            yield word[last:] + " "


def write_chunks(
    texts: Iterable[str],
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    *,
    prefixes: Sequence[str],
    chunk_words: tuple[int, int],
    longest: int,
    seed: int,
) -> Chunks:
    """Cut, prefix and encode `texts`, write ids.raw and offsets.npy to `folder`, and map them back.

    What is longer than `longest` tokens becomes several chunks, the later ones without a prefix.
    Memory is bounded by one batch of chunks and the offsets.
    """
    before, after = special_around(tokenizer)
    random = np.random.default_rng(seed)
    with ChunkWriter(folder) as writer:

        def flush(pending: list[str]) -> None:
            for ids in tokenizer(pending, verbose=False)["input_ids"]:
                for part in split_ids(ids, before, after, longest):
                    writer.add(part)
            pending.clear()

        pending: list[str] = []
        for text in texts:
            for run in cut_words(text, chunk_words, random):
                pending.append(prefixes[int(random.integers(len(prefixes)))] + run)
                if len(pending) >= _ENCODE_BATCH:
                    flush(pending)
        if pending:
            flush(pending)
    return writer.chunks


def split_ids(
    ids: list[int], before: Sequence[int], after: Sequence[int], longest: int
) -> Iterator[list[int]]:
    """Ids of a text in parts of at most `longest`, with the special ids `before` and `after` around
    each.
    """
    if len(ids) <= longest:
        yield ids
        return
    body = ids[len(before) : len(ids) - len(after)]
    room = max(1, longest - len(before) - len(after))
    for start in range(0, len(body), room):
        yield [*before, *body[start : start + room], *after]


def special_around(tokenizer: PreTrainedTokenizerBase) -> tuple[list[int], list[int]]:
    """The special ids before and after a text."""
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    encoded = tokenizer("a")["input_ids"]
    start = next(i for i in range(len(encoded) + 1) if encoded[i : i + len(bare)] == bare)
    return encoded[:start], encoded[start + len(bare) :]


class ChunkWriter:
    """Writes chunks to a folder one by one; where hashes.json stands in the end, they are whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lengths: list[int] = []

    def __enter__(self) -> ChunkWriter:
        self._file = (self._folder / _IDS).open("wb")
        self._types: IO[bytes] | None = None
        return self

    def add(self, ids: Sequence[int], types: Sequence[int] | None = None) -> None:
        """Append one chunk; `types` with every chunk or with none."""
        self._lengths.append(len(ids))
        np.asarray(ids, dtype=np.uint32).tofile(self._file)
        if types is not None:
            self._types = self._types or (self._folder / _TYPES).open("wb")
            np.asarray(types, dtype=np.uint8).tofile(self._types)

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if self._types is not None:
            self._types.close()
        if kind is None:
            offsets = np.concatenate([[0], np.cumsum(self._lengths, dtype=np.int64)])
            np.save(self._folder / _OFFSETS, offsets)
            for name in _names(self._folder):
                flush(self._folder / name)
            write_whole(self._folder / _HASHES, json.dumps(_hashes(self._folder)))  # last

    @property
    def chunks(self) -> Chunks:
        """What was written, memory-mapped."""
        return open_chunks(self._folder)


def has_chunks(folder: Path) -> bool:
    """Whether the chunks in `folder` are there as they were written."""
    try:
        return bool(json.loads((folder / _HASHES).read_text()) == _hashes(folder))
    except (OSError, ValueError):
        return False


def _hashes(folder: Path) -> dict[str, str]:
    return {name: hash_file(folder / name) for name in _names(folder)}


def _names(folder: Path) -> list[str]:
    return [_IDS, _OFFSETS, *([_TYPES] if (folder / _TYPES).is_file() else [])]


def open_chunks(folder: Path) -> Chunks:
    """The chunks that `write_chunks` left in `folder`, memory-mapped."""
    offsets = np.load(folder / _OFFSETS)
    ids = (
        np.memmap(folder / _IDS, dtype=np.uint32, mode="r")
        if offsets[-1]
        else np.empty(0, np.uint32)
    )
    typed = offsets[-1] and (folder / _TYPES).is_file()
    types = np.memmap(folder / _TYPES, dtype=np.uint8, mode="r") if typed else None
    return Chunks(ids=ids, offsets=offsets, types=types)


def epoch_batches(
    lengths: np.ndarray, batch_tokens: int, seed: int, epoch: int
) -> list[np.ndarray]:
    """Row numbers of each batch of one epoch: chunks of like length together, at most
    `batch_tokens` when padded.

    Which chunks meet, and in which order batches come, is drawn anew for each epoch.
    """
    random = np.random.default_rng([seed, epoch])
    shuffled = random.permutation(len(lengths))
    ordered = shuffled[np.argsort(lengths[shuffled], kind="stable")]
    batches = split_rows(ordered, lengths, batch_tokens)
    return [batches[i] for i in random.permutation(len(batches))]


def batch_stream(
    lengths: np.ndarray, batch_tokens: int, seed: int, epoch: int = 0, batch: int = 0
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Batches without end, from the given epoch and batch on: (epoch, batch within it, row
    numbers).
    """
    while True:
        for number, rows in enumerate(epoch_batches(lengths, batch_tokens, seed, epoch)):
            if number >= batch:
                yield epoch, number, rows
        epoch, batch = epoch + 1, 0
