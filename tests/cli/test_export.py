"""`python -m distill export`: a finished run's folder in, its export out, and on to a hub on this
machine.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from distill import __version__
from distill.recipe import Recipe
from distill.recipe.reading import list_recipes, load_recipe
from tests.conftest import distill_command, distill_environment
from tests.export.hub_server import Hub

Distill = Callable[..., subprocess.CompletedProcess[str]]
RUN = Path("runs") / "tiny"


@pytest.fixture(scope="module")
def shared() -> dict[str, Path]:
    return {}


@pytest.fixture
def finished(
    shared: dict[str, Path],
    write_recipe: Callable[..., Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, Path]:
    """The folder in which a run has finished, and its recipe; nobody writes to them."""
    if "folder" not in shared:
        little = {
            "distillation.tokens": 1000,
            "distillation.validations": 0,
            "evaluation.tasks": [],
        }
        recipe = write_recipe(**little, **{"benchmark.models": ["student"]})
        shared["recipe"], shared["folder"] = recipe, tmp_path_factory.mktemp("finished")
        command = distill_command("recipe", recipe)
        subprocess.run(
            command,
            cwd=shared["folder"],
            env=distill_environment(),
            check=True,
            capture_output=True,
            timeout=300,
        )
    return shared["folder"], shared["recipe"]


@pytest.fixture
def run(finished: tuple[Path, Path], tmp_path: Path) -> Path:
    """A copy of the finished run in the working folder, with MLflow's store."""
    for name in ("runs", "mlruns"):
        shutil.copytree(finished[0] / name, tmp_path / name, dirs_exist_ok=True)
    return tmp_path / RUN


def online(hub: Hub, home: Path, token: str | None = "hf_member") -> dict[str, str]:
    """What makes the real client in another process talk to the hub of this one, and to nobody
    else.
    """
    given = {"HF_TOKEN": token} if token else {}
    return {
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        "HF_HOME": str(home / "hf"),
        **given,
    }


def files_of(run: Path) -> dict[str, bytes]:
    folder = run / "export"
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != "stage.json"
    }


def test_a_finished_runs_export_is_up_to_date_within_seconds(run: Path, distill: Distill) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    done = distill("export", RUN)
    assert done.returncode == 0, done.stderr
    assert "export: up to date" in done.stderr
    assert f"student: {RUN / 'export'}: {', '.join(sorted(files_of(run)))}" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_an_export_that_was_deleted_is_made_again_as_it_was_and_the_recipe_has_nothing_to_do(
    run: Path, distill: Distill, finished: tuple[Path, Path]
) -> None:
    before = files_of(run)
    shutil.rmtree(run / "export")
    done = distill("export", RUN)
    assert done.returncode == 0, done.stderr
    assert files_of(run) == before
    assert "nothing to do" in distill("recipe", finished[1]).stderr


def test_an_export_that_lost_a_file_is_made_again(run: Path, distill: Distill) -> None:
    before = files_of(run)
    (run / "export" / "config.json").unlink()
    assert distill("export", RUN).returncode == 0
    assert files_of(run) == before


def test_a_run_of_which_a_stage_was_redone_is_not_finished(
    run: Path, distill: Distill, finished: tuple[Path, Path]
) -> None:
    distill("recipe", finished[1], "--set", "distillation.tokens=1500", "--until", "distillation")
    done = distill("export", RUN)
    assert done.returncode == 2
    assert "is not finished: what it has of evaluation, benchmark is missing" in done.stderr
    assert "python -m distill recipe tiny goes on." in done.stderr


def test_what_is_no_run_is_said(tmp_path: Path, distill: Distill) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "report.json").write_text('{"accuracy": 1}')
    said = {
        "runs/nothing": "runs/nothing is not there; name the folder of a finished run, such as "
        "runs/quickstart.",
        "empty": "empty has no report.json: its run has not ended;",
        "odd": "odd/report.json is not one of this version of distill; run the recipe again.",
    }
    for folder, sentence in said.items():
        done = distill("export", folder)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith(sentence)


def test_options_of_pushing_want_a_place_to_push_to(distill: Distill) -> None:
    done = distill("export", RUN, "--private")
    assert done.returncode == 2
    assert "name the repository with --push ORG/NAME" in done.stderr


PULL = """
import hashlib, sys, torch
from transformers import AutoModel, AutoTokenizer
model = AutoModel.from_pretrained(*sys.argv[1:2], revision=sys.argv[2], use_safetensors=True).eval()
tokenizer = AutoTokenizer.from_pretrained(*sys.argv[1:2], revision=sys.argv[2])
batch = tokenizer("Regeringen och fisken på det hav som vi har.", return_tensors="pt")
with torch.inference_mode():
    states = model(**batch).last_hidden_state
weights = b"".join(part.numpy().tobytes() for _, part in sorted(model.state_dict().items()))
hashes = [hashlib.sha256(part).hexdigest() for part in (states.numpy().tobytes(), weights)]
print(batch["input_ids"].tolist(), *hashes)
"""


