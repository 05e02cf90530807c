"""Weights and token ids in few bytes, without loss.

Weights that came from 4-bit blocks go back into them: 32 numbers are a float16 scale and 32
integers from -8 to 7. The scale is computed anew and the result compared, so a tensor of another
kind is kept as it is.
"""

from __future__ import annotations

import lzma
from collections.abc import Mapping

import numpy as np

BLOCK = 32
SCALES, NIBBLES, SHAPE = "scales", "nibbles", "shape"


def pack_weights(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors in 4-bit blocks where that loses no bit, else as they are; `unpack_weights` takes
    it back.
    """
    packed: dict[str, np.ndarray] = {}
    for name, tensor in tensors.items():
        blocks = to_blocks(tensor)
        if blocks is None:
            packed[name] = tensor
        else:
            scales, nibbles = blocks
            packed[f"{name}/{SCALES}"], packed[f"{name}/{NIBBLES}"] = scales, nibbles
            packed[f"{name}/{SHAPE}"] = np.array(tensor.shape, dtype=np.int64)
    return packed


def unpack_weights(packed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The tensors that `pack_weights` was given, bit for bit."""
    tensors = {name: packed[name] for name in packed if "/" not in name}
    for name in packed:
        if name.endswith(f"/{SCALES}"):
            stem = name.removesuffix(f"/{SCALES}")
            values = from_blocks(packed[name], packed[f"{stem}/{NIBBLES}"])
            tensors[stem] = values.reshape(packed[f"{stem}/{SHAPE}"])
    return tensors


def to_blocks(tensor: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Scales, float16 [blocks], and two weights a byte, uint8 [blocks, 16]; None if a bit would be
    lost.
    """
    if tensor.dtype != np.float32 or tensor.size % BLOCK:
        return None
    blocks = tensor.reshape(-1, BLOCK)
    highest = np.abs(blocks).max(axis=1)
    scales = np.zeros(len(blocks), dtype=np.float16)
    open_rows = np.flatnonzero(highest)  # a block of zeros has the scale 0
    # The integer that a block's largest weight stands for, of either sign.
    for largest in range(8, 0, -1):
        tried = (highest[open_rows] / largest).astype(np.float16)
        fits = np.zeros(len(open_rows), dtype=bool)
        for signed in (tried, -tried):
            better = fit_exactly(blocks[open_rows], signed) & ~fits
            scales[open_rows[better]] = signed[better]
            fits |= better
        open_rows = open_rows[~fits]
    if len(open_rows):
        return None
    nibbles = (integers_of(blocks, scales) + 8).astype(np.uint8)
    packed = nibbles[:, : BLOCK // 2] | nibbles[:, BLOCK // 2 :] << 4
    return (scales, packed) if from_blocks(scales, packed).tobytes() == tensor.tobytes() else None


def fit_exactly(blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Whether each block, [n, 32], is integers from -8 to 7 times its scale, [n], to the last bit:
    the zeros of a negative scale are negative.
    """
    integers = integers_of(blocks, scales)
    product = integers * scales.astype(np.float32)[:, None]
    exact = product.view(np.uint32) == blocks.view(np.uint32)
    return np.asarray((exact & (integers >= -8) & (integers <= 7)).all(axis=1))


def integers_of(blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """The whole numbers nearest to each block over its scale, float32 [n, 32].

    Where the scale is 0, a negative one gives -0.0 and 0 gives 0.0.
    """
    scale = scales.astype(np.float32)[:, None]
    zeros = np.where(np.signbit(blocks), np.float32(-8.0), np.float32(0.0))
    integers = np.rint(np.divide(blocks, scale, out=zeros, where=scale != 0))
    return np.asarray(integers + np.float32(0.0))  # an integer -0.0 would change a sign


def from_blocks(scales: np.ndarray, nibbles: np.ndarray) -> np.ndarray:
    """The weights, float32 [blocks x 32]."""
    integers = np.concatenate([nibbles & 0x0F, nibbles >> 4], axis=1).astype(np.float32) - 8.0
    return np.asarray(integers * scales.astype(np.float32)[:, None]).ravel()


def pack_ids(ids: np.ndarray, lengths: np.ndarray) -> bytes:
    """Token ids of chunks one after another, and the length of each, compressed; ids and lengths
    are below 65,536.
    """
    if max(ids.max(initial=0), lengths.max(initial=0)) > np.iinfo(np.uint16).max:
        raise ValueError("an id or a length is above 65,535")
    count = np.array([len(lengths)], dtype=np.uint32)
    # High and low bytes apart: the high ones of a vocabulary of frequent pieces are mostly small.
    split = ids.astype("<u2").view(np.uint8).reshape(-1, 2).T
    body = count.tobytes() + lengths.astype("<u2").tobytes() + split.tobytes()
    return lzma.compress(body, preset=6)


def unpack_ids(packed: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Ids, uint32, and lengths, int64, of chunks."""
    body = lzma.decompress(packed)
    count = int(np.frombuffer(body, dtype="<u4", count=1)[0])
    lengths = np.frombuffer(body, dtype="<u2", count=count, offset=4).astype(np.int64)
    split = np.frombuffer(body, dtype=np.uint8, offset=4 + 2 * count).reshape(2, -1)
    ids = np.ascontiguousarray(split.T).view("<u2").ravel().astype(np.uint32)
    return ids, lengths
