"""The corpus stage: a recipe's sources go in; train.jsonl and heldout.jsonl come out, a document a
line.

With the language filter foreign.jsonl holds the documents that it left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from random import Random
from typing import IO

from distill.corpus.cleaned import cleaned_records
from distill.corpus.cleaning import count_words, encodable
from distill.corpus.documents import write_row
from distill.corpus.formats import Tally
from distill.corpus.language import TELLING_CHARACTERS, LanguageIdentifier
from distill.corpus.overlap import Passages
from distill.corpus.sources import read_source
from distill.recipe import CorpusSection, Source
from distill.report.results.corpus import CorpusResult, SourceFigures
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress

LANGUAGE_SAMPLE = 200
"""The share of text in another language is that of so many documents."""
MIN_SURVIVING_SHARE = 0.02
"""Less than this share of the documents surviving means that the text is not what the recipe takes
it for.
"""


@dataclass
class _Documents:
    """What was met while the sources were read."""

    read: int = 0
    kept: int = 0
    words: int = 0
    bytes: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    sources: list[SourceFigures] = field(default_factory=list)
    groups: dict[int, set[int]] = field(default_factory=dict)
    """For each source the hashes of its documents' groups."""
    sample: list[tuple[str, str]] = field(default_factory=list)
    """Languages and beginnings of some documents, drawn evenly."""


def collect_corpus(
    section: CorpusSection,
    *,
    language: str | Sequence[str] | None,
    seed: int,
    output: Path,
    progress: Progress,
    without: Passages | None = None,
    workers: int = 1,
) -> CorpusResult:
    """Read, clean, de-duplicate and split the sources' documents into `output`.

    The split is by group (a film, a row), by hash: the same on every machine and in any order of
    files. `language` is the text's, or that of each source; some text of each is held out.
    Documents that share text with `without` are left out. Much text is cleaned by `workers`
    processes. Raises UserError if a source is
    wrong or almost nothing survives.
    """
    languages = (
        [language or ""] * len(section.sources)
        if language is None or isinstance(language, str)
        else language
    )
    identifiers = {code: LanguageIdentifier(code) for code in languages}
    for code, identifier in identifiers.items():
        if section.language_filter and not identifier.knows:
            raise UserError(
                f"corpus.language_filter: the language identifier doesn't know {code!r}; set it "
                "to false."
            )
    everything, left_out = output / "documents.jsonl", output / "foreign.jsonl"
    with (
        progress.task("corpus: reading", unit="documents") as task,
        everything.open("w", encoding="utf-8") as file,
        left_out.open("w", encoding="utf-8") as foreign,
    ):
        met = _read_documents(
            section,
            languages=languages,
            identifiers=identifiers,
            seed=seed,
            without=without,
            file=file,
            foreign=foreign,
            workers=workers,
            advance=task.advance,
        )
    if met.kept < 2 or met.kept < MIN_SURVIVING_SHARE * met.read:
        reasons = ", ".join(f"{count} {reason}" for reason, count in met.dropped.most_common())
        reasons = reasons or ("none was left out" if met.read else "none was read")
        raise UserError(
            f"corpus: {met.kept} of {met.read} documents survive cleaning "
            f"({reasons}); at least two, and "
            f"{MIN_SURVIVING_SHARE:.0%}, should: check the column, the language of the text, "
            "min_characters and min_letters."
        )
    kinds = [
        f"of pairs in {code}" if source.text_pair else f"in {code}"
        for source, code in zip(section.sources, languages, strict=True)
    ]
    heldout = split_documents(everything, _by_kind(met.groups, kinds), section.heldout, output)
    everything.unlink()
    if not section.language_filter:
        left_out.unlink()
    return CorpusResult(
        documents=met.kept,
        bytes=met.bytes,
        words=met.words,
        heldout_documents=heldout,
        dropped=dict(met.dropped),
        foreign_share=_foreign_share(met.sample, identifiers),
        sources=met.sources,
    )


