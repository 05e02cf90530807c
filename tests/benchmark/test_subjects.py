from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from distill.benchmark import baselines
from distill.benchmark.subjects import (
    check_subject,
    describe_subject,
    open_subject,
    size_on_disk,
    size_without_weights,
)
from distill.runtime.errors import UserError
from distill.runtime.hashes import FileHashes

BASELINE = "organisation/known"


@pytest.fixture(autouse=True)
def known_baselines(tiny_teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No Hub, and one small baseline instead of those that come with the package; its file."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    folder = tmp_path / "configs"
    folder.mkdir()
    config = json.loads((tiny_teacher / "config.json").read_text(encoding="utf-8"))
    file = folder / "organisation--known.json"
    file.write_text(
        json.dumps({"source": "https://huggingface.co/organisation/known", **config}),
        encoding="utf-8",
    )
    monkeypatch.setattr(baselines, "_FOLDER", folder)
    return file


def test_a_folder_is_measured_with_its_own_weights(tiny_teacher: Path) -> None:
    subject = open_subject(str(tiny_teacher))
    assert subject.folder == tiny_teacher
    assert subject.parameters == subject.model.num_parameters()
    assert subject.bytes_on_disk == size_on_disk(tiny_teacher)
    assert subject.reason is None


def test_a_runs_folder_stands_for_the_student_that_it_exported(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_teacher, tmp_path / "run" / "export")
    assert open_subject(str(tmp_path / "run")).folder == tmp_path / "run" / "export"


def test_a_model_whose_weights_cannot_be_had_is_random_in_the_shape_of_its_config(
    tiny_teacher: Path,
) -> None:
    subject = open_subject(BASELINE)
    assert subject.folder is None
    assert subject.parameters == open_subject(str(tiny_teacher)).parameters
    assert subject.bytes_on_disk == 4 * (subject.parameters or 0)
    assert subject.reason == "no weights here: random ones in the shape of its config"


def test_random_weights_are_the_same_every_time_and_leave_torchs_own_numbers_alone() -> None:
    state = torch.get_rng_state()
    one, other = (open_subject(BASELINE).model.get_input_embeddings().weight for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_folder_with_a_configuration_alone_is_measured_by_it(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    (tmp_path / "bare").mkdir()
    shutil.copy(tiny_teacher / "config.json", tmp_path / "bare")
    subject = open_subject(str(tmp_path / "bare"))
    assert subject.folder is None and subject.reason is not None


def test_what_is_unknown_of_the_shape_gives_no_size_and_a_reason(known_baselines: Path) -> None:
    content = json.loads(known_baselines.read_text(encoding="utf-8"))
    known_baselines.write_text(json.dumps({**content, "unknown": ["vocab_size"]}), encoding="utf-8")
    subject = open_subject(BASELINE)
    assert (subject.parameters, subject.bytes_on_disk) == (None, None)
    assert (
        subject.reason
        == "no weights here: random ones in the shape of its config, whose vocab_size is not known"
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("./none", r"^benchmark.models: there is no folder ./none"),
        (
            "organisation/unknown",
            r"^benchmark.models: cannot read .* of organisation/unknown .*Known without weights: "
            r"organisation/known\.$",
        ),
    ],
)
def test_a_model_of_which_nothing_can_be_had_is_told_in_one_sentence(
    name: str, message: str
) -> None:
    for look in (open_subject, check_subject):
        with pytest.raises(UserError, match=message):
            look(name)


def test_a_folder_is_known_by_its_files_and_a_hub_model_by_its_id(tiny_teacher: Path) -> None:
    assert "files" in describe_subject(str(tiny_teacher), FileHashes())
    assert describe_subject(BASELINE, FileHashes()) == {"hub": BASELINE, "revision": "main"}


def test_a_missing_folder_has_nothing_to_be_known_by() -> None:
    with pytest.raises(UserError, match=r"^benchmark.models: there is no folder ./none"):
        describe_subject("./none", FileHashes())


def test_size_on_disk_counts_weights_and_tokenizer_alone(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in (
        "model.safetensors",
        "tokenizer.json",
        "config.json",
        "sentencepiece.bpe.model",
        "vocab.txt",
    ):
        (folder / name).write_bytes(b"x" * 10)
    for name in ("README.md", "pytorch_model.bin", "model.onnx"):
        (folder / name).write_bytes(b"x" * 1000)
    (folder / "onnx").mkdir()
    assert size_on_disk(folder) == 50
    assert size_without_weights(folder) == 40
