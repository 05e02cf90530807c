from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, strategies as st
from pydantic import TypeAdapter

from distill.evaluation.retrieval import read_retrieval_rows
from distill.evaluation.scoring import measure
from distill.evaluation.tasks import (
    Row,
    TaskRows,
    cap_rows,
    carve_dev,
    class_name,
    is_iob2,
    read_task,
)
from distill.recipe import FineTunedTask, MaskedTask, RetrievalTask
from distill.recipe.reading import load_recipe
from distill.recipe.tasks import TaskByKind
from distill.runtime.errors import UserError
from tests.conftest import missing_packages

Write = Callable[..., dict[str, str]]
Read = Callable[..., TaskRows]
CLASSES = [{"text": f"text {i}", "label": label} for i, label in enumerate("abab")]
NUMBERS = [{"text1": f"a {i}", "text2": f"b {i}", "label": i / 2} for i in range(4)]
WORDS = [
    {"tokens": ["Anna", "bor", "här"], "tags": ["B-PER", "O", "O"]},
    {"tokens": ["Ja"], "tags": ["O"]},
]


def task_of(**keys: Any) -> Any:
    return TypeAdapter(TaskByKind).validate_python(
        {"name": "task", "kind": "classification", **keys}
    )


@pytest.fixture
def read(write_rows: Write) -> Read:
    """Reads a task whose splits are the rows given."""

    def run(
        train: list[Any], test: list[Any], dev: list[Any] | None = None, seed: int = 0, **keys: Any
    ) -> TaskRows:
        splits = {"train": write_rows(train, "train"), "test": write_rows(test, "test")}
        return read_task(
            task_of(
                **splits, **({"dev": write_rows(dev, "dev")} if dev is not None else {}), **keys
            ),
            seed,
        )

    return run


def test_classes_are_those_of_the_training_rows_in_order(read: Read) -> None:
    rows = read([{"text": "x", "label": "z"}, *CLASSES], CLASSES[:1], CLASSES[1:2])
    assert rows.classes == ("a", "b", "z")
    assert rows.test == [Row(text="text 0", label="a")]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (3.0, "3"),
        (3, "3"),
        (2.5, "2.5"),
        ("x", "x"),
        (None, None),
        ("", None),
        (float("nan"), None),
        (0, "0"),
    ],
)
def test_a_label_is_one_class_however_it_is_written(value: object, name: str | None) -> None:
    assert class_name(value) == name


def test_a_row_whose_label_is_null_is_left_out_and_counted(read: Read) -> None:
    nothing = {"text": "x", "label": None}
    rows = read([nothing, *CLASSES, nothing], [*CLASSES, nothing], CLASSES)
    assert (len(rows.train), len(rows.test)) == (4, 4)
    assert rows.left_out == {"train": 2, "dev": 0, "test": 1}


def test_a_list_of_labels_says_which_count(read: Read) -> None:
    rows = read([*CLASSES, {"text": "x", "label": "other"}], CLASSES, CLASSES, labels=["a", "b"])
    assert rows.classes == ("a", "b") and rows.left_out["train"] == 1


def test_a_mapping_of_labels_renames_those_that_count(read: Read) -> None:
    records = [{"text": str(i), "label": i} for i in (1.0, 2.0, 3.0, 4.0)]
    rows = read(records, records, records, labels={1: "low", 2: "low", 4: "high", 3: None})
    assert [row.label for row in rows.test] == ["low", "low", "high"]
    assert rows.left_out["test"] == 1


def test_pairs_keep_both_texts(read: Read) -> None:
    records = [{"a": " one ", "b": "two", "label": label} for label in "xy"]
    rows = read(records, records, records, kind="pair_classification", text="a", text_pair="b")
    assert rows.test[0] == Row(text="one", text_pair="two", label="x")


def test_a_number_can_be_of_one_text(read: Read) -> None:
    rows = read(NUMBERS, NUMBERS[:2], NUMBERS, kind="similarity", text="text1", text_pair=None)
    assert [row.text for row in rows.train] == [record["text1"] for record in NUMBERS]
    assert {row.text_pair for row in [*rows.train, *rows.dev, *rows.test]} == {None}
    assert all(isinstance(row.label, float) for row in rows.train)


def test_similarity_reads_numbers_and_their_scale(read: Read) -> None:
    rows = read(NUMBERS, NUMBERS[:2], NUMBERS, kind="similarity")
    assert rows.test[1] == Row(text="a 1", text_pair="b 1", label=0.5)
    assert rows.scale == (0.0, 1.5) and rows.classes == ()


def test_words_keep_a_class_each_under_the_name_the_recipe_gives_it(read: Read) -> None:
    keys = {"kind": "tokens", "metrics": ["entity_f1"]}
    rows = read(WORDS, WORDS, WORDS, **keys, labels={"B-PER": "B-NAME"})
    assert rows.test[0] == Row(words=("Anna", "bor", "här"), label=("B-NAME", "O", "O"))
    assert rows.classes == ("B-NAME", "O") and rows.majority == "O"


