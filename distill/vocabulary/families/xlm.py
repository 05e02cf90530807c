"""XLM's own byte-pair encoding: the slow tokenizer, with its vocab.json and merges.txt (Lample and
Conneau 2019).

Text is normalised and cut into words by Moses; a word's last character carries `</w>`. What is
built from what, and why a text keeps its segmentation, is as for every byte-pair encoding.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from distill.vocabulary.families.bpe import Merge, built_from
from distill.vocabulary.families.vocabulary import ROLES, Vocabulary, pairs
from distill.vocabulary.units import Units

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

WORD_END = "</w>"


class XLM(Vocabulary):
    """The pair that was merged first in training, until none is left."""

    family = "XLM"
    units = Units.LINES  # Moses looks at neighbouring words: abbreviations, quotes

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self.tokenizer = tokenizer
        self.ids = tokenizer.get_vocab()

    @property
    def unknown(self) -> int | None:
        """Id of the unknown piece."""
        unknown: int | None = self.tokenizer.unk_token_id
        return unknown

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without special tokens around it."""
        return [
            self.tokenizer.convert_tokens_to_ids(self.tokenizer.tokenize(text)) for text in texts
        ]

    def unknown_characters(
        self, texts: Sequence[str], ids: Sequence[Sequence[int]] | None = None
    ) -> list[int]:
        """How many characters of each text are in pieces that are unknown."""
        pieces = (
            [piece for piece in self.tokenizer.tokenize(text) if piece not in self.ids]
            for text in texts
        )
        return [sum(len(piece.removesuffix(WORD_END)) for piece in unknown) for unknown in pieces]

    def normalise(self, text: str) -> str:
        """The text with Moses's punctuation, and where the tokenizer writes it so in lower case and
        without accents.
        """
        from transformers.models.xlm.tokenization_xlm import lowercase_and_remove_accent

        words = [self.tokenizer.moses_pipeline(text, lang="en")]
        return " ".join(
            lowercase_and_remove_accent(words)
            if self.tokenizer.do_lowercase_and_remove_accent
            else words
        )

    @property
    def special(self) -> set[int]:
        """Ids of the special, added and language tokens."""
        named = {
            token
            for token in self.tokenizer.encoder
            if re.fullmatch(r"<special\d+>|</?s>|<pad>|<unk>", token)
        }
        tokens = {*named, *self.tokenizer.all_special_tokens, *self.tokenizer.get_added_vocab()}
        return {self.ids[token] for token in tokens if token in self.ids}

    def alphabet(self, characters: Iterable[str]) -> set[int]:
        """A character within and at the end of a word."""
        forms = (form for character in characters for form in (character, character + WORD_END))
        return {self.ids[form] for form in forms if form in self.ids}

    def needs(self, pieces: Iterable[int]) -> np.ndarray:
        """Each piece, and all that it is built from."""
        spelling = {i: piece for piece, i in self.ids.items()}
        wanted = [(i, spelling[i]) for i in sorted(set(pieces) - self.special)]
        return pairs(
            (i, self.ids[met])
            for i, piece in wanted
            for met in sorted(self._built_from(piece) - {piece})
        )

    def trim(self, new_ids: dict[int, int]) -> PreTrainedTokenizerBase:
        """The same tokenizer over smaller vocab.json and merges.txt."""
        tokenizer = self.tokenizer
        vocabulary = {piece: new_ids[i] for piece, i in tokenizer.encoder.items() if i in new_ids}
        merges = [pair for pair in self._ranks if {*pair, "".join(pair)} <= vocabulary.keys()]
        special = {
            f"{role}_token": str(token)
            for role in ROLES
            if (token := getattr(tokenizer, f"{role}_token", None))
        }
        with TemporaryDirectory() as folder:
            vocab_file, merges_file = Path(folder) / "vocab.json", Path(folder) / "merges.txt"
            vocab_file.write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
            # Without a count, and with the empty last line that the tokenizer expects.
            merges_file.write_text(
                "".join(" ".join(pair) + " 0\n" for pair in merges), encoding="utf-8"
            )
            return type(tokenizer)(
                vocab_file=str(vocab_file),
                merges_file=str(merges_file),
                lang2id=tokenizer.lang2id,
                id2lang=tokenizer.id2lang,
                do_lowercase_and_remove_accent=tokenizer.do_lowercase_and_remove_accent,
                model_max_length=tokenizer.model_max_length,
                padding_side=tokenizer.padding_side,
                truncation_side=tokenizer.truncation_side,
                **special,
            )

    @cached_property
    def _ranks(self) -> dict[Merge, int]:
        ranks: dict[Merge, int] = self.tokenizer.bpe_ranks
        return dict(sorted(ranks.items(), key=lambda item: item[1]))

    def _built_from(self, piece: str) -> set[str]:
        stem = piece.removesuffix(WORD_END) or piece
        symbols = [*stem]
        symbols[-1] += piece.removeprefix(stem)
        return {met for met in built_from(symbols, self._ranks) if met in self.ids}
