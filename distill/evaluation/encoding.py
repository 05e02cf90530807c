"""Rows and a tokenizer go in; token ids with their targets come out, and what did not fit is
counted.

A text or a pair becomes one input, cut off where it is too long. A sentence of words is never cut:
one that is too long becomes several inputs, so that every model answers for every word. A word's
first piece carries its class.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distill.evaluation.tasks import Row, TaskRows
from distill.training.chunks import special_around
from distill.training.text_pairs import encode_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

IGNORED = -100
"""The target of a token that is no word's first piece."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """What a model reads at once: a text, a pair, or a run of a sentence's words."""

    ids: list[int]
    types: list[int] | None = None
    """Of a pair, which token is of which text, where the tokenizer says so."""
    target: float = 0.0
    """The number of its class, or its number scaled to between 0 and 1."""
    words: tuple[int, ...] = ()
    """The words in it, by their number in the row."""
    places: tuple[int, ...] = ()
    """Where each word's first piece stands."""
    targets: tuple[int, ...] = ()
    """Each word's class, or all classes of a text that can have several."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Encoded:
    """The inputs of a split's rows."""

    inputs: list[Input]
    row_of: list[int]
    """Which row each input is of; inputs of a row stand together."""
    rows: int
    cut: int
    """Rows that did not fit: texts that were cut off, sentences that were split."""

    def inputs_of(self, rows: Iterable[int]) -> list[Input]:
        """The inputs of some rows, of a row that comes twice twice."""
        starts = np.searchsorted(self.row_of, np.arange(self.rows + 1))
        return [self.inputs[i] for row in rows for i in range(starts[row], starts[row + 1])]


def encode_rows(
    rows: Sequence[Row], task: TaskRows, tokenizer: PreTrainedTokenizerBase, longest: int
) -> Encoded:
    """The rows of one split of `task` as inputs of at most `longest` tokens."""
    if rows and rows[0].words:
        return _encode_sentences(rows, task, tokenizer, longest)
    pairs = None if rows[0].text_pair is None else [str(row.text_pair) for row in rows]
    encoded, cut = encode_texts([row.text for row in rows], pairs, tokenizer, longest)
    number = {name: i for i, name in enumerate(task.classes)}
    low, high = (0.0, 1.0) if task.classes else task.scale
    inputs = [
        replace(
            item,
            target=0.0 if isinstance(row.label, tuple) else _target(row.label, number, low, high),
            targets=tuple(number[name] for name in row.label)
            if isinstance(row.label, tuple)
            else (),
        )
        for row, item in zip(rows, encoded, strict=True)
    ]
    return Encoded(inputs=inputs, row_of=list(range(len(rows))), rows=len(rows), cut=cut)


def encode_texts(
    texts: Sequence[str],
    pairs: Sequence[str] | None,
    tokenizer: PreTrainedTokenizerBase,
    longest: int,
) -> tuple[list[Input], int]:
    """Texts, or pairs of texts, as inputs of at most `longest` tokens, and how many were cut off:
    of a pair the longer text.
    """
    if pairs is not None:
        encoded = encode_pairs(texts, pairs, tokenizer, longest)
        inputs = [Input(ids=pair.ids, types=pair.types) for pair in encoded]
        return inputs, sum(pair.is_cut for pair in encoded)
    ids = tokenizer(list(texts), verbose=False)["input_ids"]
    too_long = [i for i, of_text in enumerate(ids) if len(of_text) > longest]
    for i in too_long:
        ids[i] = tokenizer(texts[i], truncation=True, max_length=longest)["input_ids"]
    return [Input(ids=of_text) for of_text in ids], len(too_long)


def _target(label: str | float, number: Mapping[str, int], low: float, high: float) -> float:
    """What a model is to say of a text: a class, or a number scaled to between 0 and 1."""
    return float(number[label]) if isinstance(label, str) else (label - low) / (high - low)


