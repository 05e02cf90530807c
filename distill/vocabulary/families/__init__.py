"""Tokenizer families: one module each behind one interface, and the one that fits a tokenizer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from distill.runtime.errors import UserError
from distill.vocabulary.families.vocabulary import ASCII, Vocabulary
from distill.vocabulary.units import Definition

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["ASCII", "Vocabulary", "open_vocabulary"]


def open_vocabulary(tokenizer: PreTrainedTokenizerBase) -> Vocabulary:
    """The vocabulary of a tokenizer. Raises UserError if its family is not supported."""
    from distill.vocabulary.families.bpe import BytePairEncoding
    from distill.vocabulary.families.fast import FastVocabulary
    from distill.vocabulary.families.unigram import Unigram
    from distill.vocabulary.families.wordpiece import WordPiece
    from distill.vocabulary.families.xlm import XLM

    if type(tokenizer).__name__ == "XLMTokenizer":
        return XLM(tokenizer)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise UserError(
            f"its tokenizer is a {type(tokenizer).__name__}, which has no "
            "tokenizer.json; "
            "vocabulary trimming supports the tokenizers of the tokenizers library, and XLM's.",
            key="teacher.model",
        )
    definition: Definition = json.loads(backend.to_str())
    families: dict[str, type[FastVocabulary]] = {
        "Unigram": Unigram,
        "WordPiece": WordPiece,
        "BPE": BytePairEncoding,
    }
    if (kind := definition["model"]["type"]) not in families:
        raise UserError(
            f"its tokenizer is of the {kind} family; vocabulary trimming supports "
            "Unigram (XLM-R, XLM-V, "
            "mDeBERTa, multilingual E5, BGE-M3), WordPiece (mBERT, LaBSE), BPE (mmBERT, EuroBERT) "
            "and XLM's own.",
            key="teacher.model",
        )
    return families[kind](tokenizer, definition)
