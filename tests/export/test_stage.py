from __future__ import annotations

import copy
import getpass
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.export.stage import ExportResult, run, same_states, without_folders
from distill.recipe import ExportSection
from distill.student.depth import keep_layers, untrained_copy
from distill.teacher import Teacher, load_teacher
from tests.conftest import swedish_sentences
from tests.report.examples import example_recipe, example_report, example_results

SENTENCES = swedish_sentences(5, seed=9)
SECRET = "jane.doe-home"
"""Stands for the user's folder, which is nobody else's business."""


@pytest.fixture(scope="module")
def student(tiny_teacher: Path) -> Teacher:
    teacher = load_teacher(str(tiny_teacher))
    return Teacher(model=keep_layers(teacher.model, [2, 4]), tokenizer=teacher.tokenizer)


@pytest.fixture(scope="module")
def local_report() -> dict[str, Any]:
    """The report of a run on a local teacher and local text, in the user's folder."""
    from distill.report.content import report_content

    source = {"path": f"/home/{SECRET}/text/*.jsonl", "licence": "cc0-1.0"}
    task = {"name": "faq", "kind": "retrieval", "source": {"path": f"/home/{SECRET}/faq.jsonl"}, "query": "q", "passage": "a"}
    recipe = example_recipe(
        teacher={"model": f"/home/{SECRET}/models/mine", "licence": "mit"},
        corpus={"sources": [source]},
        evaluation={"tasks": [task]},
    )
    results = example_results("benchmark")
    results["corpus"]["sources"][0] |= {"name": recipe.corpus.sources[0].label, "location": recipe.corpus.sources[0].location}
    results["student"]["teacher"]["name"] = recipe.teacher.model
    return report_content(recipe, results)


def exported(student: Teacher, report: dict[str, Any], output: Path, **section: Any) -> ExportResult:
    return run(
        ExportSection(**section),
        student=student,
        report=report,
        recipe_text="name: tiny  # the user's own words\n",
        sentences=SENTENCES,
        path=Path("tiny/export"),
        output=output,
    )


