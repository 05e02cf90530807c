"""A task's sources go in; its rows, split and capped by the recipe's seed, come out in memory.

Every way in which they can be wrong (a missing column, a label that training lacks, too few rows)
is a UserError.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from distill.corpus.formats import Tally
from distill.corpus.sources import Record, cell, column_value, read_source
from distill.recipe import (
    ClassificationTask,
    FineTunedTask,
    MultilabelTask,
    OwnHeadTask,
    SimilarityTask,
    Source,
    TokensTask,
)
from distill.runtime.errors import UserError

T = TypeVar("T")

OUTSIDE = "O"


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A text, a pair, or a sentence of words, with its label: a class, several, a number, or a
    class a word.
    """

    text: str = ""
    text_pair: str | None = None
    words: tuple[str, ...] = ()
    label: str | float | tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Its classes; none of a number."""
        return (
            self.label
            if isinstance(self.label, tuple)
            else (self.label,)
            if isinstance(self.label, str)
            else ()
        )

    @property
    def content(self) -> tuple[Any, ...]:
        """What a model sees of it."""
        return self.text, self.text_pair, self.words


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskRows:
    """A task's rows by split, and what was met on the way."""

    train: list[Row]
    dev: list[Row]
    test: list[Row]
    classes: tuple[str, ...]
    """The rows' classes in order; none of a task of numbers."""
    left_out: dict[str, int]
    """Rows without a label that counts, by split."""
    test_in_train: int
    """Test rows whose text also stands in the training rows."""
    unlearnt: dict[str, list[str]] = field(default_factory=dict)
    """Classes of dev and test that the training rows lack, and that no model can learn."""
    tests: dict[str, range] = field(default_factory=dict)
    """Where there are several test sets, each one's place among the test rows; sets of the same
    rows share theirs.
    """

    @property
    def majority(self) -> str:
        """The training rows' most frequent class."""
        return Counter(name for row in self.train for name in row.names).most_common(1)[0][0]

    @property
    def scale(self) -> tuple[float, float]:
        """The least and greatest of the training rows' numbers."""
        numbers = [row.label for row in self.train if isinstance(row.label, float)]
        return min(numbers), max(numbers)

    @property
    def counts(self) -> dict[str, object]:
        """How many rows there are."""
        sizes = {"train": len(self.train), "dev": len(self.dev), "test": len(self.test)}
        return {
            **sizes,
            "classes": len(self.classes),
            "left_out": self.left_out,
            "test_in_train": self.test_in_train,
            **({"unlearnt": self.unlearnt} if self.unlearnt else {}),
        }


def read_task(task: FineTunedTask, seed: int) -> TaskRows:
    """The task's rows; dev is carved from train where there is none.

    Raises UserError if a column is missing, a split has no rows, or train has fewer than two
    classes.
    """
    left_out: dict[str, int] = {}
    splits = {"train": task.train, "dev": task.dev, "test": task.test}
    rows = {
        name: list(read_split(task, source, name, left_out).values())
        for name, source in splits.items()
        if source is not None
    }
    classes = find_classes(task, rows)
    unlearnt = find_unlearnt(rows)
    random = np.random.default_rng([seed, *task.name.encode()])
    if "dev" not in rows:
        rows["train"], rows["dev"] = carve_dev(rows["train"], task.dev_share, random)
        if not rows["train"]:
            raise UserError(
                f"evaluation task {task.name}: {task.train.location} has one row, too few to carve "
                "dev from."
            )
    for name, most in (("train", task.max_train), ("dev", task.max_dev), ("test", task.max_test)):
        rows[name] = cap_rows(rows[name], most, random)
    check_drawn(task, rows["train"])
    seen = {row.content for row in rows["train"]}
    return TaskRows(
        train=rows["train"],
        dev=rows["dev"],
        test=rows["test"],
        classes=classes,
        left_out=left_out,
        test_in_train=sum(row.content in seen for row in rows["test"]),
        unlearnt=unlearnt,
    )


