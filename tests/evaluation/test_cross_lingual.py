from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.evaluation import evaluate as room
from distill.evaluation.cross_lingual import cross_lingual_scores, read_cross_lingual
from distill.evaluation.protocol import Measured
from distill.evaluation.scores import Reference
from distill.models import LoadedModel, load_with_tokenizer
from distill.recipe import ClassificationTask, EvaluationSection, TeacherSection
from distill.recipe.cross_lingual import ALL
from distill.report.results.evaluation import EvaluationResult
from distill.runtime.errors import Interrupted, UserError
from distill.runtime.runtime import Runtime
from tests.evaluation.conftest import StopsAfter, toy_records

LANGUAGES = ("en", "sv", "da")
SETTINGS = ("transfer", "translate_test", "translate_train", "translate_train_all")
Splits = dict[str, list[dict[str, Any]]]


def splits_in(language: str) -> Splits:
    """Rows whose text names their language and whose ids are the same in each, in another order."""
    splits = {
        "train": toy_records(48),
        "dev": toy_records(16, seed=1),
        "test": toy_records(24, seed=2),
    }
    for rows in splits.values():
        for number, row in enumerate(rows):
            row |= {"id": f"{number:02d}", "text": f"{row['text']} {language}"}
        rows.sort(key=lambda row: row["id"], reverse=language != "en")
    return splits


@pytest.fixture
def write_task(tmp_path: Path) -> Callable[..., ClassificationTask]:
    """Writes a task's rows in three languages, changed by `change(language, splits)`, and gives the
    task.
    """

    def write(
        change: Callable[[str, Splits], None] = lambda language, splits: None,
        cross_lingual: Any = None,
        **keys: Any,
    ) -> ClassificationTask:
        for language in LANGUAGES:
            splits = splits_in(language)
            change(language, splits)
            for split, rows in splits.items():
                path = tmp_path / "rows" / language / f"{split}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        sources = {
            name: {"path": str(tmp_path / "rows" / "{language}" / f"{name}.jsonl")}
            for name in ("train", "dev", "test")
        }
        section = {"languages": list(LANGUAGES), "id": "id", **(cross_lingual or {})}
        task = {
            "name": "toy",
            "kind": "classification",
            "metrics": ["accuracy", "mcc"],
            **sources,
            "cross_lingual": section,
        }
        return ClassificationTask.model_validate(
            {key: value for key, value in {**task, **keys}.items() if value is not None}
        )

    return write


def texts_of(rows: Any) -> list[str]:
    return [row.text for row in rows]


def test_each_setting_learns_from_what_it_says(
    write_task: Callable[..., ClassificationTask],
) -> None:
    found = read_cross_lingual(write_task(), seed=0).fine_tunes
    assert set(found) == {*LANGUAGES, ALL}
    for language in LANGUAGES:
        assert len(found[language].train) == 48
        assert all(
            text.endswith(language)
            for text in texts_of(found[language].train + found[language].dev)
        )
    assert len(found[ALL].train) == 3 * 48 and len(found[ALL].dev) == 3 * 16
    assert set(found["en"].tests) == {
        *LANGUAGES,
        *(f"{language}, translated" for language in LANGUAGES),
    }
    assert set(found["sv"].tests) == {"sv"} and set(found[ALL].tests) == set(LANGUAGES)


def test_transfer_alone_reads_no_other_languages_training_rows(
    write_task: Callable[..., ClassificationTask],
) -> None:
    task = write_task(cross_lingual={"settings": ["transfer"]})
    for language in ("sv", "da"):
        Path(task.train.in_language(language).filled_path).unlink()
    assert set(read_cross_lingual(task, seed=0).fine_tunes) == {"en"}
    assert [str(source.path) for source in task.sources if "train" in str(source.path)] == [
        task.train.in_language("en").path
    ]


def test_translations_are_the_source_languages_rows_of_the_same_ids(
    write_task: Callable[..., ClassificationTask],
) -> None:
    rows = read_cross_lingual(write_task(), seed=0).fine_tunes["en"]
    own, translated = rows.tests["en"], rows.tests["sv, translated"]
    assert translated == own, "rows that are the same are predicted once"
    assert len(rows.test) == 3 * 24


