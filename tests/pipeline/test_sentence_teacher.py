"""A teacher of sentence-transformers through the real command line: what its folder says is used in
every stage, and handed over.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest
import torch

from distill.models import load_with_tokenizer
from distill.models.after_pooling import AfterPooling, Dense, Normalize
from distill.models.saving import save_model
from distill.models.sentence import read_sentence_files
from distill.models.sentence_form import SentenceForm
from distill.models.sentence_writing import write_sentence_form
from tests.conftest import swedish_sentences
from tests.export.cards import snippets

Distill = Callable[..., Any]


@pytest.fixture
def embedder(tiny_teacher: Path, tmp_path: Path) -> Path:
    """The tiny teacher with what LaBSE has: cls pooling, a Dense layer and vectors of length 1."""
    loaded, folder = load_with_tokenizer(str(tiny_teacher)), tmp_path / "embedder"
    save_model(loaded.model, loaded.tokenizer, folder)
    torch.manual_seed(0)
    layers = [Dense(torch.randn(16, 32), torch.randn(16), "Tanh"), Normalize()]
    form = SentenceForm(
        pooling="cls",
        after=AfterPooling(layers, similarity="dot", dimensions=[4, 8]),
        prompts={"query": "och ", "document": "men "},
        length=20,
    )
    write_sentence_form(folder, form, width=32, length=60)
    return folder


def test_what_the_teachers_folder_says_goes_through_every_stage(
    embedder: Path, write_recipe: Callable[..., Path], distill: Distill, tmp_path: Path
) -> None:
    recipe = write_recipe(
        teacher={"model": str(embedder)}, export={"onnx": False, "asymmetric": True}
    )
    done = distill("recipe", recipe)
    assert done.returncode == 0, done.stderr
    run = tmp_path / "runs" / "tiny"
    report = json.loads((run / "report.json").read_text())
    said = report["recipe"]["teacher"]
    assert (said["pooling"], said["dimensions"]) == ("cls", [4, 8])
    assert said["prefixes"] == {"query": "och ", "passage": "men "}
    fidelity = report["distillation"]["fidelity"][-1]
    assert {"pooled_cosine", "pooled_cosine_4", "neighbour_agreement_8"} <= fidelity.keys()
    for folder in (run / "vocabulary" / "model", run / "export"):
        files, teacher = read_sentence_files(folder), read_sentence_files(embedder)
        assert (files.pooling, files.similarity, files.length) == ("cls", "dot", 20)
        assert files.prompts == teacher.prompts and files.dimensions == (4, 8)
        assert [module.path for module in files.after] == ["2_Dense", "3_Normalize"]
        weights = [place / "2_Dense" / "model.safetensors" for place in (folder, embedder)]
        assert weights[0].read_bytes() == weights[1].read_bytes()
    scores = {(one["model"], one["metric"]): one for one in report["evaluation"]}
    both = scores["asymmetric", "mrr@10"]
    assert both["mean"] is not None and both["retention"] is not None
    check_router(run, read_sentence_files(embedder).prompts)
    assert "nothing to do" in distill("recipe", recipe).stderr
    changed = Dense(torch.ones(16, 32), torch.ones(16), "Tanh")
    write_sentence_form(
        embedder, SentenceForm(pooling="cls", after=AfterPooling([changed])), width=32, length=60
    )
    again = distill("recipe", recipe, "--dry-run").stdout
    assert "vocabulary    to do" in again or "distillation  to do" in again


def check_router(run: Path, prompts: Mapping[str, str]) -> None:
    """Queries are the student's and documents the trimmed teacher's, each with its prompt."""
    from sentence_transformers import SentenceTransformer

    def opened(folder: Path) -> Any:
        return SentenceTransformer(str(folder), local_files_only=True, device="cpu")

    texts = swedish_sentences(5)
    router = opened(run / "export" / "asymmetric")
    student, trimmed = opened(run / "export"), opened(run / "vocabulary" / "model")
    queries, documents = router.encode_query(texts), router.encode_document(texts)
    np.testing.assert_array_equal(queries, student.encode_query(texts))
    np.testing.assert_array_equal(documents, trimmed.encode_document(texts))
    assert not np.allclose(queries, trimmed.encode_query(texts))
    assert router.similarity_fn_name == "dot"
    assert {name: router.prompts[name] for name in prompts} == prompts
    code = snippets((run / "export" / "README.md").read_text(encoding="utf-8"))["huggingface_hub"]
    names: dict[str, Any] = {}
    with patch("huggingface_hub.snapshot_download", lambda *_, **__: str(run / "export")):
        exec(compile(code, "README.md", "exec", dont_inherit=True), names)
    np.testing.assert_array_equal(names["queries"], student.encode_query(["A first text."]))
    np.testing.assert_array_equal(names["passages"], trimmed.encode_document(["A second text."]))


def test_an_asymmetric_student_of_another_width_is_refused(
    tiny_teacher: Path, write_recipe: Callable[..., Path], distill: Distill
) -> None:
    recipe = write_recipe(
        student={"layers": 2, "hidden_size": 16}, export={"onnx": False, "asymmetric": True}
    )
    done = distill("recipe", recipe, "--dry-run")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "would have 16 numbers and its teacher's 32" in done.stderr


def test_a_narrower_student_of_a_teacher_with_a_dense_layer_is_refused_in_one_sentence(
    embedder: Path, write_recipe: Callable[..., Path], distill: Distill
) -> None:
    recipe = write_recipe(
        teacher={"model": str(embedder)}, student={"layers": 2, "hidden_size": 16}
    )
    done = distill("recipe", recipe, "--dry-run")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "hidden_size 16 does not go with the teacher's Dense layer" in done.stderr
