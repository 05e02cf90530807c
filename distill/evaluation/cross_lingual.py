"""A task in several languages: its sources go in; the fine-tunes that its settings ask for, and
their scores, come out.

The settings are those of the literature on XNLI (Conneau et al. 2020, Table 1). Rows of one id are
translations of each other; what is drawn of them follows from the id, so that it is the same
sentences in every language.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from distill.evaluation.chance import chance_levels
from distill.evaluation.protocol import Measured
from distill.evaluation.resampling import Observed, average
from distill.evaluation.scores import Reference, no_score, score_models
from distill.evaluation.task_scores import observe_seeds
from distill.evaluation.tasks import Row, TaskRows, find_classes, find_unlearnt, read_split
from distill.recipe import CrossLingualSection, FineTunedTask
from distill.recipe.cross_lingual import ALL, Setting, score_name
from distill.report.results.evaluation import Score
from distill.runtime.errors import UserError

Rows = dict[str, Row]
"""Rows by id, in the order of the ids."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CrossLingualRows:
    """A task's rows, once for each thing that is learnt from."""

    fine_tunes: dict[str, TaskRows]
    """By the language learnt from, or all of them; with every test set that one of the settings
    wants of it.
    """
    test: int
    """Test rows of all languages."""


def read_cross_lingual(task: FineTunedTask, seed: int) -> CrossLingualRows:
    """The rows of the task's languages, as far as its settings want them.

    Raises UserError if a column or a translation is missing, a split has no rows, or classes
    differ.
    """
    reader = _Reader(task, seed)
    section = reader.section
    test_sets = {language: reader.read("test", language) for language in section.languages}
    tests = {language: reader.drawn(rows, task.max_test) for language, rows in test_sets.items()}
    wanted: dict[str, dict[str, list[Row]]] = {}
    for setting in section.settings:
        translated = reader.translations(test_sets, tests) if setting == "translate_test" else tests
        for language in section.languages:
            rows = list(translated[language].values())
            wanted.setdefault(section.learnt_from(setting, language), {})[
                test_name(setting, language)
            ] = rows
    learnt = {language: reader.learnt(language) for language in section.learnt}
    return CrossLingualRows(
        fine_tunes={
            name: _task_rows(
                task,
                [learnt[code] for code in (section.languages if name == ALL else [name])],
                languages,
                reader.left_out,
            )
            for name, languages in wanted.items()
        },
        test=sum(map(len, tests.values())),
    )


def test_name(setting: Setting, language: str) -> str:
    """What the test set of a language is called under a setting."""
    return f"{language}, translated" if setting == "translate_test" else language


def cross_lingual_scores(
    task: FineTunedTask,
    rows: CrossLingualRows,
    measurements: Mapping[str, Mapping[str, Measured]],
    of: Reference,
) -> list[Score]:
    """Each metric under each setting: every model's average over languages, and every language."""
    section = _section(task)
    scores: list[Score] = []
    for setting in section.settings:
        for metric in task.metrics:
            by_language = {
                language: {
                    model: _observe(task, rows, measured, setting, metric, language, of.seed)
                    for model, measured in measurements.items()
                }
                for language in section.languages
            }
            averages = {
                model: average([by_language[language][model] for language in section.languages])
                for model in measurements
            }
            of_all: list[tuple[str | None, dict[str, Observed]]] = [
                (None, averages),
                *by_language.items(),
            ]
            for language, observed in of_all:
                chance = fmean(
                    _chance(task, rows, setting, code, of.seed)[metric]
                    for code in (section.languages if language is None else [language])
                )
                name = score_name(task.name, setting, language)
                for score in score_models(name, metric, observed, of, chance):
                    rates = _rates(task, measurements[score.model], setting, language)
                    rate = rates.pop() if len(rates) == 1 else None
                    scores.append(
                        _placed(replace(score, learning_rate=rate), task, setting, language)
                    )
    order = {which: position for position, which in enumerate(_scored(task))}
    return sorted(scores, key=lambda score: order[score.setting, score.metric, score.language])  # type: ignore[index]


def _observe(
    task: FineTunedTask,
    rows: CrossLingualRows,
    measured: Mapping[str, Measured],
    setting: Setting,
    metric: str,
    language: str,
    seed: int,
) -> Observed:
    learnt_from = _section(task).learnt_from(setting, language)
    part = rows.fine_tunes[learnt_from]
    places = part.tests[test_name(setting, language)]
    return observe_seeds(task, metric, part, measured[learnt_from], places, seed)


def _chance(
    task: FineTunedTask, rows: CrossLingualRows, setting: Setting, language: str, seed: int
) -> dict[str, float]:
    part = rows.fine_tunes[_section(task).learnt_from(setting, language)]
    places = part.tests[test_name(setting, language)]
    test = part.test[places.start : places.stop]
    return chance_levels(task, test, part.majority if part.classes else None, seed)


def _rates(
    task: FineTunedTask,
    measured: Mapping[str, Measured],
    setting: Setting,
    language: str | None,
) -> set[float | None]:
    """The learning rates behind a score."""
    section = _section(task)
    languages = section.languages if language is None else [language]
    return {measured[section.learnt_from(setting, code)].learning_rate for code in languages}


