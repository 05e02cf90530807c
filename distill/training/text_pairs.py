"""Two texts as one input: pairs and a tokenizer go in; ids come out, and of which text each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_CHARACTERS = 40
"""No token stands for so many characters of text, save of rubbish."""


@dataclass(frozen=True, slots=True)
class EncodedPair:
    """What a model reads of a pair."""

    ids: list[int]
    types: list[int] | None
    """Of which text each token is, where the tokenizer says so."""
    is_cut: bool
    """Whether the end of a text was left out."""


@dataclass(frozen=True, slots=True)
class _Template:
    """The special ids around two texts, and the types of all."""

    before: list[int]
    between: list[int]
    after: list[int]
    types: tuple[list[int], int, list[int], int, list[int]] | None
    """Before, of the first text, between, of the second, after."""


def encode_pairs(
    firsts: Sequence[str],
    seconds: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    longest: int,
) -> list[EncodedPair]:
    """The pairs as the tokenizer encodes them, cut to `longest` tokens as its `longest_first` does.

    Each text is encoded by itself: a tokenizer that cuts pairs makes every combination of the parts
    that it leaves out.
    """
    template = _template(tokenizer)
    room = longest - len(template.before) - len(template.between) - len(template.after)
    sides = [
        tokenizer(
            [text[: longest * _CHARACTERS] for text in side],
            add_special_tokens=False,
            verbose=False,
        )["input_ids"]
        for side in (firsts, seconds)
    ]
    return [_joined(first, second, template, room) for first, second in zip(*sides, strict=True)]


def tells_texts_apart(tokenizer: PreTrainedTokenizerBase) -> bool:
    """Whether the tokenizer says of which text of a pair a token is."""
    types = _template(tokenizer).types
    return types is not None and types[1] != types[3]


def _joined(first: list[int], second: list[int], template: _Template, room: int) -> EncodedPair:
    kept = _lengths(len(first), len(second), room)
    one, other = first[: kept[0]], second[: kept[1]]
    types = None
    if template.types is not None:
        before, of_first, between, of_second, after = template.types
        types = [
            *before,
            *[of_first] * len(one),
            *between,
            *[of_second] * len(other),
            *after,
        ]
    return EncodedPair(
        ids=[*template.before, *one, *template.between, *other, *template.after],
        types=types,
        is_cut=kept != (len(first), len(second)),
    )


def _lengths(first: int, second: int, room: int) -> tuple[int, int]:
    """How much of each text stays: the longer one is cut first, both to half of the room at
    most.
    """
    if first + second <= room:
        return first, second
    short, long = sorted((first, second))
    long = max(short, room - short)
    if short + long > room:
        short, long = room // 2, room // 2 + room % 2
    return (long, short) if first > second else (short, long)


def _template(tokenizer: PreTrainedTokenizerBase) -> _Template:
    bare = tokenizer("a", add_special_tokens=False)["input_ids"]
    encoded = tokenizer("a", "a")
    ids, size = encoded["input_ids"], len(bare)
    starts = [at for at in range(len(ids)) if ids[at : at + size] == bare]
    first, last = starts[0], starts[-1]
    parts = (slice(0, first), slice(first + size, last), slice(last + size, len(ids)))
    types = encoded.get("token_type_ids")
    before, between, after = (ids[part] for part in parts)
    return _Template(
        before,
        between,
        after,
        None
        if types is None
        else (types[parts[0]], types[first], types[parts[1]], types[last], types[parts[2]]),
    )
