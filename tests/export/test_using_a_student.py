"""What docs/using-a-student.md says, done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    AutoModelForQuestionAnswering,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from distill.models import LoadedModel, load_with_tokenizer
from tests.conftest import swedish_sentences
from tests.export.guide import export_for_guide, guide_snippets

OURS = ("transformers", "sentence-transformers", "ONNX Runtime in Python")
"""The headings whose code runs here; that of other programs is run by tests/clients."""


def snippets() -> list[tuple[str, str]]:
    return [(heading, code) for heading, code in guide_snippets() if heading in OURS]


@pytest.fixture(scope="module")
def places(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Path]:
    """Gives the folder above an exported student, without or with a masked-language-model head."""
    teacher = load_with_tokenizer(str(tiny_teacher))
    made: dict[bool, Path] = {}

    def place(head: bool) -> Path:
        if head not in made:
            torch.manual_seed(0)
            model = (
                AutoModelForMaskedLM.from_config(teacher.model.config).eval()
                if head
                else teacher.model
            )
            made[head] = export_for_guide(
                LoadedModel(model=model, tokenizer=teacher.tokenizer),
                tmp_path_factory.mktemp("place"),
            )
        return made[head]

    return place


def test_the_guide_has_python_under_each_of_its_python_headings() -> None:
    assert [heading for heading, _ in snippets()] == [
        "transformers",
        "transformers",
        "sentence-transformers",
        "ONNX Runtime in Python",
    ]


def test_the_snippets_agree_with_one_another(
    places: Callable[[bool], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch_code, fill_code, sentence_code, onnx_code = (code for _, code in snippets())
    stock: dict[str, Any] = {}
    filled: dict[str, Any] = {}
    onnx: dict[str, Any] = {}
    monkeypatch.chdir(places(False))
    exec(torch_code, stock)
    exec(onnx_code, onnx)
    vector = stock["vectors"][0].numpy()
    cosine = vector @ onnx["vector"] / np.linalg.norm(vector) / np.linalg.norm(onnx["vector"])
    assert stock["vectors"].shape == (2, 32) and cosine > 0.99
    monkeypatch.chdir(places(True))
    exec(fill_code, filled)
    assert len(filled["answers"]) == 5 and filled["answers"][0]["score"] > 0
    monkeypatch.chdir(places(False))
    pytest.importorskip("sentence_transformers")
    sentences: dict[str, Any] = {}
    exec(sentence_code, sentences)
    np.testing.assert_allclose(sentences["queries"][0], vector, atol=1e-5)
    assert sentences["scores"].shape == (1, 2)


@pytest.mark.parametrize(
    "auto",
    [
        AutoModelForSequenceClassification,
        AutoModelForTokenClassification,
        AutoModelForQuestionAnswering,
    ],
)
@pytest.mark.parametrize("head", [False, True])
def test_the_folder_gives_what_euroeval_asks_of_a_local_model(
    places: Callable[[bool], Path], auto: Any, head: bool
) -> None:
    folder = places(head) / "runs" / "swedish" / "export"
    config = AutoConfig.from_pretrained(
        folder, num_labels=2, id2label={0: "a", 1: "b"}, label2id={"a": 0, "b": 1}
    )
    model = auto.from_pretrained(folder, config=config).eval()
    tokenizer = AutoTokenizer.from_pretrained(
        folder, use_fast=True, padding_side="right", truncation_side="right", add_prefix_space=True
    )
    text = swedish_sentences(1)[0]
    words = tokenizer(text.split(), is_split_into_words=True, return_tensors="pt")
    assert tokenizer(text)["input_ids"] == AutoTokenizer.from_pretrained(folder)(text)["input_ids"]
    assert {*words.word_ids()} == {None, *range(len(text.split()))}
    assert None not in (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token)
    with torch.inference_mode():
        output = model(**words)
    logits = output.start_logits if "start_logits" in output else output.logits
    assert logits.isfinite().all()
