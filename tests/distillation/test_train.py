from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from distill.distillation import SCAFFOLDS
from distill.distillation.train import distil_student
from distill.recipe import DistillationSection
from distill.report.results.distillation import DistillationResult
from distill.runtime.errors import Interrupted
from distill.runtime.interruption import Interruption
from distill.runtime.runtime import Runtime
from distill.training.chunks import open_chunks
from tests.conftest import swedish_sentences
from tests.distillation.pairs import tiny_pair
from tests.distillation.test_loop import StopAfter

Run = Callable[..., DistillationResult]
TEXTS = [" ".join(swedish_sentences(4, seed)) for seed in range(30)]


@pytest.fixture
def run_stage(tiny_teacher: Path, tmp_path: Path) -> Run:
    def run_stage(
        name: str = "out",
        interruption: Interruption | None = None,
        texts: Any = TEXTS,
        **values: Any,
    ) -> Any:
        given = {
            "tokens": 3000,
            "batch_tokens": 200,
            "chunk_words": (3, 20),
            "precision": "float32",
            "validations": 2,
        }
        (tmp_path / name).mkdir(exist_ok=True)
        return distil_student(
            DistillationSection.model_validate({**given, **values}),
            pair=tiny_pair(tiny_teacher),
            prefixes=["query: ", "passage: "],
            texts=texts,
            heldout=swedish_sentences(12, 99),
            output=tmp_path / name,
            runtime=Runtime(interruption=interruption or Interruption(), seed=3),
        )

    return run_stage


def test_a_stock_student_and_the_history_are_left_beside_scaffolds(
    run_stage: Run, tmp_path: Path
) -> None:
    result = run_stage()
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left - set(SCAFFOLDS) == {"history.json", "model"}
    model, tokenizer = (
        auto.from_pretrained(tmp_path / "out" / "model") for auto in (AutoModel, AutoTokenizer)
    )
    assert model.config.num_hidden_layers == 2
    assert torch.isfinite(
        model(**tokenizer("kung och ko", return_tensors="pt")).last_hidden_state
    ).all()
    history = json.loads((tmp_path / "out" / "history.json").read_text())
    assert history["fidelity"] == result.fidelity
    assert history["losses"]


def test_the_result_adds_up(run_stage: Run) -> None:
    result = run_stage(objectives={"hidden": 2, "relations": 0, "embedding": 1})
    assert 3000 <= result.tokens < 3000 + 200
    assert result.tokens_per_second == result.tokens / result.seconds
    assert result.objectives == {"hidden": 2, "embedding": 1}
    assert (result.precision, result.resumed_from) == ("float32", None)
    assert 0 < result.epochs < 10 and result.steps >= 15
    assert len(result.fidelity) == 3


def test_cut_off_and_started_again_it_leaves_the_same_student_without_reading_the_text_again(
    run_stage: Run, tmp_path: Path
) -> None:
    whole = run_stage("whole")
    with pytest.raises(Interrupted):
        run_stage("stopped", StopAfter(4))

    def unread() -> Any:
        raise AssertionError("the text was encoded before")
        yield

    resumed = run_stage("stopped", texts=unread())
    assert resumed.resumed_from == 4
    assert (resumed.tokens, resumed.final_loss, resumed.fidelity) == (
        whole.tokens,
        whole.final_loss,
        whole.fidelity,
    )
    one, other = (
        (tmp_path / name / "model" / "model.safetensors").read_bytes()
        for name in ("whole", "stopped")
    )
    assert one == other


def test_the_saved_student_names_no_attention_kernel_of_the_training(
    run_stage: Run, tmp_path: Path
) -> None:
    run_stage()
    assert "eager" not in (tmp_path / "out" / "model" / "config.json").read_text()


@pytest.mark.parametrize(
    ("values", "packed"),
    [
        ({"objectives": {"hidden": 1.0}, "chunk_words": None, "block_tokens": 16}, True),
        ({"objectives": {"hidden": 1.0}, "chunk_words": (3, 20), "block_tokens": 16}, False),
        ({"objectives": {"embedding": 1.0}, "chunk_words": None, "block_tokens": 16}, False),
    ],
    ids=[
        "blocks by default",
        "chunks where the recipe says so",
        "chunks for the embedding objective",
    ],
)
def test_text_is_packed_into_blocks_or_cut_into_chunks(
    run_stage: Run, tmp_path: Path, values: dict[str, Any], packed: bool
) -> None:
    with pytest.raises(Interrupted):
        run_stage(interruption=StopAfter(1), **values)
    *lengths, _ = open_chunks(
        tmp_path / "out" / "train"
    ).lengths.tolist()  # the last block takes what is left
    assert (set(lengths) == {16}) == packed, lengths
