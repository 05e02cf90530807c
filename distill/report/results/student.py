"""What the student stage returns."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """The size of a model."""

    parameters: int
    embedding_parameters: int
    layers: int
    hidden_size: int
    intermediate_size: int
    vocabulary_size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class TeacherFigures(Geometry):
    """The untrimmed teacher."""

    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentFigures(Geometry):
    """The student's architecture."""

    teacher_layers: list[int]
    """The teacher layers, counted from 1, that the student's layers began as."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StudentResult(StudentFigures):
    """The student's architecture, and the teacher's beside it."""

    teacher: TeacherFigures
