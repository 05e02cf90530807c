"""The export stage: a student and its report go in; a folder that the Hub takes as it is comes out, checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from distill.export.card import card_licence, render_card, render_licence
from distill.export.metadata import Contents, last_name, teacher_origin
from distill.recipe import ExportSection
from distill.teacher import Teacher
from distill.teacher.loading import PACKAGE, position_limit
from distill.teacher.saving import save_model


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportResult:
    """What was handed over."""

    path: str
    """The folder, relative to where the run was started."""
    files: list[str]
    licence: str | None
    pushed_to: str | None
    reason: str | None
    """Why it was not pushed."""


def run(
    section: ExportSection,
    *,
    student: Teacher,
    report: Mapping[str, Any],
    recipe_text: str,
    sentences: Sequence[str],
    path: Path,
    output: Path,
) -> ExportResult:
    """Write the student to `output`, which will be renamed to `path`, and prove on `sentences` that it loads as it is.

    `report` is report.json as far as it is known; its `export` part is filled in here. Raises RuntimeError if what was
    written does not load to the same hidden states.
    """
    from transformers import AutoModel, AutoTokenizer

    save_model(student.model, student.tokenizer, output)
    exported = Teacher(
        model=AutoModel.from_pretrained(output, use_safetensors=True).eval(), tokenizer=AutoTokenizer.from_pretrained(output)
    )
    if not same_states(student, exported, sentences):
        raise RuntimeError("the exported folder does not give the student's hidden states; please report this")
    report = without_folders(report)
    licence = card_licence(report, section.licence)
    contents = Contents(
        files=frozenset(file.relative_to(output).as_posix() for file in output.rglob("*") if file.is_file()),
        head=student.model.get_output_embeddings() is not None,
        positions=position_limit(student.model),
    )
    (output / "README.md").write_text(render_card(report, licence, contents), encoding="utf-8")
    if (text := render_licence(report, licence)) is not None:
        (output / "LICENSE.md").write_text(text, encoding="utf-8")
    (output / "recipe.yaml").write_text(recipe_text, encoding="utf-8")
    files = sorted({file.name for file in output.iterdir() if file.name != "fingerprint"} | {"report.json"})
    result = ExportResult(
        path=path.as_posix(), files=files, licence=licence, pushed_to=None, reason="pushing was not asked for"
    )
    own = {"path": ".", "files": files, "licence": licence, "pushed_to": None, "reason": result.reason}
    (output / "report.json").write_text(json.dumps({**report, "export": own}, indent=2) + "\n", encoding="utf-8")
    return result


def without_folders(report: Mapping[str, Any]) -> dict[str, Any]:
    """The report fit to be published: a local teacher and local files go by their last name, not by the user's folders."""
    recipe = report["recipe"]
    tasks = recipe["evaluation"]["tasks"]
    rows = [task[split] for task in tasks for split in ("source", "train", "dev", "test") if task.get(split)]
    sources = [*recipe["corpus"]["sources"], *rows]
    public = {source["path"]: last_name(source["path"]) for source in sources if source.get("path")}
    folders = [model for model in recipe["evaluation"]["models"] if teacher_origin(model) != model]
    public |= {folder: teacher_origin(folder) for folder in folders}
    if not recipe["teacher"]["model"].startswith(PACKAGE):
        public[recipe["teacher"]["model"]] = teacher_origin(recipe["teacher"]["model"])

    def published(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: published(item) for key, item in value.items()}
        if isinstance(value, list):
            return [published(item) for item in value]
        if not isinstance(value, str) or value in public:
            return public.get(value, value)
        for folder in folders:  # a reason can tell of them
            value = value.replace(folder, public[folder])
        return value

    return {key: published(item) for key, item in report.items()}


@torch.inference_mode()
def same_states(one: Teacher, other: Teacher, sentences: Sequence[str]) -> bool:
    """Whether both tokenise every sentence alike and give hidden states that are equal to the last bit."""

    def states(model: Teacher, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        hidden: torch.Tensor = model.model.base_model(**inputs).last_hidden_state
        return hidden

    for sentence in sentences:
        batches = [model.tokenizer(sentence, truncation=True, return_tensors="pt") for model in (one, other)]
        if not torch.equal(batches[0]["input_ids"], batches[1]["input_ids"]):
            return False
        inputs = {"input_ids": batches[0]["input_ids"], "attention_mask": batches[0]["attention_mask"]}
        if not torch.equal(states(one, inputs), states(other, inputs)):
            return False
    return True
