"""The card's code, run on a folder as it is exported."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForMaskedLM

from distill.export.metadata import Contents
from distill.models import LoadedModel, load_with_tokenizer
from distill.models.pooling import pool
from distill.models.saving import save_model
from distill.models.sentence_form import form_of_section
from distill.models.sentence_writing import write_form_of
from distill.onnx.conversion import write_onnx
from distill.onnx.layout import FLOAT32
from distill.recipe import TeacherSection
from distill.student.depth import keep_layers
from tests.export.cards import card_of, snippets
from tests.report.examples import example_report

PREFIXES = {"query": "fråga: ", "passage": "svar: "}
TEXTS = ["fråga: A first text.", "svar: A second text."]


@pytest.fixture(scope="module")
def student(tiny_teacher: Path) -> LoadedModel:
    teacher = load_with_tokenizer(str(tiny_teacher))
    return LoadedModel(model=keep_layers(teacher.model, [2, 4]), tokenizer=teacher.tokenizer)


@pytest.fixture(scope="module")
def folder(student: LoadedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("export")
    save_model(student.model, student.tokenizer, output)
    write_onnx(student.model, output / FLOAT32)
    teacher = TeacherSection(model="organisation/teacher", prefixes=PREFIXES)  # type: ignore[arg-type]
    write_form_of(student, form_of_section(teacher), output)
    return output


def run_code(
    module: str, folder: Path, pooling: str = "mean", head: bool = False
) -> dict[str, Any]:
    """What the card's code for `module` leaves behind."""
    teacher = {
        "model": "organisation/teacher",
        "pooling": pooling,
        "prefixes": PREFIXES,
    }
    contents = Contents(files=frozenset({FLOAT32, "modules.json"}), head=head, pooling=pooling)
    code = snippets(card_of(example_report(teacher=teacher), contents=contents, name=str(folder)))[
        module
    ]
    names: dict[str, Any] = {}
    exec(code, names)
    return names


def vectors_of(student: LoadedModel, pooling: str = "mean") -> torch.Tensor:
    """One text at a time, without padding."""
    found = []
    with torch.inference_mode():
        for text in TEXTS:
            batch = student.tokenizer(text, return_tensors="pt")
            states = student.model.base_model(**batch).last_hidden_state
            found.append(pool(states, batch["attention_mask"], pooling))
    return torch.cat(found)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("module", ["torch", "onnxruntime"])
def test_the_code_gives_the_students_vectors(
    student: LoadedModel, folder: Path, module: str, pooling: str
) -> None:
    vectors = torch.as_tensor(run_code(module, folder, pooling)["vectors"])
    torch.testing.assert_close(vectors, vectors_of(student, pooling), atol=1e-5, rtol=0)


def test_the_code_says_how_alike_two_texts_are(
    student: LoadedModel, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_code("torch", folder)
    first, second = vectors_of(student)
    (shown,) = re.findall(r"tensor\(\[(.+)\]\)", capsys.readouterr().out)
    assert float(shown) == pytest.approx(
        float(torch.cosine_similarity(first, second, dim=0)), abs=1e-4
    )


def test_the_code_for_masked_pieces_fills_them_in(
    student: LoadedModel, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = AutoModelForMaskedLM.from_config(student.model.config)
    save_model(model, student.tokenizer, tmp_path)
    run_code("transformers", tmp_path, head=True)
    shown = capsys.readouterr().out
    assert shown.count("'sequence': ") == 5 and "'token_str': " in shown


def test_the_code_for_sentence_transformers_gives_the_students_vectors(
    student: LoadedModel, folder: Path
) -> None:
    pytest.importorskip(
        "sentence_transformers", reason="sentence-transformers is not installed here"
    )
    found = run_code("sentence_transformers", folder)
    vectors = torch.cat([torch.as_tensor(found[name]) for name in ("queries", "passages")])
    torch.testing.assert_close(vectors, vectors_of(student), atol=1e-5, rtol=0)
