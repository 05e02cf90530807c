from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.errors import Interrupted
from distill.evaluation.scratch import random_language_model, train_scratch
from distill.interruption import Interruption
from distill.progress import Progress
from distill.recipe import DistillationSection
from distill.teacher import Teacher, load_model
from tests.conftest import swedish_sentences

SECTION = DistillationSection.model_validate(
    {"batch_tokens": 256, "block_tokens": 32, "learning_rate": 3e-3, "precision": "float32", "minutes": 1, "patience": 1}
)
Train = Callable[..., Teacher]


@pytest.fixture
def train(tiny: Teacher, tmp_path: Path) -> Train:
    def run(tokens: int = 2000, **changes: Any) -> Teacher:
        arguments: dict[str, Any] = {
            "texts": swedish_sentences(200),
            "tokens": tokens,
            "seed": 0,
            "output": tmp_path / "scratch",
            "device": torch.device("cpu"),
            "interruption": Interruption(),
            "progress": Progress(quiet=True),
        }
        return train_scratch(changes.pop("student", tiny), SECTION, **arguments | changes)

    return run


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_it_is_the_students_architecture_with_random_weights_and_a_tied_head(tiny: Teacher) -> None:
    model = random_language_model(tiny.model, 0)
    assert type(model).__name__ == "XLMRobertaForMaskedLM"
    shapes = {name: p.shape for name, p in tiny.model.named_parameters() if "pooler" not in name}
    assert {name: p.shape for name, p in model.base_model.named_parameters()} == shapes
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert not torch.equal(model.get_input_embeddings().weight, tiny.model.get_input_embeddings().weight)
    assert torch.equal(weights(model), weights(random_language_model(tiny.model, 0)))
    assert not torch.equal(weights(model), weights(random_language_model(tiny.model, 1)))


def test_it_learns_the_text_and_is_kept(train: Train, tiny: Teacher, tmp_path: Path) -> None:
    from distill.evaluation.masked import masked_hits

    def share(model: Any) -> float:
        texts = swedish_sentences(60, seed=9)
        hits, of = masked_hits(model, tiny.tokenizer, texts, share=0.15, longest=60, seed=0).sum(0)
        return float(hits / of)

    made = train(tokens=30_000)
    assert share(made.model) > share(random_language_model(tiny.model, 0)) + 0.05
    assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == ["model"]
    kept = train(texts=iter(()))  # nothing is read again
    assert torch.equal(weights(kept.model), weights(made.model))
    assert torch.equal(weights(load_model(tmp_path / "scratch" / "model")), weights(made.model))


class StopsAfter(Progress):
    """Asks for a stop after some tokens, as Ctrl-C would."""

    def __init__(self, interruption: Interruption, tokens: float) -> None:
        super().__init__(quiet=True)
        self._interruption, self._tokens = interruption, tokens

    def _show(self, task: Any) -> None:
        self._interruption.requested |= task.unit == "tokens" and task.done >= self._tokens


def test_interrupted_it_goes_on_to_the_same_weights(train: Train, tmp_path: Path) -> None:
    whole = train(output=tmp_path / "whole")
    interruption = Interruption()
    with pytest.raises(Interrupted):
        train(interruption=interruption, progress=StopsAfter(interruption, 900))
    assert (tmp_path / "scratch" / "checkpoint").is_dir()
    assert torch.equal(weights(train(texts=iter(())).model), weights(whole.model))


def test_a_vocabulary_without_a_mask_cannot_be_learnt_from_nothing(train: Train, tiny: Teacher) -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="no mask token"):
        train(student=Teacher(model=tiny.model, tokenizer=tokenizer))
