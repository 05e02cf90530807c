from __future__ import annotations

from dataclasses import replace

import numpy as np

from distill.evaluation.overlap import measure_overlap, task_texts
from distill.evaluation.retrieval import RetrievalRows
from distill.evaluation.tasks import Row
from tests.evaluation.conftest import toy_rows

LONG = "ett två tre fyra fem sex sju åtta nio tio elva tolv tretton"


def test_rows_of_train_and_test_are_counted_by_task() -> None:
    rows = replace(toy_rows(), train=[Row(text=LONG, label="a")] * 2, dev=[])
    rows = replace(rows, test=[Row(text=f"{LONG} till", label="a"), Row(text="nytt", label="a")])
    found = measure_overlap({"toy": rows, "other": toy_rows()}, [f"före {LONG} efter"])
    toy, other = found["toy"], found["other"]
    assert toy.train is not None and toy.test is not None and other.test is not None
    assert (toy.train.rows, toy.train.exact, toy.train.shared) == (2, 2, 2)
    assert (toy.test.rows, toy.test.exact, toy.test.shared) == (2, 0, 1)
    assert other.test.shared == 0


def test_a_pair_is_there_whole_only_with_both_texts() -> None:
    rows = RetrievalRows(queries=["vad är det där"], passages=["x", LONG], answers=np.array([1]))
    assert task_texts(rows)["test"] == [("vad är det där", LONG)]
    one = measure_overlap({"faq": rows}, [LONG])["faq"]
    both = measure_overlap({"faq": rows}, [LONG, "Vad är det där?"])["faq"]
    assert one.train is None and one.test is not None and both.test is not None
    assert (one.test.exact, one.test.shared) == (0, 1)
    assert (both.test.exact, both.test.shared) == (1, 1)
