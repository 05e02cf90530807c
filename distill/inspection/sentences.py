"""Parallel sentences: a file or a folder goes in; as many sentences of each language, in one order,
come out.

Every way in which they can be wrong (a missing column, an id twice, no id in common, one language)
leaves as a UserError.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from distill.corpus.formats import Tally, format_of
from distill.corpus.sources import Record, column_value, describe_source, read_source
from distill.recipe import InspectionSection, Source
from distill.runtime.errors import UserError
from distill.runtime.hashes import FileHashes

Texts = dict[str, dict[str, str]]
"""For each language the text of each id."""
LEAST = 4
"""Sentences without which centred kernel alignment has no unbiased estimate."""
MOST_VECTORS = 30_000
"""Their cosines take 3.6 GB, a few times over."""
_SPLIT = "test"
"""Of a language's folder with several files the one of this name is taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parallel:
    """Sentences in several languages."""

    languages: tuple[str, ...]
    ids: tuple[str, ...]
    texts: tuple[tuple[str, ...], ...]
    """[languages][ids]: a sentence and its translations stand at the same place of each."""

    def rows(self, prefix: str = "") -> list[str]:
        """All texts, language after language, with `prefix` in front."""
        return [prefix + text for texts in self.texts for text in texts]


def read_sentences(section: InspectionSection, kept: str | None, seed: int) -> Parallel:
    """The sentences of a recipe, with the language `kept` among them. Raises UserError if they are
    not as they should be.
    """
    parallel = read_parallel(
        section.sentences_path,
        id_column=section.id,
        text_column=section.text,
        language_column=section.language,
        languages=section.languages,
        most=section.max_sentences,
        seed=seed,
    )
    if kept is not None and kept not in parallel.languages:
        raise UserError(
            f"inspection.kept: {section.sentences} has no {kept}, the language that the students "
            "are made for; "
            f"its languages: {', '.join(parallel.languages)}."
        )
    if len(parallel.ids) * len(parallel.languages) > MOST_VECTORS:
        raise UserError(
            f"inspection.sentences: {len(parallel.ids):,} sentences in {len(parallel.languages)} "
            "languages are more than "
            f"{MOST_VECTORS:,} vectors, every two of which are compared; say "
            "inspection.max_sentences: "
            f"{MOST_VECTORS // len(parallel.languages)}, or name fewer inspection.languages."
        )
    return parallel


def read_parallel(
    path: Path,
    *,
    id_column: str = "id",
    text_column: str = "text",
    language_column: str = "language",
    languages: Sequence[str] | None = None,
    most: int | None = None,
    seed: int = 0,
) -> Parallel:
    """The sentences that every one of the languages has, in the order in which the first one has
    them.

    Of more than `most` as many are drawn by `seed`. Raises UserError if fewer than two languages,
    or than LEAST sentences, are left.
    """
    _check_there(path)
    aligned: Texts = {}
    for language, record, source in _rows(path, languages, language_column):
        text, key = (
            column_value(record, text_column, source).strip(),
            column_value(record, id_column, source).strip(),
        )
        of_language = aligned.setdefault(language, {})
        if key in of_language:
            raise UserError(
                f"inspection.sentences: {path} has the id {key} twice in {language}; an id says "
                "which rows are translations."
            )
        if text and key:
            of_language[key] = text
    chosen = _choose_languages(aligned, languages, path)
    ids = [
        key for key in aligned[chosen[0]] if all(key in aligned[language] for language in chosen)
    ]
    if len(ids) < LEAST:
        counts = ", ".join(f"{language} {len(aligned[language])}" for language in chosen)
        raise UserError(
            f"inspection.sentences: {path} has {len(ids)} of the ids in every language, and "
            f"{LEAST} are needed "
            f"(rows: {counts}); translations of a sentence share its id."
        )
    if most is not None and len(ids) > most:
        ids = [
            ids[i]
            for i in sorted(np.random.default_rng(seed).permutation(len(ids))[:most].tolist())
        ]
    return Parallel(
        languages=chosen,
        ids=tuple(ids),
        texts=tuple(tuple(aligned[language][key] for key in ids) for language in chosen),
    )


def describe_sentences(
    path: Path, languages: Sequence[str] | None, hashes: FileHashes
) -> dict[str, object]:
    """What identifies the sentences: for fingerprints. Raises UserError if there is no file."""
    _check_there(path)
    files = language_files(path) if path.is_dir() else {"": path}
    wanted = {
        name: file
        for name, file in files.items()
        if languages is None or name in languages or not name
    }
    return {name: describe_source(Source(path=str(file)), hashes) for name, file in wanted.items()}


def language_files(folder: Path) -> dict[str, Path]:
    """Each language's file in a folder of files or of folders. Raises UserError where it is not
    clear which that is.
    """
    files: dict[str, Path] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith("."):
            continue
        file = _file_of_language(entry) if entry.is_dir() else entry
        if file is None or format_of(file.name) is None:
            continue
        language = entry.name.split(".", 1)[0]
        if language in files:
            raise UserError(
                f"inspection.sentences: {folder} has two files of {language}, "
                f"{files[language].name} and {entry.name}."
            )
        files[language] = file
    return files


def _check_there(path: Path) -> None:
    if not path.exists():
        raise UserError(f"inspection.sentences: there is no file or folder {path}.")


def _rows(
    path: Path, languages: Sequence[str] | None, language_column: str
) -> Iterator[tuple[str, Record, Source]]:
    """Every row with its language."""
    if path.is_dir():
        for language, file in language_files(path).items():
            if languages is None or language in languages:
                source = Source(path=str(file))
                yield from ((language, record, source) for record in read_source(source, Tally()))
        return
    source = Source(path=str(path))
    for record in read_source(source, Tally()):
        language = column_value(record, language_column, source).strip()
        if language and (languages is None or language in languages):
            yield language, record, source


def _choose_languages(texts: Texts, languages: Sequence[str] | None, path: Path) -> tuple[str, ...]:
    missing = [language for language in languages or () if language not in texts]
    if missing:
        known = ", ".join(language_files(path) if path.is_dir() else texts) or "none of those"
        raise UserError(
            f"inspection.sentences: {path} has no {', '.join(missing)}; its languages: {known}."
        )
    chosen = tuple(languages or texts)
    if len(chosen) < 2:
        raise UserError(
            f"inspection.sentences: {path} has {', '.join(chosen) or 'no language'}; two languages "
            "at least are compared."
        )
    return chosen


def _file_of_language(folder: Path) -> Path | None:
    """The one file of a language's folder, or of several the test split; None if it has no file
    that can be read.
    """
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and format_of(file.name)]
    named = [file for file in files if file.name.split(".", 1)[0] == _SPLIT]
    if len(files) > 1 and len(named) != 1:
        raise UserError(
            f"inspection.sentences: {folder} has {len(files)} files; one is needed, or one called "
            f"{_SPLIT} ({_SPLIT}.jsonl.gz)."
        )
    return next(iter(named or files), None)