def word_pieces(
    sentences: Sequence[Sequence[str]], tokenizer: PreTrainedTokenizerBase
) -> list[list[list[int]]]:
    """The ids of every word of every sentence; none of a word that vanishes.

    Tokenizers of every family split text at blanks, so that these, one after another, are the ids
    of the joined sentence: the first word by itself, the others after a blank, save where the
    tokenizer puts that in front of any text. Not so around an added token in a word, such as
    `<mask>`, which may cut off the blank before it.
    """

    def encode(texts: list[str]) -> list[list[int]]:
        ids: list[list[int]] = tokenizer(texts, add_special_tokens=False, verbose=False)[
            "input_ids"
        ]
        return ids

    both, bare, after = encode(["a a", "a", " a"])
    blank = " " if both == bare + after else ""
    spelled = [
        [word if i == 0 else blank + word for i, word in enumerate(words)] for words in sentences
    ]
    distinct = list(dict.fromkeys(chain.from_iterable(spelled)))
    ids = dict(zip(distinct, encode(distinct), strict=True)) if distinct else {}
    return [[ids[word] for word in words] for words in spelled]


def used_pieces(splits: Iterable[Encoded], padding: int) -> np.ndarray:
    """The ids that occur in the splits, and all up to the padding's, in rising order."""
    used = {i for encoded in splits for item in encoded.inputs for i in item.ids}
    return np.array(sorted(used | set(range(padding + 1))))


def renumber(encoded: Encoded, pieces: np.ndarray) -> Encoded:
    """The same with each id's place in `pieces` for the id."""
    number = {int(piece): at for at, piece in enumerate(pieces)}
    return replace(
        encoded,
        inputs=[replace(item, ids=[number[i] for i in item.ids]) for item in encoded.inputs],
    )


def pad(
    inputs: Sequence[Input], padding: int, *, of_words: bool = False, several_of: int = 0
) -> dict[str, torch.Tensor]:
    """A batch: ids, mask and types [B, L]; targets [B], or of words [B, L] with -100 where no word
    begins, or of texts that can have `several_of` classes [B, N] with 1 for each that they have.
    """
    longest = max(len(item.ids) for item in inputs)
    shape = (len(inputs), longest)
    ids, mask, types = (
        np.full(shape, padding),
        np.zeros(shape, dtype=np.int64),
        np.zeros(shape, dtype=np.int64),
    )
    targets: Any = np.array([item.target for item in inputs], dtype=np.float32)
    if of_words:
        targets = np.full(shape, IGNORED)
    elif several_of:
        targets = np.zeros((len(inputs), several_of), dtype=np.float32)
    for at, item in enumerate(inputs):
        ids[at, : len(item.ids)] = item.ids
        mask[at, : len(item.ids)] = 1
        if item.types is not None:
            types[at, : len(item.ids)] = item.types
        if of_words:
            targets[at, list(item.places)] = item.targets
        elif several_of:
            targets[at, list(item.targets)] = 1.0
    arrays = {"ids": ids, "mask": mask, "types": types, "targets": targets}
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _encode_sentences(
    rows: Sequence[Row], task: TaskRows, tokenizer: PreTrainedTokenizerBase, longest: int
) -> Encoded:
    before, after = special_around(tokenizer)
    room = longest - len(before) - len(after)
    pieces = word_pieces([row.words for row in rows], tokenizer)
    number = {name: i for i, name in enumerate(task.classes)}
    inputs: list[Input] = []
    row_of: list[int] = []
    cut = 0
    for at, row in enumerate(rows):
        runs = _runs(pieces[at], room)
        cut += len(runs) > 1 or any(len(of_word) > room for of_word in pieces[at])
        for run in runs:
            ids, words, places = list(before), [], []
            for word, of_word in run:
                if of_word:
                    words.append(word)
                    places.append(len(ids))
                ids += of_word
            targets = tuple(number[row.names[word]] for word in words)
            inputs.append(
                Input(ids=[*ids, *after], words=tuple(words), places=tuple(places), targets=targets)
            )
            row_of.append(at)
    return Encoded(inputs=inputs, row_of=row_of, rows=len(rows), cut=cut)


def _runs(pieces: Sequence[list[int]], room: int) -> list[list[tuple[int, list[int]]]]:
    """The words in runs that fit, each word with its number; one too long for any keeps its
    beginning.
    """
    runs: list[list[tuple[int, list[int]]]] = [[]]
    used = 0
    for word, of_word in enumerate(pieces):
        fitting = of_word[:room]
        if runs[-1] and used + len(fitting) > room:
            runs.append([])
            used = 0
        runs[-1].append((word, fitting))
        used += len(fitting)
    return runs
