"""The export stage: a student and its report go in; a folder that the Hub takes as it is comes out,
proven.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from distill.export.asymmetric import write_asymmetric
from distill.export.benchmarks import write_benchmarks
from distill.export.card import card_licence, render_card, render_licence
from distill.export.metadata import Contents
from distill.export.openvino_files import write_openvino_files
from distill.export.proof import prove
from distill.export.prose import example_text
from distill.export.publishing import public_recipe, without_folders
from distill.models import LoadedModel
from distill.models.after_pooling import SentenceVectors
from distill.models.loading import position_limit
from distill.models.saving import save_model
from distill.models.sentence_form import SentenceForm, form_of_section
from distill.models.sentence_writing import described_layers, write_form_of
from distill.models.task_heads import head_of
from distill.onnx.files import batches_of, has_head, predicts_pieces, write_runtimes
from distill.onnx.layout import BESIDE, FLOAT32, INT8
from distill.openvino.layout import INT8 as OPENVINO_INT8
from distill.recipe import ExportSection, TeacherSection
from distill.report.results.export import ExportProof, ExportResult, Runtimes
from distill.runtime.files import MARK, RECORD
from distill.runtime.hashes import hash_file


def export_student(
    section: ExportSection,
    *,
    student: LoadedModel,
    teacher_section: TeacherSection,
    form: SentenceForm | None = None,
    trimmed: LoadedModel | None = None,
    report: Mapping[str, Any],
    recipe_text: str,
    sentences: Sequence[str],
    path: Path,
    output: Path,
) -> ExportResult:
    """Write the student to `output`, which will be renamed to `path`, and prove on `sentences` that
    it works as it is.

    `form` is how the teacher makes sentence vectors; without one, as its section says. `trimmed` is
    the trimmed teacher, where an asymmetric folder is asked for. `report` is
    report.json as far as it is known; its `export` part is filled in here. Raises
    ExportError if what was written does not give what the student gives.
    """
    sentences, pooling = list(sentences) or [""], teacher_section.pooling
    form = form or form_of_section(teacher_section)
    save_model(student.model, student.tokenizer, output)
    if form.is_declared or not has_head(student):  # its use is to give vectors
        write_form_of(student, form, output)
    batches, vectors = (
        batches_of(student.tokenizer, sentences),
        SentenceVectors(pooling, form.after),
    )
    runtimes = write_runtimes(section, student, batches, vectors=vectors, folder=output)
    reason = write_openvino_files(section, student, batches, vectors=vectors, folder=output)
    runtimes = replace(runtimes, openvino_int8_reason=reason)
    write_outside_weights(output)
    if trimmed is not None:
        write_asymmetric(output, student=student, trimmed=trimmed, form=form)
    proof = prove(output, student, sentences, pooling=pooling)

    report, scored = _of_this_file(report, output / INT8)
    (output / "recipe.yaml").write_text(public_recipe(recipe_text, report), encoding="utf-8")
    report = without_folders(report)
    write_benchmarks(report, output)
    licence = card_licence(report, section.licence)
    contents = Contents(
        files=frozenset(_files(output)),
        head=predicts_pieces(student),
        task=head_of(student.model),
        example=section.example or example_text(report["recipe"]["language"]),
        positions=position_limit(student.model),
        pooling=pooling,
        after=described_layers(form.after),
        width=form.after.width,
    )
    (output / "README.md").write_text(render_card(report, licence, contents), encoding="utf-8")
    if (text := render_licence(report, licence)) is not None:
        (output / "LICENSE.md").write_text(text, encoding="utf-8")
    result = ExportResult(
        path=path.as_posix(),
        files=sorted({*_files(output), "report.json"}),
        licence=licence,
        runtimes=runtimes,
        proof=proof,
        pushed_to=None,
        reason="not pushed yet" if section.push else "pushing was not asked for",
        warnings=[*_warnings(section, runtimes, proof), *scored],
    )
    complete = {**report, "export": asdict(result) | {"path": "."}}
    (output / "report.json").write_text(json.dumps(complete, indent=2) + "\n", encoding="utf-8")
    return result


def _of_this_file(report: Mapping[str, Any], file: Path) -> tuple[Mapping[str, Any], list[str]]:
    """The report without scores of another int8 file than `file`, and a warning if there were any:
    one that another version of ONNX Runtime wrote, as a rule.
    """
    digest = hash_file(file) if file.is_file() else None

    def is_of_it(score: Mapping[str, Any]) -> bool:
        measured = (score.get("provenance") or {}).get("file")
        return measured is None or digest is None or measured == digest

    scores = report.get("evaluation") or []
    kept = [score for score in scores if is_of_it(score)]
    if len(kept) == len(scores):
        return report, []
    warning = (
        f"the scores of student_int8 are of another file than {INT8}, and are not on its card; "
        "--force evaluation measures them anew"
    )
    return {**report, "evaluation": kept}, [warning]


def write_outside_weights(folder: Path) -> None:
    """Say in config.json, for transformers.js, which ONNX files have weights beside them; nothing
    where none has, since what config.json says goes on into whatever is fine-tuned from it.
    """
    outside = {
        Path(name).name: True for name in (FLOAT32, INT8) if (folder / f"{name}{BESIDE}").is_file()
    }
    if not outside:
        return
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["transformers.js_config"] = {"use_external_data_format": outside}
    (folder / "config.json").write_text(
        json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8"
    )


def _files(folder: Path) -> list[str]:
    """The files in the folder, but for what the run keeps there for itself."""
    internal = {MARK, RECORD}
    return sorted(
        file.relative_to(folder).as_posix()
        for file in folder.rglob("*")
        if file.is_file() and file.name not in internal
    )


def _warnings(section: ExportSection, runtimes: Runtimes, proof: ExportProof) -> list[str]:
    warnings = []
    if section.onnx and runtimes.float32_reason:
        warnings.append(f"{FLOAT32} was left out: {runtimes.float32_reason}")
    elif section.onnx and section.int8 and runtimes.int8_reason:
        warnings.append(f"{INT8} was left out: {runtimes.int8_reason}")
    if section.openvino and section.int8 and runtimes.openvino_int8_reason:
        warnings.append(f"{OPENVINO_INT8} was left out: {runtimes.openvino_int8_reason}")
    if runtimes.left_whole:
        warnings.append(
            f"{runtimes.left_whole} matrix products of {INT8} stay in float32, without which it "
            "was not faithful"
        )
    if proof.int8_time is not None and proof.int8_time > 1:
        warnings.append(f"{INT8} takes {proof.int8_time:.2f} times as long as float32 on this CPU")
    return warnings
