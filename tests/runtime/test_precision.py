from __future__ import annotations

import pytest
import torch

from distill.runtime import precision
from distill.runtime.precision import choose_precision, matmul_seconds

CPU = torch.device("cpu")


@pytest.mark.parametrize("wanted", ["float32", "bfloat16"])
def test_a_named_precision_is_taken_as_it_is(wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        precision, "matmul_seconds", lambda *_: pytest.fail("nothing needs to be measured")
    )
    assert choose_precision(wanted, CPU) == wanted


def test_auto_gives_one_of_both() -> None:
    assert choose_precision("auto", CPU) in ("float32", "bfloat16")


@pytest.mark.parametrize(
    ("gain", "chosen"), [(6.0, "bfloat16"), (1.1, "float32"), (0.2, "float32")]
)
def test_auto_takes_bfloat16_where_it_is_clearly_faster(
    gain: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        precision, "matmul_seconds", lambda _, dtype: gain if dtype is torch.float32 else 1.0
    )
    assert choose_precision("auto", CPU) == chosen


def test_a_matrix_product_takes_time() -> None:
    assert 0 < matmul_seconds(CPU, torch.float32) < 10
