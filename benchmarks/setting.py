"""What the benchmarks share: the quickstart's teacher on its newsreels, and two Swedish tasks."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import f1_score

from distill import trim
from distill.corpus.cleaning import clean_text
from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.evaluation.embedding import embed
from distill.evaluation.metrics import ranks_by_vectors, reciprocal_ranks
from distill.models import LoadedModel, load_with_tokenizer
from distill.recipe import Source
from distill.training.chunks import Chunks, write_chunks

RESULTS = Path(__file__).parent / "results"
TEACHER = "package:multilingual-e5-small"
QUERY, PASSAGE = "query: ", "passage: "
NEWSREELS = Source(package="journal_digital", files="journal_digital/corpus/**/*.srt")
QUESTIONS = Source(package="zaragoza-construction-faq", files="*/data/faq.jsonl")
QUESTIONS_IN = {
    "sv": QUESTIONS,
    "en": Source(package="zaragoza-construction-faq", files="*/data/faq-en.jsonl"),
}


def newsreels(count: int | None = None) -> list[str]:
    """The first so many films' texts, or all."""
    return [
        clean_text(column_value(row, "text", NEWSREELS))
        for row in islice(read_source(NEWSREELS, Tally()), count)
    ]


def trimmed_teacher(
    texts: list[str], name: str = TEACHER, pieces: int | None = None
) -> LoadedModel:
    """The teacher with the pieces that the texts have at least twice, or with so many."""
    whole = load_with_tokenizer(name)
    target = {"min_count": 2} if pieces is None else {"size": pieces}
    trimmed = trim(whole.model, whole.tokenizer, texts, **target)
    return LoadedModel(model=trimmed.model, tokenizer=trimmed.tokenizer)


@dataclass(frozen=True)
class Tasks:
    """Questions with their answers, and sentences with their topics by split; no topics where there
    is no SIB-200.
    """

    questions: list[str]
    answers: list[str]
    topics: dict[str, tuple[list[str], list[str]]]


def read_tasks(language: str = "sv") -> Tasks:
    """The questions of the quickstart, and SIB-200's sentences where DISTILL_DATA names a folder
    that has them, in Swedish or English.
    """
    asked = QUESTIONS_IN[language]
    rows = [
        tuple(column_value(row, column, asked) for column in "qa")
        for row in read_source(asked, Tally())
    ]
    folder, topics = Path(os.environ.get("DISTILL_DATA", "")) / "sib200" / language, {}
    for split in ("train", "test") if folder.is_dir() else ():
        source = Source(path=f"{folder}/{split}.jsonl.gz")
        records = list(read_source(source, Tally()))
        texts, labels = (
            [column_value(row, column, source) for row in records] for column in ("text", "label")
        )
        topics[split] = (texts, labels)
    return Tasks([question for question, _ in rows], [answer for _, answer in rows], topics)


def answers_found(
    questions: Sequence[str],
    answers: Sequence[str],
    passages: Sequence[str],
    vectors: Callable[[str, Sequence[str]], np.ndarray],
) -> float:
    """MRR@10 of each question's answer among all passages; `vectors` gives those of texts with a
    prefix.
    """
    place = {passage: number for number, passage in enumerate(passages)}
    own = np.array([place[answer] for answer in answers])
    ranks = ranks_by_vectors(vectors(QUERY, questions), vectors(PASSAGE, passages), own)
    return float(reciprocal_ranks(ranks).mean())


def cut(
    texts: list[str], teacher: LoadedModel, folder: Path, chunk_words: tuple[int, int] = (8, 64)
) -> Chunks:
    """The texts as prefixed chunks, which arms read, so that they differ in nothing else."""
    folder.mkdir()
    return write_chunks(
        texts,
        teacher.tokenizer,
        folder,
        prefixes=[QUERY, PASSAGE],
        chunk_words=chunk_words,
        longest=512,
        seed=0,
    )


def measure_tasks(model: LoadedModel, tasks: Tasks) -> dict[str, float]:
    """MRR@10 of answers, and macro-F1 of topics by a logistic regression on frozen sentence
    vectors.
    """
    network = model.model.float().to("cpu").eval()

    def vectors(prefix: str, texts: Sequence[str]) -> np.ndarray:
        return embed(
            network, model.tokenizer, [prefix + text for text in texts], pooling="mean", longest=512
        )

    passages = list(dict.fromkeys(tasks.answers))
    measured = {"faq mrr@10": answers_found(tasks.questions, tasks.answers, passages, vectors)}
    if tasks.topics:
        (texts, labels), (unseen, truth) = tasks.topics["train"], tasks.topics["test"]
        probe = LogisticRegressionCV(
            Cs=8,
            cv=5,
            l1_ratios=(0.0,),
            scoring="accuracy",
            max_iter=2000,
            use_legacy_attributes=False,
        ).fit(vectors(QUERY, texts), labels)
        measured["topics macro_f1"] = float(
            f1_score(truth, probe.predict(vectors(QUERY, unseen)), average="macro")
        )
    return measured
