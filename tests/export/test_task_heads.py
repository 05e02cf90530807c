"""A student with a fine-tuned teacher's head, handed over."""

from __future__ import annotations

import json
from pathlib import Path

import onnxruntime
import pytest
import torch
import yaml

from distill.export.handover import export_student
from distill.export.metadata import Contents
from distill.models import LoadedModel
from distill.models.task_heads import head_of
from distill.recipe import ExportSection, TeacherSection
from tests.conftest import swedish_sentences
from tests.export.cards import card_of, front_matter
from tests.models.headed import headed_model
from tests.report.examples import example_recipe, example_results, report_content

SENTENCES = swedish_sentences(4, seed=9)


def exported(task: str, student: LoadedModel, folder: Path) -> LoadedModel:
    model = headed_model("xlm-roberta", task, vocabulary=len(student.tokenizer))
    headed = LoadedModel(model=model, tokenizer=student.tokenizer)
    export_student(
        ExportSection(),
        student=headed,
        teacher_section=TeacherSection(model="a/b"),
        report=report_content(example_recipe(), example_results("benchmark")),
        recipe_text="name: tiny\n",
        sentences=SENTENCES,
        path=Path("tiny/export"),
        output=folder,
    )
    return headed


@pytest.mark.parametrize("task", ["classes", "answer span"])
def test_the_head_is_in_the_folder_and_in_its_onnx_files(
    task: str, student: LoadedModel, tmp_path: Path
) -> None:
    headed = exported(task, student, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["architectures"] == [type(headed.model).__name__]
    assert not (tmp_path / "modules.json").exists()
    matter = yaml.safe_load((tmp_path / "README.md").read_text().split("---")[1])
    assert matter["widget"] == [{"text": "torsdag 1 januari 2026"}]  # of no corpus
    batch = headed.tokenizer(SENTENCES[0], return_tensors="pt")
    with torch.no_grad():
        expected = headed.model(**batch)
    for file in ("model.onnx", "model_quantized.onnx"):
        session = onnxruntime.InferenceSession(tmp_path / "onnx" / file)
        names = [output.name for output in session.get_outputs()][:-1]
        assert names == (["start_logits", "end_logits"] if task == "answer span" else ["logits"])
        found = session.run(names, {name: tensor.numpy() for name, tensor in batch.items()})
        for name, array in zip(names, found, strict=True):
            apart = 1e-4 if file == "model.onnx" else 0.5
            assert torch.allclose(torch.from_numpy(array), expected[name], atol=apart)


def test_sentence_transformers_ranks_with_an_exported_reranker(
    student: LoadedModel, tmp_path: Path
) -> None:
    from sentence_transformers import CrossEncoder

    headed = exported("pair score", student, tmp_path)
    pair = ("en båt på havet", "båten seglar")
    encoder = CrossEncoder(str(tmp_path), device="cpu")
    score = encoder.predict([pair], activation_fn=torch.nn.Identity())
    with torch.no_grad():
        expected = headed.model(**headed.tokenizer(*pair, return_tensors="pt")).logits[0]
    assert torch.allclose(torch.from_numpy(score), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("task", "tag"),
    [
        ("classes", "text-classification"),
        ("labels", "text-classification"),
        ("number", "text-classification"),
        ("pair score", "text-ranking"),
        ("tags", "token-classification"),
        ("answer span", "question-answering"),
    ],
)
def test_the_card_says_what_the_head_answers_with_which_labels(task: str, tag: str) -> None:
    head = head_of(headed_model("bert", task))
    report = report_content(example_recipe(), example_results("benchmark"))
    card = card_of(report, contents=Contents(task=head, example="torsdag 1 januari 2026"))
    matter = front_matter(card)
    assert matter["pipeline_tag"] == tag
    assert matter["widget"] == [{"text": "torsdag 1 januari 2026"}]
    assert head is not None and head.words in card
    assert ("`fara`, `lugn`, `okänt`" in card) == bool(head.labels)
    assert "it must be fine-tuned" not in card
