"""Byte-pair encoding, plain, over bytes, or falling back on them: mmBERT, EuroBERT, ModernBERT
(Sennrich et al. 2016).

Starting from characters, the pair that comes first in the list of merges is joined, again and
again. A piece is built the same way wherever it stands, since a pair that is joined across its
edges would have made another piece. So a text keeps its segmentation if its pieces are kept with
everything that they are built from: the merges that were applied are then still there, and no other
has come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import numpy as np

from distill.vocabulary.families.fast import FastVocabulary
from distill.vocabulary.families.vocabulary import pairs
from distill.vocabulary.units import Definition

Merge = tuple[str, str]
SPACES = (" ", "▁", "\n", "\t")
"""What stands between words is kept in all its forms."""


def built_from(symbols: Sequence[str], ranks: Mapping[Merge, int], prefix: str = "") -> set[str]:
    """Every piece that comes up while `symbols` are merged: the symbols, what is joined on the way,
    and the end.

    `ranks` gives the place of each merge; `prefix` marks a piece that continues a word and falls
    away when joined.
    """
    word, met = list(symbols), set(symbols)
    while len(word) > 1:
        ranked = [
            (ranks[pair], at)
            for at in range(len(word) - 1)
            if (pair := (word[at], word[at + 1])) in ranks
        ]
        if not ranked:
            break
        _, at = min(ranked)
        word[at : at + 2] = [word[at] + word[at + 1].removeprefix(prefix)]
        met.add(word[at])
    return met


def byte_characters() -> dict[int, str]:
    """The printable character that stands for each byte in byte-level vocabularies (Radford et al.
    2019, GPT-2).
    """
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {
        byte: chr(256 + offset) for offset, byte in enumerate(others)
    }


class BytePairEncoding(FastVocabulary):
    """The first merge in the list that applies, until none does."""

    family = "BPE"

    @property
    def special(self) -> set[int]:
        """What stands between words too, and all bytes where the model spells with them."""
        spelled = byte_characters().values() if self._byte_level else ()
        return (
            super().special
            | self.alphabet(SPACES)
            | {self.ids[byte] for byte in spelled if byte in self.ids}
        )

    def alphabet(self, characters: Iterable[str]) -> set[int]:
        """A character at the start, within and at the end of a word; over bytes, the piece of its
        bytes if there is one.
        """
        starts = {
            prefix + self._spell(character)
            for character in characters
            for prefix in ("", self._prefix)
        }
        forms = starts | {start + self._suffix for start in starts}
        return {self.ids[form] for form in forms if form in self.ids}

    def needs(self, pieces: Iterable[int]) -> np.ndarray:
        """Each piece, and all that it is built from."""
        spelling = {i: piece for piece, i in self.model["vocab"].items()}
        wanted = [i for i in sorted(set(pieces)) if i in spelling]
        return pairs(
            (i, self.ids[met])
            for i in wanted
            for met in sorted(self._built_from(spelling[i]) - {spelling[i]})
        )

    def trim_model(self, new_ids: dict[int, int]) -> Definition:
        """The kept pieces, and the merges of kept pieces into kept pieces, in their order."""
        vocabulary = {
            piece: new_ids[old] for piece, old in self.model["vocab"].items() if old in new_ids
        }
        merges = [
            list(merge)
            for merge in self._ranks
            if merge[0] in vocabulary
            and merge[1] in vocabulary
            and self._joined(merge) in vocabulary
        ]
        return {**self.model, "vocab": vocabulary, "merges": merges}

    @cached_property
    def _ranks(self) -> dict[Merge, int]:
        merges = (
            merge if isinstance(merge, list) else merge.split(" ") for merge in self.model["merges"]
        )
        return {(left, right): rank for rank, (left, right) in enumerate(merges)}

    @cached_property
    def _byte_level(self) -> bool:
        steps = [self.definition["pre_tokenizer"], self.definition["normalizer"]]
        return any(step["type"] == "ByteLevel" for outer in steps if outer for step in _flat(outer))

    @property
    def _prefix(self) -> str:
        return self.model.get("continuing_subword_prefix") or ""

    @property
    def _suffix(self) -> str:
        return self.model.get("end_of_word_suffix") or ""

    def _joined(self, merge: Merge) -> str:
        return merge[0] + merge[1].removeprefix(self._prefix)

    def _spell(self, character: str) -> str:
        if not self._byte_level:
            return character
        spelled = byte_characters()
        return "".join(spelled[byte] for byte in character.encode("utf-8", "surrogatepass"))

    def _built_from(self, piece: str) -> set[str]:
        bare = piece.removeprefix(self._prefix)
        stem = (
            bare.removesuffix(self._suffix)
            if self._suffix and len(bare) > len(self._suffix)
            else bare
        )
        symbols = [*stem]
        if not symbols:
            return set()
        symbols[-1] += bare.removeprefix(stem)
        first = self._prefix if len(bare) < len(piece) else ""
        symbols = [first + symbols[0], *(self._prefix + symbol for symbol in symbols[1:])]
        # A character without a piece is spelled in bytes or unknown; no merge begins with it.
        return {met for met in built_from(symbols, self._ranks, self._prefix) if met in self.ids}


def _flat(step: Definition) -> list[Definition]:
    inner = step.get("pretokenizers") or step.get("normalizers") or []
    return [leaf for part in inner for leaf in _flat(part)] or [step]
