"""Pushing through the real client to a hub on this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from distill import __version__
from distill.export.hub import Pushed, check_branch, push
from distill.export.hub_errors import explain
from distill.export.hub_target import version_tag
from distill.runtime.errors import UserError
from tests.export.hub_server import Hub

FIRST, SECOND = f"v{__version__}", f"v{__version__}-2"
WEIGHTS = bytes(range(256)) * 400


@pytest.fixture(autouse=True)
def client(hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real client, with this hub for the Hub."""
    files = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.url)
    monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", files)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(
        "huggingface_hub.constants.HF_HUB_DISABLE_XET", True
    )  # what this hub does not speak
    monkeypatch.setattr("huggingface_hub.utils._http.time.sleep", lambda seconds: None)
    monkeypatch.setenv("HF_TOKEN", "hf_member")


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    """`export(recipe="danish")`: the folder of an export; `files` come besides those that all
    have.
    """

    def write(
        recipe: str = "danish", teacher: str = "org/teacher", name: str = "export", **files: bytes
    ) -> Path:
        folder = tmp_path / name
        content = {
            "README.md": b"---\nlanguage: da\n---\n",
            "config.json": b"{}",
            "model.safetensors": WEIGHTS,
            "onnx/model.onnx": WEIGHTS[::-1],
            **files,
        }
        named = {"name": recipe, "language": "da", "teacher": {"model": teacher}}
        report = {"recipe": named, "export": {"files": sorted([*content, "report.json"])}}
        for path, text in {**content, "report.json": json.dumps(report).encode()}.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(text)
        return folder

    return write


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_first_push_makes_the_repository_with_every_file_in_one_commit_and_a_tag(
    hub: Hub, export: Any
) -> None:
    folder = export()
    pushed = push(folder, "group/danish")
    repository = hub.repositories["group/danish"]
    assert repository.files() == contents(folder)
    assert repository.messages == ["initial commit", f"danish, by distill {__version__}"]
    assert repository.tags == {FIRST: pushed.commit} and repository.branches == {
        "main": pushed.commit
    }
    assert not repository.private
    assert (pushed.url, pushed.tag, pushed.created) == (f"{hub.url}/group/danish", FIRST, True)


def test_what_lies_in_the_folder_besides_is_not_sent(hub: Hub, export: Any) -> None:
    folder = export()
    (folder / "stage.json").write_text("{}")
    push(folder, "group/danish")
    assert "stage.json" not in hub.repositories["group/danish"].files()


def test_a_private_push_makes_a_private_repository(hub: Hub, export: Any) -> None:
    push(export(), "group/danish", private=True)
    assert hub.repositories["group/danish"].private


def test_a_private_push_to_a_public_repository_is_refused(hub: Hub, export: Any) -> None:
    hub.add("group/danish", {})
    with pytest.raises(UserError, match="group/danish is there already, and public"):
        push(export(), "group/danish", private=True)
    assert hub.repositories["group/danish"].files() == {}


def test_the_same_push_again_sends_and_commits_nothing(hub: Hub, export: Any) -> None:
    folder = export()
    first, calls = push(folder, "group/danish"), len(hub.calls)
    again = push(folder, "group/danish")
    assert (again.commit, again.tag, again.created) == (first.commit, FIRST, False)
    assert [
        call for call in hub.calls[calls:] if call.method == "PUT" or "/commit/" in call.path
    ] == []
    assert hub.repositories["group/danish"].tags == {FIRST: first.commit}


def test_a_changed_model_gets_a_tag_of_its_own_and_leaves_the_first_one_where_it_was(
    hub: Hub, export: Any
) -> None:
    first = push(export(), "group/danish")
    second = push(export(**{"config.json": b'{"layers": 2}'}), "group/danish")
    assert second.tag == SECOND
    assert hub.repositories["group/danish"].tags == {FIRST: first.commit, SECOND: second.commit}
    assert len(hub.asked("PUT")) == 2  # weights and ONNX, the first time alone


def test_what_the_model_no_longer_has_goes_and_what_others_put_there_stays(
    hub: Hub, export: Any
) -> None:
    push(export(**{"extra.json": b"{}"}), "group/danish")
    repository = hub.repositories["group/danish"]
    repository.commit(
        "main", {**repository.commits[repository.branches["main"]], "demo.png": b"png"}, "a picture"
    )
    pushed = push(export(name="later"), "group/danish")
    assert pushed.removed == ["extra.json"]
    assert set(repository.files()) == {*contents(export(name="later")), "demo.png"}


def test_a_branch_is_made_and_main_stays_as_it_was(hub: Hub, export: Any) -> None:
    hub.add("group/danish", {"README.md": b"soon"})
    folder = export()
    pushed = push(folder, "group/danish", revision="try/1.0")
    repository = hub.repositories["group/danish"]
    assert repository.files("try/1.0") == contents(folder)
    assert repository.files("main") == {"README.md": b"soon"}
    assert pushed.url == f"{hub.url}/group/danish/tree/try/1.0"


