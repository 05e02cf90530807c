from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from distill.models import LoadedModel, load_with_tokenizer
from distill.recipe import StudentSection
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.student.depth import keep_layers
from distill.student.pruning import Recover, last_step, prune_in_steps, remove_steps, step_batches
from tests.conftest import swedish_sentences

PRUNING = {"steps": 3, "batches": 1, "recover_tokens": 1000}


@pytest.fixture
def teacher(tiny_teacher: Path) -> LoadedModel:
    return load_with_tokenizer(str(tiny_teacher))


def prune(
    teacher: LoadedModel,
    output: Path,
    recover: Recover | None = None,
    texts: int = 60,
    **pruning: Any,
) -> Any:
    section = {"hidden_size": 16, "intermediate_size": 40, "pruning": PRUNING | pruning}
    return prune_in_steps(
        keep_layers(teacher.model, [2, 4]),
        teacher.tokenizer,
        StudentSection.model_validate(section),
        layers=[2, 4],
        texts=iter(swedish_sentences(texts)),
        seed=0,
        progress=Progress(quiet=True),
        recover=recover,
        output=output,
    )


def same(one: Any, other: Any) -> bool:
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def interrupt(model: Any, layers: list[int], step: int) -> None:
    if step == 3:
        raise KeyboardInterrupt


@pytest.mark.parametrize("importance", ["taylor", "magnitude"])
def test_the_student_ends_at_the_sizes_asked_for(
    teacher: LoadedModel, tmp_path: Path, importance: str
) -> None:
    config = prune(teacher, tmp_path, importance=importance).config
    assert (config.hidden_size, config.num_attention_heads, config.intermediate_size) == (16, 2, 40)


def test_a_little_training_follows_each_step_and_stays_in_the_student(
    teacher: LoadedModel, tmp_path: Path
) -> None:
    seen = []

    def recover(model: Any, layers: list[int], step: int) -> None:
        seen.append((step, layers, model.config.hidden_size, model.config.intermediate_size))
        with torch.no_grad():
            model.encoder.layer[0].output.dense.bias.fill_(step)

    student = prune(teacher, tmp_path, recover)
    assert seen == [(1, [2, 4], 24, 56), (2, [2, 4], 24, 48), (3, [2, 4], 16, 40)]
    assert student.encoder.layer[0].output.dense.bias.tolist() == [3.0] * 16
    assert not student.training


def test_no_training_follows_where_no_tokens_are_given_to_it(
    teacher: LoadedModel, tmp_path: Path
) -> None:
    prune(teacher, tmp_path, lambda *_: pytest.fail("trained"), recover_tokens=0)


def test_a_cut_off_run_goes_on_after_its_last_whole_step_and_ends_the_same(
    teacher: LoadedModel, tmp_path: Path
) -> None:
    whole = prune(teacher, tmp_path / "whole", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        prune(teacher, tmp_path / "cut", interrupt)
    (tmp_path / "cut" / ".step-3.partial").mkdir()  # as a kill while writing leaves it
    again: list[int] = []
    resumed = prune(teacher, tmp_path / "cut", lambda model, layers, step: again.append(step))
    assert again == [3]
    assert same(resumed, whole)


def test_only_the_last_finished_step_stays_on_disk(teacher: LoadedModel, tmp_path: Path) -> None:
    assert last_step(tmp_path) == 0
    prune(teacher, tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-3"]
    assert last_step(tmp_path) == 3
    (tmp_path / ".step-4.partial").mkdir()
    remove_steps(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_finished_pruning_is_read_and_not_done_again(
    teacher: LoadedModel, tmp_path: Path
) -> None:
    first = prune(teacher, tmp_path)
    assert same(prune(teacher, tmp_path, lambda *_: pytest.fail("trained")), first)


def test_steps_read_texts_of_their_own_and_begin_again_where_these_end(
    teacher: LoadedModel,
) -> None:
    texts = swedish_sentences(40)

    def read(step: int) -> list[Any]:
        batches = step_batches(texts, teacher.tokenizer, step=step, count=1, length=16)
        return teacher.tokenizer.batch_decode(batches[0][0][:, 1:3])

    def starts(chosen: list[str]) -> list[Any]:
        return teacher.tokenizer.batch_decode(
            [teacher.tokenizer(text)["input_ids"][1:3] for text in chosen]
        )

    assert read(1) == starts(texts[:16])
    assert read(3) == starts(texts[32:] + texts[:8])


def test_no_sequence_is_longer_than_asked_for(teacher: LoadedModel) -> None:
    texts = [" ".join(swedish_sentences(30))]
    ids_BL, mask_BL = step_batches(texts, teacher.tokenizer, step=1, count=1, length=24)[0]
    assert ids_BL.shape == mask_BL.shape == (16, 24)


def test_without_text_it_is_refused(teacher: LoadedModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="the text is empty"):
        prune(teacher, tmp_path, texts=0)


def test_few_texts_suffice(teacher: LoadedModel, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path)
    assert prune(teacher, tmp_path, texts=1).config.hidden_size == 16
