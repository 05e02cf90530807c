"""What each stage takes of memory does not grow with the text, but for what is told here.

`TRUST_MEGABYTES=100 make trust`, or 1000, for more text; the figures are printed with `-s`.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests import forking
from tests.conftest import distill_environment, swedish_sentences
from tests.trust.mini import Mini, write_mini

MEGABYTES = int(os.environ.get("TRUST_MEGABYTES", "10"))
STAGES = ("corpus", "vocabulary", "student", "distillation", "evaluation", "benchmark", "export")
MOST = dict.fromkeys(STAGES, 500000000.0)
"""Bytes that a stage may take beyond the text's share: libraries, the model, a batch."""
A_BATCH = 50e6
"""Bytes that a tokenizer takes for what it is given at once, however long the text."""
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
    peak = peak_of(large, stage)
    print(f"{stage}: {peak / 1e6:,.0f} MB for {MEGABYTES} MB of text")
    assert peak < MOST[stage] + PER_BYTE.get(stage, 0.2) * MEGABYTES * 1e6


@pytest.mark.parametrize("form", ["line", "word", "txt"])
def test_one_long_line_costs_at_most_eight_times_its_size(
    tiny_teacher: Path, tmp_path: Path, form: str
) -> None:
    size = MEGABYTES * 1_000_000
    unit = "skog" if form == "word" else "skogen och havet "
    text = unit * (size // len(unit))
    recipes = {name: write_mini(tmp_path / name, tiny_teacher) for name in ("short", "long")}
    if form == "txt":
        path = tmp_path / "long" / "t.txt"
        path.write_text(f"En rad.\n{text}\nEn rad till.\n", encoding="utf-8")
        content = yaml.safe_load(recipes["long"].read_text(encoding="utf-8"))
        content["corpus"]["sources"].append({"path": str(path)})
        recipes["long"].write_text(yaml.safe_dump(content), encoding="utf-8")
    else:
        with (tmp_path / "long" / "t.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"text": text}) + "\n")
    runs = {name: Mini(recipe.parent / "here", recipe) for name, recipe in recipes.items()}
    for stage in ("corpus", "vocabulary", "distillation"):
        short, long = (peak_of(runs[name], stage) for name in ("short", "long"))
        print(f"{stage}: {(long - short) / size:.1f} bytes for each of one {form}'s")
        assert long - short < 8 * size + A_BATCH, stage


def peak_of(run: Mini, stage: str) -> int:
    """Bytes that a stage takes at most, libraries included."""
    run.folder.mkdir(exist_ok=True)
    done = subprocess.run(
        forking.command(
            *("recipe", run.recipe, "--until", stage),
            environment=distill_environment(),
            program=("-m", "tests.trust.peak"),
        ),
        cwd=run.folder,
        env=distill_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1])