def test_a_branch_can_be_the_first_thing_that_a_repository_has(hub: Hub, export: Any) -> None:
    push(export(), "group/danish", revision="draft")
    push(export(**{"config.json": b"[]"}), "group/danish", revision="draft")
    repository = hub.repositories["group/danish"]
    assert (repository.files("draft")["config.json"], repository.files("main")) == (b"[]", {})


def test_a_tag_is_no_branch(hub: Hub, export: Any) -> None:
    push(export(), "group/danish")
    with pytest.raises(
        UserError, match=rf"--revision {FIRST}: is a tag of group/danish; name a branch"
    ):
        push(export(), "group/danish", revision=FIRST)


OTHERS = {
    "weights without a report": {"pytorch_model.bin": b"other"},
    "a report of something else": {
        "pytorch_model.bin": b"other",
        "report.json": b'{"accuracy": 1}',
    },
    "a report that cannot be read": {"pytorch_model.bin": b"other", "report.json": b"\xff{"},
}


@pytest.mark.parametrize("files", OTHERS.values(), ids=OTHERS)
def test_a_repository_with_a_model_of_somebody_else_is_refused(
    hub: Hub, export: Any, files: dict[str, bytes]
) -> None:
    repository = hub.add("group/danish", files)
    with pytest.raises(
        UserError, match="group/danish: it holds another model: one that distill did not push"
    ):
        push(export(), "group/danish")
    assert repository.files() == files
    assert [call for call in hub.calls if call.method != "GET"] == hub.asked("HEAD")


@pytest.mark.parametrize("other", [{"recipe": "finnish"}, {"teacher": "org/other"}])
def test_a_repository_with_another_recipes_model_is_refused(
    hub: Hub, export: Any, other: dict[str, str]
) -> None:
    push(export(), "group/danish")
    before = hub.repositories["group/danish"].files()
    with pytest.raises(
        UserError, match=r"it holds another model: \('danish', 'da', 'org/teacher'\), where this is"
    ):
        push(export(name="other", **other), "group/danish")
    assert hub.repositories["group/danish"].files() == before


def test_force_replaces_another_model_whole(hub: Hub, export: Any) -> None:
    repository = hub.add("group/danish", {"pytorch_model.bin": b"other", "LICENSE": b"theirs"})
    folder = export()
    pushed = push(folder, "group/danish", force=True)
    assert repository.files() == {**contents(folder), "LICENSE": b"theirs"}
    assert pushed.removed == ["pytorch_model.bin"]


def test_a_repository_with_a_readme_alone_is_free(hub: Hub, export: Any) -> None:
    hub.add("group/danish", {"README.md": b"soon"})
    push(export(), "group/danish")
    assert hub.repositories["group/danish"].files()["model.safetensors"] == WEIGHTS


@pytest.mark.parametrize("there", [False, True])
def test_a_dry_run_only_reads(hub: Hub, export: Any, there: bool) -> None:
    if there:
        hub.add("group/danish", {})
    folder = export()
    planned = push(folder, "group/danish", dry_run=True)
    assert {call.method for call in hub.calls} <= {"GET", "HEAD"}
    sizes = {name: len(content) for name, content in contents(folder).items()}
    assert planned == Pushed(
        url=f"{hub.url}/group/danish",
        commit=None,
        tag=FIRST,
        created=not there,
        sizes=sizes,
        removed=[],
    )


def test_a_dry_run_refuses_what_a_push_would(hub: Hub, export: Any) -> None:
    hub.add("group/danish", {"pytorch_model.bin": b"other"})
    with pytest.raises(UserError, match="holds another model"):
        push(export(), "group/danish", dry_run=True)


def test_a_connection_that_drops_amid_a_file_is_taken_up_again(hub: Hub, export: Any) -> None:
    hub.fault = lambda method, path: 0 if method == "PUT" and len(hub.asked("PUT")) == 0 else None
    folder = export()
    push(folder, "group/danish")
    assert hub.repositories["group/danish"].files() == contents(folder)


def test_a_push_that_lost_its_connection_goes_on_with_what_the_server_has_not(
    hub: Hub, export: Any
) -> None:
    folder, lost = export(), hashlib.sha256(WEIGHTS[::-1]).hexdigest()
    hub.fault = lambda method, path: 0 if f"/storage/{lost}" in path else None
    with pytest.raises(
        UserError,
        match=f"No connection to {hub.url} .*; once there is one, the same command goes on",
    ):
        push(folder, "group/danish")
    assert hub.repositories["group/danish"].files() == {}
    hub.fault = lambda method, path: None
    calls = len(hub.calls)
    push(folder, "group/danish")
    assert [lost in call.path for call in hub.calls[calls:] if call.method == "PUT"] == [True]
    assert hub.repositories["group/danish"].files() == contents(folder)


def test_a_tag_that_could_not_be_set_is_set_by_the_same_push(hub: Hub, export: Any) -> None:
    hub.fault = lambda method, path: 503 if "/tag/" in path else None
    with pytest.raises(UserError, match=f"{hub.url} answers 503 "):
        push(export(), "group/danish")
    hub.fault = lambda method, path: None
    pushed = push(export(), "group/danish")
    assert hub.repositories["group/danish"].messages == [
        "initial commit",
        f"danish, by distill {__version__}",
    ]
    assert hub.repositories["group/danish"].tags == {FIRST: pushed.commit}


