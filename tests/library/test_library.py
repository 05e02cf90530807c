"""The library as docs/library.md shows it, on a tiny model, and what its functions promise."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import distill
from distill.library.distil import check_texts
from distill.library.models import by_name, display
from distill.library.recipes import load_recipe
from distill.models import load_with_tokenizer
from distill.report.model import Report
from distill.runtime.errors import UserError
from tests.conftest import ROOT, python_output, swedish_sentences

EXAMPLES = re.findall(
    r"## (.+?)\n\n```python\n(.+?)```", (ROOT / "docs" / "library.md").read_text(), flags=re.S
)


def test_every_function_of_the_library_has_an_example() -> None:
    shown = {name for title, _ in EXAMPLES for name in title.split(" and ")}
    functions = {name for name in distill.__all__ if name[0].islower()}
    assert shown == functions


def test_the_examples_run_as_they_stand(
    tiny_teacher: Path,
    write_recipe: Callable[..., Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_teacher, "teacher")
    Path("texts.txt").write_text("\n".join(swedish_sentences(400)), encoding="utf-8")
    sentences = swedish_sentences(40, seed=3)
    for split in ("train", "test"):
        rows = [{"text": text, "label": text[0] < "k"} for text in sentences]
        lines = [json.dumps({**row, "label": str(row["label"])}) + "\n" for row in rows]
        Path(f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")
    parallel = [
        {"id": i, "language": language, "text": text}
        for language in ("sv", "en")
        for i, text in enumerate(swedish_sentences(12, seed=ord(language[0])))
    ]
    text = "".join(json.dumps(row) + "\n" for row in parallel)
    Path("sentences.jsonl").write_text(text, encoding="utf-8")
    assert write_recipe(**{"export.onnx": False}).samefile("tiny.yaml")
    names: dict[str, Any] = {}
    for title, code in EXAMPLES:
        exec(compile(code, f"docs/library.md, {title}", "exec"), names)
    told = capsys.readouterr().out
    assert "pieces" in told and "Distillation(" in told
    assert isinstance(names["report"], Report)
    written = Report.read(Path("runs/tiny/report.json"))
    assert written.distillation == names["report"].distillation
    assert names["handed_over"].files == written.export.files


def test_importing_the_library_imports_nothing_that_computes() -> None:
    probe = "import sys, distill; print(*sys.modules)"
    heavy = {"torch", "transformers", "mlflow", "datasets", "onnxruntime"}
    assert not heavy & set(python_output(probe).split())


def test_functions_keep_their_names_when_rooms_of_the_same_name_are_used(
    tiny_teacher: Path,
) -> None:
    import distill.benchmark.floor
    import distill.export.card

    assert callable(distill.benchmark) and callable(distill.export)
    assert distill.export.__name__ == "export"


def test_a_model_in_memory_without_its_tokenizer_is_told(tiny_teacher: Path) -> None:
    model = load_with_tokenizer(str(tiny_teacher)).model
    with pytest.raises(UserError, match="needs its tokenizer"):
        distill.trim(model, texts=swedish_sentences(10))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"size": -1}, "trim: "),
        ({"min_count": 2, "size": 100}, "cannot aim at both"),
        ({"heldout": 1.5}, "should be a share between 0 and 1"),
        ({"floor": 1.0, "size": 350}, "below the floor of 1.0"),
    ],
)
def test_a_mistake_in_trimming_is_one_sentence(
    tiny_teacher: Path, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        distill.trim(str(tiny_teacher), texts=swedish_sentences(200), **changes)


@pytest.mark.parametrize(
    ("value", "kept"), [("60k", 60_000), (60_000, 60_000), (None, None), ([1, 2], [1, 2])]
)
def test_overrides_are_values_by_key(
    write_recipe: Callable[..., Path], value: object, kept: object
) -> None:
    key = {None: "minutes", 60_000: "tokens"}.get(kept if not isinstance(kept, list) else 0)
    path = f"distillation.{key}" if key else "student.layers"
    recipe = load_recipe(write_recipe(), {path: value}).recipe
    section = recipe.distillation if key else recipe.student
    assert getattr(section, key or "layers") == kept


def test_models_are_called_by_their_names() -> None:
    assert by_name("a/b") == {"a/b": "a/b"}
    assert by_name(["a/b", "./c"]) == {"a/b": "a/b", "./c": "./c"}
    assert by_name({"mine": "a/b"}) == {"mine": "a/b"}


def test_progress_is_hidden_in_a_pipe_and_shown_when_asked() -> None:
    assert display(None).quiet and display(False).quiet and not display(True).quiet


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([("fråga", None)] * 9, "number 1 is"),
        (["text"] * 8 + [("fråga", "svar")], "number 9 is"),
        ([("a", "b", "c")] * 9, "number 1 is"),
        ([{"q": 1}] * 9, "number 1 is"),
    ],
)
def test_texts_that_are_neither_all_texts_nor_all_pairs_are_refused(
    texts: list[Any], message: str
) -> None:
    with pytest.raises(UserError, match=f"all of them pairs of strings; {message}"):
        check_texts(texts)


def test_pairs_without_a_second_text_are_left_out() -> None:
    assert check_texts([("a", "b"), ["c", "d"], ("e", " ")]) == ([("a", "b"), ("c", "d")], True)
