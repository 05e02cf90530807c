"""What the tests of training share."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.models import LoadedModel, load_with_tokenizer


@pytest.fixture
def teacher(tiny_teacher: Path) -> LoadedModel:
    """The tiny teacher, anew for each test."""
    return load_with_tokenizer(str(tiny_teacher))
