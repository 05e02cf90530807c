from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, strategies as st
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForMaskedLM,
)

from distill.pipeline import plan
from distill.pipeline.plan import (
    Plan,
    check_space,
    make_plan,
    predict_seconds,
    predict_vocabulary,
)
from distill.recipe import Recipe, VocabularySection
from distill.runtime.errors import UserError
from distill.student.depth import choose_layers, keep_layers
from distill.student.width import narrow
from tests.conftest import ROOT
from tests.pipeline.shapes import CONFIGS, SECTIONS, recipe_of


def built_parameters(model: Any, recipe: Recipe, kept: int) -> int:
    """Parameters of the student that the student stage builds from a teacher of `kept` pieces."""
    model.resize_token_embeddings(kept)
    section = recipe.student
    ids = torch.randint(5, kept, (2, 8), generator=torch.Generator().manual_seed(0))
    student = narrow(
        keep_layers(model, choose_layers(section.layers, model.config.num_hidden_layers)),
        hidden_size=section.hidden_size,
        intermediate_size=section.intermediate_size,
        example=(ids, torch.ones_like(ids)),
    )
    return int(student.num_parameters())


@pytest.mark.parametrize("section", SECTIONS, ids=str)
@pytest.mark.parametrize(
    "auto", [AutoModel, AutoModelForMaskedLM], ids=["encoder", "masked language model"]
)
@pytest.mark.parametrize("family", CONFIGS)
def test_the_predicted_parameters_are_those_of_the_student_that_is_built(
    family: str, auto: Any, section: dict[str, Any], tmp_path: Path
) -> None:
    teacher = auto.from_config(CONFIGS[family]())
    teacher.save_pretrained(tmp_path / "teacher")
    recipe = recipe_of(tmp_path / "teacher", student=section)
    predicted = make_plan(recipe, 120)
    assert predicted.teacher_parameters == teacher.num_parameters()
    assert predicted.student_parameters == built_parameters(teacher, recipe, 120)
    assert predicted.student_bytes == 4 * predicted.student_parameters


def test_the_plan_says_whether_the_vocabulary_was_measured(tiny_teacher: Path) -> None:
    recipe = recipe_of(tiny_teacher)
    before, after = make_plan(recipe), make_plan(recipe, 321)
    assert not before.vocabulary_is_measured
    assert (after.vocabulary, after.vocabulary_is_measured) == (321, True)


def test_a_predicted_vocabulary_is_not_larger_than_the_teachers(tiny_teacher: Path) -> None:
    teachers = json.loads((tiny_teacher / "config.json").read_text())["vocab_size"]
    assert make_plan(recipe_of(tiny_teacher)).vocabulary == teachers


def test_operations_are_two_a_teacher_weight_and_six_a_student_weight_and_token(
    tiny_teacher: Path,
) -> None:
    recipe = recipe_of(tiny_teacher, distillation={"tokens": 1000})
    layer = 4 * (32 * 32 + 32) + (32 * 64 + 64) + (64 * 32 + 32) + 4 * 32
    assert make_plan(recipe).operations == 1000 * (2 * 4 * layer + 6 * 2 * layer)


def test_planning_computes_no_weight(tiny_teacher: Path) -> None:
    state = torch.get_rng_state()
    make_plan(recipe_of(tiny_teacher))
    assert torch.equal(torch.get_rng_state(), state)


def test_predicted_seconds_follow_the_operations(monkeypatch: pytest.MonkeyPatch) -> None:
    from distill.runtime import precision

    monkeypatch.setattr(precision, "matmul_seconds", lambda *arguments: 0.1)
    (short, chosen), (long, _) = predict_seconds(1e12, "float32"), predict_seconds(3e12, "float32")
    assert chosen == "float32"
    assert long == pytest.approx(3 * short)
    assert short > 1e12 / (2 * 1024**3 / 0.1)  # nothing trains at the full rate of a matrix product


@given(st.integers(1, 10_000), st.integers(1, 10_000), st.integers(100, 300_000))
def test_a_higher_minimum_count_never_predicts_more_pieces(
    one: int, other: int, teachers: int
) -> None:
    low, high = sorted((one, other))
    pieces = [
        predict_vocabulary(VocabularySection(min_count=count), teachers) for count in (low, high)
    ]
    assert pieces[0] >= pieces[1]


@given(st.integers(1, 500_000), st.integers(100, 300_000))
def test_a_size_is_predicted_as_it_was_asked_for_up_to_the_teachers(
    size: int, teachers: int
) -> None:
    assert predict_vocabulary(VocabularySection(size=size), teachers) == min(size, teachers)


@pytest.mark.parametrize("section", [{}, {"min_count": 3}])
def test_without_a_target_the_minimum_count_is_three(section: dict[str, Any]) -> None:
    section = {**section, "symbols": False}
    assert predict_vocabulary(VocabularySection(**section), 250_000) == pytest.approx(
        23_600, rel=0.03
    )


