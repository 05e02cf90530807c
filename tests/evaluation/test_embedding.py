from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from distill.evaluation.embedding import embed
from distill.models import LoadedModel, load_with_tokenizer
from tests.conftest import swedish_sentences

TEXTS = [*swedish_sentences(30, seed=3), "", "Fisk.", " ".join(swedish_sentences(2, seed=4))]
every_pooling = pytest.mark.parametrize("pooling", ["mean", "cls", "lasttoken"])


@pytest.fixture(scope="module")
def teacher(tiny_teacher: Path) -> LoadedModel:
    return load_with_tokenizer(str(tiny_teacher))


def vectors_of(
    teacher: LoadedModel, texts: list[str], pooling: str = "mean", longest: int = 60
) -> np.ndarray:
    return embed(teacher.model, teacher.tokenizer, texts, pooling=pooling, longest=longest)


@torch.inference_mode()
def direct_vector(teacher: LoadedModel, text: str, pooling: str, longest: int = 60) -> np.ndarray:
    """The vector of one text, without batches."""
    inputs = teacher.tokenizer(text, truncation=True, max_length=longest, return_tensors="pt")
    states_LD = teacher.model(**inputs).last_hidden_state[0]
    own = {"cls": states_LD[0], "mean": states_LD.mean(0), "lasttoken": states_LD[-1]}
    vector = own[pooling]
    return (vector / vector.norm()).numpy()


@every_pooling
def test_vectors_are_those_of_each_text_run_alone(teacher: LoadedModel, pooling: str) -> None:
    expected = np.stack([direct_vector(teacher, text, pooling) for text in TEXTS])
    np.testing.assert_allclose(vectors_of(teacher, TEXTS, pooling), expected, atol=1e-5)


def test_cls_and_mean_pooling_differ(teacher: LoadedModel) -> None:
    assert (
        np.abs(vectors_of(teacher, TEXTS, "cls") - vectors_of(teacher, TEXTS, "mean")).max() > 0.01
    )


@every_pooling
def test_the_order_of_texts_does_not_change_their_vectors(
    teacher: LoadedModel, pooling: str
) -> None:
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = vectors_of(teacher, [TEXTS[i] for i in order], pooling)
    # Another neighbour in the batch is another padding, and sums are rounded otherwise.
    np.testing.assert_allclose(shuffled, vectors_of(teacher, TEXTS, pooling)[order], atol=1e-5)


@every_pooling
def test_vectors_have_unit_length(teacher: LoadedModel, pooling: str) -> None:
    vectors = vectors_of(teacher, TEXTS, pooling)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_text_is_cut_off_at_the_longest_length(teacher: LoadedModel) -> None:
    beginning = "Och en regering på det hav som"
    texts = [f"{beginning} har {ending}" for ending in ("en fisk", "två skolor och mat")]
    longest = len(teacher.tokenizer(beginning)["input_ids"])
    cut = vectors_of(teacher, texts, longest=longest)
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-6)
    assert np.abs(np.subtract(*vectors_of(teacher, texts))).max() > 1e-3


def test_a_text_longer_than_all_positions_has_a_vector(teacher: LoadedModel) -> None:
    text = " ".join(swedish_sentences(40))
    np.testing.assert_allclose(
        vectors_of(teacher, [text])[0], direct_vector(teacher, text, "mean"), atol=1e-5
    )


def test_an_empty_text_has_the_vector_of_the_special_tokens(teacher: LoadedModel) -> None:
    np.testing.assert_allclose(
        vectors_of(teacher, ["", "Fisk."])[0], direct_vector(teacher, "", "mean"), atol=1e-5
    )


def test_more_texts_than_one_batch_holds_are_all_embedded_once(teacher: LoadedModel) -> None:
    advanced: list[float] = []
    texts = TEXTS * 10
    vectors = embed(
        teacher.model,
        teacher.tokenizer,
        texts,
        pooling="mean",
        longest=60,
        advance=lambda count: advanced.append(count),
    )
    assert len(advanced) > 1
    assert sum(advanced) == len(texts)
    np.testing.assert_allclose(vectors[: len(TEXTS)], vectors[-len(TEXTS) :], atol=1e-5)
