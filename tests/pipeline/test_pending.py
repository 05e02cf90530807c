"""What is redone: toy stages that count how often they run."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from distill.pipeline import pending, running, stages
from distill.pipeline.run import Run
from distill.pipeline.stages.dependencies import describe_sources
from distill.pipeline.stages.stage import Stage
from distill.recipe import Recipe
from distill.recipe.reading import RecipeFile
from distill.runtime.files import RECORD
from distill.runtime.interruption import Interruption
from distill.runtime.progress import Progress

Go = Callable[..., list[str]]


@dataclass(frozen=True, kw_only=True)
class Counted:
    number: int


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "text.txt"
    path.parent.mkdir()
    path.write_text("en text\n")
    return path


@pytest.fixture
def go(tmp_path: Path, text: Path, monkeypatch: pytest.MonkeyPatch) -> Go:
    """Runs three toy stages as the pipeline would; the names of those that ran."""
    done: list[str] = []

    def toy(name: str, reads: tuple[str, ...], revision: int, reads_text: bool) -> Stage[Counted]:
        def execute(run: Run, output: Path) -> Counted:
            done.append(name)
            (output / "out.txt").write_text(name)
            return Counted(number=len(done))

        def depends_on(run: Run) -> dict[str, object]:
            return {"text": describe_sources(run, run.recipe.corpus.sources)} if reads_text else {}

        return Stage(
            name=name,
            revision=revision,
            reads=reads,
            depends_on=depends_on,
            result=Counted,
            execute=execute,
        )

    def go(
        force: str | None = None,
        folder: Path = tmp_path / "project" / "runs" / "toy",
        path: Path = text,
        revision: int = 1,
        **sections: Any,
    ) -> list[str]:
        three = {
            "corpus": toy("corpus", (), 1, True),
            "vocabulary": toy("vocabulary", ("corpus",), revision, False),
            "student": toy("student", ("vocabulary",), 1, False),
        }
        for module in (pending, stages):
            monkeypatch.setattr(module, "stage_named", three.__getitem__)
        recipe = Recipe.model_validate(
            {
                "name": "toy",
                "language": "sv",
                "teacher": {"model": "some/model"},
                "corpus": {"sources": [{"path": str(path)}]},
                "vocabulary": {},
                "student": {},
                **sections,
            }
        )
        monkeypatch.setattr(Recipe, "stages", ("corpus", "vocabulary", "student"))
        file = RecipeFile(path=Path("toy.yaml"), text="", recipe=recipe, overrides=())
        run = Run(
            file=file, folder=folder, progress=Progress(quiet=False), interruption=Interruption()
        )
        folder.mkdir(parents=True, exist_ok=True)
        done.clear()
        for stage in pending.pending_stages(run, until=None, force=force):
            running.make_stage(run, stage, forced=stage.name == force)
        return list(done)

    return go


def test_everything_runs_once_and_then_nothing(go: Go) -> None:
    assert go() == ["corpus", "vocabulary", "student"]
    assert go() == []


def test_a_changed_section_redoes_its_stage_and_those_after_it(go: Go) -> None:
    go()
    assert go(vocabulary={"min_count": 2}) == ["vocabulary", "student"]


def test_a_stage_whose_file_is_missing_is_run_again_and_said(
    go: Go, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    go()
    run = tmp_path / "project" / "runs" / "toy"
    (run / "student" / "out.txt").unlink()
    assert go() == ["student"]
    assert f"student: {run / 'student' / 'out.txt'} is missing; it is run again" in (
        "".join(capfd.readouterr().err.splitlines())
    )


def test_after_a_run_was_cut_off_what_it_reads_is_compared_with_what_was_written(
    go: Go, tmp_path: Path
) -> None:
    go()
    run = tmp_path / "project" / "runs" / "toy"
    (run / "vocabulary" / "out.txt").write_text("vocabularx")  # as long as before
    assert go() == []
    (run / ".student.partial").mkdir()
    (run / ".student.partial" / "fingerprint").write_text("of work that was cut off")
    assert go() == ["vocabulary", "student"]


def test_a_raised_revision_redoes_its_stage_and_those_after_it(go: Go) -> None:
    go()
    assert go(revision=2) == ["vocabulary", "student"]


def test_force_redoes_a_stage_and_those_after_it(go: Go) -> None:
    go()
    assert go(force="student") == ["student"]
    assert go(force="corpus") == ["corpus", "vocabulary", "student"]


def test_text_copied_elsewhere_with_new_times_redoes_nothing(
    go: Go, text: Path, tmp_path: Path
) -> None:
    go()
    copied = tmp_path / "mounted" / "elsewhere" / text.name
    copied.parent.mkdir(parents=True)
    shutil.copy(text, copied)
    os.utime(copied, (1, 1))
    assert go(path=copied) == []


def test_a_project_that_was_moved_redoes_nothing(go: Go, tmp_path: Path) -> None:
    go()
    (tmp_path / "project").rename(tmp_path / "moved")
    assert go(folder=tmp_path / "moved" / "runs" / "toy") == []


def test_a_byte_that_changed_under_the_same_time_and_size_redoes_everything(
    go: Go, text: Path
) -> None:
    go()
    before = text.stat()
    text.write_text("et text\n")
    os.utime(text, ns=(before.st_atime_ns, before.st_mtime_ns))
    after = text.stat()
    assert (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    assert go() == ["corpus", "vocabulary", "student"]


def test_force_reads_files_again_whatever_their_stamps_say(
    go: Go, text: Path, tmp_path: Path
) -> None:
    go()
    kept = tmp_path / "project" / "runs" / ".hashes.json"
    text.write_text("et text\n")
    stamps = json.loads(kept.read_text())
    found = text.stat()
    stamp = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
    stamps[str(text)] = [stamp, stamps[str(text)][1]]
    kept.write_text(json.dumps(stamps))  # as if nothing told of the change
    assert go() == []
    assert go(force="student") == ["corpus", "vocabulary", "student"]


def test_a_run_of_an_earlier_version_is_run_again_and_said_so_once(
    go: Go, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    go()
    for record in (tmp_path / "project" / "runs" / "toy").glob(f"*/{RECORD}"):
        content = json.loads(record.read_text())
        del content["format"]
        record.write_text(json.dumps(content))
    capsys.readouterr()
    assert go() == ["corpus", "vocabulary", "student"]
    told = capsys.readouterr().err
    assert " ".join(told.split()).count("was made by an earlier version of distill") == 1
    assert go() == []