def no_cross_lingual_scores(model: str, task: FineTunedTask, reason: str) -> list[Score]:
    """The same of a model that could not be measured, and why."""
    return [
        _placed(
            no_score(model, score_name(task.name, setting, language), metric, reason),
            task,
            setting,
            language,
        )
        for setting, metric, language in _scored(task)
    ]


def _scored(task: FineTunedTask) -> list[tuple[Setting, str, str | None]]:
    section = _section(task)
    return [
        (setting, metric, language)
        for setting in section.settings
        for language in (None, *section.languages)
        for metric in task.metrics
    ]


def _placed(score: Score, task: FineTunedTask, setting: Setting, language: str | None) -> Score:
    return replace(score, base_task=task.name, setting=setting, language=language)


def _section(task: FineTunedTask) -> CrossLingualSection:
    assert task.cross_lingual is not None
    return task.cross_lingual


class _Reader:
    """Reads a task's sources in one language after another."""

    def __init__(self, task: FineTunedTask, seed: int) -> None:
        self.task, self.seed, self.section = task, seed, _section(task)
        self.left_out: dict[str, int] = {}
        """Rows without a label that counts, by split and language."""

    def learnt(self, language: str) -> dict[str, Rows]:
        """Training and dev rows; dev is carved from train where there is none, of the same ids in
        every language.
        """
        task = self.task
        rows = {"train": self.read("train", language)}
        if task.dev is not None:
            rows["dev"] = self.read("dev", language)
        else:
            count = min(len(rows["train"]), max(1, round(task.dev_share * len(rows["train"]))))
            rows["dev"] = self.drawn(rows["train"], count)
            rows["train"] = {
                name: row for name, row in rows["train"].items() if name not in rows["dev"]
            }
            if not rows["train"]:
                location = task.train.in_language(language).location
                raise UserError(
                    f"evaluation task {task.name}: {location} has one row, too few to carve dev "
                    "from."
                )
        return {
            "train": self.drawn(rows["train"], task.max_train),
            "dev": self.drawn(rows["dev"], task.max_dev),
        }

    def translations(
        self, originals: Mapping[str, Rows], tests: Mapping[str, Rows]
    ) -> dict[str, Rows]:
        """The test rows in a translation into the source language, with the labels that they have
        in their own.

        `originals` has the rows that `tests` were drawn from.
        """
        section, source = self.section, self.section.source_language
        translated = {source: tests[source]}
        for language in section.foreign:
            other = (
                originals[source]
                if section.translated is None
                else self.read("translated", language)
            )
            if section.id is None and len(other) != len(originals[language]):
                raise UserError(
                    f"evaluation task {self.task.name}: {language} has "
                    f"{len(originals[language])} test rows and {len(other)} "
                    "translations; say in cross_lingual.id which column tells what "
                    "is a translation of what."
                )
            if lacking := sorted(tests[language].keys() - other.keys()):
                raise UserError(
                    f"evaluation task {self.task.name}: {len(lacking)} of the test rows in "
                    f"{language} have no translation "
                    f"into {source} (first: {lacking[0]})."
                )
            translated[language] = {
                name: replace(other[name], label=row.label) for name, row in tests[language].items()
            }
        return translated

    def read(self, split: str, language: str) -> Rows:
        """All rows of a split in a language."""
        task, section = self.task, self.section
        source = {
            "train": task.train,
            "dev": task.dev,
            "test": task.test,
            "translated": section.translated,
        }[split]
        assert source is not None
        rows = read_split(
            task, source.in_language(language), f"{split} in {language}", self.left_out, section.id
        )
        return dict(sorted(rows.items()))

    def drawn(self, rows: Rows, most: int | None) -> Rows:
        """At most so many rows, in the order they had: those whose ids the seed puts first."""
        if most is None or len(rows) <= most:
            return rows
        kept = set(sorted(rows, key=self._place)[:most])
        return {name: row for name, row in rows.items() if name in kept}

    def _place(self, name: str) -> bytes:
        return hashlib.sha256(f"{self.seed} {self.task.name} {name}".encode()).digest()


def _task_rows(
    task: FineTunedTask,
    learnt: Sequence[dict[str, Rows]],
    tests: Mapping[str, list[Row]],
    left_out: dict[str, int],
) -> TaskRows:
    """What one fine-tune learns from, and its test sets one after another, those of the same rows
    once.
    """
    train, dev = (
        [row for parts in learnt for row in parts[split].values()] for split in ("train", "dev")
    )
    splits = {"train": train, "dev": dev}
    splits |= {f"test in {name}": rows for name, rows in tests.items()}
    test: list[Row] = []
    places: dict[str, range] = {}
    for name, rows in tests.items():
        same = next((at for at in places.values() if test[at.start : at.stop] == rows), None)
        places[name] = same or range(len(test), len(test) + len(rows))
        test += [] if same else rows
    seen = {row.content for row in train}
    return TaskRows(
        train=train,
        dev=dev,
        test=test,
        classes=find_classes(task, splits),
        unlearnt=find_unlearnt(splits),
        left_out={split: count for split, count in left_out.items() if count},
        test_in_train=sum(row.content in seen for row in test),
        tests=places,
    )