def _read_documents(
    section: CorpusSection,
    *,
    languages: Sequence[str],
    identifiers: Mapping[str, LanguageIdentifier],
    seed: int,
    without: Passages | None,
    file: IO[str],
    foreign: IO[str],
    workers: int,
    advance: Callable[[int], None],
) -> _Documents:
    """Write what survives of the sources' documents to `file`, and to `foreign` what the language
    filter leaves out.
    """
    met = _Documents(groups={number: set() for number in range(len(languages))})
    draw, seen = Random(seed), set[int]()
    for number, source in enumerate(section.sources):
        tally, source_bytes = Tally(), 0
        identifier = identifiers[languages[number]]
        records = cleaned_records(
            read_source(source, tally), source, min_letters=section.min_letters, workers=workers
        )
        is_pair = bool(source.text_pair)
        for cleaned in records:
            met.read += 1
            advance(1)
            record, texts, identity = cleaned.record, cleaned.texts, cleaned.identity
            text = "\n".join(texts)
            if is_pair and not all(texts):
                met.dropped["half a pair"] += 1
                continue
            if len(text) < section.min_characters:
                met.dropped["too short" if text else "no letters"] += 1
                continue
            if identity in seen:
                met.dropped["duplicate"] += 1
                continue
            seen.add(identity)
            if without is not None and without.share_with(text):
                met.dropped["text of a task"] += 1
                continue
            row: dict[str, object] = {
                "id": record.origin,
                "text": text,
                "sentence_a_line": record.sentence_a_line,
                "source": number,
            }
            if section.language_filter and identifier.is_foreign(text):
                met.dropped["another language"] += 1
                write_row(foreign, row)
                continue
            _sample(met.sample, (languages[number], text[:TELLING_CHARACTERS]), met.kept, draw)
            group = _group_hash(record.group, seed)
            met.groups[number].add(group)
            size = len(text.encode())
            met.kept, met.words, met.bytes, source_bytes = (
                met.kept + 1,
                met.words + count_words(text),
                met.bytes + size,
                source_bytes + size,
            )
            row["group"] = group
            if cleaned.given != texts:
                row["uncleaned"] = encodable("\n".join(cleaned.given))
            if is_pair:
                row["first"] = len(texts[0])
            write_row(file, row)
            if source.max_bytes is not None and source_bytes >= source.max_bytes:
                break
        met.sources.append(_describe(source, source_bytes, tally))
    return met


def _by_kind(groups: Mapping[int, set[int]], kinds: Sequence[str]) -> list[tuple[str, set[int]]]:
    """For each source its kind, "in sv" or "of pairs in sv", and the groups of all text of that."""
    together: dict[str, set[int]] = {kind: set() for kind in kinds}
    for source, group in groups.items():
        together[kinds[source]] |= group
    return [(kind, together[kind]) for kind in kinds]


def split_documents(
    everything: Path, groups: Sequence[tuple[str, set[int]]], share: float, output: Path
) -> int:
    """Write train.jsonl and heldout.jsonl, this with the text before cleaning where that differs;
    how many documents were held out.

    `groups` are, for each source, its kind and the groups of all text of that. Of each kind the
    groups with the lowest hashes are held out, until `share` of its groups is reached: at least
    one, never all.
    """
    last: list[int] = []
    for kind, group in groups:
        ordered = sorted(group)
        if len(ordered) < 2:
            where = f" {kind}" if len({kind for kind, _ in groups}) > 1 else ""
            raise UserError(
                f"corpus: all text{where} is one document or file, so none can be held out; give "
                "it as several."
                if ordered
                else f"corpus: no document{where} survives cleaning; check its sources."
            )
        count = min(max(1, round(share * len(ordered))), len(ordered) - 1)
        last.append(ordered[count - 1])
    heldout = 0
    with (
        everything.open(encoding="utf-8") as file,
        (output / "train.jsonl").open("w", encoding="utf-8") as train,
        (output / "heldout.jsonl").open("w", encoding="utf-8") as held,
    ):
        for line in file:
            row = json.loads(line)
            is_heldout = row.pop("group") <= last[row["source"]]
            heldout += is_heldout
            if not is_heldout:
                row.pop("uncleaned", None)
            write_row(held if is_heldout else train, row)
    return heldout


def _foreign_share(
    sample: Sequence[tuple[str, str]], identifiers: Mapping[str, LanguageIdentifier]
) -> float | None:
    """Share of a sample of texts, each with its language, that are in another; None where the
    identifier knows none of them.
    """
    known = [(code, text) for code, text in sample if identifiers[code].knows]
    if not known:
        return None
    return sum(identifiers[code].is_foreign(text) for code, text in known) / len(known)


def _sample(
    sample: list[tuple[str, str]], text: tuple[str, str], before: int, draw: Random
) -> None:
    """Keep an even sample of the texts met so far, `before` ones before this (Vitter 1985,
    algorithm R).
    """
    if len(sample) < LANGUAGE_SAMPLE:
        sample.append(text)
    elif (slot := draw.randrange(before + 1)) < LANGUAGE_SAMPLE:
        sample[slot] = text


def _group_hash(group: str, seed: int) -> int:
    return int.from_bytes(blake2b(f"{seed}:{group}".encode(), digest_size=8).digest())


def _describe(source: Source, size: int, tally: Tally) -> SourceFigures:
    return SourceFigures(
        name=source.label,
        location=source.location,
        licence=source.licence,
        files=tally.files,
        rows=tally.rows,
        bytes=size,
        lines=tally.lines,
        invalid_utf8=tally.invalid_utf8,
        invalid_json=tally.invalid_json,
        first_invalid=tally.first_invalid,
    )
