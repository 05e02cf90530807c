"""Unigram tokenizers (XLM-R, multilingual E5, XLM-V, mDeBERTa): which pieces must stay, and the trimmed definition.

A definition is the parsed `tokenizer.json`. Scores are left alone: a text whose pieces are all kept then keeps its best
segmentation, because every rival it had before is at most still there. The unknown score follows the lowest score kept,
which is harmless as long as the characters of every kept piece are kept: a character without a piece has no rival.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

WORD_START = "▁"
ASCII = frozenset(map(chr, range(0x21, 0x7F)))


def pieces_of(definition: dict[str, Any]) -> list[str]:
    """The pieces in the order of their ids."""
    return [piece for piece, _ in definition["model"]["vocab"]]


def required_pieces(definition: dict[str, Any], characters: Iterable[str]) -> set[int]:
    """Ids that are kept whatever the target: special and added pieces, the unknown, the pieces of single `characters`."""
    special = {token["id"] for token in definition["added_tokens"]} | {definition["model"]["unk_id"]}
    alphabet = {*characters, WORD_START}
    return special | {i for i, piece in enumerate(pieces_of(definition)) if piece in alphabet}


def needed_characters(definition: dict[str, Any]) -> np.ndarray:
    """Pairs of ids, [pairs, 2]: each longer piece, and the one-character pieces of its characters."""
    pieces = pieces_of(definition)
    alone = {piece: i for i, piece in enumerate(pieces) if len(piece) == 1}
    pairs = [(i, alone[c]) for i, piece in enumerate(pieces) if len(piece) > 1 for c in set(piece) if c in alone]
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def trim_definition(definition: dict[str, Any], new_ids: dict[int, int]) -> dict[str, Any]:
    """The definition with the pieces of `new_ids` (old id to new id, in rising order) alone, renumbered throughout.

    The ids of the model, its unknown, the added tokens and the post-processor change; the normaliser and the
    pre-tokenizer stay; truncation and padding, which belong to whoever saved the file, go.
    """
    model = definition["model"]
    # Added tokens that are no pieces of the model have the ids after its pieces; they keep that place.
    vocabulary = [model["vocab"][old] for old in sorted(new_ids) if old < len(model["vocab"])]
    return {
        **definition,
        "truncation": None,
        "padding": None,
        "added_tokens": [{**token, "id": new_ids[token["id"]]} for token in definition["added_tokens"]],
        "post_processor": renumber_post_processor(definition["post_processor"], new_ids),
        "model": {**model, "unk_id": new_ids[model["unk_id"]], "vocab": vocabulary},
    }


def renumber_post_processor(processor: Any, new_ids: dict[int, int]) -> Any:
    """The post-processor with its special tokens' ids renumbered (template, BERT and RoBERTa kinds, and sequences)."""
    if processor is None:
        return None
    if processor["type"] == "Sequence":
        return {**processor, "processors": [renumber_post_processor(inner, new_ids) for inner in processor["processors"]]}
    if processor["type"] == "TemplateProcessing":
        tokens = {
            name: {**token, "ids": [new_ids[i] for i in token["ids"]]} for name, token in processor["special_tokens"].items()
        }
        return {**processor, "special_tokens": tokens}
    pairs = {key: [processor[key][0], new_ids[processor[key][1]]] for key in ("sep", "cls") if key in processor}
    return {**processor, **pairs}
