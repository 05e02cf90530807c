"""What trimming asks of a tokenizer, whatever its family: its pieces, what they need, how text
falls into units.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from distill.vocabulary.units import Units

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

ROLES = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
ASCII = frozenset(map(chr, range(0x21, 0x7F)))


class Vocabulary(ABC):
    """The vocabulary of one tokenizer. Ids are the tokenizer's; a *text* goes in without special
    tokens.
    """

    family: ClassVar[str]
    """The family's name, as the user knows it."""
    tokenizer: PreTrainedTokenizerBase
    ids: dict[str, int]
    """Every piece, added tokens included, with its id."""
    units: Units
    """How text falls apart into strings that are segmented on their own."""

    @property
    def size(self) -> int:
        """One more than the highest id."""
        return max(self.ids.values()) + 1

    @property
    @abstractmethod
    def unknown(self) -> int | None:
        """Id of the unknown piece, if there is one."""

    @abstractmethod
    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without special tokens around it."""

    @abstractmethod
    def unknown_characters(
        self, texts: Sequence[str], ids: Sequence[Sequence[int]] | None = None
    ) -> list[int]:
        """How many characters of each text are unknown to the tokenizer, which segments them as
        `ids`, where those are at hand.
        """

    @abstractmethod
    def normalise(self, text: str) -> str:
        """The text as the pieces see it."""

    @property
    @abstractmethod
    def special(self) -> set[int]:
        """Ids that never go: special, added and unknown pieces, and those that spell bytes."""

    @abstractmethod
    def alphabet(self, characters: Iterable[str]) -> set[int]:
        """Ids of the pieces that are one of the `characters`, in whatever form the family writes
        it.
        """

    @abstractmethod
    def needs(self, pieces: Iterable[int]) -> np.ndarray:
        """Pairs of ids, [pairs, 2]: each of the `pieces`, and one that must be kept with it;
        transitively closed.
        """

    @abstractmethod
    def trim(self, new_ids: dict[int, int]) -> PreTrainedTokenizerBase:
        """A tokenizer with the pieces of `new_ids` (old id to new id, in rising order) alone."""


def pairs(needed: Iterable[tuple[int, int]]) -> np.ndarray:
    """Pairs of ids as an array, [pairs, 2], int64."""
    return np.array(list(needed), dtype=np.int64).reshape(-1, 2)
