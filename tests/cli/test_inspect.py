"""`python -m distill inspect`: any models and parallel sentences go in; figures, tables and a page
come out.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from distill.cli.inspect import inspect_to_folder
from distill.inspection import inspect as room
from distill.models import LoadedModel, load_with_tokenizer
from distill.recipe import InspectionSection, TeacherSection
from distill.report.results.inspection import InspectionResult
from distill.runtime.errors import Interrupted, UserError
from distill.runtime.interruption import Interruption
from distill.runtime.progress import Progress
from distill.student.depth import untrained_copy
from tests.conftest import swedish_sentences

LANGUAGES: dict[str, Callable[[str], str]] = {
    "sv": lambda text: text,
    "pig": lambda text: " ".join(word[1:] + word[0] for word in text.split()),
    "zh": lambda text: "语" * len(text),
}


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen sentences in three languages, of which the last is in a script that the tiny teacher
    lacks.
    """
    folder = tmp_path_factory.mktemp("sentences")
    for language, translate in LANGUAGES.items():
        rows = [{"id": i, "text": translate(text)} for i, text in enumerate(swedish_sentences(12))]
        (folder / f"{language}.jsonl").write_text(
            "".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8"
        )
    return folder


@pytest.fixture(scope="module")
def other(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny teacher's architecture with other random weights, as a folder."""
    folder = tmp_path_factory.mktemp("models") / "other"
    teacher = load_with_tokenizer(str(tiny_teacher))
    untrained_copy(teacher.model, 1).save_pretrained(folder)
    teacher.tokenizer.save_pretrained(folder)
    return folder


def inspect(models: list[Path], sentences: Path, output: Path, **section: Any) -> Any:
    return inspect_to_folder(
        [str(model) for model in models],
        section={
            "sentences": str(sentences),
            "drawn_sentences": 4,
            "precision": "float32",
            **section,
        },
        pooling=None,
        prefix="",
        kept=section.pop("kept", None),
        output=output,
        progress=Progress(quiet=True),
    )


def test_the_command_leaves_figures_tables_and_a_page_and_prints_them(
    distill: Callable[..., subprocess.CompletedProcess[str]],
    tiny_teacher: Path,
    other: Path,
    sentences: Path,
    tmp_path: Path,
) -> None:
    shutil.copytree(other, tmp_path / "other")
    done = distill(
        "inspect",
        tiny_teacher,
        "other",
        "--sentences",
        sentences,
        "--output",
        "out",
        "--kept",
        "sv",
        "--precision",
        "float32",
    )
    assert done.returncode == 0, done.stderr
    assert (
        "page: out/inspection.html" in done.stdout
        and "language by language" in done.stdout
        and "Warning" not in done.stderr
    )
    found = json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert (found["sentences"], found["kept"], sorted(found["languages"])) == (
        12,
        "sv",
        ["pig", "sv", "zh"],
    )
    first, second = found["models"]
    assert [row["layer"] for row in first["layers"]] == [0, 1, 2, 3, 4]
    assert [round(first["cka"][i][i], 3) for i in range(5)] == [1.0] * 5 and second["cka"][4][4] < 1
    unknown = {row["language"]: row["unknown_characters"] for row in first["languages"]}
    assert unknown["zh"] == 1 and unknown["sv"] == 0
    pairs = first["matrices"]["retrieval"]
    assert len(pairs) == 5 and pairs[0][0][0] is None and 0 <= pairs[0][0][1] <= 1
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {
        "inspection.md",
        "layers.csv",
        "languages.csv",
        "pairs.csv",
        "layers.png",
        "inspection.html",
    } <= names


def test_states_are_computed_once_and_kept(
    tiny_teacher: Path, sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = inspect([tiny_teacher], sentences, tmp_path / "out")
    monkeypatch.setattr(room, "layer_vectors", lambda *_, **__: pytest.fail("computed again"))
    assert inspect([tiny_teacher], sentences, tmp_path / "out", drawn_languages=2) == first


def test_cut_off_it_goes_on_with_the_states_that_are_there(
    tiny_teacher: Path, sentences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    teacher, interruption, computed = load_with_tokenizer(str(tiny_teacher)), Interruption(), []
    original = room.layer_vectors

    def counting(*arguments: Any, **settings: Any) -> Any:
        computed.append(1)
        interruption.requested = len(computed) == 1
        return original(*arguments, **settings)

    monkeypatch.setattr(room, "layer_vectors", counting)

    def look() -> InspectionResult:
        models = {
            "teacher": teacher,
            "untrained": LoadedModel(
                model=untrained_copy(teacher.model, 1), tokenizer=teacher.tokenizer
            ),
        }
        return room.inspect_models(
            InspectionSection(sentences=str(sentences), models=list(models), precision="float32"),
            load=models.__getitem__,
            identify=lambda name: {"name": name},
            teacher_section=TeacherSection(model=str(tiny_teacher)),
            kept="sv",
            seed=0,
            output=tmp_path,
            progress=Progress(quiet=True),
            interruption=interruption,
        )

    with pytest.raises(Interrupted):
        look()
    interruption.requested = False
    assert [model.model for model in look().models] == ["teacher", "untrained"]
    assert len(computed) == 2


def test_a_model_of_another_width_and_depth_is_held_against_the_first(
    tiny_teacher: Path, sentences: Path, tmp_path: Path
) -> None:
    from transformers import XLMRobertaConfig, XLMRobertaModel

    teacher = load_with_tokenizer(str(tiny_teacher))
    config = XLMRobertaConfig(
        **{**teacher.model.config.to_dict(), "hidden_size": 16, "num_hidden_layers": 1}
    )
    XLMRobertaModel(config).save_pretrained(tmp_path / "small")
    teacher.tokenizer.save_pretrained(tmp_path / "small")
    found = inspect([tiny_teacher, tmp_path / "small"], sentences, tmp_path / "out")
    assert [len(row) for row in found.models[1].cka] == [5, 5]


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_the_same_sentence_in_every_language_is_found_everywhere(
    tiny_teacher: Path, sentences: Path, tmp_path: Path
) -> None:
    for language in ("aa", "bb"):
        shutil.copy(sentences / "sv.jsonl", tmp_path / f"{language}.jsonl")
    found = inspect([tiny_teacher], tmp_path, tmp_path / "out")
    assert all(row.retrieval == 1 for row in found.models[0].layers)
    assert found.kept is None and found.models[0].languages[0].retrieval_kept is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--kept", "da"), "--kept: {sentences} has no da, the language that the students are made "
                           "for; its languages: pig,"),
        (("--languages", "sv,de"), "--sentences: {sentences} has no de; its languages: pig, sv, "
                                   "zh."),
        (("--languages", "sv"), "--languages"),
        (("--max-sentences", "2"), "--max-sentences"),
        (("--text", "words"), "there is no column 'words'"),
        (("--precision", "int3"), "--precision"),
        (("--pooling", "middle"), "--pooling"),
        (("--sentences", "nowhere"), "--sentences: there is no file or folder nowhere."),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_and_exit_code_2(
    distill: Callable[..., subprocess.CompletedProcess[str]],
    tiny_teacher: Path,
    sentences: Path,
    tmp_path: Path,
    arguments: tuple[str, str],
    message: str,
) -> None:
    given = () if "--sentences" in arguments else ("--sentences", sentences)
    done = distill("inspect", tiny_teacher, *given, "--output", "out", *arguments)
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert message.format(sentences=sentences) in " ".join(done.stderr.split()), done.stderr


def test_a_model_that_is_not_there_is_said_before_anything_is_computed(
    sentences: Path, tmp_path: Path, tiny_teacher: Path
) -> None:
    with pytest.raises(UserError, match="MODEL"):
        inspect([tiny_teacher, Path("nowhere")], sentences, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_said(
    sentences: Path, tmp_path: Path, tiny_teacher: Path
) -> None:
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"--output: .* is a file; name a folder"):
        inspect([tiny_teacher], sentences, tmp_path / "out")
    assert (tmp_path / "out").read_text(encoding="utf-8") == "mine"
