from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import PreTrainedModel

from distill.distillation.criterion import Criterion
from distill.distillation.fidelity import make_reference, measure_fidelity
from distill.models import LoadedModel
from distill.models.after_pooling import AfterPooling, Dense, Normalize
from distill.models.heads import piece_bytes
from distill.recipe import DistillationSection
from distill.student.depth import keep_layers, untrained_copy
from distill.training.batches import Masking
from distill.training.chunks import Chunks, write_chunks
from tests.conftest import swedish_sentences

CPU = torch.device("cpu")


@pytest.fixture
def chunks(teacher: LoadedModel, tmp_path: Path) -> Chunks:
    texts = swedish_sentences(30)
    return write_chunks(
        texts, teacher.tokenizer, tmp_path, prefixes=[""], chunk_words=(3, 9), longest=60, seed=0
    )


def measure(
    student: PreTrainedModel,
    teacher: LoadedModel,
    chunks: Chunks,
    pooling: str = "mean",
    after: AfterPooling | None = None,
) -> dict[str, float]:
    layers = [student.config.num_hidden_layers]
    section = DistillationSection.model_validate({"objectives": {"hidden": 0, "embedding": 1}})
    criterion = Criterion(
        student, teacher.model, section, layers=layers, pooling=pooling, after=after, seed=0
    )
    masking = Masking.of(teacher.tokenizer, section, 600, 0)
    reference = make_reference(criterion, chunks, masking, piece_bytes(teacher.tokenizer), 1, CPU)
    return measure_fidelity(criterion, reference)


def test_vectors_that_may_be_cut_are_compared_at_each_length_after_the_teachers_layers(
    teacher: LoadedModel, chunks: Chunks
) -> None:
    torch.manual_seed(0)
    dense = Dense(torch.randn(16, 32), None, "Tanh")
    after = AfterPooling([dense, Normalize()], dimensions=[4, 8, 64])
    whole = measure(teacher.model, teacher, chunks, "cls", after)
    assert {key for key in whole if key.startswith("pooled_cosine")} == {
        *("pooled_cosine", "pooled_cosine_4", "pooled_cosine_8")
    }
    assert all(value == pytest.approx(1, abs=1e-5) for key, value in whole.items() if "_4" in key)
    student = keep_layers(teacher.model, [1])
    one, other = measure(student, teacher, chunks, "cls", after), measure(student, teacher, chunks)
    assert one["hidden_cosine"] == other["hidden_cosine"]
    assert one["pooled_cosine"] != other["pooled_cosine"] != one["pooled_cosine_4"]


def test_a_student_of_another_width_than_a_dense_layer_reads_is_refused(
    teacher: LoadedModel, chunks: Chunks
) -> None:
    with pytest.raises(ValueError, match="Dense layer, which reads pooled vectors of 24"):
        measure(
            teacher.model, teacher, chunks, "mean", AfterPooling([Dense(torch.ones(8, 24), None)])
        )


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_it_is_one_where_the_student_is_the_teacher(
    teacher: LoadedModel, chunks: Chunks, pooling: str
) -> None:
    measured = measure(teacher.model, teacher, chunks, pooling)
    assert measured["objective"] == pytest.approx(0, abs=1e-4)
    assert measured["hidden_cosine"] == pytest.approx(1, abs=1e-5)
    assert measured["pooled_cosine"] == pytest.approx(1, abs=1e-5)
    for name in ("hidden", "pooled"):
        assert measured[f"{name}_centred_cosine"] == pytest.approx(1, abs=1e-5)
    assert measured["neighbour_agreement"] == 1


def test_it_is_what_chunk_after_chunk_without_padding_gives(
    teacher: LoadedModel, chunks: Chunks
) -> None:
    student = keep_layers(teacher.model, [1])
    with torch.no_grad():
        measured = measure(student, teacher, chunks)
        ids = [chunks.batch([row], 1)[0] for row in range(len(chunks))]
        own, target = (
            [model(one).last_hidden_state[0] for one in ids] for model in (student, teacher.model)
        )
    cosines = torch.cat([F.cosine_similarity(a, b) for a, b in zip(own, target, strict=True)])
    assert measured["hidden_cosine"] == pytest.approx(cosines.mean().item(), abs=1e-5)
    pooled = [
        torch.stack([F.normalize(states.mean(0), dim=0) for states in side])
        for side in (own, target)
    ]
    assert measured["pooled_cosine"] == pytest.approx(
        (pooled[0] * pooled[1]).sum(-1).mean().item(), abs=1e-5
    )
    centred = [torch.stack([states.mean(0) for states in side]) for side in (own, target)]
    centred = [vectors - vectors.mean(0) for vectors in centred]
    assert measured["pooled_centred_cosine"] == pytest.approx(
        F.cosine_similarity(*centred).mean().item(), abs=1e-5
    )
    tokens = [torch.cat(side) - torch.cat(side).mean(0) for side in (own, target)]
    assert measured["hidden_centred_cosine"] == pytest.approx(
        F.cosine_similarity(*tokens).mean().item(), abs=1e-5
    )
    nearest = [
        [
            max((i for i in range(len(side)) if i != j), key=lambda i: float(side[i] @ side[j]))
            for j in range(len(side))
        ]
        for side in pooled
    ]
    agreement = sum(a == b for a, b in zip(*nearest, strict=True)) / len(chunks)
    assert measured["neighbour_agreement"] == pytest.approx(agreement)
    assert 0 < agreement < 1


def test_what_all_vectors_share_does_not_make_another_models_alike(
    teacher: LoadedModel, chunks: Chunks
) -> None:
    """A large part in common, as trained encoders have it, hides that the rest is another's."""
    apart = untrained_copy(teacher.model, 5)
    with torch.no_grad():
        for model in (teacher.model, apart):
            model.encoder.layer[-1].output.LayerNorm.bias[0] += 100.0
    try:
        measured = measure(apart, teacher, chunks)
    finally:
        with torch.no_grad():
            teacher.model.encoder.layer[-1].output.LayerNorm.bias[0] -= 100.0
    assert measured["pooled_cosine"] > 0.99 and measured["hidden_cosine"] > 0.98
    assert measured["pooled_centred_cosine"] < 0.6


def test_a_single_chunk_can_be_measured(teacher: LoadedModel, tmp_path: Path) -> None:
    one = write_chunks(
        ["kung och ko"],
        teacher.tokenizer,
        tmp_path,
        prefixes=[""],
        chunk_words=(3, 9),
        longest=60,
        seed=0,
    )
    measured = measure(teacher.model, teacher, one)
    assert measured["hidden_cosine"] == pytest.approx(1, abs=1e-5)
    assert "pooled_centred_cosine" not in measured
