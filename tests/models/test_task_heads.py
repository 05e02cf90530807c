from __future__ import annotations

from pathlib import Path

import pytest
import torch

from distill.models import load_model
from distill.models.task_heads import head_logits, head_of, predictions, task_head, without_head
from distill.student.depth import keep_layers
from distill.student.width import narrow
from distill.vocabulary.trimming import trim_model
from tests.models.headed import FAMILIES, HEADS, headed_model
from tests.vocabulary.test_trimming import batch, some_ids

every_family = pytest.mark.parametrize("family", FAMILIES)
every_head = pytest.mark.parametrize("task", HEADS)


@every_head
def test_a_head_is_known_by_its_models_class_and_config(task: str) -> None:
    head = head_of(headed_model("xlm-roberta", task))
    assert head is not None and head.task == task
    assert bool(head.labels) == (task in ("classes", "labels", "tags"))


def test_encoders_and_language_models_have_no_head_for_a_task() -> None:
    config = headed_model("bert", "classes").config
    assert task_head(config, "BertModel") is None
    assert task_head(config, "BertForMaskedLM") is None


@every_family
@every_head
def test_trimming_leaves_every_heads_logits_equal_to_the_last_bit(family: str, task: str) -> None:
    model, new_ids = headed_model(family, task), some_ids()
    before, after, mask = batch(new_ids)
    with torch.no_grad():
        old = head_logits(model(input_ids=before, attention_mask=mask))
        new = head_logits(trim_model(model, new_ids)(input_ids=after, attention_mask=mask))
    assert torch.equal(old, new)


@every_family
@every_head
def test_a_student_with_all_layers_answers_as_its_teacher(family: str, task: str) -> None:
    model = headed_model(family, task)
    student = keep_layers(model, [1, 2, 3])
    ids, _, mask = batch(some_ids())
    with torch.no_grad():
        answers = [head_logits(m(input_ids=ids, attention_mask=mask)) for m in (model, student)]
    assert torch.equal(*answers)


@every_head
def test_a_narrower_student_keeps_the_part_of_the_head_that_reads_the_kept_units(
    task: str,
) -> None:
    model = headed_model("xlm-roberta", task)
    ids, _, mask = batch(some_ids())
    student = narrow(model, hidden_size=16, intermediate_size=32, example=(ids, mask))
    layer = student.qa_outputs if task == "answer span" else student.classifier
    layer = getattr(layer, "out_proj", layer)
    whole = model.qa_outputs if task == "answer span" else model.classifier
    whole = getattr(whole, "out_proj", whole)
    assert layer.weight.shape == (whole.weight.shape[0], 16)
    assert torch.equal(layer.bias, whole.bias)
    kept = (layer.weight[:, :, None] == whole.weight[:, None, :]).all(0)
    assert (kept.sum(1) == 1).all()


@every_family
def test_a_dropped_head_leaves_the_encoder(family: str, tmp_path: Path) -> None:
    model = headed_model(family, "classes")
    encoder = keep_layers(without_head(model), [1, 2, 3])
    assert head_of(encoder) is None
    encoder.save_pretrained(tmp_path)
    ids, _, mask = batch(some_ids())
    with torch.no_grad():
        states = [
            one.base_model(input_ids=ids, attention_mask=mask)[0]
            for one in (model, load_model(tmp_path))
        ]
    assert torch.equal(*states)


@every_head
def test_a_folder_is_loaded_with_its_head(task: str, tmp_path: Path) -> None:
    model = headed_model("bert", task)
    model.save_pretrained(tmp_path)
    assert head_of(load_model(tmp_path)) == head_of(model)


def test_several_labels_hold_where_their_logit_is_above_0() -> None:
    head = head_of(headed_model("bert", "labels"))
    assert head is not None
    assert predictions(torch.tensor([[0.1, -0.1, 2.0]]), head).tolist() == [[True, False, True]]
