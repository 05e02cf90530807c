"""distill beside other tools (benchmarks/peers.py): what is compared, and how failures are told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from benchmarks.peer_runs import environments
from benchmarks.peer_runs.commands import FailedError, run
from benchmarks.peer_runs.environments import CannotInstallError, Peer
from benchmarks.peer_runs.kept import Kept
from benchmarks.peer_runs.segmentation import alike, compare, pieces_of

PIECES = {"<unk>": 0.0, "▁": -4.0, "a": -3.0, "b": -3.0, "c": -3.0, "▁ab": -1.0, "▁c": -2.0}
SENTENCES = ["ab", "c", "c ab", "b"]
PIP_ON_AN_OLD_PYTHON = """\
ERROR: Ignored the following versions that require a different python version: 0.0.1 \
Requires-Python <3.14,>=3.12; 0.0.4 Requires-Python <3.14,>=3.12
ERROR: Could not find a version that satisfies the requirement tool==0.0.4 (from versions: none)
ERROR: No matching distribution found for tool==0.0.4
"""
TOOL = Peer(name="tool", version="0.0.4", requirements=("tool==0.0.4",))


def tokenizer(*without: str) -> PreTrainedTokenizerFast:
    """A Unigram tokenizer of a few pieces, some of them left out."""
    kept = [(piece, score) for piece, score in PIECES.items() if piece not in without]
    backend = Tokenizer(models.Unigram(kept, 0, False))
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>")


def test_sentences_are_alike_where_every_piece_is_the_same() -> None:
    teacher, trimmed = (pieces_of(each, SENTENCES) for each in (tokenizer(), tokenizer("▁ab")))
    assert teacher[0] == ["▁ab"] and trimmed[0] == ["▁", "a", "b"]
    assert alike(teacher, trimmed) == [False, True, False, True]


def test_an_unknown_piece_is_not_its_text() -> None:
    (pieces,) = pieces_of(tokenizer("b"), ["b"])
    assert pieces == ["▁", "<unk>"]


def test_the_share_and_the_vectors_are_of_the_sentences_that_are_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    seen: list[list[str]] = []

    def vectors(model: Any, _: Any, sentences: list[str]) -> torch.Tensor:
        seen.append(sentences)
        return torch.full((len(sentences), 2), float(model))

    monkeypatch.setattr("benchmarks.peer_runs.segmentation.mean_vectors", vectors)
    compared = compare((1.0, tokenizer()), (1.5, tokenizer("▁ab")), SENTENCES)
    assert compared == {
        "pieces": len(PIECES) - 1,
        "sentences": 4,
        "alike": 0.5,
        "largest_vector_difference": 0.5,
    }
    assert seen == [["c", "b"], ["c", "b"]]


def test_a_peer_for_a_newer_python_is_told_in_a_sentence() -> None:
    assert environments.reason(TOOL, (3, 11), PIP_ON_AN_OLD_PYTHON) == (
        "tool 0.0.4 cannot be installed on Python 3.11: it asks for Python <3.14,>=3.12."
    )


@pytest.mark.parametrize(
    ("errors", "told"),
    [
        ("ERROR: No matching distribution found for tool==0.0.4\n", "No matching distribution"),
        ("error: metadata-generation-failed\n", "error: metadata-generation-failed"),
        ("", "pip says nothing"),
    ],
)
def test_any_other_failure_is_what_pip_says_last(errors: str, told: str) -> None:
    sentence = environments.reason(TOOL, (3, 12), errors)
    assert sentence.startswith(f"tool 0.0.4 cannot be installed on Python 3.12: {told}")
    assert sentence.endswith(".") and "\n" not in sentence


def test_a_peer_that_pip_refuses_leaves_a_sentence_and_no_environment_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        code = int("install" in command)
        return subprocess.CompletedProcess(command, code, "3 11", PIP_ON_AN_OLD_PYTHON)

    monkeypatch.setattr(subprocess, "run", refuse)
    with pytest.raises(CannotInstallError, match="it asks for Python"):
        environments.make(TOOL, tmp_path)
    assert not (tmp_path / "tool" / "installed.json").exists()


def test_a_failure_is_kept_as_its_reason_and_tried_again(tmp_path: Path) -> None:
    def fail() -> dict[str, Any]:
        raise CannotInstallError("tool 0.0.4 cannot be installed.")

    kept = Kept(tmp_path / "peers.json")
    kept.open("trimming", {})
    assert kept.row("trimming", "tool", fail) == {"reason": "tool 0.0.4 cannot be installed."}
    again = Kept(tmp_path / "peers.json")
    again.open("trimming", {})
    assert again.row("trimming", "tool", lambda: {"pieces": 1}) == {"pieces": 1}
    assert again.row("trimming", "tool", fail) == {"pieces": 1}
    rows = json.loads((tmp_path / "peers.json").read_text())["trimming"]["rows"]
    assert rows == {"tool": {"pieces": 1}}


def test_a_section_with_other_settings_begins_anew(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "peers.json")
    kept.open("trimming", {"bytes": 1})
    kept.row("trimming", "tool", lambda: {"pieces": 1})
    kept.open("trimming", {"bytes": 2})
    assert kept.section("trimming")["rows"] == {}


def test_a_section_of_another_processor_begins_anew(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "peers.json")
    kept.open("trimming", {})
    kept.row("trimming", "tool", lambda: {"pieces": 1})
    kept.section("trimming")["machine"]["processor"] = "another"
    kept.open("trimming", {})
    assert kept.section("trimming")["rows"] == {}


def test_a_command_has_its_time_and_memory_and_a_failed_one_its_last_line(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    seconds, memory = run([sys.executable, "-c", "import time; time.sleep(0.5)"], log, 1)
    assert 0.5 <= seconds < 30 and memory > 1_000_000
    with pytest.raises(FailedError, match="failed: too bad"):
        run([sys.executable, "-c", "import sys; sys.exit('too bad')"], log, 1)
    with pytest.raises(FailedError, match=r"within 0\.005 minutes"):
        run([sys.executable, "-c", "import time; time.sleep(60)"], log, 0.005)
