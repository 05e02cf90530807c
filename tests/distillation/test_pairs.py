"""Teachers that read two texts at once teach on pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st
from transformers import BertTokenizerFast

from distill.distillation.loop import Pair
from distill.distillation.pairs import with_negatives, write_pairs
from distill.distillation.states import StateReader
from distill.distillation.train import distil_student
from distill.models import load_tokenizer
from distill.models.task_heads import head_logits
from distill.recipe import DistillationSection
from distill.runtime.runtime import Runtime
from distill.student.depth import keep_layers
from distill.training.batches import Masking
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


def test_the_chunks_say_of_which_text_a_token_is_where_the_tokenizer_does(
    bert_tokenizer: BertTokenizerFast, tmp_path: Path
) -> None:
    pairs = [("en [SEP] röd båt", "båten tåg"), ("en", "tåg en båt")]
    chunks = write_pairs(pairs, bert_tokenizer, tmp_path, negatives=0, longest=30, seed=0)
    batch = Masking(share=0, mask_id=-1, special_ids=frozenset(), vocabulary_size=10, seed=0).batch(
        chunks, np.arange(2), padding=0, epoch=0
    )
    expected = bert_tokenizer(
        [first for first, _ in pairs],
        [second for _, second in pairs],
        padding=True,
        return_tensors="pt",
    )
    assert torch.equal(batch.ids, expected["input_ids"])
    assert batch.types is not None and torch.equal(batch.types, expected["token_type_ids"])
    part = batch.part(slice(1, 2)).types
    assert part is not None and torch.equal(part, batch.types[1:])


@pytest.mark.parametrize(("family", "is_told"), [("bert", True), ("distilbert", False)])
def test_a_model_that_tells_texts_apart_is_told_which_text_a_token_is_of(
    family: str, is_told: bool
) -> None:
    model = headed_model(family, "pair score", **({"type_vocab_size": 2} if is_told else {}))
    ids = torch.tensor([[0, 5, 6, 2, 7, 8, 2]])
    types = torch.tensor([[0, 0, 0, 0, 1, 1, 1]])
    states = StateReader(model, projections=False, answers=True)(ids, None, types)
    with torch.no_grad():
        given = {"token_type_ids": types} if is_told else {}
        expected = head_logits(model(input_ids=ids, **given))
    assert states.answers is not None and torch.equal(states.answers, expected)


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
