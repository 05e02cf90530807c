"""What the student stage returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentResult:
    """The student's architecture, and the teacher's beside it."""

    parameters: int
    embedding_parameters: int
    layers: int
    hidden_size: int
    intermediate_size: int
    vocabulary_size: int
    teacher_layers: list[int]
    """The teacher layers, counted from 1, that the student's layers began as."""
    teacher: dict[str, Any]
    """The same figures of the untrimmed teacher, and its name."""
