from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.evaluation.scratch import (
    heldout_loss,
    masked_section,
    random_language_model,
    read_record,
    train_scratch,
)
from distill.models import LoadedModel, load_model
from distill.recipe import DistillationSection
from distill.report.results.evaluation import ScratchFigures
from distill.runtime.errors import Interrupted
from distill.runtime.interruption import Interruption
from distill.runtime.progress import Progress
from distill.runtime.runtime import Runtime
from distill.training.batches import Masking
from distill.training.blocks import write_blocks
from tests.conftest import swedish_sentences

SECTION = DistillationSection.model_validate(
    {
        "batch_tokens": 256,
        "block_tokens": 32,
        "learning_rate": 3e-3,
        "precision": "float32",
        "minutes": 1,
        "patience": 1,
    }
)
Train = Callable[..., LoadedModel]


@pytest.fixture
def train(tiny: LoadedModel, tmp_path: Path) -> Train:
    def run(tokens: int = 2000, **changes: Any) -> LoadedModel:
        arguments: dict[str, Any] = {
            "learning_rates": [3e-3],
            "texts": swedish_sentences(200),
            "heldout": swedish_sentences(40, seed=5),
            "tokens": tokens,
            "output": tmp_path / "scratch",
        }
        stop = changes.pop("interruption", Interruption())
        progress = changes.pop("progress", Progress(quiet=True))
        seed = changes.pop("seed", 0)
        runtime = Runtime(progress=progress, interruption=stop, seed=seed, device_name="cpu")
        student = changes.pop("student", tiny)
        return train_scratch(student, SECTION, runtime=runtime, **arguments | changes)

    return run


def weights(model: torch.nn.Module) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


def test_it_is_the_students_architecture_with_random_weights_and_a_tied_head(
    tiny: LoadedModel,
) -> None:
    model = random_language_model(tiny.model, 0)
    assert type(model).__name__ == "XLMRobertaForMaskedLM"
    shapes = {name: p.shape for name, p in tiny.model.named_parameters() if "pooler" not in name}
    assert {name: p.shape for name, p in model.base_model.named_parameters()} == shapes
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert not torch.equal(
        model.get_input_embeddings().weight, tiny.model.get_input_embeddings().weight
    )
    assert torch.equal(weights(model), weights(random_language_model(tiny.model, 0)))
    assert not torch.equal(weights(model), weights(random_language_model(tiny.model, 1)))


def test_it_learns_the_text_and_is_kept(train: Train, tiny: LoadedModel, tmp_path: Path) -> None:
    from distill.evaluation.masked import masked_hits

    def share(model: Any) -> float:
        texts = swedish_sentences(60, seed=9)
        hits, of = masked_hits(model, tiny.tokenizer, texts, share=0.15, longest=60, seed=0).sum(0)
        return float(hits / of)

    made = train(tokens=30_000)
    assert share(made.model) > share(random_language_model(tiny.model, 0)) + 0.05
    assert sorted(path.name for path in (tmp_path / "scratch").iterdir()) == [
        "model",
        "scratch.json",
    ]
    kept = train(texts=iter(()))  # nothing is read again
    assert torch.equal(weights(kept.model), weights(made.model))
    assert torch.equal(weights(load_model(tmp_path / "scratch" / "model")), weights(made.model))


class StopsAfter(Progress):
    """Asks for a stop after some tokens, as Ctrl-C would."""

    def __init__(self, interruption: Interruption, tokens: float, nth: int = 1) -> None:
        super().__init__(quiet=True)
        self._interruption, self._tokens, self._nth = interruption, tokens, f"({nth} of"

    def _show(self, task: Any) -> None:
        late = task.unit == "tokens" and task.done >= self._tokens and self._nth in task.name
        self._interruption.requested |= late


class Counts(Progress):
    """Notes which learning rates are trained at."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.trained: list[str] = []

    def _show(self, task: Any) -> None:
        rate = task.name.removeprefix("evaluation: training scratch ")
        if task.unit == "tokens" and task.done and rate not in self.trained:
            self.trained.append(rate)


def test_interrupted_it_goes_on_to_the_same_weights(train: Train, tmp_path: Path) -> None:
    whole = train(output=tmp_path / "whole")
    interruption = Interruption()
    with pytest.raises(Interrupted):
        train(interruption=interruption, progress=StopsAfter(interruption, 900))
    assert (tmp_path / "scratch" / "rate-0.003" / "checkpoint").is_dir()
    assert torch.equal(weights(train(texts=iter(())).model), weights(whole.model))


def test_of_several_learning_rates_the_lowest_heldout_loss_is_kept(
    train: Train, tmp_path: Path
) -> None:
    rates = [1e-6, 3e-3, 1e-5]
    made = train(tokens=20_000, learning_rates=rates)
    record = read_record(tmp_path / "scratch")
    assert record is not None
    losses = record.heldout_loss
    assert (record.tokens, record.learning_rate) == (20_000, 3e-3)
    assert min(losses, key=losses.get) == "0.003" and set(losses) == {"1e-06", "0.003", "1e-05"}
    assert losses["0.003"] < losses["1e-05"] - 0.1
    alone = train(tokens=20_000, output=tmp_path / "alone")
    assert torch.equal(weights(made.model), weights(alone.model))


def test_a_learning_rate_that_is_finished_is_not_trained_again(
    train: Train, tmp_path: Path
) -> None:
    interruption = Interruption()
    with pytest.raises(Interrupted):
        train(
            learning_rates=[3e-3, 1e-5],
            interruption=interruption,
            progress=StopsAfter(interruption, 900, nth=2),
        )
    assert (tmp_path / "scratch" / "rate-0.003" / "loss.json").is_file()
    counting = Counts()
    train(learning_rates=[3e-3, 1e-5], texts=iter(()), progress=counting)
    assert counting.trained == ["learning rate 1e-05 (2 of 2)"]


def test_without_heldout_text_the_first_learning_rate_is_kept(train: Train, tmp_path: Path) -> None:
    train(tokens=500, heldout=[], learning_rates=[1e-3, 3e-3])
    assert read_record(tmp_path / "scratch") == ScratchFigures(
        tokens=500, learning_rate=1e-3, heldout_loss={"0.001": None, "0.003": None}
    )


def test_the_heldout_loss_of_uniform_guesses_is_the_logarithm_of_the_vocabulary(
    tiny: LoadedModel, tmp_path: Path
) -> None:
    model = random_language_model(tiny.model, 0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    heldout = write_blocks(swedish_sentences(20), tiny.tokenizer, tmp_path, block_tokens=32)
    masking = Masking.of(tiny.tokenizer, masked_section(SECTION), model.config.vocab_size, 0)
    assert heldout_loss(model.eval(), heldout, masking) == pytest.approx(
        math.log(model.config.vocab_size), rel=1e-5
    )


def test_nothing_trained_has_no_record(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None


def test_a_vocabulary_without_a_mask_cannot_be_learnt_from_nothing(
    train: Train, tiny: LoadedModel
) -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="no mask token"):
        train(student=LoadedModel(model=tiny.model, tokenizer=tokenizer))
