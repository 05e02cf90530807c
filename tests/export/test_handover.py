from __future__ import annotations

import copy
import getpass
import json
import re
from pathlib import Path
from typing import Any

import onnx
import pytest

from distill.evaluation.int8 import exported_int8
from distill.export import handover
from distill.export.handover import _of_this_file, _warnings, export_student, write_outside_weights
from distill.models import LoadedModel
from distill.models.after_pooling import SentenceVectors
from distill.onnx import files
from distill.onnx.conversion import ConversionError
from distill.onnx.layout import INT8
from distill.recipe import ExportSection, TeacherSection
from distill.report.results.export import ExportProof, ExportResult, Runtimes
from distill.runtime.hashes import hash_file
from tests.conftest import swedish_sentences
from tests.export.conftest import SECRET

SENTENCES = swedish_sentences(5, seed=9)
RECIPE = (
    f"name: tiny  # the user's own words\ncorpus: {{sources: [{{path: "
    f"/home/{SECRET}/text/*.jsonl}}]}}\n"
)
STOCK = {
    "README.md",
    "config.json",
    "model.safetensors",
    "recipe.yaml",
    "report.json",
    "tokenizer.json",
    "tokenizer_config.json",
}
FOR_SENTENCES = {
    "1_Pooling/config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
}


def exported(
    student: LoadedModel,
    report: dict[str, Any],
    output: Path,
    pooling: str = "mean",
    **section: Any,
) -> ExportResult:
    return export_student(
        ExportSection(**{"onnx": False} | section),
        student=student,
        teacher_section=TeacherSection(model="a/b", pooling=pooling),
        report=report,
        recipe_text=RECIPE,
        sentences=SENTENCES,
        path=Path("tiny/export"),
        output=output,
    )


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Saves the fresh process where a test is of something else."""
    proof = ExportProof(sentences=0, onnx_max_abs_difference=None, int8_cosine=None, int8_time=None)
    monkeypatch.setattr(handover, "prove", lambda *arguments, **options: proof)


@pytest.fixture(scope="module")
def folder(
    student: LoadedModel, local_report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An exported student, in the user's folder."""
    output = tmp_path_factory.mktemp(SECRET)
    (output / "fingerprint").write_text("0123")
    exported(student, local_report, output, onnx=True)
    (output / "fingerprint").unlink()
    return output


def test_the_folder_holds_what_its_report_lists_and_nothing_else(folder: Path) -> None:
    listed = json.loads((folder / "report.json").read_text())["export"]["files"]
    assert listed == sorted(listed) and set(listed) == files_in(folder)
    assert set(listed) == STOCK | FOR_SENTENCES | {"onnx/model.onnx", "onnx/model_quantized.onnx"}


def test_the_report_in_the_folder_has_its_own_export_part(folder: Path) -> None:
    part = json.loads((folder / "report.json").read_text())["export"]
    assert (part["path"], part["pushed_to"], part["reason"]) == (
        ".",
        None,
        "pushing was not asked for",
    )


def test_the_report_tells_how_near_the_files_are_to_the_student(folder: Path) -> None:
    proof = json.loads((folder / "report.json").read_text())["export"]["proof"]
    assert proof["sentences"] == len(SENTENCES) and 0 < proof["onnx_max_abs_difference"] <= 1e-4
    assert 0.97 <= proof["int8_centred_cosine"] < 1 and proof["int8_neighbours"]
    assert 0.99 <= proof["int8_cosine"] < 1 and proof["int8_time"] > 0


def test_what_is_scored_in_int8_is_the_exported_file_to_the_last_byte(
    student: LoadedModel, folder: Path
) -> None:
    scored = exported_int8(student, SENTENCES, SentenceVectors("mean"))
    assert scored.model.digest == hash_file(folder / INT8)


def test_scores_of_another_int8_file_are_left_out_with_a_warning(folder: Path) -> None:
    def score(model: str, file: str | None) -> dict[str, Any]:
        return {"model": model, "provenance": {"file": file}}

    own, others = hash_file(folder / INT8), [score("student", None), score("student_int8", None)]
    kept, warnings = _of_this_file(
        {"evaluation": [*others, score("student_int8", own)]}, folder / INT8
    )
    assert len(kept["evaluation"]) == 3 and warnings == []
    kept, warnings = _of_this_file(
        {"evaluation": [*others, score("student_int8", "0")]}, folder / INT8
    )
    assert kept["evaluation"] == others and "--force evaluation" in warnings[0]


@pytest.mark.usefixtures("unproven")
def test_the_card_and_the_list_name_the_file_that_explains_an_unsettled_licence(
    student: LoadedModel, local_report: dict[str, Any], tmp_path: Path
) -> None:
    report = copy.deepcopy(local_report)
    report["recipe"]["teacher"]["licence"] = None
    assert "LICENSE.md" in exported(student, report, tmp_path).files
    assert "license_link: LICENSE.md" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "- the teacher: not said" in (tmp_path / "LICENSE.md").read_text(encoding="utf-8")


