"""An exported student in mteb, on questions and answers of your own.

    python score.py ../../runs/quickstart/export faq.jsonl

reads rows such as {"q": "...", "a": "..."}, plain or gzipped, makes a retrieval task of them in
memory, and prints mteb's scores as JSON. Nothing is fetched.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"  # read once, when the libraries below are loaded

import mteb
from datasets import Dataset
from mteb.abstasks import AbsTaskRetrieval
from mteb.abstasks.task_metadata import TaskMetadata
from sentence_transformers import SentenceTransformer

SHOWN = ("mrr_at_10", "ndcg_at_10", "recall_at_10", "hit_rate_at_1")


def read_pairs(path: Path, query: str, passage: str) -> Iterator[tuple[str, str]]:
    """Questions with their answers, without space around them; rows that lack one are left out."""
    with (
        gzip.open(path, "rt", "utf-8")
        if path.suffix == ".gz"
        else path.open("rt", -1, "utf-8") as lines
    ):
        for line in lines:
            row = json.loads(line)
            question, answer = row[query].strip(), row[passage].strip()
            if question and answer:
                yield question, answer


def retrieval_task(pairs: list[tuple[str, str]], language: str) -> AbsTaskRetrieval:
    """Every question asks for its answer among all; equal answers are one passage."""
    number = {
        answer: f"a{place}" for place, answer in enumerate(dict.fromkeys(a for _, a in pairs))
    }
    questions = [{"id": f"q{place}", "text": question} for place, (question, _) in enumerate(pairs)]
    answers = {f"q{place}": {number[answer]: 1} for place, (_, answer) in enumerate(pairs)}

    class LocalRetrieval(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="LocalRetrieval",
            description="Questions and answers from a file.",
            type="Retrieval",
            category="t2t",
            dataset={"path": "local", "revision": "local"},
            eval_langs=[language],
            main_score="mrr_at_10",
        )

        def load_data(self, *_: Any, **__: Any) -> None:
            self.dataset = {
                "default": {
                    "test": {
                        "queries": Dataset.from_list(questions),
                        "corpus": Dataset.from_list(
                            [{"id": i, "text": a} for a, i in number.items()]
                        ),
                        "relevant_docs": answers,
                        "top_ranked": None,
                    }
                }
            }
            self.data_loaded = True

    return LocalRetrieval()


def scores(folder: Path, task: AbsTaskRetrieval) -> dict[str, float]:
    """Scores of a copy of the folder: whatever a client writes, an export stays as it is."""
    with TemporaryDirectory() as temporary:
        copy = shutil.copytree(folder, Path(temporary) / "student")
        # The prompts `query` and `document` of the folder reach mteb by sentence-transformers.
        model = SentenceTransformer(str(copy))
        result = mteb.evaluate(model, task, cache=None, show_progress_bar=False)
    (found,) = result.task_results
    return {name: found.scores["test"][0][name] for name in SHOWN}


def main() -> None:
    """Print the scores."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("student", type=Path)
    parser.add_argument("rows", type=Path)
    parser.add_argument("--query", default="q", help="the column of the questions")
    parser.add_argument("--passage", default="a", help="the column of the answers")
    parser.add_argument("--language", default="swe-Latn", help="as mteb names languages")
    options = parser.parse_args()
    pairs = list(read_pairs(options.rows, options.query, options.passage))
    print(json.dumps(scores(options.student, retrieval_task(pairs, options.language))))


if __name__ == "__main__":
    main()
