"""What a vocabulary cannot spell: a tokenizer and texts of each language go in; shares of unknown
pieces come out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from distill.vocabulary.families import open_vocabulary

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, kw_only=True, slots=True)
class Spelling:
    """How a vocabulary fares with some texts."""

    unknown_pieces: float
    """Share of pieces that are the unknown one; some vocabularies make one of a whole run of
    unknown characters.
    """
    unknown_characters: float
    """Share of characters, blanks apart, that lie in unknown pieces."""
    pieces_a_sentence: float


def spell(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> Spelling:
    """The shares over all of `texts`, without the tokens around a sentence."""
    vocabulary = open_vocabulary(tokenizer)
    encoded = vocabulary.encode(texts)
    pieces = [piece for ids in encoded for piece in ids]
    characters = sum(not character.isspace() for text in texts for character in text)
    return Spelling(
        unknown_pieces=pieces.count(tokenizer.unk_token_id) / max(1, len(pieces)),
        unknown_characters=sum(vocabulary.unknown_characters(texts, encoded)) / max(1, characters),
        pieces_a_sentence=len(pieces) / max(1, len(texts)),
    )
