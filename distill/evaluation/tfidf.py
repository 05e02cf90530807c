"""A bag of words as an opponent: TF-IDF with a linear SVM for classes, its cosine for retrieval.

It knows no more of a language than the rows it learns from. A task that it does well needs no
encoder.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from distill.corpus.shared_words import Passages, vectorizer
from distill.evaluation.bench import decode_predictions, encode_predictions
from distill.evaluation.draws import Draw, draw_for
from distill.evaluation.finished import Entry
from distill.evaluation.metrics import PER_QUERY, ranks_of_answers
from distill.evaluation.protocol import Measured
from distill.evaluation.retrieval import RetrievalRows
from distill.evaluation.scoring import Prediction, measure
from distill.evaluation.tasks import Row, TaskRows
from distill.recipe import EvaluationSection, FineTunedTask, MultilabelTask, RetrievalTask
from distill.runtime.version import commit

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    Predict = Callable[[csr_matrix], list[Prediction]]

TFIDF = "tfidf"
"""What recipes and reports call it."""
UNSUITED = "a bag of words classifies texts and ranks passages, and does nothing else"
HOW = {"precision": "float64", "runtime": "scikit-learn", "threads": 1}
PENALTIES = (1.0, 0.1, 10.0)
"""Of errors against the margin's width; the best on dev is taken, of equals the first."""


def can_classify(rows: TaskRows) -> bool:
    """Whether every row is a text, or a pair, with a class or several."""
    return bool(rows.classes) and not rows.train[0].words


def classify(task: FineTunedTask, rows: TaskRows, section: EvaluationSection, seed: int) -> Entry:
    """What it predicts for every test row after learning from the training rows, once: nothing of
    it is drawn; under the protocol `euroeval` for each seed, as that draws rows.
    """
    started = time.monotonic()
    number = section.seeds if section.protocol == "euroeval" else 1
    draws = [draw_for(rows, seed, task.name, repeat, section.protocol) for repeat in range(number)]
    learned = [_learn(task, rows, draw) for draw in draws]
    return {
        "dev": [dev for dev, _ in learned],
        "predictions": [encode_predictions(named, rows.classes) for _, named in learned],
        "how": {**HOW, "commit": commit()},
        "seconds": time.monotonic() - started,
    }


def measured_of(entry: Entry, rows: TaskRows, seeds: int) -> Measured:
    """A kept entry as the measurement of so many seeds."""
    has_seeds = len(entry["predictions"]) > 1
    times = 1 if has_seeds else seeds
    predictions = [decode_predictions(coded, rows.classes) for coded in entry["predictions"]]
    return Measured(
        predictions=predictions * times,
        learning_rate=None,
        rate_at_edge=None,
        dev=entry["dev"] * times,
        cut={"train": 0, "dev": 0, "test": 0},
        has_seeds=has_seeds,
        **entry["how"],
    )


def rank_passages(rows: RetrievalRows, task: RetrievalTask) -> dict[str, np.ndarray]:
    """For each metric what each query contributes; words count as rare among the passages."""
    ranks, at = [], 0
    for likeness in Passages(rows.passages).likeness(rows.queries):
        ranks.append(ranks_of_answers(likeness, rows.answers[at : at + len(likeness)]))
        at += len(likeness)
    return {metric: PER_QUERY[metric](np.concatenate(ranks)) for metric in task.metrics}


def _learn(task: FineTunedTask, rows: TaskRows, draw: Draw) -> tuple[float, list[Prediction]]:
    """The task's first metric on dev at the best penalty, and what is predicted of the test
    rows.
    """
    train = [rows.train[int(i)] for i in draw.train]
    features = [vectorizer(longest=2) for _ in range(1 if train[0].text_pair is None else 2)]
    learnt = _vectors(features, train, fit=True)
    dev, test = (_vectors(features, split) for split in (rows.dev, rows.test))

    def value(predict: Predict) -> float:
        return measure(task, rows.dev, predict(dev))[task.metrics[0]]

    fit = _fit_several if isinstance(task, MultilabelTask) else _fit
    tried = [(value(svm), svm) for svm in (fit(learnt, train, penalty) for penalty in PENALTIES)]
    best, predict = max(tried, key=lambda pair: pair[0])
    return best, predict(test)


def _fit(features: csr_matrix, rows: Sequence[Row], penalty: float) -> Predict:
    from sklearn.svm import LinearSVC

    svm = LinearSVC(C=penalty, random_state=0).fit(features, [str(row.label) for row in rows])
    return lambda vectors: svm.predict(vectors).tolist()


def _fit_several(features: csr_matrix, rows: Sequence[Row], penalty: float) -> Predict:
    """One SVM for each class that some texts have and others lack."""
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.preprocessing import MultiLabelBinarizer
    from sklearn.svm import LinearSVC

    columns = MultiLabelBinarizer()
    svm = OneVsRestClassifier(LinearSVC(C=penalty, random_state=0))
    with warnings.catch_warnings():
        # A class that every text has, or none, is no mistake: it is always predicted, or never.
        warnings.filterwarnings("ignore", message="Label .* is present in all training examples")
        svm.fit(features, columns.fit_transform([row.names for row in rows]))
    return lambda vectors: columns.inverse_transform(svm.predict(vectors))


def _vectors(vectorizers: Sequence[Any], rows: Sequence[Row], fit: bool = False) -> csr_matrix:
    """Words of a text; of a pair those of each text by themselves."""
    from scipy.sparse import hstack

    sides = ([row.text for row in rows], [row.text_pair or "" for row in rows])
    return hstack(
        [
            vectorizer.fit_transform(side) if fit else vectorizer.transform(side)
            for vectorizer, side in zip(vectorizers, sides, strict=False)
        ]
    ).tocsr()