@pytest.fixture(scope="module")
def folder(student: Teacher, local_report: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An exported student, in the user's folder."""
    output = tmp_path_factory.mktemp(SECRET)
    (output / "fingerprint").write_text("0123")
    exported(student, local_report, output)
    (output / "fingerprint").unlink()
    return output


def test_the_folder_holds_what_the_result_lists(student: Teacher, local_report: dict[str, Any], tmp_path: Path) -> None:
    result = exported(student, local_report, tmp_path)
    assert result.files == sorted(path.name for path in tmp_path.iterdir())
    assert {"README.md", "config.json", "model.safetensors", "recipe.yaml", "report.json", "tokenizer.json"} <= {*result.files}


def test_the_card_and_the_list_name_the_file_that_explains_an_unsettled_licence(
    student: Teacher, local_report: dict[str, Any], tmp_path: Path
) -> None:
    report = copy.deepcopy(local_report)
    report["recipe"]["teacher"]["licence"] = None
    assert "LICENSE.md" in exported(student, report, tmp_path).files
    assert "license_link: LICENSE.md" in (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "- the teacher: not said" in (tmp_path / "LICENSE.md").read_text(encoding="utf-8")


def test_the_card_tells_of_what_the_folder_holds(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "It reads 62 tokens at most" in card
    assert "onnx/" not in card and "fill-mask" not in card


def test_the_working_mark_is_not_listed(folder: Path) -> None:
    assert "fingerprint" not in json.loads((folder / "report.json").read_text())["export"]["files"]


def test_the_report_in_the_folder_has_its_own_export_part(folder: Path) -> None:
    part = json.loads((folder / "report.json").read_text())["export"]
    assert (part["path"], part["pushed_to"], part["reason"]) == (".", None, "pushing was not asked for")


def test_no_file_of_the_folder_names_a_folder_of_the_user(folder: Path, tiny_teacher: Path) -> None:
    for path in folder.iterdir():
        if path.suffix == ".safetensors":
            continue
        text = path.read_text(encoding="utf-8")
        for private in (SECRET, str(tiny_teacher), str(Path.home()) + "/", str(folder)):
            assert private not in text, path.name
        assert not re.search(rf"[/\\]{re.escape(getpass.getuser())}[/\\]", text), path.name


def test_no_string_of_the_published_report_is_an_absolute_path(folder: Path) -> None:
    def strings(value: Any) -> list[str]:
        if isinstance(value, dict):
            return [text for item in value.values() for text in strings(item)]
        if isinstance(value, list):
            return [text for item in value for text in strings(item)]
        return [value] if isinstance(value, str) else []

    report = json.loads((folder / "report.json").read_text())
    assert [text for text in strings(report) if Path(text).is_absolute()] == []


def test_a_published_report_keeps_the_last_names_of_local_files(local_report: dict[str, Any]) -> None:
    published = without_folders(local_report)
    assert published["teacher"]["name"] == published["recipe"]["teacher"]["model"] == "mine"
    assert published["recipe"]["corpus"]["sources"][0]["path"] == published["corpus"]["sources"][0]["location"] == "*.jsonl"
    assert published["recipe"]["evaluation"]["tasks"][0]["source"]["path"] == "faq.jsonl"


@pytest.mark.parametrize("model", ["organisation/teacher", "package:multilingual-e5-small"])
def test_a_published_report_says_the_rest_as_it_was_measured(model: str) -> None:
    report = example_report("benchmark", teacher={"model": model})
    assert without_folders(report) == report


def test_publishing_leaves_the_runs_own_report_as_it_was(local_report: dict[str, Any]) -> None:
    before = json.dumps(local_report)
    without_folders(local_report)
    assert json.dumps(local_report) == before


def test_the_users_recipe_is_handed_over_word_for_word(folder: Path) -> None:
    assert (folder / "recipe.yaml").read_text() == "name: tiny  # the user's own words\n"


def test_the_recipes_licence_goes_before_the_strictest(student: Teacher, local_report: dict[str, Any], tmp_path: Path) -> None:
    assert exported(student, local_report, tmp_path, licence="gpl-3.0").licence == "gpl-3.0"


def test_a_model_has_the_same_states_as_itself(student: Teacher) -> None:
    assert same_states(student, student, SENTENCES)


@pytest.mark.parametrize("name", ["encoder.layer.1.output.dense.weight", "embeddings.LayerNorm.bias"])
def test_a_changed_weight_is_detected(student: Teacher, name: str) -> None:
    changed = Teacher(model=keep_layers(student.model, [1, 2]), tokenizer=student.tokenizer)
    assert same_states(student, changed, SENTENCES)
    with torch.no_grad():
        changed.model.get_parameter(name).view(-1)[0] += 1e-3
    assert not same_states(student, changed, SENTENCES)


def test_a_changed_tokenizer_is_detected(student: Teacher, tiny_teacher: Path) -> None:
    other = load_teacher(str(tiny_teacher)).tokenizer
    other.add_tokens([SENTENCES[0].split()[1]])
    assert not same_states(student, Teacher(model=student.model, tokenizer=other), SENTENCES)


def test_an_export_that_loads_to_other_states_is_refused(
    student: Teacher, local_report: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distill.export import stage

    save = stage.save_model
    monkeypatch.setattr(stage, "save_model", lambda model, *rest: save(untrained_copy(model, 1), *rest))
    with pytest.raises(RuntimeError, match="does not give the student's hidden states"):
        exported(student, local_report, tmp_path)


def test_a_published_report_names_a_local_baseline_without_its_folder(local_report: dict[str, Any]) -> None:
    folder, report = f"/home/{SECRET}/models/baseline", copy.deepcopy(local_report)
    report["recipe"]["evaluation"]["models"] += [folder, "org/baseline"]
    report["evaluation"] += [report["evaluation"][0] | {"model": folder, "reason": f"there is no folder {folder}; say a/b"}]
    published = without_folders(report)
    assert published["recipe"]["evaluation"]["models"][-2:] == ["baseline", "org/baseline"]
    assert published["evaluation"][-1]["model"] == "baseline"
    assert published["evaluation"][-1]["reason"] == "there is no folder baseline; say a/b"
