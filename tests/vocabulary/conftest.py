"""What the vocabulary's tests share: the tiny teacher in memory, XLM-R's real tokenizer, and a
trimming by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from distill.models import LoadedModel, load_with_tokenizer
from distill.vocabulary.families import open_vocabulary
from tests.conftest import swedish_sentences

TRAPS = [
    "Kungen kom  ",
    "  Kungen",
    "Kungen \n kom\t",
    " <mask>",
    "Kungen <mask> kom",
    "kung<mask>en",
    "</s> Kungen <unk>",
    "",
    " ",
    "snö 🐟🚢 is",
    "👩‍👩‍👧",
    "ꙮ𐎀𐎁 ꙮ",
    "ko\u0308 ｋｏ\xa0ko\u2028ko\u200bko",
    "▁kung ▁",
    "fisk" * 300,
    "x" * 1000,
]
"""Texts on which tokenizers are easily wrong: outer and odd blanks, special tokens, unknown
characters, a very long word.
"""

# Pieces of words, and what white space, normalisation and special tokens can do between them.
_PARTS = [
    "kung",
    "en",
    "ar",
    "Å",
    "ö",
    "ﬁ",
    "１",
    "ꙮ",
    "🐟",
    "\u0308",
    "▁",
    "<mask>",
    "</s>",
    ".",
    "-",
]
_BLANKS = [
    " ",
    "  ",
    "\n",
    "\t",
    "\r\n",
    "\x0b",
    "\x0c",
    "\x1c",
    "\x1f",
    "\x85",
    "\xa0",
    "\u2009",
    "\u2028",
    "\u3000",
]
_ZERO_WIDTH = ["\u200b", "\u200c", "\u200d", "\u2060", "\ufeff"]
texts = st.lists(
    st.sampled_from(_PARTS + _BLANKS + _ZERO_WIDTH) | st.text(max_size=4), max_size=12
).map("".join)
"""Any text, most of it made of what is easily counted or segmented wrongly."""


@pytest.fixture(scope="session")
def teacher(tiny_teacher: Path) -> LoadedModel:
    """The tiny teacher; not to be modified."""
    return load_with_tokenizer(str(tiny_teacher))


@pytest.fixture(scope="session")
def xlmr_folder() -> Path:
    """The folder of the packaged teacher, whose tokenizer is XLM-R's own."""
    from distill.models.packaged import packaged_teacher

    return packaged_teacher("multilingual-e5-small")


@pytest.fixture(scope="session")
def xlmr(xlmr_folder: Path) -> PreTrainedTokenizerBase:
    """XLM-R's tokenizer as transformers loads it."""
    return AutoTokenizer.from_pretrained(xlmr_folder)


def definition_of(tokenizer: Tokenizer) -> dict[str, Any]:
    """A tokenizer's own description."""
    parsed: dict[str, Any] = json.loads(tokenizer.to_str())
    return parsed


def close(tokenizer: PreTrainedTokenizerBase, ids: Iterable[int]) -> set[int]:
    """The ids, what is always kept, and everything that these need."""
    vocabulary = open_vocabulary(tokenizer)
    kept = {*ids, *vocabulary.special}
    return kept | {int(needed) for _, needed in vocabulary.needs(kept - vocabulary.special)}


def pieces_used(tokenizer: PreTrainedTokenizerBase, texts: Iterable[str]) -> set[int]:
    """The ids that occur when the texts are segmented."""
    return {
        i
        for encoding in tokenizer.backend_tokenizer.encode_batch(list(texts))
        for i in encoding.ids
    }


SENTENCES = swedish_sentences(60, seed=5)
