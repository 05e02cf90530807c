"""Where a run came from, as tags."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from distill.tracking.surroundings import describe_surroundings


def git(*arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *who, *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_a_folder_under_git_gives_its_commit_and_says_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.yaml").write_text("a")
    git("init", "--quiet")
    assert "git_commit" not in describe_surroundings(
        tmp_path / "a.yaml"
    )  # nothing is committed yet
    git("add", "a.yaml")
    git("commit", "--quiet", "--message", "a")
    commit = git("rev-parse", "HEAD")
    tags = describe_surroundings(tmp_path / "a.yaml")
    assert (tags["mlflow.source.git.commit"], tags["git_commit"]) == (commit, commit[:12])
    (tmp_path / "a.yaml").write_text("b")
    assert describe_surroundings(tmp_path / "a.yaml")["git_commit"] == f"{commit[:12]}-dirty"


def test_without_git_there_is_no_commit_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    tags = describe_surroundings(Path("a.yaml"))
    assert "git_commit" not in tags
    assert tags["mlflow.source.name"] == "a.yaml"
