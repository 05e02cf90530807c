from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distill.inspection.layer_states import kept_vectors, layer_vectors, states_name
from distill.models import LoadedModel, load_with_tokenizer
from tests.conftest import swedish_sentences

TEXTS = [*swedish_sentences(12), "och", " ".join(swedish_sentences(30))]


@pytest.fixture(scope="module")
def tiny(tiny_teacher: Path) -> LoadedModel:
    return load_with_tokenizer(str(tiny_teacher))


def vectors(model: LoadedModel, texts: list[str] = TEXTS, **changes: Any) -> np.ndarray:
    settings = {"pooling": "mean", "longest": 60, "precision": "float32"} | changes
    return layer_vectors(model.model, model.tokenizer, texts, **settings)


def test_every_layer_and_the_embeddings_have_a_vector_of_each_text(tiny: LoadedModel) -> None:
    assert vectors(tiny).shape == (
        tiny.model.config.num_hidden_layers + 1,
        len(TEXTS),
        tiny.model.config.hidden_size,
    )


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_a_text_among_others_has_the_vector_that_it_has_alone(
    tiny: LoadedModel, pooling: str
) -> None:
    together = vectors(tiny, pooling=pooling)
    for at, text in enumerate(TEXTS):
        ids = tiny.tokenizer([text], truncation=True, max_length=60, return_tensors="pt")
        with torch.inference_mode():
            states = tiny.model.base_model(**ids, output_hidden_states=True).hidden_states
        own = torch.stack(states)[:, 0]
        expected = own.mean(dim=1) if pooling == "mean" else own[:, 0]
        assert together[:, at] == pytest.approx(expected.numpy(), abs=1e-5)


def test_long_texts_are_cut_off(tiny: LoadedModel) -> None:
    long = " ".join(swedish_sentences(100))
    found = vectors(tiny, [long, long + " och det"])
    assert (found[:, 0] == found[:, 1]).all()


def test_progress_counts_every_text(tiny: LoadedModel) -> None:
    counted: list[float] = []
    vectors(tiny, advance=counted.append)
    assert sum(counted) == len(TEXTS)


def test_states_are_computed_once_and_kept(tmp_path: Path) -> None:
    made = kept_vectors(
        tmp_path / "states" / "a.npz", lambda: np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    )
    again = kept_vectors(tmp_path / "states" / "a.npz", lambda: pytest.fail("computed again"))
    assert (made == again).all() and again.dtype == np.float32


def test_a_file_that_was_cut_off_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    kept_vectors(path, lambda: np.ones((1, 100, 30), np.float32))
    path.write_bytes(path.read_bytes()[:500])
    assert (kept_vectors(path, lambda: np.zeros((1, 2, 3), np.float32)) == 0).all()


def test_another_model_text_or_setting_has_a_file_of_its_own() -> None:
    settings = {"pooling": "mean", "model": {"file": 1}}
    names = {
        states_name(["a", "b"], settings),
        states_name(["ab"], settings),
        states_name(["a", "b"], settings | {"pooling": "cls"}),
        states_name(["a", "b"], settings | {"model": {"file": 2}}),
    }
    assert len(names) == 4
    assert states_name(["a", "b"], dict(reversed(settings.items()))) in names
