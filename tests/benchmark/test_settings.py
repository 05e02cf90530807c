from __future__ import annotations

from typing import Any

import pytest
import torch

from distill.benchmark.settings import RUNTIMES, list_entrants, list_placements, list_shapes
from distill.recipe import BenchmarkSection
from distill.recipe.benchmark import Runtime


def pairs(**section: Any) -> list[tuple[str, str]]:
    return [
        (entrant.name, entrant.runtime) for entrant in list_entrants(BenchmarkSection(**section))
    ]


def test_every_model_runs_in_every_runtime_once() -> None:
    found = pairs(models=["teacher", "student", "teacher"], runtimes=["torch", "onnx", "torch"])
    assert found == [
        ("teacher", "torch"),
        ("teacher", "onnx"),
        ("student", "torch"),
        ("student", "onnx"),
    ]


def test_student_int8_is_the_student_in_one_runtime_whatever_the_runtimes() -> None:
    (entrant,) = list_entrants(BenchmarkSection(models=["student_int8"], runtimes=["torch"]))
    assert (entrant.name, entrant.subject, entrant.runtime) == (
        "student_int8",
        "student",
        "onnx_int8",
    )


def test_the_student_in_int8_is_measured_under_one_name_alone() -> None:
    found = pairs(models=["student", "student_int8", "teacher"], runtimes=["torch", "onnx_int8"])
    assert found == [
        ("student", "torch"),
        ("student_int8", "onnx_int8"),
        ("teacher", "torch"),
        ("teacher", "onnx_int8"),
    ]


def test_every_runtime_of_the_schema_is_known() -> None:
    from typing import get_args

    assert set(RUNTIMES) == set(get_args(Runtime))


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ([1, "all"], [1, 3]),
        (["all", 3], [3]),
        ([2, 64, 8], [2, 3]),
        ([1, 1], [1]),
        (["all", 1], [3, 1]),
    ],
)
def test_threads_are_capped_by_those_there_are_and_named_once(
    given: list[Any], found: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    placements = list_placements(BenchmarkSection(threads=given, devices=["cpu"]))
    assert [placement.threads for placement in placements] == found


@pytest.mark.parametrize(("there", "found"), [(False, ["cpu"]), (True, ["cpu", "cuda"])])
def test_without_a_word_on_devices_they_are_those_there_are(
    there: bool, found: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert [
        placement.device for placement in list_placements(BenchmarkSection(threads=[1]))
    ] == found


def test_a_gpu_is_measured_once_whatever_the_threads() -> None:
    placements = list_placements(BenchmarkSection(devices=["cuda", "cpu"]))
    assert [placement.threads for placement in placements if placement.device == "cuda"] == [None]


def test_shapes_are_all_combinations_each_once_small_ones_first() -> None:
    section = BenchmarkSection(batch_sizes=[32, 1, 32], lengths=[128, 32, 128])
    assert list_shapes(section) == [(1, 32), (1, 128), (32, 32), (32, 128)]