def published(name: str) -> list[dict[str, Any]]:
    """The rows of a file in benchmarks/results/."""
    text = (ROOT / "benchmarks" / "results" / name).read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = json.loads(text)["results"]
    return rows


def test_symbols_add_as_many_pieces_as_were_measured() -> None:
    kept = {row["symbols"]: row["chosen"]["pieces"] for row in published("symbols.json")}
    predicted = {
        symbols: predict_vocabulary(VocabularySection(symbols=symbols), 250_002)
        for symbols in (False, True)
    }
    assert predicted[True] - predicted[False] == kept[True] - kept[False]


def test_a_second_language_adds_the_share_of_pieces_that_was_measured() -> None:
    kept = {
        len(row["languages"]): row["chosen"]["pieces"]
        for row in published("second-language.json")
        if row["target"] == {"min_count": 3} and "sv" in row["languages"]
    }
    section = VocabularySection(symbols=False)
    one, two, three = (predict_vocabulary(section, 250_002, languages=n) for n in (1, 2, 3))
    assert two / one == pytest.approx(kept[2] / kept[1], rel=0.02)
    assert three - two == pytest.approx(two - one, abs=1)


@pytest.mark.parametrize("symbols", [False, True])
def test_a_size_is_that_of_all_languages_and_symbols_together(symbols: bool) -> None:
    section = VocabularySection(size=500, symbols=symbols)
    assert predict_vocabulary(section, 250_002, languages=2) == 500


def test_a_recipes_languages_are_predicted_together(tiny_teacher: Path) -> None:
    recipe = recipe_of(tiny_teacher).model_copy(update={"language": ["sv", "en"]})
    config = AutoConfig.from_pretrained(tiny_teacher)
    section = VocabularySection(min_count=10**6, symbols=False)
    plan = make_plan(recipe.model_copy(update={"vocabulary": section}))
    assert plan.vocabulary == predict_vocabulary(section, config.vocab_size, languages=2)


@pytest.mark.parametrize("section", [{"coverage": 0.999}, {"identical": 0.95}])
def test_a_target_that_depends_on_the_text_predicts_every_piece_of_the_language(
    section: dict[str, Any],
) -> None:
    section = {**section, "symbols": False}
    assert predict_vocabulary(VocabularySection(**section), 250_000) == 33_700


def test_a_larger_teacher_vocabulary_never_predicts_fewer_pieces() -> None:
    predicted = [
        predict_vocabulary(VocabularySection(), teachers)
        for teachers in (100, 10_000, 30_000, 250_000)
    ]
    assert all(one <= other for one, other in pairwise(predicted))


def plan_of(student_bytes: int) -> Plan:
    return Plan(
        teacher_parameters=100 * student_bytes,
        vocabulary=1000,
        vocabulary_is_measured=False,
        student_parameters=student_bytes // 4,
        student_bytes=student_bytes,
        tokens=1000,
        operations=1.0,
    )


def has_room(plan_: Plan, folder: Path, free: int, monkeypatch: pytest.MonkeyPatch) -> bool:
    asked: list[Path] = []

    def disk_usage(path: Path) -> SimpleNamespace:
        asked.append(path)
        assert path.exists()
        return SimpleNamespace(free=free)

    monkeypatch.setattr(plan.shutil, "disk_usage", disk_usage)
    try:
        check_space(plan_, folder)
    except UserError:
        return False
    finally:
        assert len(asked) == 1
    return True


def test_room_is_needed_for_models_and_checkpoints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = 100_000_000
    # Trimmed teacher (at most four students), three students, and three checkpoints of a student
    # with its two moments: the two that are kept, and the one that is written.
    needed = (4 + 3 + 3 * 3) * student
    assert has_room(plan_of(student), tmp_path, needed, monkeypatch)
    assert not has_room(plan_of(student), tmp_path, needed - 1, monkeypatch)


def test_a_run_whose_folder_is_not_there_yet_is_checked_where_it_will_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert has_room(plan_of(1), tmp_path / "runs" / "new", 1_000, monkeypatch)
    assert has_room(plan_of(1), Path("runs-that-are-not-there") / "new", 1_000, monkeypatch)


def test_the_message_says_how_much_is_needed_and_how_much_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan.shutil, "disk_usage", lambda path: SimpleNamespace(free=52_900_000))
    with pytest.raises(
        UserError, match=r"needs about 1,600 MB and the device has 52 MB free.*--runs"
    ):
        check_space(plan_of(100_000_000), tmp_path)


def test_a_small_run_fits_on_this_machine(tiny_teacher: Path, tmp_path: Path) -> None:
    check_space(make_plan(recipe_of(tiny_teacher)), tmp_path)
