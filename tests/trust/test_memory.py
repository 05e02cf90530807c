"""What each stage takes of memory does not grow with the text, but for what is told here.

`TRUST_MEGABYTES=100 make trust`, or 1000, for more text; the figures are printed with `-s`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests import forking
from tests.conftest import distill_environment, swedish_sentences
from tests.trust.mini import Mini, write_mini

MEGABYTES = int(os.environ.get("TRUST_MEGABYTES", "10"))
STAGES = ("corpus", "vocabulary", "student", "distillation", "evaluation", "benchmark", "export")
MOST = dict.fromkeys(STAGES, 500000000.0)
"""Bytes that a stage may take beyond the text's share: libraries, the model, a batch."""
PER_BYTE = {"corpus": 1.0, "vocabulary": 1.0}
"""Bytes of memory for each byte of text."""


@pytest.fixture(scope="module")
def large(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Mini:
    """The recipe with so many megabytes of text."""
    folder = tmp_path_factory.mktemp("large")
    recipe = write_mini(folder, tiny_teacher)
    size = seed = 0
    with (folder / "t.jsonl").open("w", encoding="utf-8") as file:
        while size < MEGABYTES * 1_000_000:
            text = " ".join(swedish_sentences(60, seed))
            size += file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            seed += 1
    return Mini(folder / "here", recipe)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stages_memory_is_bounded(large: Mini, stage: str) -> None:
    program = ("-m", "tests.trust.peak")
    arguments = ("recipe", large.recipe, "--until", stage)
    large.folder.mkdir(exist_ok=True)
    done = subprocess.run(
        forking.command(*arguments, environment=distill_environment(), program=program),
        cwd=large.folder,
        env=distill_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    peak = int(done.stderr.split()[-1])
    print(f"{stage}: {peak / 1e6:,.0f} MB for {MEGABYTES} MB of text")
    assert peak < MOST[stage] + PER_BYTE.get(stage, 0.2) * MEGABYTES * 1e6


@pytest.mark.parametrize("form", ["line", "word"])
def test_one_long_line_costs_at_most_eight_times_its_size(
    mini: Mini, tiny_teacher: Path, tmp_path: Path, form: str
) -> None:
    size = (10 if form == "line" else 2) * 1_000_000
    recipe = write_mini(tmp_path, tiny_teacher)
    unit = "skogen och havet " if form == "line" else "skog"
    with (tmp_path / "t.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"text": unit * (size // len(unit))}) + "\n")
    place = Mini(tmp_path / "here", recipe)
    place.folder.mkdir()
    done = subprocess.run(
        forking.command(
            *("recipe", recipe, "--until", "corpus"),
            environment=distill_environment(),
            program=("-m", "tests.trust.peak"),
        ),
        cwd=place.folder,
        env=distill_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    peak = int(done.stderr.split()[-1])
    print(f"corpus: {peak / 1e6:,.0f} MB for one {form} of {size / 1e6:.0f} MB")
    assert peak < 250e6 + 8 * size