def read_split(
    task: FineTunedTask,
    source: Source,
    split: str,
    left_out: dict[str, int],
    id_column: str | None = None,
) -> dict[str, Row]:
    """The rows that have a label that counts, in order, by their id or, without a column of ids,
    their number.

    How many have none is put into `left_out`. Raises UserError if all have none, or two rows one
    id.
    """
    rows: dict[str, Row] = {}
    absent = 0
    for number, record in enumerate(read_source(source, Tally())):
        name = column_value(record, id_column, source) if id_column else f"{number:09d}"
        if not name:
            raise UserError(
                f"evaluation task {task.name}: there is no column {id_column!r} in {record.origin}."
            )
        row = _read_row(task, record, source)
        if row is None:
            absent += 1
        elif name in rows:
            raise UserError(
                f"evaluation task {task.name}: two rows of {split} ({source.location}) have the id "
                f"{name}."
            )
        else:
            rows[name] = row
    left_out[split] = absent
    if not rows:
        raise UserError(
            f"evaluation task {task.name}: no row of {split} ({source.location}) has a label that "
            "counts."
        )
    return rows


def find_classes(task: FineTunedTask, rows: dict[str, list[Row]]) -> tuple[str, ...]:
    """The classes of the rows of every split; none of a task of numbers.

    A class that train lacks is among them: a model that cannot learn it misses it, and its score
    says so. Raises UserError if train has fewer than two.
    """
    return (
        _check_numbers(task, rows)
        if isinstance(task, SimilarityTask)
        else _known_classes(task, rows)
    )


def find_unlearnt(rows: dict[str, list[Row]]) -> dict[str, list[str]]:
    """The classes of other splits that train lacks, by split."""
    learnt = {name for row in rows["train"] for name in row.names}
    lacking = {
        split: sorted({name for row in part for name in row.names} - learnt)
        for split, part in rows.items()
    }
    return {split: names for split, names in lacking.items() if names}


def check_drawn(task: FineTunedTask, train: list[Row]) -> None:
    """Nothing if the training rows that were drawn can be learnt from. Raises UserError."""
    values = (
        {row.label for row in train}
        if isinstance(task, SimilarityTask)
        else {name for row in train for name in row.names}
    )
    if len(values) < 2:
        what = "number" if isinstance(task, SimilarityTask) else "class"
        raise UserError(
            f"evaluation task {task.name}: the {len(train)} training rows that were drawn have one "
            f"{what} in {task.label!r}, {next(iter(values))}; raise max_train."
        )


def carve_dev(
    rows: list[Row], share: float, random: np.random.Generator
) -> tuple[list[Row], list[Row]]:
    """The rows left to train on, and a drawn `share` of them, at least one, as dev; each in the
    order they had.
    """
    count = min(len(rows), max(1, round(share * len(rows))))
    drawn = set(random.permutation(len(rows))[:count].tolist())
    return [row for i, row in enumerate(rows) if i not in drawn], [
        row for i, row in enumerate(rows) if i in drawn
    ]


def cap_rows(rows: list[T], most: int | None, random: np.random.Generator) -> list[T]:
    """At most so many of the rows, drawn, in the order they had."""
    if most is None or len(rows) <= most:
        return rows
    return [rows[i] for i in sorted(random.permutation(len(rows))[:most].tolist())]


def class_name(value: object) -> str | None:
    """A label as text: 3.0 and 3 are one class; an absent one is None."""
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() else str(value)
    return None if value is None or value == "" else str(value)


def is_iob2(classes: Iterable[str]) -> bool:
    """Whether every class is O or begins or continues an entity."""
    return all(name == OUTSIDE or (name[:2] in ("B-", "I-") and len(name) > 2) for name in classes)


def _read_row(task: FineTunedTask, record: Record, source: Source) -> Row | None:
    """The row, or None if it has no label that counts."""
    label = cell(record, task.label, source)
    if isinstance(task, TokensTask):
        return _sentence(task, cell(record, task.words, source), label, record.origin)
    alone = isinstance(task, ClassificationTask | MultilabelTask)
    other = None if alone else task.text_pair or None  # type: ignore[union-attr]
    pair = None if other is None else column_value(record, other, source).strip()
    text = column_value(record, task.text, source).strip()
    if isinstance(task, MultilabelTask):
        names = _several(task, label, record.origin)
        return None if names is None else Row(text=text, label=names)
    if isinstance(label, list | tuple | dict):
        is_several = isinstance(task, ClassificationTask) and not isinstance(label, dict)
        raise UserError(
            f"evaluation task {task.name}: {task.label!r} holds {label!r:.40} in {record.origin}; "
            f"a text has one {'number' if isinstance(task, SimilarityTask) else 'class'}: "
            f"name a column with one{', or say kind: multilabel' if is_several else ''}."
        )
    name = class_name(label)
    if isinstance(task, SimilarityTask):
        return (
            None
            if name is None
            else Row(text=text, text_pair=pair, label=_number(task, label, record.origin))
        )
    name = _counted(task.labels, name)
    return None if name is None else Row(text=text, text_pair=pair, label=name)


