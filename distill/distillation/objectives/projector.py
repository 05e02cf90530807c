"""Learned maps of the student's states into the teacher's width."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F


class Projector(torch.nn.Module):
    """Learned linear maps of the student's states into the teacher's width; thrown away after
    training.

    One for each layer and one for what is pooled, without bias: TinyBERT's W_h (Jiao et al. 2020,
    section 3.1).
    """

    def __init__(self, student_width: int, teacher_width: int, *, layers: int, seed: int) -> None:
        """The same for the same seed; the global random state is left alone."""
        super().__init__()
        draw = torch.Generator().manual_seed(seed)

        def matrix() -> torch.nn.Parameter:
            # Orthogonal: lengths and angles of the states are kept, as far as the teacher's width
            # has room for them.
            return torch.nn.Parameter(
                torch.nn.init.orthogonal_(torch.empty(teacher_width, student_width), generator=draw)
            )

        self.layers = torch.nn.ParameterList(matrix() for _ in range(layers))
        self.pooled = matrix()

    @classmethod
    def between(
        cls, student_width: int, teacher_width: int, *, layers: int, seed: int
    ) -> Projector | None:
        """One if the widths differ; None if they're equal and states are compared as they are."""
        return (
            None
            if student_width == teacher_width
            else cls(student_width, teacher_width, layers=layers, seed=seed)
        )

    def forward(self, states: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Each layer's states [B, L, D] in the teacher's width."""
        return [
            F.linear(own_BLD.float(), matrix)
            for own_BLD, matrix in zip(states, self.layers, strict=True)
        ]

    def map_pooled(self, states: torch.Tensor) -> torch.Tensor:
        """Last hidden states, or vectors pooled from them, [..., D] in the teacher's width."""
        return F.linear(states.float(), self.pooled)
