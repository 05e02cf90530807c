"""What the distillation's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.models import Teacher, load_teacher


@pytest.fixture
def teacher(tiny_teacher: Path) -> Teacher:
    """The tiny teacher, anew for each test: the loop sets its precision and attention kernel."""
    return load_teacher(str(tiny_teacher))
