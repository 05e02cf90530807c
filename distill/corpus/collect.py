"""The corpus stage: a recipe's sources go in; train.jsonl and heldout.jsonl come out, a document a
line.

With the language filter foreign.jsonl holds the documents that it left out.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from random import Random

from distill.corpus.cleaning import clean_text, content_hash, encodable
from distill.corpus.formats import Tally
from distill.corpus.language import LanguageIdentifier
from distill.corpus.overlap import Passages
from distill.corpus.sources import column_value, read_source
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


def collect_corpus(
    section: CorpusSection,
    *,
    language: str | Sequence[str] | None,
    seed: int,
    output: Path,
    progress: Progress,
    without: Passages | None = None,
) -> CorpusResult:
    """Read, clean, de-duplicate and split the sources' documents into `output`.

    The split is by group (a film, a row), by hash: the same on every machine and in any order of
    files. `language` is the text's, or that of each source; some text of each is held out.
    Documents that share text with `without` are left out. Raises UserError if a source is
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
    dropped: Counter[str] = Counter()
    sample: list[tuple[str, str]] = []
    draw = Random(seed)
    sources: list[SourceFigures] = []
    seen: set[int] = set()
    groups: dict[int, set[int]] = {number: set() for number in range(len(languages))}
    words = size = kept = read = 0
    everything, left_out = output / "documents.jsonl", output / "foreign.jsonl"
    with (
        progress.task("corpus: reading", unit="documents") as task,
        everything.open("w", encoding="utf-8") as file,
        left_out.open("w", encoding="utf-8") as foreign,
    ):
        for number, source in enumerate(section.sources):
            tally, source_bytes = Tally(), 0
            identifier = identifiers[languages[number]]
            for record in read_source(source, tally):
                read += 1
                task.advance(1)
                given = column_value(record, source.column, source)
                text = clean_text(given, min_letters=section.min_letters)
                if len(text) < section.min_characters:
                    dropped["too short" if text else "no letters"] += 1
                    continue
                identity = content_hash(text)
                if identity in seen:
                    dropped["duplicate"] += 1
                    continue
                seen.add(identity)
                if without is not None and without.share_with(text):
                    dropped["text of a task"] += 1
                    continue
                row = {
                    "id": record.origin,
                    "text": text,
                    "sentence_a_line": record.sentence_a_line,
                    "source": number,
                }
                if section.language_filter and identifier.is_foreign(text):
                    dropped["another language"] += 1
                    foreign.write(json.dumps(row, ensure_ascii=False) + "\n")
                    continue
                _sample(sample, (languages[number], text), kept, draw)
                group = _group_hash(record.group, seed)
                groups[number].add(group)
                encoded = len(text.encode())
                kept, words, size, source_bytes = (
                    kept + 1,
                    words + len(text.split()),
                    size + encoded,
                    source_bytes + encoded,
                )
                row |= {"group": group} | ({} if given == text else {"uncleaned": given})
                # In ASCII, since text that is not cleaned may have lone surrogates.
                file.write(json.dumps(row) + "\n")
                if source.max_bytes is not None and source_bytes >= source.max_bytes:
                    break
            sources.append(_describe(source, source_bytes, tally))
    if kept < 2 or kept < MIN_SURVIVING_SHARE * read:
        reasons = ", ".join(f"{count} {reason}" for reason, count in dropped.most_common())
        raise UserError(
            f"corpus: {kept} of {read} documents survive cleaning ({reasons or 'none was read'}); "
            "at least two, and "
            f"{MIN_SURVIVING_SHARE:.0%}, should: check the column, the language of the text, "
            "min_characters and min_letters."
        )
    heldout = split_documents(everything, _by_language(groups, languages), section.heldout, output)
    everything.unlink()
    if not section.language_filter:
        left_out.unlink()
    return CorpusResult(
        documents=kept,
        bytes=size,
        words=words,
        heldout_documents=heldout,
        dropped=dict(dropped),
        foreign_share=_foreign_share(sample, identifiers),
        sources=sources,
    )


def _by_language(
    groups: Mapping[int, set[int]], languages: Sequence[str]
) -> list[tuple[str, set[int]]]:
    """For each source its language, and the groups of all text in that."""
    together: dict[str, set[int]] = {code: set() for code in languages}
    for source, group in groups.items():
        together[languages[source]] |= group
    return [(code, together[code]) for code in languages]


def split_documents(
    everything: Path, groups: Sequence[tuple[str, set[int]]], share: float, output: Path
) -> int:
    """Write train.jsonl and heldout.jsonl, this with the text before cleaning where that differs;
    how many documents were held out.

    `groups` are, for each source, its language and the groups of all text in that. Of each language
    the groups with the lowest hashes are held out, until `share` of its groups is reached: at least
    one, never all.
    """
    last: list[int] = []
    for language, group in groups:
        ordered = sorted(group)
        if len(ordered) < 2:
            where = f" in {language}" if len({code for code, _ in groups}) > 1 else ""
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
            uncleaned = row.pop("uncleaned", None)
            if row.pop("group") > last[row["source"]]:
                train.write(json.dumps(row, ensure_ascii=False) + "\n")
                continue
            heldout += 1
            if uncleaned is not None:
                row["uncleaned"] = encodable(uncleaned)
            held.write(json.dumps(row, ensure_ascii=False) + "\n")
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