def test_the_card_tells_of_what_the_folder_holds(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "It reads 62 tokens at most" in card
    assert "onnx/model.onnx" in card and "fill-mask" not in card


def test_the_configuration_tells_only_of_weights_beside_an_onnx_file(
    folder: Path, tmp_path: Path
) -> None:
    assert "transformers.js_config" not in json.loads((folder / "config.json").read_text())
    (tmp_path / "onnx").mkdir()
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    (tmp_path / "onnx" / "model.onnx_data").write_bytes(b"weights")
    write_outside_weights(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["transformers.js_config"] == {
        "use_external_data_format": {"model.onnx": True}
    }


def test_without_onnx_the_folder_is_for_torch_alone(
    student: LoadedModel, local_report: dict[str, Any], tmp_path: Path
) -> None:
    result = exported(student, local_report, tmp_path)
    assert set(result.files) == files_in(tmp_path) == STOCK | FOR_SENTENCES
    assert (
        result.runtimes.float32_reason == "onnx was not asked for"
        and result.proof.onnx_max_abs_difference is None
    )
    assert result.warnings == []


def test_a_student_with_a_head_gives_its_logits_in_every_runtime(
    masked_student: LoadedModel, local_report: dict[str, Any], tmp_path: Path
) -> None:
    result = exported(masked_student, local_report, tmp_path, onnx=True)
    assert set(result.files) == STOCK | {"onnx/model.onnx", "onnx/model_quantized.onnx"}
    for name in ("model.onnx", "model_quantized.onnx"):
        graph = onnx.load(tmp_path / "onnx" / name).graph
        assert [output.name for output in graph.output] == ["logits", "last_hidden_state"]


def test_with_openvino_the_folder_holds_its_files_and_the_report_how_near_they_are(
    student: LoadedModel, local_report: dict[str, Any], tmp_path: Path
) -> None:
    pytest.importorskip("openvino", reason="needs the extra openvino")
    pytest.importorskip("nncf", reason="needs the extra openvino")
    result = exported(student, local_report, tmp_path, openvino=True)
    names = ("openvino_model", "openvino_model_qint8_quantized")
    files = {f"openvino/{name}.{kind}" for name in names for kind in ("xml", "bin")}
    assert set(result.files) == STOCK | FOR_SENTENCES | files
    proof = result.proof
    assert 0 < (proof.openvino_max_abs_difference or 0) <= 1e-4
    assert 0.99 <= (proof.openvino_int8_cosine or 0) < 1 and proof.openvino_int8_time
    assert 0 <= (proof.openvino_int8_neighbours or 0) <= 1
    assert "openvino" in (tmp_path / "README.md").read_text(encoding="utf-8").split("---")[1]


@pytest.mark.usefixtures("unproven")
def test_an_architecture_that_onnx_cannot_say_costs_its_files_and_not_the_export(
    student: LoadedModel,
    local_report: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise ConversionError("FickleModel cannot be converted to ONNX: it changes its mind")

    monkeypatch.setattr(files, "write_onnx", refuse)
    result = exported(student, local_report, tmp_path, onnx=True)
    assert set(result.files) == STOCK | FOR_SENTENCES
    assert result.warnings == [
        "onnx/model.onnx was left out: FickleModel cannot be converted to ONNX: it changes its mind"
    ]


@pytest.mark.parametrize(
    ("made", "seconds", "warning"),
    [
        (Runtimes(), 0.8, None),
        (
            Runtimes(),
            1.25,
            "onnx/model_quantized.onnx takes 1.25 times as long as float32 on this CPU",
        ),
        (
            Runtimes(int8_reason="it is far off"),
            None,
            "onnx/model_quantized.onnx was left out: it is far off",
        ),
        (
            Runtimes(left_whole=2),
            1.0,
            "2 matrix products of onnx/model_quantized.onnx stay in float32",
        ),
    ],
)
def test_the_user_hears_what_int8_costs(
    made: Runtimes, seconds: float | None, warning: str | None
) -> None:
    proof = ExportProof(
        sentences=1, onnx_max_abs_difference=0.0, int8_cosine=1.0, int8_time=seconds
    )
    warnings = _warnings(ExportSection(), made, proof)
    assert len(warnings) == (warning is not None) and (warning or "") in "".join(warnings)


def test_no_file_of_the_folder_names_a_folder_or_a_name_of_the_user(
    folder: Path, tiny_teacher: Path
) -> None:
    private = [
        SECRET,
        str(tiny_teacher),
        f"{Path.home()}/",
        str(folder),
        str(Path.cwd()),
        "site-packages",
        '.py"',
    ]
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert [text for text in private if text.encode() in content] == [], path.name
        assert not re.search(rf"[/\\]{re.escape(getpass.getuser())}[/\\]".encode(), content), (
            path.name
        )


def test_the_users_recipe_is_handed_over_in_the_users_words_without_folders(folder: Path) -> None:
    assert (folder / "recipe.yaml").read_text() == RECIPE.replace(f"/home/{SECRET}/text/", "")


@pytest.mark.usefixtures("unproven")
def test_the_recipes_licence_goes_before_the_strictest(
    student: LoadedModel, local_report: dict[str, Any], tmp_path: Path
) -> None:
    assert exported(student, local_report, tmp_path, licence="gpl-3.0").licence == "gpl-3.0"