def test_test_rows_that_stand_in_training_are_counted(read: Read) -> None:
    assert read(CLASSES, [CLASSES[0], {"text": "new", "label": "a"}], CLASSES).test_in_train == 1


MISTAKES: list[tuple[dict[str, Any], str]] = [
    (
        {"train": CLASSES, "test": CLASSES, "label": "klass"},
        r"no column 'klass' in train.jsonl, row 1; its columns: label, text",
    ),
    ({"train": CLASSES, "test": CLASSES, "text": "txt"}, "no column 'txt'"),
    (
        {"train": CLASSES[:1] * 5, "test": CLASSES[:1]},
        "the training rows have one class, a; two or more are needed",
    ),
    ({"train": [], "test": CLASSES}, "train.jsonl: it is empty"),
    (
        {"train": CLASSES, "test": [{"text": "x", "label": None}]},
        "no row of test .* has a label that counts",
    ),
    (
        {"train": CLASSES, "test": CLASSES, "labels": ["x"]},
        "no row of train .* has a label that counts",
    ),
    (
        {"kind": "similarity", "train": NUMBERS, "test": [NUMBERS[0] | {"label": "much"}]},
        "needs numbers; 'label' holds 'much'",
    ),
    (
        {"kind": "similarity", "train": NUMBERS[:1] * 3, "test": NUMBERS},
        "all have one number in 'label'",
    ),
    (
        {"kind": "tokens", "train": WORDS, "test": [WORDS[0] | {"tags": ["O"]}]},
        "as long of their classes in 'tags'; found 3 and 1",
    ),
    (
        {"kind": "tokens", "train": WORDS, "test": [WORDS[0] | {"tags": "O O O"}]},
        "should have a list of words in 'tokens'",
    ),
    (
        {"kind": "tokens", "train": WORDS, "test": [WORDS[1] | {"tags": [None]}]},
        "has a word without a class in 'tags'",
    ),
    (
        {
            "kind": "tokens",
            "train": WORDS,
            "test": WORDS,
            "labels": {"O": "X"},
            "metrics": ["entity_f1"],
        },
        "IOB2 .*; found X",
    ),
]


@pytest.mark.parametrize(("keys", "told"), MISTAKES, ids=[told[:30] for _, told in MISTAKES])
def test_a_mistake_is_one_sentence_about_it(read: Read, keys: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told) as caught:
        read(**keys)
    assert "\n" not in str(caught.value)


@given(st.integers(2, 200), st.floats(0.01, 0.99), st.integers(0, 2**32 - 1))
def test_dev_is_carved_from_train_without_overlap_and_none_is_lost(
    count: int, share: float, seed: int
) -> None:
    rows = [Row(text=str(i), label="a") for i in range(count)]
    train, dev = carve_dev(rows, share, np.random.default_rng(seed))
    assert sorted(train + dev, key=lambda row: int(row.text)) == rows
    assert len(dev) == min(count, max(1, round(share * count)))


def test_dev_is_carved_by_the_recipes_seed(read: Read) -> None:
    many = [{"text": str(i), "label": "ab"[i % 2]} for i in range(100)]
    first, again, other = (read(many, CLASSES, seed=seed, dev_share=0.2) for seed in (0, 0, 1))
    assert len(first.dev) == 20 and first == again and first.dev != other.dev


def test_caps_draw_rows_by_seed_and_keep_their_order(read: Read) -> None:
    many = [{"text": str(i), "label": "ab"[i % 2]} for i in range(100)]
    rows = read(many, many, many, max_train=30, max_test=10, max_dev=5)
    assert (len(rows.train), len(rows.dev), len(rows.test)) == (30, 5, 10)
    numbers = [int(row.text) for row in rows.train]
    assert numbers == sorted(numbers) != list(range(30))


@given(st.lists(st.integers()), st.integers(1, 20))
def test_a_cap_keeps_at_most_so_many_of_the_rows(rows: list[int], most: int) -> None:
    kept = cap_rows(rows, most, np.random.default_rng(0))
    assert len(kept) == min(len(rows), most)
    assert set(kept) <= set(rows)


@pytest.mark.parametrize(
    ("names", "is_one"), [(["O", "B-PER", "I-PER"], True), (["NOUN"], False), (["B-"], False)]
)
def test_iob2_is_told_by_its_prefixes(names: list[str], is_one: bool) -> None:
    assert is_iob2(names) == is_one


