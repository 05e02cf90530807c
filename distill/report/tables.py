"""Scores and sizes as files for a spreadsheet and a README: content as report.json has it goes in;
their texts come out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from distill.report import grid, score_files
from distill.report.scoreboard import build_scoreboard

NAMES = ("scores.md", "scores.csv", "benchmark.md", "benchmark.csv")


def table_texts(content: Mapping[str, Any]) -> dict[str, str]:
    """By a file's name its text; only of what was measured."""
    texts: dict[str, str] = {}
    if content["evaluation"]:
        board = build_scoreboard(content)
        texts |= {
            "scores.md": score_files.to_markdown(board) + score_files.facts_markdown(content),
            "scores.csv": score_files.to_csv(board),
        }
    if content["benchmark"]:
        texts["benchmark.md"] = grid.to_markdown(content["benchmark"], content["machine"])
        texts["benchmark.csv"] = grid.to_csv(content["benchmark"])
    return texts
