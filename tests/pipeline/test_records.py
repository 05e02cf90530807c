"""Stage folders: whole or not there, whatever was killed when."""

from __future__ import annotations

import json
import shutil

import pytest

import distill.pipeline.records
from distill.pipeline.records import Record, StageFolder, now
from distill.runtime.files import write_whole


def _record(mark: str = "abc", **result: object) -> Record:
    return Record(fingerprint=mark, started=now(), finished=now(), seconds=1.5, result=dict(result))


def _finish(folder: StageFolder, text: str, mark: str = "abc") -> None:
    (folder.begin(mark, resumable=False) / "out.txt").write_text(text)
    folder.finish(_record(mark, text=text))


@pytest.fixture
def folder(tmp_path) -> StageFolder:
    return StageFolder(tmp_path / "run", "corpus", dict)


def test_a_stage_that_never_ran_has_no_record(folder):
    assert folder.record() is None


def test_a_finished_stage_has_its_files_and_its_record_and_nothing_else(folder):
    _finish(folder, "ett")
    assert sorted(path.name for path in folder.final.iterdir()) == ["out.txt", "stage.json"]
    assert [path.name for path in folder.final.parent.iterdir()] == ["corpus"]
    record = folder.record()
    assert record is not None
    assert (record.fingerprint, record.seconds, record.result) == ("abc", 1.5, {"text": "ett"})


def test_a_second_finish_replaces_the_first(folder):
    _finish(folder, "ett")
    _finish(folder, "två")
    assert (folder.final / "out.txt").read_text() == "två"
    assert [path.name for path in folder.final.parent.iterdir()] == ["corpus"]


def test_two_executions_have_two_identities():
    assert _record().identity != _record().identity


@pytest.mark.parametrize(
    ("resumable", "mark", "kept"),
    [(True, "abc", True), (True, "other", False), (False, "abc", False), (False, "other", False)],
)
def test_a_cut_off_try_is_gone_on_with_only_where_it_can_be(folder, resumable, mark, kept):
    (folder.begin("abc", resumable=True) / "half.txt").write_text("half")
    assert (folder.begin(mark, resumable=resumable) / "half.txt").exists() == kept


def test_beginning_again_leaves_the_finished_stage_alone(folder):
    _finish(folder, "ett")
    folder.begin("other", resumable=False)
    assert (folder.final / "out.txt").read_text() == "ett"
    assert folder.record() is not None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"fingerprint": "abc"}', "null", b"\xff\xfe"])
def test_a_record_that_cannot_be_read_is_no_record(folder, content):
    _finish(folder, "ett")
    path = folder.final / "stage.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert folder.record() is None


class Killed(BaseException):
    """Stands for a SIGKILL."""


@pytest.mark.parametrize("renames", [0, 1])
def test_a_kill_before_or_between_the_two_renames_leaves_the_old_stage(
    folder, monkeypatch, renames
):
    _finish(folder, "ett")
    done = []
    rename = distill.pipeline.records.Path.rename

    def dying(self, target):
        if len(done) == renames:
            raise Killed
        done.append(target)
        return rename(self, target)

    monkeypatch.setattr(distill.pipeline.records.Path, "rename", dying)
    with pytest.raises(Killed):
        _finish(folder, "två")
    monkeypatch.undo()
    found = StageFolder(folder.final.parent, "corpus", dict)
    record = found.record()
    assert record is not None
    assert record.result == {"text": "ett"}
    assert (found.final / "out.txt").read_text() == "ett"
    _finish(found, "tre")
    assert (found.final / "out.txt").read_text() == "tre"
    assert [path.name for path in found.final.parent.iterdir()] == ["corpus"]


def test_a_kill_after_both_renames_leaves_the_new_stage(folder):
    _finish(folder, "ett")
    shutil.copytree(folder.final, folder._stale)
    _finish(folder, "två")
    assert StageFolder(folder.final.parent, "corpus", dict).record().result == {"text": "två"}
    assert not folder._stale.exists()


@pytest.fixture
def training(tmp_path) -> StageFolder:
    """The folder of a stage that has checkpoints while it is under way."""
    return StageFolder(tmp_path / "run", "training", dict, scaffolds=("checkpoint",))


def _train(folder: StageFolder) -> None:
    partial = folder.begin("abc", resumable=True)
    (partial / "checkpoint").mkdir(exist_ok=True)
    (partial / "checkpoint" / "weights").write_text("half")
    (partial / "model").write_text("whole")


def test_scaffolds_are_gone_when_the_stage_is_in_place(training):
    _train(training)
    training.finish(_record())
    assert {path.name for path in training.final.iterdir()} == {"model", "stage.json"}
    assert training.damage(thorough=True) is None


@pytest.mark.parametrize("operation", ["rename", "unlink"])
def test_a_kill_while_finishing_loses_no_checkpoint_before_the_stage_is_in_place(
    training, monkeypatch, operation
):
    _train(training)

    def dying(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(distill.pipeline.records.Path, operation, dying)
        training.finish(_record())
    if operation == "rename":  # not in place: the same work goes on from the checkpoint
        assert training.record() is None and training.is_under_way
        assert (training.begin("abc", resumable=True) / "checkpoint" / "weights").is_file()
    else:  # in place: what was left is removed when the stage is next looked at
        assert training.record() is not None
        assert {path.name for path in training.final.iterdir()} == {"model", "stage.json"}


@pytest.mark.parametrize("removed", [0, 1])
def test_a_kill_while_tidying_up_leaves_nothing_behind(training, monkeypatch, removed):
    _finish(training, "ett")
    _train(training)
    shutil.copytree(training.final, training._stale)
    done, rmtree = [], shutil.rmtree

    def dying(path, **options: object) -> None:
        if training.partial.exists() or len(done) < removed:
            done.append(path)
            return rmtree(path, **options)
        raise Killed

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(shutil, "rmtree", dying)
        training.finish(_record())
    assert training.record() is not None
    assert {path.name for path in training.final.iterdir()} == {"model", "stage.json"}
    assert [path.name for path in training.final.parent.iterdir()] == ["training"]


def test_a_file_that_is_missing_cut_or_changed_is_damage(folder):
    _finish(folder, "ett")
    path = folder.final / "out.txt"
    path.write_text("tva")
    assert folder.damage(thorough=False) is None
    assert folder.damage(thorough=True) == f"{path} is not as it was written"
    path.write_text("femton")
    assert folder.damage(thorough=False) == f"{path} has 6 bytes, not 3"
    path.unlink()
    assert folder.damage(thorough=False) == f"{path} is missing"


def test_an_amended_record_still_lists_the_files(folder):
    _finish(folder, "ett")
    folder.amend(_record(text="ett"))
    (folder.final / "out.txt").unlink()
    assert folder.damage(thorough=False)


def test_a_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "report.json"
    write_whole(path, json.dumps({"å": 1}, ensure_ascii=False))
    assert path.read_text(encoding="utf-8") == '{"å": 1}'
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "half \ud800")
    assert path.read_text(encoding="utf-8") == '{"å": 1}'