@pytest.mark.skipif(
    "DISTILL_DATA" not in os.environ,
    reason="DISTILL_DATA does not name the folder of the labelled sets",
)
def test_a_bag_of_words_scores_on_interpellations_what_others_measured() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    folder = Path(os.environ["DISTILL_DATA"]) / "sv" / "tasks" / "riksdag_interpellations"
    splits = {
        split: {"path": str(folder / f"{split}.jsonl.gz")} for split in ("train", "dev", "test")
    }
    task: FineTunedTask = task_of(**splits, text="text_masked", label="area")
    rows = read_task(task, seed=0)
    assert rows.left_out["test"] > 0 and len(rows.classes) == 12
    vectors = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
    model = LinearSVC().fit(
        vectors.fit_transform([row.text for row in rows.train]), [row.label for row in rows.train]
    )
    predictions = [
        str(name) for name in model.predict(vectors.transform([row.text for row in rows.test]))
    ]
    assert measure(task, rows.test, predictions)["macro_f1"] == pytest.approx(0.77, abs=0.02)


@pytest.mark.skipif(
    "DISTILL_DATA" not in os.environ,
    reason="DISTILL_DATA does not name the folder of the labelled sets",
)
@pytest.mark.parametrize("name", ["swedish-small", "swedish-riksdag"])
def test_the_tasks_of_recipes_that_ship_have_rows(name: str) -> None:
    section = load_recipe(name).recipe.evaluation
    counts = {}
    for task in section.tasks:
        if isinstance(task, RetrievalTask):
            if missing_packages(*(source.package for source in task.sources if source.package)):
                continue
            counts[task.name] = {"test": len(read_retrieval_rows(task).queries)}
        else:
            assert not isinstance(task, MaskedTask)
            counts[task.name] = read_task(task, seed=0).counts
    assert len(counts) >= len(section.tasks) - 1 and all(
        found["test"] >= 200 for found in counts.values()
    )
    assert counts["area"]["classes"] == 12 and counts["area"]["left_out"]["test"] > 0
    if name == "swedish-riksdag":
        assert counts["party"]["classes"] == 8 and counts["acceptability"]["classes"] == 2
        # The entities' set has no dev rows of its own: a tenth of its 6,885 training rows stands
        # in.
        assert (counts["ner"]["train"], counts["ner"]["dev"], counts["ner"]["classes"]) == (
            6197,
            688,
            9,
        )


SEVERAL = [
    {"text": "x", "labels": ["b", "a", "b"]},
    {"text": "y", "labels": []},
    {"text": "z", "labels": None},
    {"text": "w", "labels": [3, "a"]},
]


def test_a_list_as_a_label_is_refused_by_name_with_the_kind_that_takes_it(read: Read) -> None:
    rows = [{"text": "a", "label": ["a", "b"]}, {"text": "b", "label": ["a"]}]
    says = r"'label' holds \['a', 'b'\] in .*row 1; a text has one.* or say kind: multilabel"
    with pytest.raises(UserError, match=says):
        read(train=rows, dev=rows, test=rows)


def test_a_text_may_have_several_classes_or_none_and_null_leaves_it_out(read: Read) -> None:
    rows = read(SEVERAL, SEVERAL, SEVERAL, kind="multilabel")
    assert [row.label for row in rows.test] == [("a", "b"), (), ("3", "a")]
    assert rows.classes == ("3", "a", "b") and rows.left_out["test"] == 1


def test_classes_that_do_not_count_are_taken_out_of_their_rows(read: Read) -> None:
    renamed = read(SEVERAL, SEVERAL, SEVERAL, kind="multilabel", labels={"a": "A", "3": "C"})
    assert [row.label for row in renamed.test] == [("A",), (), ("A", "C")]


@pytest.mark.parametrize("label", ["a", {"a": 1}, [["a"]]])
def test_several_classes_want_a_list(read: Read, label: Any) -> None:
    rows = [*SEVERAL, {"text": "v", "labels": label}]
    with pytest.raises(UserError, match=r"multilabel needs a list of classes; 'labels' holds"):
        read(rows, rows, rows, kind="multilabel")


def test_a_class_that_training_lacks_counts_and_is_told(read: Read) -> None:
    rows = read(CLASSES, [*CLASSES, {"text": "x", "label": "c"}], CLASSES)
    assert rows.classes == ("a", "b", "c")
    assert rows.unlearnt == {"test": ["c"]} == rows.counts["unlearnt"]


def test_training_rows_that_were_drawn_with_one_number_alone_are_refused(read: Read) -> None:
    rows = [{"text1": f"a {i}", "text2": "b", "label": 1.0} for i in range(200)]
    rows.append({"text1": "c", "text2": "d", "label": 2.0})
    with pytest.raises(
        UserError, match=r"the 4 training rows .* one number in 'label', 1.0; raise"
    ):
        read(
            train=rows,
            dev=rows,
            test=rows,
            kind="similarity",
            text="text1",
            text_pair="text2",
            max_train=4,
        )