def test_a_repository_that_changes_meanwhile_is_left_as_it_became(hub: Hub, export: Any) -> None:
    repository = hub.add("group/danish", {})

    def meanwhile(method: str, path: str) -> None:
        if "/preupload/" in path:
            repository.commit("main", {"model.safetensors": b"theirs"}, "theirs")

    hub.fault = meanwhile
    with pytest.raises(UserError, match="made or changed by somebody else meanwhile"):
        push(export(), "group/danish")
    assert repository.files() == {"model.safetensors": b"theirs"}


REFUSED = {
    "a token of another owner": (
        "hf_stranger",
        "group/danish",
        "this token has no right to write there",
    ),
    "a token that reads": ("hf_reader", "group/danish", "the token of reader can only read"),
    "a token that nobody knows": ("hf_unknown", "group/danish", "does not know the token"),
    "a token with a blank": ("hf_a b", "group/danish", "has characters that no token has"),
    "a private repository of others": (
        "hf_stranger",
        "group/hidden",
        "this token has no right to write there",
    ),
    "somebody's public repository": (
        "hf_stranger",
        "group/public",
        "this token has no right to write there",
    ),
    "no owner": ("hf_member", "danish", "--push danish: should be ORG/NAME"),
    "an address": ("hf_member", "https://hub/group/danish", "should be ORG/NAME"),
    "a name of blanks": ("hf_member", "group/da nish", "should be ORG/NAME"),
}


@pytest.mark.parametrize(("token", "name", "said"), REFUSED.values(), ids=REFUSED)
def test_a_push_that_cannot_be_is_one_sentence_and_leaves_nothing(
    hub: Hub, export: Any, monkeypatch: pytest.MonkeyPatch, token: str, name: str, said: str
) -> None:
    hub.add("group/hidden", {}, private=True)
    hub.add("group/public", {})
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(UserError) as error:
        push(export(), name)
    assert (
        said in str(error.value) and "\n" not in str(error.value) and token not in str(error.value)
    )
    assert set(hub.repositories) == {"group/hidden", "group/public"}
    assert [repository.files() for repository in hub.repositories.values()] == [{}, {}]
    assert hub.stored == {}


@pytest.mark.parametrize("status", [400, 402, 404, 409, 429, 500, 503])
def test_every_refusal_of_the_server_is_a_sentence(hub: Hub, export: Any, status: int) -> None:
    hub.fault = lambda method, path: status if path.endswith("/repos/create") else None
    with pytest.raises(UserError, match="something is wrong here") as error:
        push(export(), "group/danish")
    assert "\n" not in str(error.value)
    assert hub.repositories == {}


def test_an_export_that_lacks_a_file_is_not_pushed(hub: Hub, export: Any) -> None:
    folder = export()
    (folder / "config.json").unlink()
    with pytest.raises(
        UserError, match=r"is no whole export \(config.json\); python -m distill export"
    ):
        push(folder, "group/danish")
    assert hub.calls == []


@pytest.mark.parametrize(
    ("status", "said"),
    [(403, "this token has no right"), (404, "HF_HUB_DISABLE_XET=1 does without Xet")],
)
def test_what_xet_is_refused_is_told_as_a_refusal(
    hub: Hub, export: Any, monkeypatch: pytest.MonkeyPatch, status: int, said: str
) -> None:
    pytest.importorskip("hf_xet")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", False)
    hub.fault = lambda method, path: status if "/xet-write-token/" in path else None
    with pytest.raises(UserError, match=said):
        push(export(), "group/danish")
    assert hub.repositories["group/danish"].files() == {}


def test_what_is_nobodys_mistake_is_not_explained_away() -> None:
    assert explain(AssertionError("a bug"), "a/b", "https://hub") is None
    assert (
        explain(FileNotFoundError(2, "no such file", "model.safetensors"), "a/b", "https://hub")
        is None
    )


@pytest.mark.parametrize("name", ["main", "v1", "try/1.0", "a-b_c.d", "1"])
def test_branches_have_names(name: str) -> None:
    check_branch(name)


@pytest.mark.parametrize(
    "name",
    ["", "/a", "a/", "a..b", "a b", "-a", "a.lock", "refs/pr/1", "a//b", "a.", "å", "a\n", "a~1"],
)
def test_other_names_are_no_branches(name: str) -> None:
    with pytest.raises(UserError, match="--revision"):
        check_branch(name)


@given(st.lists(st.sampled_from([FIRST, SECOND, f"{FIRST}-3", "v1", "best"]), unique=True))
def test_a_new_commits_tag_is_a_free_one(names: list[str]) -> None:
    tag = version_tag(dict.fromkeys(names, "other"), "new")
    assert tag not in names and tag.startswith(FIRST)
    assert version_tag({**dict.fromkeys(names, "other"), tag: "new"}, "new") == tag
