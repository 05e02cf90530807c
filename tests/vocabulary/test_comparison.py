from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given, strategies as st

from distill.models import LoadedModel
from distill.vocabulary import comparison
from distill.vocabulary.comparison import (
    compare_states,
    larger,
    max_logit_difference,
    pad,
    samples_of_all_lengths,
    unequal_weights,
)
from distill.vocabulary.trimming import renumbering, trim_model
from distill.vocabulary.verification import Segmentation, segment
from tests.conftest import swedish_sentences
from tests.vocabulary.test_trimming import ROWS, random_model

HELDOUT = swedish_sentences(60, seed=2)


@pytest.fixture(scope="module")
def whole(teacher: LoadedModel) -> tuple[dict[int, int], Segmentation]:
    """A trimming that keeps every piece, and the segmentation under it."""
    new_ids = renumbering(range(len(teacher.tokenizer)))
    segmentation = segment(HELDOUT, teacher.tokenizer, teacher.tokenizer, new_ids)
    assert segmentation.identical.all()
    return new_ids, segmentation


def test_the_proof_sees_a_single_changed_weight(
    teacher: LoadedModel, whole: tuple[dict[int, int], Segmentation]
) -> None:
    new_ids, segmentation = whole
    spoilt = trim_model(teacher.model, new_ids)
    assert compare_states(teacher.model, spoilt, segmentation).largest == 0.0
    used = segmentation.original[0][1]
    with torch.no_grad():
        spoilt.get_input_embeddings().weight[used, 0] += 0.01
    assert (compare_states(teacher.model, spoilt, segmentation).largest or 0) > 0


@pytest.mark.parametrize(
    "name", ["bert with an untied head", "xlm-roberta with a head", "xlm with a head"]
)
def test_the_proof_sees_a_changed_bias_of_the_output_layer(name: str) -> None:
    model, ids = random_model(name), [[0, 7, 9, 2], [0, 8, 2]]
    segmentation = Segmentation(original=ids, trimmed=ids, identical=np.ones(2, dtype=bool))
    new_ids = renumbering([*range(100), ROWS - 1])
    trimmed = trim_model(model, new_ids)
    assert max_logit_difference(model, trimmed, segmentation, list(new_ids)) == 0.0
    with torch.no_grad():
        trimmed.get_output_embeddings().bias[50] += 0.01
    assert max_logit_difference(model, trimmed, segmentation, list(new_ids)) == pytest.approx(
        0.01, rel=1e-3
    )


def test_a_model_without_a_head_over_the_vocabulary_has_no_logits_to_compare(
    teacher: LoadedModel, whole: tuple[dict[int, int], Segmentation]
) -> None:
    assert (
        max_logit_difference(
            teacher.model, trim_model(teacher.model, whole[0]), whole[1], list(whole[0])
        )
        is None
    )


def test_the_proof_takes_sentences_that_are_too_long_for_the_model(teacher: LoadedModel) -> None:
    new_ids = renumbering(range(len(teacher.tokenizer)))
    segmentation = segment(["kung " * 500], teacher.tokenizer, teacher.tokenizer, new_ids)
    compared = compare_states(teacher.model, trim_model(teacher.model, new_ids), segmentation)
    assert (compared.sentences, compared.largest) == (1, 0.0)


@pytest.mark.parametrize("name", ["pooler.dense.weight", "embeddings.word_embeddings.weight"])
@pytest.mark.parametrize("value", [1e-30, -0.0, float("nan")])
def test_every_bit_of_every_weight_is_compared(
    teacher: LoadedModel, name: str, value: float
) -> None:
    model = copy.deepcopy(teacher.model)
    kept = list(range(0, len(teacher.tokenizer), 2))
    with torch.no_grad():
        model.get_parameter(name)[kept[-1] if "word" in name else 3, 0] = 0.0
    trimmed = trim_model(model, renumbering(kept))
    assert unequal_weights(model, trimmed, kept) == []
    with torch.no_grad():
        trimmed.get_parameter(name)[-1 if "word" in name else 3, 0] = value
    assert unequal_weights(model, trimmed, kept) == [name]


