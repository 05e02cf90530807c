"""Weights and ids in few bytes (benchmarks/gpu/packing.py)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st
from hypothesis.extra import numpy as arrays

from benchmarks.gpu.packing import (
    BLOCK,
    from_blocks,
    pack_ids,
    pack_weights,
    to_blocks,
    unpack_ids,
    unpack_weights,
)

IDS = st.integers(0, 65_535)


@given(
    arrays.arrays(np.float16, 3, elements=st.floats(-60, 60, width=16)),
    arrays.arrays(np.uint8, (3, BLOCK // 2)),
)
def test_weights_of_four_bit_blocks_go_back_into_them_without_losing_a_bit(scales, nibbles):
    tensor = from_blocks(scales, nibbles)
    blocks = to_blocks(tensor)
    assert blocks is not None
    assert from_blocks(*blocks).tobytes() == tensor.tobytes()


@given(arrays.arrays(np.float32, (2, BLOCK), elements=st.floats(-2, 2, width=32)))
def test_weights_of_any_kind_come_back_to_the_last_bit(tensor):
    packed = pack_weights({"layer.weight": tensor})
    assert unpack_weights(packed)["layer.weight"].tobytes() == tensor.tobytes()


@given(st.lists(st.lists(IDS, min_size=1, max_size=20), max_size=20))
def test_ids_come_back_as_they_were(chunks):
    lengths = np.array([len(chunk) for chunk in chunks], dtype=np.int64)
    ids = np.array([i for chunk in chunks for i in chunk], dtype=np.uint32)
    unpacked = unpack_ids(pack_ids(ids, lengths))
    assert np.array_equal(unpacked[0], ids) and np.array_equal(unpacked[1], lengths)


def test_an_id_of_more_than_two_bytes_is_refused():
    with pytest.raises(ValueError, match="above 65,535"):
        pack_ids(np.array([65_536]), np.array([1]))