def pulled(name: str, revision: str, environment: dict[str, str]) -> str:
    """What a model gives in a fresh process: ids, hidden states and weights."""
    command = [sys.executable, "-c", PULL, name, revision]
    environment = distill_environment(**environment)
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_pushed_comes_back_to_the_last_bit(
    run: Path, distill: Distill, hub: Hub, tmp_path: Path
) -> None:
    done = distill("export", RUN, "--push", "group/tiny", **online(hub, tmp_path))
    assert done.returncode == 0, done.stderr
    repository, tag = hub.repositories["group/tiny"], f"v{__version__}"
    assert (
        done.stdout.splitlines()[-1]
        == f"pushed: {hub.url}/group/tiny as {tag} (commit {repository.tags[tag]})"
    )
    assert repository.files() == files_of(run)
    before = len(hub.calls)
    theirs = pulled("group/tiny", tag, online(hub, tmp_path / "elsewhere", token=None))
    assert [
        call
        for call in hub.calls[before:]
        if call.method == "GET" and "model.safetensors" in call.path
    ]
    assert theirs == pulled(str(run / "export"), "main", {})


def test_a_push_is_noted_in_the_runs_report_and_leaves_it_up_to_date(
    run: Path, distill: Distill, hub: Hub, tmp_path: Path, finished: tuple[Path, Path]
) -> None:
    assert json.loads((run / "report.json").read_text())["export"]["pushed_to"] is None
    distill("export", RUN, "--push", "group/tiny", **online(hub, tmp_path))
    part = json.loads((run / "report.json").read_text())["export"]
    assert (part["pushed_to"], part["reason"]) == (f"{hub.url}/group/tiny", None)
    assert "nothing to do" in distill("recipe", finished[1]).stderr


