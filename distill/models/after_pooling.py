"""What a sentence encoder does with its pooled vectors (Dense, Normalize, a cut), and how it
compares two of them; read from its folder and written to another's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from distill.models.pickled import read_tensors
from distill.models.pooling import pool
from distill.models.sentence import Module, SentenceFiles
from distill.runtime.errors import UserError

WEIGHTS, PICKLED = "model.safetensors", "pytorch_model.bin"


class Dense(torch.nn.Module):
    """A linear map and its activation, with the teacher's weights; never trained."""

    weight: torch.Tensor
    bias: torch.Tensor | None

    def __init__(
        self, weight: torch.Tensor, bias: torch.Tensor | None, activation: str = "Identity"
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight.float())
        self.register_buffer("bias", None if bias is None else bias.float())
        self.activation = activation
        self._activate = getattr(torch.nn, activation)()

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[B, in] to [B, out]."""
        activated: torch.Tensor = self._activate(F.linear(vectors, self.weight, self.bias))
        return activated

    @property
    def inputs(self) -> int:
        """The width that it reads."""
        return int(self.weight.shape[1])

    @property
    def outputs(self) -> int:
        """The width that it gives."""
        return int(self.weight.shape[0])


class Normalize(torch.nn.Module):
    """Vectors of length 1."""

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """[B, D] to the same."""
        return F.normalize(vectors, dim=-1)


class AfterPooling(torch.nn.Module):
    """From pooled vectors to a model's own; by default they are these already."""

    def __init__(
        self,
        layers: Sequence[Dense | Normalize] = (),
        *,
        similarity: str = "cosine",
        width: int | None = None,
        dimensions: Sequence[int] = (),
    ) -> None:
        """`similarity` compares two vectors; `width` is where they are cut, and `dimensions` where
        they may be (Matryoshka).
        """
        super().__init__()
        self.layers = torch.nn.ModuleList(layers)
        self.similarity, self.width, self.dimensions = similarity, width, tuple(dimensions)

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        """[B, D] to [B, the vector's width]."""
        for layer in self.layers:
            pooled = layer(pooled)
        return pooled[..., : self.width]

    @property
    def dense(self) -> list[Dense]:
        """The Dense layers."""
        return [layer for layer in self.layers if isinstance(layer, Dense)]

    @property
    def reads(self) -> int | None:
        """The width of the pooled vectors that a Dense layer wants; None where any will do."""
        return self.dense[0].inputs if self.dense else None

    def output_width(self, pooled: int) -> int:
        """How wide vectors are, of encoders as wide as `pooled`."""
        width = self.dense[-1].outputs if self.dense else pooled
        return min(width, self.width or width)

    def comparable(self, vectors: torch.Tensor) -> torch.Tensor:
        """As they are compared: of length 1 where that is by cosine."""
        return F.normalize(vectors, dim=-1) if self.similarity == "cosine" else vectors

    def cuts(self, width: int) -> Iterator[int]:
        """The dimensions below a width."""
        return (dimension for dimension in self.dimensions if dimension < width)


class SentenceVectors(torch.nn.Module):
    """From hidden states to a model's own vectors."""

    def __init__(self, pooling: str, after: AfterPooling | None = None) -> None:
        super().__init__()
        self.pooling, self.after = pooling, after or AfterPooling()

    def forward(self, hidden_BLD: torch.Tensor, mask_BL: torch.Tensor) -> torch.Tensor:
        """Vectors [B, W]."""
        vectors: torch.Tensor = self.after(pool(hidden_BLD, mask_BL, self.pooling))
        return vectors

    @property
    def is_elaborate(self) -> bool:
        """Whether they are more than a mean over tokens or the first token's state, of length 1 or
        not: code that makes them takes more than two lines.
        """
        return self.pooling not in ("mean", "cls") or bool(self.after.dense)


def compare(vectors_ND: torch.Tensor, others_MD: torch.Tensor, similarity: str) -> torch.Tensor:
    """Similarities [N, M], the higher the more alike: products (of unit vectors, cosines), or
    distances below zero.
    """
    if similarity in ("cosine", "dot"):
        return vectors_ND @ others_MD.T
    power = 1.0 if similarity == "manhattan" else 2.0
    # By products of matrices, as it otherwise may, a distance of 0 comes out as up to 0.01.
    mode = "donot_use_mm_for_euclid_dist"
    return -torch.cdist(vectors_ND, others_MD, p=power, compute_mode=mode)


def read_after_pooling(
    folder: Path, files: SentenceFiles, dimensions: Sequence[int] = ()
) -> AfterPooling:
    """What the folder's modules after pooling do. Raises UserError if weights are not there, or not
    of the shape that their config says.
    """
    layers = [
        Normalize() if module.kind == "Normalize" else _read_dense(folder, module)
        for module in files.after
    ]
    return AfterPooling(
        layers,
        similarity=files.similarity,
        width=files.width,
        dimensions=dimensions or files.dimensions,
    )


def _read_dense(folder: Path, module: Module) -> Dense:
    tensors = _tensors(folder / module.path)
    weight, bias = tensors.get("linear.weight"), tensors.get("linear.bias")
    said = (module.config.get("out_features"), module.config.get("in_features"))
    if weight is None or tuple(weight.shape) != said or (bias is None) is _has_bias(module.config):
        raise UserError(
            f"{folder / module.path} should hold linear.weight of {said[0]} x {said[1]}"
            f"{' and linear.bias' if _has_bias(module.config) else ''}, as its config.json says.",
            key="teacher.model",
        )
    activation = str(module.config.get("activation_function") or "Identity")
    return Dense(weight, bias, activation.rsplit(".", 1)[-1])


def _has_bias(config: Mapping[str, Any]) -> bool:
    return bool(config.get("bias", True))


def _tensors(folder: Path) -> Mapping[str, torch.Tensor]:
    """The tensors of a module's folder: safetensors, or a pickle of nothing but weights."""
    from safetensors.torch import load_file

    if (folder / WEIGHTS).is_file():
        try:
            tensors: Mapping[str, torch.Tensor] = load_file(folder / WEIGHTS)
            return tensors
        except Exception as error:  # of the reader: of a damaged file
            raise UserError(
                f"{folder / WEIGHTS} cannot be read ({error}).", key="teacher.model"
            ) from error
    if (folder / PICKLED).is_file():
        return read_tensors(folder / PICKLED)
    raise UserError(f"{folder} has no {WEIGHTS}, which its layer needs.", key="teacher.model")
