"""What the distillation's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from distill.models import LoadedModel, load_with_tokenizer
from distill.training.chunks import Chunks, write_chunks
from tests.conftest import swedish_sentences


@pytest.fixture
def teacher(tiny_teacher: Path) -> LoadedModel:
    """The tiny teacher, anew for each test: the loop sets its precision and attention kernel."""
    return load_with_tokenizer(str(tiny_teacher))


@pytest.fixture(scope="session")
def chunks(tiny_teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Chunks, Chunks]:
    """Chunks to train on, read more than twice by the runs below, and held-out ones."""
    tokenizer = load_with_tokenizer(str(tiny_teacher)).tokenizer

    def written(name: str, texts: list[str]) -> Chunks:
        folder = tmp_path_factory.mktemp(name)
        return write_chunks(
            texts, tokenizer, folder, prefixes=[""], chunk_words=(3, 9), longest=60, seed=0
        )

    return written("train", swedish_sentences(60, 1)), written("heldout", swedish_sentences(10, 2))
