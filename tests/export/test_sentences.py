from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.models import LoadedModel, load_with_tokenizer
from distill.models.pooling import POOLINGS, pool
from distill.models.saving import save_model
from distill.models.sentence_form import SentenceForm, form_of_section
from distill.models.sentence_writing import write_sentence_form
from distill.recipe import TeacherSection
from tests.conftest import swedish_sentences

SENTENCES = swedish_sentences(4, seed=3)
PREFIXES = {"query": "query: ", "passage": "passage: "}


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> LoadedModel:
    return load_with_tokenizer(str(tiny_teacher))


def form(**changes: Any) -> SentenceForm:
    return form_of_section(TeacherSection(model="a/b", **changes))


@pytest.mark.parametrize("pooling", POOLINGS)
def test_sentence_transformers_gives_the_vectors_that_pooling_gives(
    teacher: LoadedModel, tmp_path: Path, pooling: str
) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    save_model(teacher.model, teacher.tokenizer, tmp_path)
    write_sentence_form(tmp_path, form(pooling=pooling, prefixes=PREFIXES), width=32, length=60)
    model = sentence_transformers.SentenceTransformer(
        str(tmp_path), local_files_only=True, device="cpu"
    )
    for encode, prefix in (
        (model.encode_query, "query: "),
        (model.encode_document, "passage: "),
        (model.encode, ""),
    ):
        for sentence in SENTENCES:
            batch = teacher.tokenizer(prefix + sentence, return_tensors="pt")
            with torch.inference_mode():
                expected = pool(
                    teacher.model(**batch).last_hidden_state, batch["attention_mask"], pooling
                )[0]
            torch.testing.assert_close(
                torch.from_numpy(encode(sentence)), expected, atol=1e-5, rtol=0
            )


def test_prompts_are_known_by_the_names_that_callers_use(tmp_path: Path) -> None:
    write_sentence_form(tmp_path, form(prefixes=PREFIXES), width=32, length=60)
    prompts = json.loads((tmp_path / "config_sentence_transformers.json").read_text())["prompts"]
    assert prompts == {"query": "query: ", "document": "passage: "}


def test_text_embeddings_inference_finds_the_keys_that_it_reads(tmp_path: Path) -> None:
    write_sentence_form(tmp_path, form(pooling="cls"), width=32, length=60)
    pooling = json.loads((tmp_path / "1_Pooling" / "config.json").read_text())
    # The fields of its PoolConfig, and of its ModelConfig's sentence_bert_config.json.
    assert (pooling["pooling_mode_cls_token"], pooling["pooling_mode_mean_tokens"]) == (True, False)
    settings = json.loads((tmp_path / "sentence_bert_config.json").read_text())
    assert settings["max_seq_length"] == 60


def test_each_module_stands_where_its_list_says(tmp_path: Path) -> None:
    write_sentence_form(tmp_path, form(), width=32, length=60)
    modules = json.loads((tmp_path / "modules.json").read_text())
    assert [(module["idx"], module["path"]) for module in modules] == [(0, ""), (1, "1_Pooling")]
    pooling = json.loads((tmp_path / "1_Pooling" / "config.json").read_text())
    assert (
        pooling["word_embedding_dimension"],
        pooling["pooling_mode_mean_tokens"],
        pooling["pooling_mode_cls_token"],
    ) == (
        32,
        True,
        False,
    )
    assert json.loads((tmp_path / "sentence_bert_config.json").read_text())["max_seq_length"] == 60
