from __future__ import annotations

import copy

import pytest
import torch

from distill.student.factorised import check_embedding_size, factorise_embeddings, fit_narrow
from tests.student.test_depth import CONFIGS, MASK, hidden_states, random_model

factorisable = pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
COUNTS = torch.ones(90)


def error(own: torch.Tensor, wanted: torch.Tensor) -> float:
    """The squared error as a share of the variance, where a token stands."""
    own, wanted = own[MASK == 1], wanted[MASK == 1]
    return float((own - wanted).square().sum() / (wanted - wanted.mean(0)).square().sum())


@factorisable
def test_wide_enough_factors_give_the_first_layer_nearly_what_the_whole_table_does(
    family: str,
) -> None:
    model = random_model(family)
    errors = [
        error(hidden_states(factorise_embeddings(model, size, COUNTS))[0], hidden_states(model)[0])
        for size in (8, 30)
    ]
    assert errors[1] < 0.2
    assert errors[1] < errors[0] / 2


@factorisable
def test_the_layers_are_the_teachers_to_the_last_bit(family: str) -> None:
    model = random_model(family)
    own = factorise_embeddings(model, 8, COUNTS).encoder.state_dict()
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(own[name], tensor)


@factorisable
def test_the_table_has_as_many_rows_and_is_as_narrow_as_was_asked_for(family: str) -> None:
    narrow = factorise_embeddings(random_model(family), 8, COUNTS)
    assert narrow.get_input_embeddings().weight.shape == (90, 8)
    assert narrow.config.model_type == "electra"


def test_frequent_pieces_are_fitted_better_than_rare_ones() -> None:
    torch.manual_seed(0)
    vectors = torch.nn.functional.layer_norm(torch.randn(200, 32), (32,))
    frequent = torch.zeros(200)
    frequent[:20] = 1e4
    narrow, matrix, bias = fit_narrow(vectors, 8, frequent)
    errors = (narrow @ matrix.T + bias - vectors).square().sum(1)
    assert errors[:20].mean() < 0.7 * errors[20:].mean()


@pytest.mark.parametrize("family", ["distilbert", "modernbert"])
def test_other_families_are_refused_by_name(family: str) -> None:
    with pytest.raises(ValueError, match=f"this one is of type {family}"):
        check_embedding_size(copy.deepcopy(CONFIGS[family]), 8)


def test_factors_as_wide_as_the_table_are_refused() -> None:
    with pytest.raises(ValueError, match="embedding_size 32 is not smaller than the teacher's 32"):
        check_embedding_size(CONFIGS["bert"], 32)
