from __future__ import annotations

import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification

from distill.benchmark.baselines import baseline_names, find_baseline

MILLIONS = {
    "KB/bert-base-swedish-cased": 124.7,
    "google-bert/bert-base-multilingual-cased": 177.9,
    "distilbert/distilbert-base-multilingual-cased": 134.7,
    "AddedK/kbbert-distilled-cased": 82.2,
}
"""Parameters with the pooler, as far as they are published: 125M, 178M, 135M, 82M."""

WITH_THREE_CLASSES = {
    "KB/bert-base-swedish-cased": 124_693_251,
    "af-ai-center/bert-base-swedish-uncased": 109_484_547,
    "distilbert/distilbert-base-multilingual-cased": 135_326_979,
    "KBLab/electra-small-swedish-cased-discriminator": 16_084_355,
    "AddedK/kbbert-distilled-cased": 82_166_019,
}
"""Parameters with the head of three classes that SweReC wants, as EuroEval's Swedish leaderboard
counts them.
"""


@pytest.mark.parametrize("name", baseline_names())
def test_every_baseline_loads_as_a_stock_model_and_names_its_page(name: str) -> None:
    baseline = find_baseline(name)
    assert baseline is not None
    assert baseline.source.startswith(f"https://huggingface.co/{name}/")
    with torch.device("meta"):
        model = AutoModel.from_config(baseline.config)
    assert model.config.max_position_embeddings == 512
    assert set(baseline.unknown) <= set(baseline.config.to_dict())


@pytest.mark.parametrize("name", MILLIONS)
def test_baselines_have_the_parameters_that_are_published(name: str) -> None:
    baseline = find_baseline(name)
    assert baseline is not None and not baseline.unknown
    with torch.device("meta"):
        parameters = AutoModel.from_config(baseline.config).num_parameters()
    assert parameters / 1e6 == pytest.approx(MILLIONS[name], abs=0.05)


@pytest.mark.parametrize("name", WITH_THREE_CLASSES)
def test_baselines_have_the_parameters_that_a_leaderboard_counted_to_the_last_one(
    name: str,
) -> None:
    baseline = find_baseline(name)
    assert baseline is not None and not baseline.unknown
    baseline.config.num_labels = 3
    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(baseline.config)
    assert model.num_parameters() == WITH_THREE_CLASSES[name]


def test_a_baseline_is_found_in_any_case() -> None:
    assert find_baseline("kb/BERT-base-swedish-cased") is not None


def test_what_does_not_come_with_the_package_is_no_baseline() -> None:
    assert find_baseline("organisation/model") is None