def test_a_weight_that_is_not_a_number_equals_nothing(teacher: LoadedModel) -> None:
    model = copy.deepcopy(teacher.model)
    with torch.no_grad():
        model.get_parameter("pooler.dense.bias")[0] = float("nan")
    kept = list(range(len(teacher.tokenizer)))
    assert unequal_weights(model, trim_model(model, renumbering(kept)), kept) == [
        "pooler.dense.bias"
    ]


def test_a_buffer_is_compared_too(teacher: LoadedModel) -> None:
    kept = list(range(len(teacher.tokenizer)))
    trimmed = trim_model(teacher.model, renumbering(kept))
    trimmed.get_buffer("embeddings.position_ids")[0, 3] += 1
    assert unequal_weights(teacher.model, trimmed, kept) == ["embeddings.position_ids"]


@given(lengths=st.lists(st.integers(1, 40), max_size=60), tokens=st.integers(1, 200))
def test_each_row_is_in_one_sample_and_neighbours_in_length_are_apart(
    lengths: list[int], tokens: int
) -> None:
    samples = samples_of_all_lengths(np.array(lengths, dtype=np.int64), tokens)
    rows = [row for sample in samples for row in sample.tolist()]
    assert sorted(rows) == list(range(len(lengths)))
    again = samples_of_all_lengths(np.array(lengths, dtype=np.int64), tokens)
    assert [sample.tolist() for sample in samples] == [sample.tolist() for sample in again]
    count, rank = max(1, -(-sum(lengths) // tokens)), np.argsort(lengths, kind="stable").tolist()
    for sample in samples:
        strata = [rank.index(row) // count for row in sample.tolist()]
        assert len(strata) == len(set(strata)) and strata == sorted(strata)


def test_where_time_is_short_one_sample_is_compared_and_else_all(
    teacher: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "_SAMPLE_TOKENS", 100)
    new_ids = renumbering(range(len(teacher.tokenizer)))
    segmentation = segment(HELDOUT, teacher.tokenizer, teacher.tokenizer, new_ids)
    trimmed = trim_model(teacher.model, new_ids)
    lengths = np.array([len(ids) for ids in segmentation.original])
    few = compare_states(teacher.model, trimmed, segmentation, seconds=1e-9)
    everything = compare_states(teacher.model, trimmed, segmentation)
    assert few.sentences == len(samples_of_all_lengths(lengths, 100)[0]) < len(HELDOUT)
    assert everything.sentences == len(HELDOUT)


@pytest.mark.parametrize("seconds", [1e-9, math.inf])
def test_the_whole_of_the_progress_is_told_whether_time_or_work_ends_first(
    seconds: float, teacher: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparison, "_SAMPLE_TOKENS", 100)
    new_ids = renumbering(range(len(teacher.tokenizer)))
    segmentation = segment(HELDOUT, teacher.tokenizer, teacher.tokenizer, new_ids)
    trimmed = trim_model(teacher.model, new_ids)
    shares: list[float] = []
    compare_states(teacher.model, trimmed, segmentation, seconds=seconds, advance=shares.append)
    assert sum(shares) == pytest.approx(1)


def test_the_comparison_leaves_threads_and_modes_as_they_were(
    teacher: LoadedModel, whole: tuple[dict[int, int], Segmentation]
) -> None:
    model, threads = copy.deepcopy(teacher.model).train(), torch.get_num_threads()
    model.encoder.eval()
    modes = [module.training for module in model.modules()]
    compare_states(model, trim_model(teacher.model, whole[0]), whole[1])
    assert torch.get_num_threads() == threads
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize("difference", [float("nan"), float("inf")])
def test_a_difference_that_is_not_a_number_is_not_passed_over(difference: float) -> None:
    assert not math.isfinite(larger(None, difference, 0.0))
    assert not math.isfinite(larger(0.5, difference))
    assert larger(0.5, 0.25) == 0.5


def test_padding_fills_up_to_the_longest() -> None:
    ids, mask = pad([[5, 6, 7], [8]], 1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