def _counted(labels: list[str] | dict[str, str | None] | None, name: str | None) -> str | None:
    """What the recipe calls a class; None of one that does not count."""
    if name is None or labels is None:
        return name
    if isinstance(labels, dict):
        return labels.get(name)
    return name if name in labels else None


def _several(task: MultilabelTask, value: Any, origin: str) -> tuple[str, ...] | None:
    """A text's classes in order, each once; None where the label is null."""
    if class_name(value) is None:
        return None
    odd = not isinstance(value, list | tuple)
    if odd or any(isinstance(item, list | tuple | dict) for item in value):
        raise UserError(
            f"evaluation task {task.name}: multilabel needs a list of classes; {task.label!r} "
            f"holds {str(value)[:40]!r} in {origin}."
        )
    named = {_counted(task.labels, class_name(item)) for item in value}
    return tuple(sorted(name for name in named if name is not None))


def _number(task: SimilarityTask, value: Any, origin: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise UserError(
            f"evaluation task {task.name}: similarity needs numbers; {task.label!r} holds "
            f"{str(value)[:40]!r} in {origin}."
        )
    return number


def _sentence(task: TokensTask, words: Any, tags: Any, origin: str) -> Row | None:
    if not tags:
        return None
    lists = isinstance(words, list) and isinstance(tags, list)
    if not lists or len(words) != len(tags):
        lengths = f"{len(words)} and {len(tags)}" if lists else "something else"
        raise UserError(
            f"evaluation task {task.name}: {origin} should have a list of words in {task.words!r} "
            "and a list as long of "
            f"their classes in {task.label!r}; found {lengths}."
        )
    if odd := next((tag for tag in tags if isinstance(tag, list | tuple | dict)), None):
        raise UserError(
            f"evaluation task {task.name}: {task.label!r} holds {odd!r:.40} for a word in "
            f"{origin}; a word has one class."
        )
    names = [name for tag in tags if (name := class_name(tag)) is not None]
    if len(names) < len(tags):
        raise UserError(
            f"evaluation task {task.name}: {origin} has a word without a class in {task.label!r}."
        )
    renamed = task.labels or {}
    return Row(words=tuple(map(str, words)), label=tuple(renamed.get(name, name) for name in names))


def _check_numbers(task: SimilarityTask, rows: dict[str, list[Row]]) -> tuple[str, ...]:
    if len({row.label for row in rows["train"]}) < 2:
        raise UserError(
            f"evaluation task {task.name}: the training rows all have one number in {task.label!r}."
        )
    return ()


def _known_classes(task: FineTunedTask, rows: dict[str, list[Row]]) -> tuple[str, ...]:
    learnt = sorted({name for row in rows["train"] for name in row.names})
    if len(learnt) < 2:
        part = f"one class, {learnt[0]}" if learnt else "no class"
        raise UserError(
            f"evaluation task {task.name}: the training rows have {part}; two or more are needed."
        )
    classes = tuple(sorted({name for part in rows.values() for row in part for name in row.names}))
    check_entities(task, classes)
    return classes


def check_entities(task: FineTunedTask | OwnHeadTask, classes: Sequence[str]) -> None:
    """Nothing if entities can be told by the classes, where those are counted. Raises UserError."""
    if "entity_f1" in task.metrics and not is_iob2(classes):
        odd = next(name for name in classes if not is_iob2([name]))
        raise UserError(
            f"evaluation task {task.name}: entity_f1 needs IOB2 classes (O, B-PER, I-PER); found "
            f"{odd}."
        )
