"""One small tokenizer of each kind that trimming supports, trained on made-up Swedish and some
foreign text.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tokenizers import (
    Regex,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast, XLMTokenizer

from tests.conftest import swedish_sentences

TEXT = [
    *swedish_sentences(600),
    *[
        "the cat sat on the mat and looked at 1234 birds",
        "der Hund läuft über die Straße",
        "кошка сидит дома 🐟",
    ]
    * 20,
]
ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
BERT = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LLAMA = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| "
    r"?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _finish(
    tokenizer: Tokenizer, special: list[str], around: tuple[str, str]
) -> PreTrainedTokenizerFast:
    ids = {token: tokenizer.token_to_id(token) for token in special}
    first, last = around
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{first} $A {last}",
        pair=f"{first} $A {last} $B {last}",
        special_tokens=[(t, ids[t]) for t in set(around)],
    )
    names = {
        "pad": "pad",
        "unk": "unk",
        "mask": "mask",
        "s": "bos",
        "/s": "eos",
        "PAD": "pad",
        "UNK": "unk",
        "MASK": "mask",
    }
    roles = {
        f"{names[bare]}_token": token for token in special if (bare := token.strip("<>[]")) in names
    }
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, cls_token=first, sep_token=last, model_max_length=62, **roles
    )


def unigram(byte_fallback: bool = False, texts: Sequence[str] = TEXT) -> PreTrainedTokenizerBase:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme="always")
    special = [*ROBERTA, *(f"<0x{byte:02X}>" for byte in range(256) if byte_fallback)]
    tokenizer.train_from_iterator(
        texts,
        trainers.UnigramTrainer(
            vocab_size=len(special) + 500,
            special_tokens=special,
            unk_token="<unk>",
            show_progress=False,
        ),
    )
    definition = json.loads(tokenizer.to_str())
    definition["model"]["byte_fallback"] = byte_fallback
    definition["added_tokens"] = [
        token for token in definition["added_tokens"] if token["content"] in ROBERTA
    ]
    finished = Tokenizer.from_str(json.dumps(definition))
    steps = [decoders.ByteFallback()] if byte_fallback else []
    finished.decoder = decoders.Sequence(
        [*steps, decoders.Metaspace(replacement="▁", prepend_scheme="always")]
    )
    return _finish(finished, ROBERTA, ("<s>", "</s>"))


def _wordpiece(lowercase: bool) -> PreTrainedTokenizerBase:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.train_from_iterator(
        TEXT, trainers.WordPieceTrainer(vocab_size=600, special_tokens=BERT, show_progress=False)
    )
    return _finish(tokenizer, BERT, ("[CLS]", "[SEP]"))


def _byte_level(split: bool) -> PreTrainedTokenizerBase:
    """GPT-2's and ModernBERT's kind, or (`split`) Llama 3's and EuroBERT's, which takes whole words
    without merging.
    """
    tokenizer = Tokenizer(models.BPE(ignore_merges=split))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if split:
        steps = [
            pre_tokenizers.Split(Regex(LLAMA), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=BERT,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return _finish(tokenizer, BERT, ("[CLS]", "[SEP]"))


def _byte_fallback(prepend: bool = False) -> PreTrainedTokenizerBase:
    """Gemma's and mmBERT's kind: blanks are replaced and words not split; with `prepend` Llama
    2's.
    """
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    replace = normalizers.Replace(" ", "▁")
    tokenizer.normalizer = (
        normalizers.Sequence([normalizers.Prepend("▁"), replace]) if prepend else replace
    )
    # Trained on words, so that no piece runs over a blank; then used without a pre-tokenizer that
    # would know of them.
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    special = [*ROBERTA, *(f"<0x{byte:02X}>" for byte in range(256))]
    tokenizer.train_from_iterator(
        TEXT, trainers.BpeTrainer(vocab_size=900, special_tokens=special, show_progress=False)
    )
    definition = json.loads(tokenizer.to_str())
    definition["added_tokens"] = [
        token for token in definition["added_tokens"] if token["content"] in ROBERTA
    ]
    split = {
        "type": "Split",
        "pattern": {"String": " "},
        "behavior": "MergedWithPrevious",
        "invert": False,
    }
    definition["pre_tokenizer"] = None if prepend else split
    finished = Tokenizer.from_str(json.dumps(definition))
    finished.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    return _finish(finished, ROBERTA, ("<s>", "</s>"))


def _plain(continuing: str | None = None) -> PreTrainedTokenizerBase:
    """Words that end in a mark, or whose later pieces begin with one."""
    marks: dict[str, Any] = (
        {"continuing_subword_prefix": continuing} if continuing else {"end_of_word_suffix": "</w>"}
    )
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", **marks))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=ROBERTA, show_progress=False, **marks
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.decoder = (
        decoders.WordPiece(continuing) if continuing else decoders.BPEDecoder(suffix="</w>")
    )
    return _finish(tokenizer, ROBERTA, ("<s>", "</s>"))


def _xlm() -> PreTrainedTokenizerBase:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    special = ["<s>", "</s>", "<pad>", "<unk>", *(f"<special{i}>" for i in range(10))]
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=special, end_of_word_suffix="</w>", show_progress=False
    )
    tokenizer.train_from_iterator([text.lower() for text in TEXT], trainer)
    model = json.loads(tokenizer.to_str())["model"]
    with tempfile.TemporaryDirectory() as folder:
        vocab, merges = Path(folder) / "vocab.json", Path(folder) / "merges.txt"
        vocab.write_text(json.dumps(model["vocab"]), encoding="utf-8")
        merges.write_text(
            "".join(f"{left} {right} 1\n" for left, right in model["merges"]), encoding="utf-8"
        )
        return XLMTokenizer(
            str(vocab), str(merges), do_lowercase_and_remove_accent=False, model_max_length=62
        )


BUILDERS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "unigram": unigram,
    "unigram with byte fallback": lambda: unigram(byte_fallback=True),
    "wordpiece, cased": lambda: _wordpiece(lowercase=False),
    "wordpiece, uncased": lambda: _wordpiece(lowercase=True),
    "byte-level bpe": lambda: _byte_level(split=False),
    "byte-level bpe, whole words first": lambda: _byte_level(split=True),
    "bpe with byte fallback": _byte_fallback,
    "bpe with byte fallback, prepending": lambda: _byte_fallback(prepend=True),
    "bpe with ends of words": _plain,
    "bpe with continuations": lambda: _plain("##"),
    "xlm": _xlm,
}


@cache
def tokenizer_of(name: str) -> PreTrainedTokenizerBase:
    """The tokenizer of that kind; not to be modified."""
    return BUILDERS[name]()
