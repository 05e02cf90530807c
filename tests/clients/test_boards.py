"""The example that evaluates an exported student in mteb gives the scores that distill measures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from distill import evaluate
from tests.clients.conftest import printed
from tests.clients.environments import python_with
from tests.conftest import ROOT
from tests.evaluation.conftest import PAIRS
from tests.export.guide import PREFIXES


def test_mteb_gives_our_scores_to_the_last_digit_that_it_shows(project: Path) -> None:
    rows, student = project / "faq.jsonl", project / "runs" / "swedish" / "export"
    rows.write_text("".join(json.dumps(row) + "\n" for row in PAIRS), encoding="utf-8")
    files = {path: path.stat().st_mtime_ns for path in student.rglob("*")}
    script = ROOT / "examples" / "mteb" / "score.py"
    theirs = printed([python_with("mteb"), str(script), str(student), str(rows)], project)
    task = {"name": "faq", "kind": "retrieval", "query": "q", "passage": "a"}
    task |= {"source": {"path": str(rows)}, "metrics": ["mrr@10", "recall@1"]}
    ours = evaluate(str(student), [task], prefixes=PREFIXES, progress=False)
    means = {score.metric: score.mean for score in ours.scores}
    # It adds up in another order, and rounds shares.
    assert theirs["mrr_at_10"] == pytest.approx(means["mrr@10"], rel=1e-14)
    assert theirs["hit_rate_at_1"] == round(means["recall@1"], 5)
    assert {path: path.stat().st_mtime_ns for path in student.rglob("*")} == files
