"""What the families of the `tokenizers` library share: their parsed `tokenizer.json`, cut down and
renumbered.

The definition is that of the pipeline that transformers runs, not the file's: transformers 5
rebuilds XLM-R's pipeline when it loads one, and this is what users get.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from distill.vocabulary.families.vocabulary import ROLES, Vocabulary
from distill.vocabulary.units import Definition, units_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_PLACEHOLDER = re.compile(r"\W*(?:unused|extra_id|reserved)(?:_special_token)?_?\d+\W*")


class FastVocabulary(Vocabulary):
    """A vocabulary whose tokenizer runs in the `tokenizers` library."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, definition: Definition) -> None:
        from tokenizers import Tokenizer

        self.tokenizer = tokenizer
        self.definition = {**definition, "truncation": None, "padding": None}
        # A copy: the tokenizer may pad or cut off, as its file or its last call said.
        self.backend = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        self.backend.no_truncation()
        self.backend.no_padding()
        self.ids = self.backend.get_vocab(with_added_tokens=True)
        self.units = units_of(definition, self.ids)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text, without special tokens around it."""
        return [
            encoding.ids
            for encoding in self.backend.encode_batch_fast(list(texts), add_special_tokens=False)
        ]

    def unknown_characters(
        self, texts: Sequence[str], ids: Sequence[Sequence[int]] | None = None
    ) -> list[int]:
        """How many characters of each text are unknown: the tokenizer may fuse several into one
        unknown token.
        """
        unknown, counts = self.unknown, [0] * len(texts)
        if unknown is None:
            return counts
        # Where characters stand is slow to tell, and few texts have one that is unknown.
        encoded = self.encode(texts) if ids is None else ids
        some = [i for i, own in enumerate(encoded) if unknown in own]
        told = self.backend.encode_batch([texts[i] for i in some], add_special_tokens=False)
        for number, encoding in zip(some, told, strict=True):
            counts[number] = sum(
                end - start
                for i, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
                if i == unknown
            )
        return counts

    def normalise(self, text: str) -> str:
        """The text as the pieces see it."""
        return str(self.backend.normalizer.normalize_str(text)) if self.backend.normalizer else text

    def trim(self, new_ids: dict[int, int]) -> PreTrainedTokenizerBase:
        """A plain fast tokenizer of the kept pieces: its pipeline is its file, so that all
        libraries read the same.
        """
        from tokenizers import Tokenizer
        from transformers import PreTrainedTokenizerFast

        tokenizer = self.tokenizer
        special = {
            f"{role}_token": str(token)
            for role in ROLES
            if (token := getattr(tokenizer, f"{role}_token", None))
        }
        return PreTrainedTokenizerFast(
            tokenizer_object=Tokenizer.from_str(
                json.dumps(self.trim_definition(new_ids), ensure_ascii=False)
            ),
            model_max_length=tokenizer.model_max_length,
            model_input_names=list(tokenizer.model_input_names),
            padding_side=tokenizer.padding_side,
            truncation_side=tokenizer.truncation_side,
            clean_up_tokenization_spaces=bool(
                getattr(tokenizer, "clean_up_tokenization_spaces", False)
            ),
            **special,
        )

    def trim_definition(self, new_ids: dict[int, int]) -> Definition:
        """The definition with the pieces of `new_ids` alone, renumbered throughout.

        The ids of the model, its unknown, the added tokens and the post-processor change; the
        normaliser and the pre-tokenizer stay; truncation and padding, which belong to whoever saved
        the file, go.
        """
        return {
            **self.definition,
            "added_tokens": [
                {**token, "id": new_ids[token["id"]]}
                for token in self.definition["added_tokens"]
                if token["id"] in new_ids
            ],
            "post_processor": renumber_post_processor(self.definition["post_processor"], new_ids),
            "model": self.trim_model(new_ids),
        }

    @property
    def model(self) -> Definition:
        """The definition's model: its pieces and how it segments."""
        model: Definition = self.definition["model"]
        return model

    @property
    def unknown(self) -> int | None:
        """Id of the unknown piece, if there is one."""
        return self.ids.get(self.model.get("unk_token") or "")

    @property
    def special(self) -> set[int]:
        """Ids of added tokens, the unknown piece, the post-processor's, and of bytes where the
        model falls back on them.

        Added tokens that only hold a place for later ones (6,242 of Gemma's) are pieces like
        others.
        """
        ids = {
            token["id"]
            for token in self.definition["added_tokens"]
            if not _PLACEHOLDER.fullmatch(token["content"])
        }
        named = {str(getattr(self.tokenizer, f"{role}_token", None)) for role in ROLES}
        ids |= {self.ids[token] for token in named if token in self.ids}
        ids |= post_processor_ids(self.definition["post_processor"])
        if self.unknown is not None:
            ids.add(self.unknown)
        if self.model.get("byte_fallback"):
            ids |= {
                self.ids[piece]
                for piece in (f"<0x{byte:02X}>" for byte in range(256))
                if piece in self.ids
            }
        return ids

    @abstractmethod
    def trim_model(self, new_ids: dict[int, int]) -> Definition:
        """The definition's model with the pieces of `new_ids` alone."""


def renumber_post_processor(processor: Any, new_ids: dict[int, int]) -> Any:
    """The post-processor with its special tokens' ids renumbered (template, BERT and RoBERTa kinds,
    and sequences).
    """
    if processor is None:
        return None
    if processor["type"] == "Sequence":
        return {
            **processor,
            "processors": [
                renumber_post_processor(inner, new_ids) for inner in processor["processors"]
            ],
        }
    if processor["type"] == "TemplateProcessing":
        tokens = {
            name: {**token, "ids": [new_ids[i] for i in token["ids"]]}
            for name, token in processor["special_tokens"].items()
        }
        return {**processor, "special_tokens": tokens}
    named = {
        key: [processor[key][0], new_ids[processor[key][1]]]
        for key in ("sep", "cls")
        if key in processor
    }
    return {**processor, **named}


def post_processor_ids(processor: Any) -> set[int]:
    """Ids that a post-processor puts around a text."""
    if processor is None:
        return set()
    if processor["type"] == "Sequence":
        return {i for inner in processor["processors"] for i in post_processor_ids(inner)}
    if processor["type"] == "TemplateProcessing":
        return {i for token in processor["special_tokens"].values() for i in token["ids"]}
    return {processor[key][1] for key in ("sep", "cls") if key in processor}