def test_translations_that_the_recipe_names_are_tested_with_the_labels_of_the_language(
    write_task: Callable[..., ClassificationTask], tmp_path: Path
) -> None:
    for language in ("sv", "da"):
        rows = [
            {"id": row["id"], "text": f"{language} {row['id']} in English", "label": "?"}
            for row in splits_in(language)["test"]
        ]
        (tmp_path / f"{language}-en.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
    translated = {"path": str(tmp_path / "{language}-en.jsonl")}
    found = read_cross_lingual(
        write_task(cross_lingual={"translated": translated}), seed=0
    ).fine_tunes["en"]
    places = found.tests["sv, translated"]
    test = found.test[places.start : places.stop]
    assert texts_of(test)[3] == "sv 03 in English"
    assert [row.label for row in test] == [
        row["label"] for row in sorted(splits_in("sv")["test"], key=lambda row: row["id"])
    ]
    assert found.tests["en, translated"] == found.tests["en"]


def test_without_ids_rows_of_the_same_number_are_translations(
    write_task: Callable[..., ClassificationTask],
) -> None:
    def in_order(language: str, splits: Splits) -> None:
        for rows in splits.values():
            rows.sort(key=lambda row: row["id"])

    rows = read_cross_lingual(write_task(in_order, {"id": None}), seed=0).fine_tunes["en"]
    assert rows.tests["sv, translated"] == rows.tests["en"]


def test_caps_and_carved_dev_keep_the_same_ids_in_every_language(
    write_task: Callable[..., ClassificationTask],
) -> None:
    def fewer_in_danish(language: str, splits: Splits) -> None:
        if language == "da":
            splits["train"] = [row for row in splits["train"] if row["id"] != "07"]

    task = write_task(fewer_in_danish, dev=None, max_train=20, max_test=10, dev_share=0.25)
    found = read_cross_lingual(task, seed=0).fine_tunes

    def stems(rows: Any) -> list[str]:
        return [text.rsplit(" ", 1)[0] for text in texts_of(rows)]

    assert stems(found["sv"].train) == stems(found["en"].train) and len(found["sv"].train) == 20
    assert stems(found["sv"].dev) == stems(found["en"].dev) and len(found["sv"].dev) == 12
    assert stems(found["sv"].test) == stems(found["en"].test[:10])
    # One row less moves one row at most, not the draw.
    assert len(set(stems(found["da"].train)) & set(stems(found["en"].train))) >= 18
    assert not set(stems(found["en"].dev)) & set(stems(found[ALL].train)), (
        "no translation of a dev row is learnt"
    )


def test_every_language_and_setting_is_tested_on_the_same_rows(
    write_task: Callable[..., ClassificationTask],
) -> None:
    found = read_cross_lingual(write_task(), seed=0).fine_tunes

    def tested(name: str, test: str) -> list[str]:
        places = found[name].tests[test]
        rows = found[name].test[places.start : places.stop]
        return [text.rsplit(" ", 1)[0] for text in texts_of(rows)]

    for name, test in (("en", "sv"), ("en", "da, translated"), ("sv", "sv"), (ALL, "da")):
        assert tested(name, test) == tested("en", "en")


@pytest.mark.parametrize(
    ("split", "change", "keys", "message"),
    [
        (
            "test",
            lambda rows: rows.append({**rows[0], "id": "99"}),
            {},
            "1 of the test rows in sv have no translation into en",
        ),
        (
            "test",
            lambda rows: rows.pop(),
            {"id": None},
            "sv has 23 test rows and 24 translations; say in cross_lingual.id",
        ),
        ("test", lambda rows: rows.append(rows[0]), {}, "two rows of test in sv"),
        ("train", lambda rows: rows[0].pop("id"), {}, "there is no column 'id'"),
    ],
)
def test_rows_that_are_wrong_in_one_language_are_named(
    write_task: Callable[..., ClassificationTask],
    split: str,
    change: Any,
    keys: dict[str, Any],
    message: str,
) -> None:
    task = write_task(
        lambda language, splits: change(splits[split]) if language == "sv" else None, keys
    )
    with pytest.raises(UserError) as caught:
        read_cross_lingual(task, seed=0)
    assert message in str(caught.value)


def test_a_class_that_one_languages_test_alone_has_is_told(
    write_task: Callable[..., ClassificationTask],
) -> None:
    def change(language: str, splits: dict[str, Any]) -> None:
        if language == "sv":
            splits["test"][0].update(label="båt")

    rows = read_cross_lingual(write_task(change), seed=0)
    assert rows.fine_tunes["en"].unlearnt["test in sv"] == ["båt"]


def test_the_average_over_languages_is_a_score_with_an_interval_over_seeds(
    write_task: Callable[..., ClassificationTask],
) -> None:
    task = write_task(
        cross_lingual={"settings": ["transfer", "translate_train"]}, metrics=["accuracy"]
    )

    rows = read_cross_lingual(task, seed=0)

    def measured(name: str, wrong: int, rate: float) -> Measured:
        """Fine-tunes of two seeds, of which the first is wrong in so many rows of each test set."""
        part = rows.fine_tunes[name]
        right = [str(row.label) for row in part.test]
        others = {one: part.classes[part.classes.index(one) - 1] for one in part.classes}
        misses = {at for places in part.tests.values() for at in places[:wrong]}
        first = [others[one] if at in misses else one for at, one in enumerate(right)]
        return Measured(
            predictions=[first, right],
            learning_rate=rate,
            rate_at_edge=False,
            dev=[0.5, 0.7],
            cut={},
            precision="float32",
            runtime="torch",
            threads=1,
            commit=None,
        )

    found = {
        "en": measured("en", 0, rate=1e-3),
        "sv": measured("sv", 6, rate=1e-3),
        "da": measured("da", 12, rate=1e-4),
    }
    of = Reference(name="student", seed=0)
    scores = {
        score.task: score for score in cross_lingual_scores(task, rows, {"student": found}, of)
    }
    average = scores["toy.translate_train"]
    assert average.scores == pytest.approx([0.75, 1.0]) and average.mean == pytest.approx(0.875)
    assert (average.base_task, average.setting, average.language) == (
        "toy",
        "translate_train",
        None,
    )
    assert average.low is not None and average.low < 0.875 and average.difference == 0.0
    assert average.learning_rate is None and scores["toy.transfer"].learning_rate == 1e-3
    assert (
        scores["toy.translate_train.sv"].scores == pytest.approx([0.75, 1.0])
        and scores["toy.translate_train.sv"].language == "sv"
    )
    assert scores["toy.translate_train.en"].scores == scores["toy.transfer.en"].scores
    assert list(scores) == task.reported


QUICK = {
    "seeds": 2,
    "learning_rates": [3e-3],
    "epochs": 1,
    "batch_size": 16,
    "max_length": 48,
    "precision": "float32",
}


@pytest.fixture
def evaluate(tiny_teacher: Path, tmp_path: Path) -> Callable[..., EvaluationResult]:
    """The stage with a quick protocol and the tiny teacher under every name of the run's own."""
    teacher = load_with_tokenizer(str(tiny_teacher))

    def load(name: str) -> LoadedModel:
        return load_with_tokenizer(name) if "/" in name else teacher

    def run(
        task: ClassificationTask, models: tuple[str, ...] = ("teacher",), **arguments: Any
    ) -> EvaluationResult:
        output = arguments.pop("output", tmp_path / "evaluation")
        output.mkdir(exist_ok=True)
        return room.evaluate_models(
            EvaluationSection.model_validate(
                {"models": models, "tasks": [task.model_dump(exclude_none=True)], **QUICK}
            ),
            teacher_section=TeacherSection(model="organisation/teacher"),
            output=output,
            **{"load": load, "runtime": Runtime(), **arguments},
        )

    return run


def test_a_fine_tune_serves_every_setting_that_learns_from_the_same(
    evaluate: Callable[..., EvaluationResult],
    write_task: Callable[..., ClassificationTask],
    tmp_path: Path,
) -> None:
    missing = str(tmp_path / "no" / "model")
    result = evaluate(write_task(), ("teacher", "student", missing))
    lines = (tmp_path / "evaluation" / "measured.jsonl").read_text(encoding="utf-8").splitlines()
    measured = [json.loads(line) for line in lines]
    assert len(measured) == 2 * 4 * 2, "of each model four fine-tunes, each with both seeds"
    scores = {(score.model, score.task, score.metric): score for score in result.scores}
    assert len(scores) == len(result.scores) == 3 * 4 * 4 * 2
    assert (
        scores["teacher", "toy.transfer.en", "mcc"].scores
        == scores["teacher", "toy.translate_train.en", "mcc"].scores
    )
    assert (
        scores["teacher", "toy.translate_test.da", "mcc"].scores
        == scores["teacher", "toy.transfer.en", "mcc"].scores
    )
    student = scores["student", "toy.translate_train_all", "accuracy"]
    assert (student.difference, student.difference_low) == (0.0, 0.0)
    absent = scores[missing, "toy.transfer.sv", "accuracy"]
    assert (absent.mean, absent.setting, absent.language) == (
        None,
        "transfer",
        "sv",
    ) and absent.reason
    assert result.rows == {"toy": 72}
    assert result.counts["toy from all languages"]["train"] == 144
    assert result.counts["toy from sv"]["cut"]["student"] == {"train": 0, "dev": 0, "test": 0}


def test_interrupted_it_goes_on_with_the_fine_tunes_that_are_missing(
    evaluate: Callable[..., EvaluationResult],
    write_task: Callable[..., ClassificationTask],
    tmp_path: Path,
) -> None:
    task = write_task()
    whole = evaluate(task, output=tmp_path / "whole")
    with pytest.raises(Interrupted):
        evaluate(task, runtime=Runtime(progress=StopsAfter(100 * 5.5 / 8)))
    measured = tmp_path / "evaluation" / "measured.jsonl"
    before = measured.read_text(encoding="utf-8")
    assert len(before.splitlines()) == 5
    resumed = StopsAfter(101)
    assert evaluate(task, runtime=Runtime(progress=resumed)) == whole
    assert measured.read_text(encoding="utf-8").startswith(before)
    assert (resumed.begun, resumed.ended) == pytest.approx((100 * 5 / 8, 100))
