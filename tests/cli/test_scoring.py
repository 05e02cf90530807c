"""`python -m distill benchmark --tasks`: any models are fine-tuned and scored, the first as the
reference.
"""

from __future__ import annotations

import csv
import json
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from distill.cli.scoring import score_models
from distill.evaluation import evaluate as room
from distill.models import load_with_tokenizer
from distill.recipe import EvaluationSection, TeacherSection
from distill.recipe.reading import TasksFile, load_tasks
from distill.runtime.errors import UserError
from distill.runtime.interruption import Interruption
from distill.runtime.progress import Progress
from distill.runtime.runtime import Runtime
from distill.student.depth import untrained_copy
from tests.conftest import distill_command, distill_environment
from tests.evaluation.conftest import PAIRS, toy_records

QUICK = {
    "seeds": 2,
    "learning_rates": [1e-3, 3e-3],
    "epochs": 2,
    "batch_size": 16,
    "max_length": 48,
    "precision": "float32",
}
LATENCY = (
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


@pytest.fixture(scope="session")
def untrained(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny teacher's architecture with other random weights, as a folder."""
    folder = tmp_path_factory.mktemp("untrained")
    teacher = load_with_tokenizer(str(tiny_teacher))
    untrained_copy(teacher.model, 1).save_pretrained(folder)
    teacher.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def tasks(tmp_path: Path) -> list[dict[str, Any]]:
    """A task that is fine-tuned for and one that is not, as YAML says them."""

    def write(name: str, rows: list[dict[str, Any]]) -> dict[str, str]:
        path = tmp_path / f"{name}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return {"path": str(path)}

    splits = {
        "train": write("train", toy_records(60)),
        "test": write("test", toy_records(30, seed=1)),
    }
    return [
        {"name": "toy", "kind": "classification", "metrics": ["accuracy", "mcc"], **splits},
        {
            "name": "faq",
            "kind": "retrieval",
            "source": write("faq", PAIRS),
            "query": "q",
            "passage": "a",
        },
    ]


@pytest.fixture
def tasks_file(tmp_path: Path, tasks: list[dict[str, Any]]) -> Callable[..., Path]:
    """Writes a recipe whose evaluation has the tasks and a quick protocol, with given keys
    changed.
    """

    def write(name: str = "tasks", **changes: Any) -> Path:
        recipe = {
            "name": name,
            "language": "sv",
            "seed": 3,
            "teacher": {"model": "nobody/nothing", "prefixes": {"query": "q: "}},
            "corpus": {"sources": [{"path": "nowhere.txt"}]},
            "evaluation": {"tasks": tasks, **QUICK, **changes},
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(recipe), encoding="utf-8")
        return path

    return write


@pytest.fixture
def score(tmp_path: Path) -> Callable[..., room.EvaluationResult]:
    def run(models: list[Path], file: Path) -> room.EvaluationResult:
        return score_models(
            [str(model) for model in models],
            load_tasks(str(file)),
            output=tmp_path / "out",
            progress=Progress(quiet=True),
            interruption=Interruption(),
        )

    return run


def test_the_real_command_scores_models_compares_them_with_the_first_and_writes_it(
    distill: Callable[..., subprocess.CompletedProcess[str]],
    tiny_teacher: Path,
    untrained: Path,
    tasks_file: Callable[..., Path],
    tmp_path: Path,
) -> None:
    done = distill(
        "benchmark", untrained, tiny_teacher, "--tasks", tasks_file(), *LATENCY, "--output", "out"
    )
    assert done.returncode == 0, done.stderr
    content = json.loads((tmp_path / "out" / "benchmark.json").read_text(encoding="utf-8"))
    scores = {(row["model"], row["task"], row["metric"]): row for row in content["evaluation"]}
    assert len(scores) == 2 * 2 * 2
    first, second = (scores[str(model), "toy", "accuracy"] for model in (untrained, tiny_teacher))
    assert len(first["scores"]) == len(second["scores"]) == 2 and first["difference"] == 0.0
    assert second["difference"] == pytest.approx(second["mean"] - first["mean"])
    assert second["low"] <= second["mean"] <= second["high"]
    assert (content["protocol"]["seed"], content["rows"]["toy"]["train"]) == (3, 54)
    assert {row["model"] for row in content["benchmark"]} == {str(untrained), str(tiny_teacher)}
    with (tmp_path / "out" / "scores.csv").open(encoding="utf-8", newline="") as file:
        table = {row["model"]: row for row in csv.DictReader(file)}
    assert float(table[str(tiny_teacher)]["toy accuracy mean"]) == second["mean"]
    assert float(table[str(tiny_teacher)]["toy accuracy difference"]) == second["difference"]
    means = [float(table[str(model)]["mean of tasks mean"]) for model in (untrained, tiny_teacher)]
    assert float(table[str(tiny_teacher)]["mean of tasks difference"]) == pytest.approx(
        means[1] - means[0]
    )
    assert f"| {tiny_teacher} | " in (tmp_path / "out" / "scores.md").read_text(encoding="utf-8")
    assert f"{second['mean']:.3f}" in done.stdout and "out/scores.csv" in done.stdout


def test_scores_are_those_of_the_evaluation_stage(
    tiny_teacher: Path,
    untrained: Path,
    tasks_file: Callable[..., Path],
    score: Callable[..., Any],
    tmp_path: Path,
) -> None:
    file = tasks_file()
    own = score([tiny_teacher, untrained], file)
    section = load_tasks(str(file)).evaluation
    (tmp_path / "stage").mkdir()
    by_recipe = room.evaluate_models(
        EvaluationSection.model_validate(
            section.model_dump() | {"models": ["teacher", "untrained"]}
        ),
        load=lambda name: load_with_tokenizer(
            str(tiny_teacher if name == "teacher" else untrained)
        ),
        teacher_section=TeacherSection.model_validate(
            {"model": "a/b", "prefixes": {"query": "q: "}}
        ),
        output=tmp_path / "stage",
        runtime=Runtime(seed=3),
    )
    for one, other in zip(own.scores, by_recipe.scores, strict=True):
        same = (
            "task",
            "metric",
            "scores",
            "mean",
            "low",
            "high",
            "retention",
            "difference",
            "difference_low",
            "learning_rate",
        )
        assert [getattr(one, key) for key in same] == [getattr(other, key) for key in same]


def test_a_list_of_tasks_is_enough(tmp_path: Path, tasks: list[dict[str, Any]]) -> None:
    path = tmp_path / "list.yaml"
    path.write_text(yaml.safe_dump(tasks), encoding="utf-8")
    found = load_tasks(str(path))
    assert isinstance(found, TasksFile) and found.teacher is None
    assert found.evaluation == EvaluationSection.model_validate({"tasks": tasks})


def test_another_model_joins_what_was_measured_and_one_whose_files_changed_is_measured_again(
    tiny_teacher: Path,
    untrained: Path,
    tasks_file: Callable[..., Path],
    score: Callable[..., Any],
    tmp_path: Path,
) -> None:
    file, changing = tasks_file(learning_rates=[1e-3]), tmp_path / "changing"
    shutil.copytree(untrained, changing)

    def lines() -> list[dict[str, Any]]:
        (measured,) = (tmp_path / "out" / "scores").glob("*/measured.jsonl")
        return [json.loads(line) for line in measured.read_text(encoding="utf-8").splitlines()]

    score([changing], file)
    first = lines()
    assert len(first) == 2 + 1  # a fine-tune a seed, and the retrieval
    both = score([tiny_teacher, changing], file)
    assert lines()[:3] == first and len(lines()) == 6
    assert next(row for row in both.scores if row.model == str(changing)).difference is not None
    shutil.copytree(tiny_teacher, changing, dirs_exist_ok=True)
    again = score([tiny_teacher, changing], file)
    assert len(lines()) == 6 and not [line for line in first if line in lines()]
    assert all(row.difference == 0.0 for row in again.scores)  # they are one model now


def test_other_settings_are_measured_apart(
    tiny_teacher: Path, tasks_file: Callable[..., Path], score: Callable[..., Any], tmp_path: Path
) -> None:
    for rate in (1e-3, 2e-3, 1e-3):
        score([tiny_teacher], tasks_file(learning_rates=[rate], seeds=1))
    measured = list((tmp_path / "out" / "scores").glob("*/measured.jsonl"))
    assert [len(path.read_text(encoding="utf-8").splitlines()) for path in measured] == [2, 2]


def test_without_the_first_model_there_is_nothing_to_compare_with(
    tiny_teacher: Path,
    tasks_file: Callable[..., Path],
    score: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    found = score(
        [Path("KB/bert-base-swedish-cased"), tiny_teacher],
        tasks_file(seeds=1, learning_rates=[1e-3]),
    )
    first, second = found.scores[0], found.scores[-1]
    assert first.mean is None and first.reason.startswith(
        "cannot read config.json of KB/bert-base-swedish-cased"
    )
    assert second.mean is not None
    assert (second.retention, second.reason) == (
        None,
        "KB/bert-base-swedish-cased was not evaluated",
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "--tasks: There is no recipe own, neither as a file nor in recipes/; "),
        (
            "",
            "--tasks: own.yaml: should hold a list of tasks (- name: ...) or a recipe; found "
            "nothing.",
        ),
        ("[]", "--tasks: own.yaml: there is no task in it."),
        ("- [", "--tasks: own.yaml, line 1, column 4: this is not valid YAML: "),
        (
            "name: x\n",
            "--tasks: own.yaml: 3 errors in the recipe:\n  own.yaml: language: is missing",
        ),
        (
            "- {name: t, kind: retrieval, source: {path: a}, query: q,\n   passage: a, quary: q}\n",
            "--tasks: own.yaml: 1 error in the tasks:\n  line 2: tasks.0.quary: unknown key; did "
            "you mean query?",
        ),
        (
            "- {name: t, kind: ranking}\n",
            "--tasks: own.yaml: 1 error in the tasks:\n  line 1: tasks.0.kind: there is no "
            "'ranking'",
        ),
        ("- {name: t, kind: masked, source: {path: none.txt}}\n", "none.txt"),
        (
            "- {name: t, kind: masked, source: {path: '${NOT_SET_HERE}/a'}}\n",
            "names the environment variable NOT_SET_HERE",
        ),
    ],
)
def test_a_mistake_in_the_tasks_is_told_before_a_model_is_loaded(
    tmp_path: Path,
    tiny_teacher: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str | None,
    message: str,
) -> None:
    from distill.cli.benchmark import benchmark_to_folder

    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path("own.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as caught:
        benchmark_to_folder(
            [str(tiny_teacher)], tasks="own", output=Path("out"), progress=Progress(quiet=True)
        )
    assert message in str(caught.value)
    assert not Path("out").exists()


def test_a_command_that_was_interrupted_says_how_it_goes_on_and_does_what_is_missing(
    tiny_teacher: Path,
    untrained: Path,
    tasks_file: Callable[..., Path],
    score: Callable[..., Any],
    tmp_path: Path,
) -> None:
    file = tasks_file(seeds=6, learning_rates=[1e-3], epochs=4)
    arguments = ("benchmark", tiny_teacher, untrained, "--tasks", file, *LATENCY, "--output", "cut")
    process = subprocess.Popen(
        distill_command(*arguments, cold=True),
        cwd=tmp_path,
        env=distill_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120

    def measured() -> list[str]:
        found = list((tmp_path / "cut" / "scores").glob("*/measured.jsonl"))
        return found[0].read_text(encoding="utf-8").splitlines() if found else []

    while len(measured()) < 2:
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[1]
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=60)
    before = measured()
    assert process.returncode == 1 and len(before) < 2 * (6 + 1)
    assert (
        "Interrupted; what is done is kept. The same command goes on: python -m distill benchmark"
        in told
    )
    done = subprocess.run(
        distill_command(*arguments),
        cwd=tmp_path,
        env=distill_environment(),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert measured()[: len(before)] == before and len(measured()) == 2 * (6 + 1)
    content = json.loads((tmp_path / "cut" / "benchmark.json").read_text(encoding="utf-8"))
    whole = score([tiny_teacher, untrained], file)
    assert [row["scores"] for row in content["evaluation"]] == [row.scores for row in whole.scores]
