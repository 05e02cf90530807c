from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from distill.evaluation import tfidf
from distill.evaluation.draws import draw_for
from distill.evaluation.evaluate import evaluate_models
from distill.evaluation.retrieval import RetrievalRows
from distill.recipe import ClassificationTask, RetrievalTask, TeacherSection
from distill.report.results.evaluation import Score
from distill.runtime.runtime import Runtime
from tests.evaluation.conftest import PAIRS, quick_section, toy_records, toy_rows

TASK = ClassificationTask.model_validate(
    {
        "name": "toy",
        "kind": "classification",
        "train": {"path": "rows.jsonl"},
        "test": {"path": "rows.jsonl"},
        "metrics": ["accuracy"],
    }
)
PASSAGES = ["fisk och skepp", "ett skepp i hamn", "en fisk i havet", "en ö"]


def scores_of(tasks: list[Any], load: Any, output: Path, models: list[str]) -> list[Score]:
    output.mkdir(exist_ok=True)
    return evaluate_models(
        quick_section(models=models, tasks=tasks),
        load=load,
        teacher_section=TeacherSection(model="teacher"),
        output=output,
        runtime=Runtime(),
    ).scores


def no_model(name: str) -> Any:
    raise AssertionError(f"{name} was loaded")


def test_it_learns_which_word_tells_the_class() -> None:
    rows = toy_rows(train=128)
    found = tfidf.measured_of(tfidf.classify(TASK, rows, quick_section(), 0), rows, 3)
    assert found.predictions == [[row.label for row in rows.test]] * 3
    assert found.dev == [1.0, 1.0, 1.0]
    assert (found.learning_rate, found.rate_at_edge, found.has_seeds) == (None, None, False)


def test_the_words_of_a_pair_are_told_apart_by_their_side() -> None:
    sides = [(a, b) for a in ("fisk", "skepp") for b in ("fisk", "skepp")] * 8
    rows = toy_rows()
    pairs = [
        type(rows.train[0])(text=a, text_pair=b, label="fisk" if a == "fisk" else "skepp")
        for a, b in sides
    ]
    both = type(rows)(
        train=pairs, dev=pairs, test=pairs, classes=rows.classes, left_out={}, test_in_train=0
    )
    entry = tfidf.classify(TASK, both, quick_section(), 0)
    assert entry["dev"] == [1.0]


def test_twice_gives_the_same() -> None:
    rows = toy_rows()
    entries = [tfidf.classify(TASK, rows, quick_section(), 0) for _ in range(2)]
    assert entries[0]["predictions"] == entries[1]["predictions"]


def test_under_euroeval_each_seed_learns_from_its_own_draw() -> None:
    rows, section = toy_rows(), quick_section(protocol="euroeval", seeds=2)
    entry = tfidf.classify(TASK, rows, section, 0)
    draws = [draw_for(rows, 0, TASK.name, number, "euroeval").train for number in range(2)]
    assert len(entry["predictions"]) == 2
    assert not np.array_equal(*draws)
    assert tfidf.measured_of(entry, rows, 2).has_seeds


def test_passages_are_ranked_by_the_words_that_they_share_with_the_query() -> None:
    rows = RetrievalRows(
        queries=["skepp i hamn", "fisk i havet", "något annat"],
        passages=PASSAGES,
        answers=np.array([1, 2, 0]),
    )
    task = RetrievalTask.model_validate(
        {"name": "faq", "kind": "retrieval", "source": {"path": "x"}, "query": "q", "passage": "a"}
    )
    # The last query shares no word with any: ties count against it.
    assert tfidf.rank_passages(rows, task)["recall@1"].tolist() == [1, 1, 0]


def test_an_evaluation_scores_it_with_an_interval_and_loads_no_model(
    write_rows: Any, tmp_path: Path
) -> None:
    source = write_rows(toy_records(128))
    toy = {"name": "toy", "kind": "classification", "metrics": ["accuracy"]}
    toy |= {"train": source, "dev": source, "test": write_rows(toy_records(30, seed=1), "test")}
    faq = {"name": "faq", "kind": "retrieval", "query": "q", "passage": "a"}
    faq |= {"source": write_rows(PAIRS, "faq")}
    scores = scores_of([toy, faq], no_model, tmp_path / "out", ["tfidf"])
    found = {(one.task, one.metric): one for one in scores}
    assert found["toy", "accuracy"].mean == 1.0
    assert found["faq", "recall@1"].mean == 1.0
    for one in found.values():
        assert one.low is not None and one.low < 1.0
        assert one.provenance is not None and one.provenance.runtime == "scikit-learn"
    again = scores_of([toy, faq], no_model, tmp_path / "out", ["tfidf"])
    assert again == scores


def test_what_it_cannot_do_says_so(write_rows: Any, tmp_path: Path) -> None:
    words = [{"words": ["en", "fisk"], "label": ["a", "b"]}] * 6
    source = write_rows(words)
    pos = {"name": "pos", "kind": "tokens", "words": "words", "label": "label"}
    pos |= {"train": source, "dev": source, "test": source, "metrics": ["accuracy"]}
    mlm = {"name": "mlm", "kind": "masked", "source": write_rows(toy_records(5), "texts")}
    scores = scores_of([pos, mlm], no_model, tmp_path / "out", ["tfidf"])
    assert {(one.mean, one.reason) for one in scores} == {(None, tfidf.UNSUITED)}