def test_a_private_push_to_a_branch_is_private_and_on_the_branch(
    run: Path, distill: Distill, hub: Hub, tmp_path: Path
) -> None:
    done = distill(
        "export",
        RUN,
        "--push",
        "group/tiny",
        "--private",
        "--revision",
        "draft",
        **online(hub, tmp_path),
    )
    assert done.returncode == 0, done.stderr
    repository = hub.repositories["group/tiny"]
    assert repository.private
    assert repository.files("draft") == files_of(run) and repository.files("main") == {}


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(
    run: Path, distill: Distill, hub: Hub, tmp_path: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    done = distill(
        "export", RUN, "--push", "group/tiny", "--private", "--dry-run", **online(hub, tmp_path)
    )
    assert done.returncode == 0, done.stderr
    assert (
        f"would go to {hub.url}/group/tiny, a new private repository, as v{__version__}; nothing "
        "was sent" in done.stdout
    )
    assert f"{len(files_of(run))} files, " in done.stdout
    assert hub.repositories == {} and {call.method for call in hub.calls} == {"GET"}
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_a_dry_run_makes_no_export(run: Path, distill: Distill, hub: Hub, tmp_path: Path) -> None:
    shutil.rmtree(run / "export")
    done = distill("export", RUN, "--push", "group/tiny", "--dry-run", **online(hub, tmp_path))
    assert done.returncode == 2
    assert f"python -m distill export {RUN} makes it." in done.stderr
    assert not (run / "export").exists() and hub.calls == []


def test_another_model_is_replaced_only_by_force(
    run: Path, distill: Distill, hub: Hub, tmp_path: Path
) -> None:
    repository = hub.add("group/tiny", {"pytorch_model.bin": b"other"})
    refused = distill("export", RUN, "--push", "group/tiny", **online(hub, tmp_path))
    assert refused.returncode == 2
    assert (
        "--push group/tiny: it holds another model" in refused.stderr
        and "--force" in refused.stderr
    )
    assert repository.files() == {"pytorch_model.bin": b"other"}
    done = distill("export", RUN, "--push", "group/tiny", "--force", **online(hub, tmp_path))
    assert done.returncode == 0, done.stderr
    assert "gone: pytorch_model.bin" in done.stdout
    assert repository.files() == files_of(run)


def test_a_push_that_was_killed_goes_on_without_sending_again(
    run: Path, distill: Distill, hub: Hub, tmp_path: Path
) -> None:
    sent, may_go_on = threading.Event(), threading.Event()

    def hold(method: str, path: str) -> int | None:
        if method == "POST" and "/commit/" in path:  # everything large has been sent
            sent.set()
            may_go_on.wait(60)
            return 0
        return None

    hub.fault = hold
    environment = distill_environment(**online(hub, tmp_path))
    command = distill_command("export", RUN, "--push", "group/tiny", cold=True)
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert sent.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    may_go_on.set()
    assert hub.asked("PUT") and hub.repositories["group/tiny"].files() == {}
    hub.fault = lambda method, path: None
    calls = len(hub.calls)
    done = distill("export", RUN, "--push", "group/tiny", **online(hub, tmp_path))
    assert done.returncode == 0, done.stderr
    assert [call.path for call in hub.calls[calls:] if call.method == "PUT"] == []
    assert hub.repositories["group/tiny"].files() == files_of(run)


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


FAILURES: dict[str, tuple[str, dict[str, str], str]] = {
    "no token": ("group/tiny", {"HF_TOKEN": ""}, "log in with `hf auth login`, or set HF_TOKEN"),
    "no right": (
        "group/tiny",
        {"HF_TOKEN": "hf_stranger"},
        "this token has no right to write there",
    ),
    "an unknown token": ("group/tiny", {"HF_TOKEN": "hf_unknown"}, "does not know the token"),
    "a bad name": ("group/tiny/", {}, "--push group/tiny/: should be ORG/NAME"),
    "no network": (
        "group/tiny",
        {"HF_ENDPOINT": "http://127.0.0.1:{port}"},
        "No connection to http://127.0.0.1:{port}",
    ),
    "offline": ("group/tiny", {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
}


@pytest.mark.parametrize(("name", "changes", "said"), FAILURES.values(), ids=FAILURES)
def test_a_push_that_cannot_be_is_one_clear_message(
    run: Path,
    distill: Distill,
    hub: Hub,
    tmp_path: Path,
    name: str,
    changes: dict[str, str],
    said: str,
) -> None:
    port = str(closed_port())
    environment = online(hub, tmp_path) | {
        key: value.replace("{port}", port) for key, value in changes.items()
    }
    done = distill("export", RUN, "--push", name, **environment)
    assert done.returncode == 2
    message = done.stderr.removeprefix("export: up to date\n")
    assert said.replace("{port}", port) in message
    assert message.count("\n") == 1 and "Traceback" not in message
    assert "hf_" not in (done.stderr + done.stdout).replace("hf_xet", "")
    assert hub.repositories == {}
    assert json.loads((run / "report.json").read_text())["export"]["pushed_to"] is None


@pytest.mark.slow
def test_a_recipe_pushes_when_its_run_is_done(
    finished: tuple[Path, Path], run: Path, distill: Distill, hub: Hub, tmp_path: Path
) -> None:
    command = (
        "recipe",
        finished[1],
        "--set",
        "export.push=group/tiny",
        "--set",
        "export.private=true",
    )
    done = distill(*command, **online(hub, tmp_path))
    assert done.returncode == 0, done.stderr
    assert "corpus: up to date" in done.stderr
    assert f"export: pushed to {hub.url}/group/tiny as v{__version__}" in done.stderr
    repository = hub.repositories["group/tiny"]
    assert repository.private and repository.files() == files_of(run)
    assert (
        json.loads((run / "report.json").read_text())["export"]["pushed_to"]
        == f"{hub.url}/group/tiny"
    )
    calls = len(hub.calls)
    again = distill(*command, **online(hub, tmp_path))
    assert "nothing to do" in again.stderr and len(hub.calls) == calls


def test_a_run_whose_push_fails_is_kept_and_the_same_command_pushes_it_later(
    finished: tuple[Path, Path], run: Path, distill: Distill, hub: Hub, tmp_path: Path
) -> None:
    command = ("recipe", finished[1], "--set", "export.push=group/tiny")
    done = distill(*command, **online(hub, tmp_path, token=None))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert (
        "export.push: There is no token for" in done.stderr.split("export: done")[0]
    )  # early enough to mend it
    end = f"To push it later: python -m distill export {RUN} --push group/tiny"
    assert (
        done.stderr.splitlines()[-1]
        == f"The run is done, and its export is kept in {RUN / 'export'}. {end}"
    )
    report = json.loads((run / "report.json").read_text())
    assert (report["export"]["pushed_to"], report["export"]["reason"]) == (None, "not pushed yet")
    assert set(report["stages"]) >= {"distillation", "export"} and files_of(run)
    later = distill(*command, **online(hub, tmp_path))
    assert later.returncode == 0, later.stderr
    assert hub.repositories["group/tiny"].files() == files_of(run)


def test_a_recipe_with_a_bad_name_to_push_to_is_refused_before_it_runs(
    write_recipe: Callable[..., Path], distill: Distill
) -> None:
    done = distill("recipe", write_recipe(**{"export.push": "tiny"}))
    assert done.returncode == 2
    assert "export.push: should be ORG/NAME, such as my-group/my-model; found 'tiny'" in done.stderr


@pytest.mark.parametrize("path", list_recipes(), ids=lambda path: path.stem)
def test_a_report_gives_its_recipe_back(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISTILL_DATA", os.environ.get("DISTILL_DATA", "data"))
    recipe = load_recipe(str(path)).recipe
    assert (
        Recipe.model_validate(
            json.loads(json.dumps(recipe.model_dump(mode="json", exclude_none=True)))
        )
        == recipe
    )
