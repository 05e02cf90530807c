from __future__ import annotations

import copy

import pytest
import torch

from distill.models import LoadedModel
from distill.runtime.progress import Progress
from distill.vocabulary.head_proof import compare_heads
from distill.vocabulary.proof import prove
from distill.vocabulary.trimming import renumbering, trim_model
from distill.vocabulary.verification import segment
from tests.conftest import swedish_sentences
from tests.models.headed import HEADS, headed_model

HELDOUT = swedish_sentences(30, seed=2)


@pytest.mark.parametrize("task", HEADS)
def test_every_prediction_is_counted_and_a_changed_head_is_seen(
    task: str, teacher: LoadedModel
) -> None:
    model = headed_model("xlm-roberta", task, vocabulary=len(teacher.tokenizer))
    new_ids = renumbering(range(len(teacher.tokenizer)))
    segmentation = segment(HELDOUT, teacher.tokenizer, teacher.tokenizer, new_ids)
    trimmed = trim_model(model, new_ids)
    same = compare_heads(model, trimmed, segmentation)
    assert same is not None
    tokens = sum(map(len, segmentation.original))
    assert same.predictions == same.equal == (tokens if task == "tags" else len(HELDOUT))
    assert same.max_difference == 0.0

    spoilt = copy.deepcopy(trimmed)
    with torch.no_grad():
        for name, parameter in spoilt.named_parameters():
            if name.startswith(("classifier", "qa_outputs")):
                parameter.mul_(-1)
    changed = compare_heads(model, spoilt, segmentation)
    assert changed is not None and changed.max_difference is not None
    assert changed.max_difference > 0 and changed.equal < changed.predictions


def test_the_proof_names_the_head_in_words(teacher: LoadedModel) -> None:
    model = headed_model("xlm-roberta", "classes", vocabulary=len(teacher.tokenizer))
    headed = LoadedModel(model=model, tokenizer=teacher.tokenizer)
    new_ids = renumbering(range(len(teacher.tokenizer)))
    trimmed = LoadedModel(model=trim_model(model, new_ids), tokenizer=teacher.tokenizer)
    segmentation = segment(HELDOUT, teacher.tokenizer, teacher.tokenizer, new_ids)
    proof = prove(headed, trimmed, segmentation, HELDOUT, new_ids, Progress(quiet=True))
    assert proof.head_sentence == (
        "head (one class a text, of 3): kept; 30 of 30 predictions are those of the untrimmed "
        "model, largest difference of a logit 0"
    )
