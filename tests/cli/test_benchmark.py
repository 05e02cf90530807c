"""`python -m distill benchmark`: names of models in, a table and its files out."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from distill.benchmark import measure
from distill.cli.benchmark import benchmark_to_folder, comparison_tables
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from tests.benchmark.test_measure import made_up_footprint

FILES = {"benchmark.json", "benchmark.md", "benchmark.csv"}
QUICK: dict[str, Any] = {
    "runtimes": ["torch"],
    "devices": ["cpu"],
    "threads": ["1"],
    "batch_sizes": ["1"],
    "lengths": ["8,600"],
    "seconds": 0.05,
}


@pytest.fixture
def benchmark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """The command in a working folder of its own, without the Hub; memory is not really
    measured.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(measure, "measure_footprint", made_up_footprint)

    def run(*models: str, **options: Any) -> Any:
        output = options.pop("output", Path("benchmark"))
        return benchmark_to_folder(
            list(models), **QUICK | options, output=output, progress=Progress(quiet=True)
        )

    return run


def test_the_figures_are_written_as_data_markdown_and_csv(
    benchmark: Callable[..., Any], tiny_teacher: Path
) -> None:
    result = benchmark(str(tiny_teacher)).benchmark
    assert sorted(path.name for path in Path("benchmark").iterdir()) == sorted(FILES)
    content = json.loads(Path("benchmark/benchmark.json").read_text(encoding="utf-8"))
    assert content["machine"] == asdict(result.machine)
    assert content["settings"]["lengths"] == [8, 600]
    assert [row["length"] for row in content["benchmark"]] == [8, 600]
    assert Path("benchmark/benchmark.md").read_text(encoding="utf-8").count(str(tiny_teacher)) == 2
    with Path("benchmark/benchmark.csv").open(encoding="utf-8", newline="") as file:
        assert [row["length"] for row in csv.DictReader(file)] == ["8", "600"]


def test_the_table_names_every_model_time_and_note(
    benchmark: Callable[..., Any], tiny_teacher: Path
) -> None:
    console = Console(width=400)
    with console.capture() as capture:
        for part in comparison_tables(benchmark(str(tiny_teacher))):
            console.print(part)
    text = capture.get()
    assert text.count(str(tiny_teacher)) == 2
    assert "1 x 8" in text and "– [1]" in text
    assert "[1] the model has no positions for 600 tokens." in text


def test_a_folder_of_one_word_is_a_model(
    benchmark: Callable[..., Any], tiny_teacher: Path, tmp_path: Path
) -> None:
    (tmp_path / "student").symlink_to(tiny_teacher)
    assert {row.model for row in benchmark("student").benchmark.measurements} == {"./student"}


@pytest.mark.parametrize(
    ("model", "options", "message"),
    [
        ("student", {}, r"^MODEL: there is no folder student; a Hub id reads organisation/name\.$"),
        ("./none", {}, r"^MODEL: there is no folder ./none"),
        ("organisation/unknown", {}, r"^MODEL: cannot read config.json of organisation/unknown "),
        ("a/b", {"devices": ["gpu"]}, r"^--devices: 'gpu' should be one of cpu, cuda, all\.$"),
        ("a/b", {"runtimes": ["torch,tflite"]}, r"^--runtimes: 'tflite' should be one of torch, "),
        (
            "a/b",
            {"threads": ["1,some"]},
            r"^--threads: 'some' should be a whole number of at least 1, or all\.$",
        ),
        (
            "a/b",
            {"batch_sizes": ["0"]},
            r"^--batch-sizes: '0' should be a whole number of at least 1\.$",
        ),
        ("a/b", {"lengths": ["2"]}, r"^--lengths: '2' should be a whole number of at least 3\.$"),
        ("a/b", {"seconds": 0.0}, r"^--seconds: Input should be greater than 0"),
        ("a/b", {"output": Path("file")}, r"^--output: file is a file; name a folder\.$"),
    ],
)
def test_a_mistake_is_told_in_one_sentence_before_anything_is_measured(
    benchmark: Callable[..., Any], model: str, options: dict[str, Any], message: str
) -> None:
    Path("file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match=message):
        benchmark(model, **options)
    assert not Path("benchmark").exists()


def test_every_model_that_cannot_be_had_is_named(benchmark: Callable[..., Any]) -> None:
    with pytest.raises(
        UserError,
        match=r"^MODEL: there is no folder ./none[^\n]*\nMODEL: there is no folder ./nothing",
    ):
        benchmark("./none", "./nothing")


def test_the_command_prints_and_writes_and_a_mistake_has_exit_code_2(
    distill: Callable[..., subprocess.CompletedProcess[str]], tiny_teacher: Path, tmp_path: Path
) -> None:
    options = (
        "--runtimes",
        "torch",
        "--threads",
        "1",
        "--batch-sizes",
        "1",
        "--lengths",
        "8",
        "--seconds",
        "0.05",
    )
    done = distill("benchmark", tiny_teacher, *options, "--output", "out")
    assert done.returncode == 0, done.stderr
    assert "1 x 8" in done.stdout and str(tiny_teacher) in done.stdout
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    row = json.loads((tmp_path / "out" / "benchmark.json").read_text(encoding="utf-8"))[
        "benchmark"
    ][0]
    assert (
        row["median_ms"] > 0
        and row["load_ms"] > 0
        and row["peak_memory_bytes"] > 0
        and row["floor_ms"] > 0
    )
    wrong = distill("benchmark", "nobody")
    assert (wrong.returncode, wrong.stderr.strip()) == (
        2,
        "MODEL: there is no folder nobody; a Hub id reads organisation/name.",
    )
