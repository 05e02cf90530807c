from __future__ import annotations

import pytest

from distill.onnx.product import product_seconds


@pytest.mark.parametrize("int8", [False, True])
def test_a_matrix_product_takes_time(int8: bool) -> None:
    assert 0 < product_seconds(64, int8=int8, threads=1) < 10
