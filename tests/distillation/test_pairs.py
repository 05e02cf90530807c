"""Teachers that read two texts at once teach on pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from transformers import BertTokenizerFast

from distill.distillation.loop import Pair
from distill.distillation.pairs import text_of_each_token, with_negatives, write_pairs
from distill.distillation.states import StateReader
from distill.distillation.train import distil_student
from distill.models import load_tokenizer
from distill.models.task_heads import head_logits
from distill.recipe import DistillationSection
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers
from tests.conftest import swedish_sentences
from tests.models.headed import headed_model

PAIRS = [*zip(swedish_sentences(40, 1), swedish_sentences(40, 2), strict=True)]


@pytest.fixture
def bert_tokenizer(tmp_path: Path) -> BertTokenizerFast:
    """A WordPiece tokenizer, which tells of which text each token is."""
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "en", "röd", "båt", "##en", "tåg"]
    vocabulary = tmp_path / "vocab.txt"
    vocabulary.write_text("\n".join(pieces), encoding="utf-8")
    return BertTokenizerFast(str(vocabulary), strip_accents=False)


def test_the_pairs_on_disk_are_those_that_the_tokenizer_makes(
    tiny_teacher: Path, tmp_path: Path
) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    chunks = write_pairs(PAIRS, tokenizer, tmp_path, negatives=0, longest=60, seed=0)
    written = [
        chunks.ids[start:end].tolist()
        for start, end in zip(chunks.offsets, chunks.offsets[1:], strict=False)
    ]
    expected = [tokenizer(*pair, truncation=True, max_length=60)["input_ids"] for pair in PAIRS]
    assert written == expected


def test_each_pair_is_followed_by_its_negatives() -> None:
    found = [*with_negatives(PAIRS, 3, np.random.default_rng(0))]
    assert found[::4] == PAIRS
    assert [first for first, _ in found] == [first for first, _ in PAIRS for _ in range(4)]


@settings(max_examples=50)
@given(
    pairs=st.lists(st.tuples(st.text("abc ", min_size=1), st.text("abc ", min_size=1)), max_size=8),
    count=st.integers(0, 9),
)
def test_negatives_are_distinct_texts_of_other_pairs(
    pairs: list[tuple[str, str]], count: int
) -> None:
    found = [*with_negatives(pairs, count, np.random.default_rng(0))]
    distinct = len({second for _, second in pairs})
    each = 1 + min(count, max(0, distinct - 1))
    assert len(found) == each * len(pairs)
    for at, (first, second) in enumerate(pairs):
        group = found[at * each : (at + 1) * each]
        assert group[0] == (first, second)
        assert len({text for _, text in group}) == each


def test_half_of_the_negatives_share_most_words_with_the_first_text() -> None:
    pairs = [("båt", "en båt"), ("x", "två båt båt"), *((f"q{i}", f"svar {i}") for i in range(50))]
    found = [*with_negatives(pairs, 2, np.random.default_rng(0))]
    assert found[1] == ("båt", "två båt båt")


@pytest.mark.parametrize("pair", [("en röd båt", "båten tåg"), ("en", "tåg"), ("", "en båt")])
def test_of_which_text_a_token_is_is_what_the_tokenizer_says(
    bert_tokenizer: BertTokenizerFast, pair: tuple[str, str]
) -> None:
    encoded = bert_tokenizer([pair], return_tensors="pt")
    found = text_of_each_token(encoded["input_ids"], bert_tokenizer.sep_token_id)
    assert torch.equal(found, encoded["token_type_ids"])


def test_a_model_that_tells_texts_apart_is_told_which_text_a_token_is_of() -> None:
    model = headed_model("bert", "pair score")
    ids = torch.tensor([[0, 5, 6, 2, 7, 8, 2]])
    types = torch.tensor([[0, 0, 0, 0, 1, 1, 1]])
    states = StateReader(model, projections=False, answers=True, separator=2)(ids, None)
    with torch.no_grad():
        expected = head_logits(model(input_ids=ids, token_type_ids=types))
        other = head_logits(model(input_ids=ids))
    assert states.answers is not None
    assert torch.equal(states.answers, expected) and not torch.equal(states.answers, other)


def test_a_student_learns_its_teachers_scores_of_pairs(tiny_teacher: Path, tmp_path: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_teacher))
    teacher = headed_model("xlm-roberta", "pair score", vocabulary=len(tokenizer))
    student = keep_layers(teacher, [1])
    section = DistillationSection.model_validate(
        {
            "objectives": {"hidden": 0, "task": 1.0},
            "tokens": 20000,
            "batch_tokens": 400,
            "learning_rate": 5e-3,
            "precision": "float32",
            "validations": 2,
        }
    )
    result = distil_student(
        section,
        pair=Pair(
            student=student,
            teacher=teacher,
            tokenizer=tokenizer,
            layers=[1],
            pooling="mean",
            of_pairs=True,
        ),
        prefixes=[""],
        texts=PAIRS,
        heldout=zip(swedish_sentences(10, 3), swedish_sentences(10, 4), strict=True),
        output=tmp_path,
        runtime=Runtime(),
    )
    first, last = result.fidelity[0], result.fidelity[-1]
    assert last["objective"] < first["objective"]
    assert -1 <= first["answer_correlation"] <= 1
