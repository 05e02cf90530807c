"""What a user does wrong, through the command line: exit code 2, one message, no traceback, nothing
lost.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.cli import main
from distill.runtime.errors import without_long_words
from distill.runtime.lock import LOCK
from tests.conftest import distill_command, distill_environment, swedish_sentences

Done = subprocess.CompletedProcess[str]


@pytest.fixture
def refused(distill) -> Callable[..., str]:
    """`refused("recipe", path, ...)`: what is said to a command line that is wrong."""

    return lambda *arguments: _refusal(distill(*arguments))


@pytest.fixture(scope="session")
def store(tmp_path_factory) -> str:
    """One MLflow store for all: a fresh one takes seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def distill_here(tmp_path, monkeypatch, capsys, store) -> Callable[..., Done]:
    """`distill` without a process of its own, for what is told only once torch, transformers and
    MLflow are there.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["distill", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        told = capsys.readouterr()
        return Done(sys.argv, int(left.value.code or 0), told.out, told.err)

    return run


@pytest.fixture
def refused_here(distill_here) -> Callable[..., str]:
    """`refused` without a process of its own."""
    return lambda *arguments: _refusal(distill_here(*arguments))


def _refusal(done: Done) -> str:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return done.stderr


def test_a_recipe_that_is_not_found_comes_with_near_names(refused):
    assert (
        "There is no recipe quikstart, neither as a file nor in recipes/; did you mean quickstart?"
        in refused("recipe", "quikstart")
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            ("--until", "vocabulry"),
            "--until vocabulry: there is no such stage; did you mean vocabulary?",
        ),
        (("--force", "zzz"), "--force zzz: there is no such stage; stages: corpus, vocabulary"),
        (("--set", "distillation.tokens"), "--set distillation.tokens: write section.key=value"),
        (("--set", "name=[1"), "--set name=[1, line 1, column"),
        (("--ste", "a=b"), "No such option: --ste"),
        (("another",), "unexpected extra argument"),
        (("--set",), "--set"),
    ],
)
def test_an_option_that_is_wrong_is_named(refused, arguments, expected):
    assert expected in refused("recipe", "quickstart", *arguments)


def test_a_command_that_does_not_exist_comes_with_near_names(refused):
    assert "No such command 'recip'" in refused("recip", "quickstart")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [a\nlanguage: sv\n", "wrong.yaml, line 2, column 9: this is not valid YAML"),
        (
            "name: a\nname: b\n",
            "wrong.yaml, line 2, column 1: this is not valid YAML: key 'name' occurs twice",
        ),
        ("- name: a\n", "wrong.yaml: a recipe is a mapping"),
        (
            "name: a\nlanguage: sv\ncorpus: {sources: [{hub: a/b}]}\nteacher: {modle: x}\n",
            "line 4: teacher.modle: unknown key",
        ),
    ],
)
def test_a_recipe_that_cannot_be_read_names_file_and_line(refused, tmp_path, text, expected):
    (tmp_path / "wrong.yaml").write_text(text)
    assert expected in refused("recipe", "wrong.yaml")


def test_all_errors_of_a_recipe_are_told_at_once(refused, write_recipe):
    changes = {
        "language": None,
        "studnet": {},
        "seed": "many",
        "student.layers": [3, 1],
        "vocabulary.size": 300,
    }
    told = refused(
        "recipe", write_recipe(**changes), "--set", "distillation.objectives={hidden: 0}"
    )
    for expected in (
        "6 errors in the recipe",
        "language: is missing",
        "studnet: unknown key; did you mean student?",
        "seed: input should be a valid integer",
        "student: a list of layers names at least one, each once, in rising order; found [3, 1]",
        "vocabulary: cannot aim at both min_count and size",
        "--set distillation.objectives={hidden: 0}: distillation.objectives: all weights are 0",
    ):
        assert expected in told


def test_norwegian_is_a_language(distill_here, write_recipe):
    recipe = write_recipe()
    recipe.write_text(recipe.read_text().replace("language: sv", "language: no"))
    done = distill_here("recipe", recipe, "--dry-run")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"student.layers": 5}, "student: 5 layers are more than the teacher's 4"),
        ({"student.layers": [2, 6]}, "student: layer 6 is named and the teacher has 4"),
        (
            {"student.hidden_size": 30, "distillation.objectives": {"hidden": 0, "relations": 1}},
            "student: ",
        ),
        (
            {"student.hidden_size": 32},
            "student: hidden_size 32 is the teacher's own; nothing would be pruned",
        ),
        (
            {"distillation.objectives": {"logits": 1}},
            "distillation.objectives.logits: the teacher needs a language-model head",
        ),
        ({"student.hidden_size": 64}, "student: "),
        ({"student.intermediate_size": 4096}, "student: "),
    ],
)
def test_a_student_that_cannot_be_cut_from_the_teacher_is_refused(
    refused_here, write_recipe, changes, expected
):
    assert expected in refused_here("recipe", write_recipe(**changes), "--dry-run")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ({"path": "nowhere/*.txt"}, "source nowhere/*.txt: there is no such file"),
        (
            {"path": "folder"},
            "source folder: this is a folder; name its files, such as folder/*.txt",
        ),
        ({"path": "text.docx"}, "the name text.docx does not tell its format"),
        ({"path": "empty.txt"}, "source empty.txt: it is empty"),
        ({"path": "blank.jsonl"}, "source blank.jsonl: it is empty"),
        ({"path": "broken.txt.gz"}, "source broken.txt.gz: broken.txt.gz cannot be read as txt"),
        ({"path": "cut.txt.gz"}, "source cut.txt.gz: cut.txt.gz cannot be read as txt"),
        (
            {"path": "broken.parquet"},
            "source broken.parquet: broken.parquet cannot be read as parquet",
        ),
        (
            {"path": "good.jsonl", "column": "body"},
            "there is no column 'body' in good.jsonl, row 1; its columns: text",
        ),
        ({"path": "latin.txt"}, "lines are not valid UTF-8 (first: latin.txt, line 3)"),
        ({"path": "prose.jsonl"}, "lines are not JSON objects (first: prose.jsonl, line 1)"),
        ({"path": "numbers.txt"}, "documents survive cleaning"),
        ({"path": "one.txt"}, "documents survive cleaning"),
        (
            {"path": "${NO_SUCH_NAME}/a.txt"},
            "the environment variable NO_SUCH_NAME, which is not set",
        ),
        ({"path": "nosuch://x/y.txt"}, "source nosuch://x/y.txt: cannot be listed"),
        (
            {"package": "no-such-distribution", "files": "*"},
            "no-such-distribution is not installed; pip install",
        ),
        ({"package": "pytest", "files": "*.srt"}, "no file of the installed package matches"),
    ],
    ids=lambda value: next(iter(value.values())) if isinstance(value, dict) else "",
)
def test_a_source_that_cannot_be_used_is_named(
    refused_here, write_recipe, tmp_path, source, expected
):
    sentences = swedish_sentences(40)
    plain = "\n".join(sentences).encode()
    rows = "\n".join(json.dumps({"text": sentence}) for sentence in sentences).encode()
    for name, content in {
        "empty.txt": b"",
        "blank.jsonl": b"\n\n",
        "broken.txt.gz": b"no gzip at all",
        "cut.txt.gz": gzip.compress(plain)[:-20],
        "broken.parquet": b"PAR1" + bytes(50),
        "good.jsonl": rows,
        "latin.txt": b"En rad.\nEn rad till.\n"
        + "\n".join(s + " åäö" for s in sentences).encode("latin-1"),
        "prose.jsonl": plain,
        "numbers.txt": b"12 34 56 78 90 12 34 56 78\n" * 200,
        "one.txt": b"En enda rad med text.\n",
        "text.docx": b"PK",
    }.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    assert expected in refused_here(
        "recipe", write_recipe(**{"corpus.sources": [source]}), "--until", "corpus"
    )


def test_a_hub_dataset_that_cannot_be_reached_is_named(refused, write_recipe):
    told = refused(
        "recipe", write_recipe(**{"corpus.sources": [{"hub": "some/dataset"}]}), "--until", "corpus"
    )
    assert "source hub some/dataset: HF_HUB_OFFLINE is set" in told


def test_every_source_and_the_teacher_are_checked_in_one_go(refused_here, write_recipe):
    sources = [{"path": "nowhere.txt"}, {"path": "nowhere-else.txt"}]
    told = refused_here(
        "recipe",
        write_recipe(**{"corpus.sources": sources, "teacher.model": "./no-teacher"}),
        "--dry-run",
    )
    for expected in (
        "source nowhere.txt",
        "source nowhere-else.txt",
        "there is no folder ./no-teacher",
    ):
        assert expected in told


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("inget av detta är JSON\n".encode(), "0 are not UTF-8 and 1 not JSON objects"),
        (b'{"text": "\xff"}\n', "1 are not UTF-8"),
    ],
)
def test_a_few_unreadable_lines_are_counted_and_reported(
    distill_here, write_recipe, tmp_path, bad, problem
):
    lines = [json.dumps({"text": sentence}).encode() + b"\n" for sentence in swedish_sentences(150)]
    (tmp_path / "mostly.jsonl").write_bytes(b"".join([*lines[:9], bad, *lines[9:]]))
    done = distill_here(
        "recipe",
        write_recipe(**{"corpus.sources": [{"path": "mostly.jsonl"}]}),
        "--until",
        "corpus",
    )
    assert done.returncode == 0, done.stderr
    assert "of 151 lines of mostly.jsonl" in done.stderr
    assert problem in done.stderr
    assert "first: mostly.jsonl, line 10" in done.stderr
    report = json.loads((tmp_path / "runs" / "tiny" / "report.json").read_text())
    source = report["corpus"]["sources"][0]
    assert source["invalid_utf8"] + source["invalid_json"] == 1
    assert source["rows"] == 150


def _without(*names: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return damage


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _truncated(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])


def _overwritten(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"not safetensors, whatever the name says")


def _config(text: str) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        (folder / "config.json").write_text(text)

    return damage


def _word_level(folder: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    tokenizer.train_from_iterator(
        swedish_sentences(50), trainers.WordLevelTrainer(vocab_size=300, special_tokens=special)
    )
    tokenizer.save(str(folder / "tokenizer.json"))


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (_without("config.json"), "has no config.json; it should hold a transformers model"),
        (_config("{not json"), "cannot read config.json of"),
        (_config('{"model_type": "no-such-architecture"}'), "cannot read config.json of"),
        (_without("model.safetensors"), "has no safetensors weights"),
        (
            _pickled,
            "pytorch_model.bin is refused: it holds more than weights, or is damaged",
        ),
        (_truncated, "cannot read safetensors weights (model.safetensors) of"),
        (_overwritten, "cannot read safetensors weights (model.safetensors) of"),
        (
            _without("tokenizer.json", "tokenizer_config.json"),
            "has no pieces; its tokenizer.json seems to be missing",
        ),
        (_without("tokenizer.json"), "tokenizer"),
        (
            _word_level,
            "its tokenizer is of the WordLevel family; vocabulary trimming supports Unigram",
        ),
    ],
    ids=[
        *(
            "no-config",
            "config-not-json",
            "unknown-type",
            "no-weights",
            "pickle",
            "truncated",
            "overwritten",
        ),
        *("no-tokenizer", "no-tokenizer-json", "word-level"),
    ],
)
def test_a_teacher_that_cannot_be_used_is_named_before_anything_runs(
    refused_here, write_recipe, tiny_teacher, tmp_path, damage, expected
):
    folder = tmp_path / "teacher"
    shutil.copytree(tiny_teacher, folder)
    damage(folder)
    told = refused_here("recipe", write_recipe(**{"teacher.model": str(folder)}))
    assert expected in told
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("./nowhere", "there is no folder ./nowhere"),
        (
            "some-organisation/no-such-model",
            "some-organisation/no-such-model cannot be had: HF_HUB_OFFLINE is set",
        ),
        (
            "package:no-such-teacher",
            "no packaged teacher 'no-such-teacher'; known: multilingual-e5-small",
        ),
    ],
)
def test_a_teacher_that_is_not_there_is_named(refused, write_recipe, model, expected):
    assert expected in refused("recipe", write_recipe(**{"teacher.model": model}))


@pytest.mark.parametrize(
    ("vocabulary", "expected"),
    [
        (
            {"min_count": 10**6, "floor": 0.9, "alphabet": False},
            "held-out sentences keep their segmentation, below the floor of 0.9",
        ),
        ({"size": 20}, "vocabulary.size: 20 is fewer than the"),
        ({"size": "1M"}, "vocabulary.size: 1000000 is more than the teacher's"),
    ],
)
def test_a_vocabulary_target_out_of_reach_is_an_error(
    refused_here, write_recipe, vocabulary, expected
):
    assert expected in refused_here(
        "recipe", write_recipe(vocabulary=vocabulary), "--until", "vocabulary"
    )


def test_an_error_loses_nothing_of_an_earlier_run(
    distill_here, refused_here, write_recipe, tmp_path
):
    until = ("--until", "vocabulary")
    assert distill_here("recipe", write_recipe(), *until).returncode == 0
    folder = tmp_path / "runs" / "tiny"
    kept = (path for path in folder.rglob("*") if path.is_file() and path.name != LOCK)
    before = {path: path.read_bytes() for path in kept}
    refused_here(
        "recipe",
        write_recipe(vocabulary={"min_count": 10**6, "floor": 1.0, "alphabet": False}),
        *until,
    )
    refused_here("recipe", write_recipe(**{"corpus.sources": [{"path": "nowhere.txt"}]}), *until)
    assert {path: path.read_bytes() for path in before} == before
    assert "nothing to do" in distill_here("recipe", write_recipe(), *until).stderr


def _on_small_disk(disk: Path, kilobytes: int, script: str, command: list[str]) -> list[str]:
    """A shell script, with the command as "$@" and a file system of so many kB at "$0", which ends
    with the script.
    """
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    mounted = f'mount -t tmpfs -o size={kilobytes}k tmpfs "$0" || exit 77\n{script}'
    return ["unshare", *user, "--mount", "sh", "-c", mounted, str(disk), *command]


@pytest.fixture
def on_small_disk(tmp_path) -> Callable[..., Done]:
    """`on_small_disk(kilobytes, script, recipe, ...)`: a run that writes to a disk of that size."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def run(kilobytes: int, script: str, *arguments: object) -> Done:
        # A mount of its own, which a forked process would not see.
        command = distill_command("recipe", *arguments, "--runs", disk / "runs", cold=True)
        shell = _on_small_disk(disk, kilobytes, script, command)
        return subprocess.run(
            shell,
            cwd=tmp_path,
            env=distill_environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    if (
        shutil.which("unshare") is None
        or subprocess.run(_on_small_disk(disk, 64, "", []), capture_output=True).returncode
    ):
        pytest.skip("a file system cannot be mounted here")
    return run


@pytest.mark.parametrize(
    ("kilobytes", "script"),
    [
        (64, 'cat /dev/zero > "$0/full" 2>/dev/null; "$@"'),
        pytest.param(8000, '"$@"', marks=pytest.mark.slow),
        pytest.param(
            8000,
            '(until [ -e "$0/runs/tiny/corpus" ]; do sleep 0.02; done; cat /dev/zero > "$0/full" '
            '2>/dev/null) & "$@"',
            marks=pytest.mark.slow,
        ),
    ],
    ids=["full-already", "fills-while-writing-the-corpus", "filled-by-another-after-the-corpus"],
)
def test_a_full_disk_is_told_in_one_line(
    on_small_disk, write_recipe, tmp_path, request, kilobytes, script
):
    changes = {}
    if "while-writing" in request.node.name:
        rows = (
            json.dumps({"text": f"regeringen och {number} fiskar " + "vinter " * 1000})
            for number in range(1500)
        )
        (tmp_path / "large.jsonl").write_text("\n".join(rows))
        changes = {"corpus.sources": [{"path": "large.jsonl"}]}
    told = _refusal(
        on_small_disk(kilobytes, script, write_recipe(**changes), "--until", "vocabulary")
    )
    assert re.search("[Nn]o space left", told.splitlines()[-1])
    assert ("corpus: done" in told) == ("after-the-corpus" in request.node.name)


def test_a_mistake_in_the_recipe_is_told_without_loading_what_computes(write_recipe):
    probe = (
        "import sys\nfrom distill.cli import main\ntry:\n    main()\nfinally:\n    "
        "print(sorted(sys.modules))"
    )
    recipe: Any = write_recipe(seed="x")
    done = subprocess.run(
        [sys.executable, "-c", probe, "recipe", str(recipe)],
        env=distill_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert not {"torch", "transformers", "mlflow", "datasets"} & set(eval(done.stdout))


def test_of_a_value_that_is_no_word_the_beginning_and_the_end_are_told() -> None:
    told = without_long_words(f"there is no model '{'x' * 100_000}'; did you mean teacher?")
    assert len(told) < 200
    assert told.startswith("there is no model 'xxx") and told.endswith("xx'; did you mean teacher?")
    path = "/" + "folder/" * 80
    assert without_long_words(path) == path
