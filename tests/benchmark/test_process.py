from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from distill.benchmark.process import Footprint, Shape, measure_footprint

pytestmark = [
    pytest.mark.cold,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]
SHAPES = [(8, 60), (1, 8)]
MB = 1_000_000


@pytest.fixture(scope="module")
def peaks(tiny_teacher: Path) -> dict[Shape, int]:
    """Of the tiny teacher, while this process holds 500 MB."""
    held = np.ones(500 * MB, dtype=np.uint8)  # ones, because untouched zeros take no memory
    found = measure_footprint("torch", tiny_teacher, SHAPES).peaks
    assert held[-1] == 1
    return found


@pytest.fixture(scope="module")
def large_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[int, int]:
    """Bytes of a larger model's weights, most of them pieces that no text uses, and its peak."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("large")
    size = {
        "hidden_size": 512,
        "num_attention_heads": 8,
        "intermediate_size": 512,
        "num_hidden_layers": 1,
    }
    model = BertModel(BertConfig(vocab_size=120_000, **size))
    model.save_pretrained(folder)
    weights = 4 * model.num_parameters()
    del model
    return weights, measure_footprint("torch", folder, [(1, 8)]).peaks[1, 8]


def test_a_larger_shape_needs_at_least_as_much(peaks: dict[Shape, int]) -> None:
    assert list(peaks) == SHAPES
    assert peaks[8, 60] >= peaks[1, 8]


def test_the_peak_of_a_tiny_model_is_that_of_the_libraries(
    peaks: dict[Shape, int], tiny_teacher: Path
) -> None:
    weights = (tiny_teacher / "model.safetensors").stat().st_size
    assert max(weights, 50 * MB) < peaks[1, 8] < 2_000 * MB


def test_all_weights_count_and_not_only_those_that_were_looked_up(
    peaks: dict[Shape, int], large_model: tuple[int, int]
) -> None:
    weights, peak = large_model
    assert peak > weights
    # A fresh process differs from run to run by how its libraries are mapped.
    assert peak - peaks[1, 8] == pytest.approx(weights, abs=80 * MB)


def test_what_the_parent_holds_does_not_count(
    peaks: dict[Shape, int], large_model: tuple[int, int]
) -> None:
    # Measured beside 500 MB, the tiny model would otherwise need more than the larger one, whose
    # weights are 250 MB.
    assert peaks[1, 8] < large_model[1]


def test_a_process_that_fails_gives_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"config\.json"):
        measure_footprint("torch", tmp_path, [(1, 8)])


@pytest.fixture(scope="module")
def onnx_footprint(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Footprint:
    from distill.models import load_model
    from distill.onnx.conversion import write_onnx

    file = tmp_path_factory.mktemp("onnx") / "model.onnx"
    write_onnx(load_model(tiny_teacher), file)
    return measure_footprint("onnx", file, SHAPES)


def test_an_onnx_file_needs_less_than_the_model_in_torch(
    onnx_footprint: Footprint, peaks: dict[Shape, int]
) -> None:
    assert all(20 * MB < onnx_footprint.peaks[shape] < peaks[shape] for shape in SHAPES)


def test_loading_takes_time(onnx_footprint: Footprint) -> None:
    assert 0 < onnx_footprint.load_ms < 60_000
