from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from distill.export.benchmarks import FOLDER, write_benchmarks
from tests.export.hub_server import Hub
from tests.report.examples import example_report

BENCHMARK = """
name: Swedish questions
evaluation_framework: mteb
tasks:
  - {id: other, config: danish, split: train}
  - {id: questions, config: default, split: train}
"""


@pytest.fixture
def hub_of_datasets(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """The hub that huggingface_hub asks, with a cache of its own."""
    constants = "huggingface_hub.constants."
    monkeypatch.setattr(f"{constants}ENDPOINT", hub.url)
    monkeypatch.setattr(f"{constants}HF_HUB_OFFLINE", False)
    monkeypatch.setattr(f"{constants}HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        f"{constants}HUGGINGFACE_CO_URL_TEMPLATE",
        f"{hub.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}",
    )
    return hub


def written(output: Path) -> dict[str, Any]:
    """The files of the folder by their names."""
    return {
        file.name: yaml.safe_load(file.read_text(encoding="utf-8"))
        for file in (output / FOLDER).glob("*")
    }


def report_of(**changes: Any) -> dict[str, Any]:
    """A report whose task has changes."""
    report = example_report()
    report["recipe"]["evaluation"]["tasks"][0] |= changes
    return report


def test_a_score_on_a_benchmark_of_the_hub_becomes_a_file(
    hub_of_datasets: Hub, tmp_path: Path
) -> None:
    hub_of_datasets.add("datasets/organisation/faq", {"eval.yaml": BENCHMARK.encode()})
    report = example_report()
    write_benchmarks(report, tmp_path)
    [score] = [
        score
        for score in report["evaluation"]
        if (score["model"], score["metric"]) == ("student", "mrr@10")
    ]
    [entry] = written(tmp_path)["faq.yaml"]
    assert entry["dataset"] == {"id": "organisation/faq", "task_id": "questions"}
    assert entry["value"] == pytest.approx(score["mean"])
    assert entry["notes"].startswith("mrr@10, 95% interval")


@pytest.mark.parametrize(
    ("declared", "changes"),
    [
        (None, {}),
        (b"tasks: no list", {}),
        (b"[", {}),
        (BENCHMARK.encode(), {"max_test": 10}),
        (BENCHMARK.encode(), {"labels": ["a", "b"]}),
        (BENCHMARK.encode(), {"source": {"hub": "organisation/faq", "split": "test"}}),
        (BENCHMARK.encode(), {"source": {"path": "faq.jsonl"}}),
    ],
    ids=[
        "no benchmark",
        "no tasks",
        "no yaml",
        "some rows",
        "some classes",
        "other rows",
        "a file",
    ],
)
def test_what_is_no_benchmark_leaves_no_file(
    hub_of_datasets: Hub, tmp_path: Path, declared: bytes | None, changes: dict[str, Any]
) -> None:
    files = {"data.jsonl": b""} | ({"eval.yaml": declared} if declared is not None else {})
    hub_of_datasets.add("datasets/organisation/faq", files)
    write_benchmarks(report_of(**changes), tmp_path)
    assert not written(tmp_path)


def test_without_the_hub_there_is_no_file_and_no_error(tmp_path: Path) -> None:
    write_benchmarks(example_report(), tmp_path)
    assert not written(tmp_path)
