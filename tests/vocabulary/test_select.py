from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer

from distill.models import LoadedModel
from distill.models.saving import save_model
from distill.recipe import VocabularySection
from distill.report.results.vocabulary import VocabularyResult
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.vocabulary import select
from distill.vocabulary.curve import fidelity_lines
from distill.vocabulary.heldout import HeldOutSentences
from distill.vocabulary.in_memory import Trimmed, trim_teacher
from distill.vocabulary.select import select_vocabulary
from tests.conftest import swedish_sentences

TRAIN, HELDOUT = swedish_sentences(80, seed=1), swedish_sentences(60, seed=2)
MORE = swedish_sentences(1500, seed=3)
"""Enough to have seen most words."""
QUIET = Progress(quiet=True)
Run = Callable[..., VocabularyResult]


def section(**values: Any) -> VocabularySection:
    return VocabularySection.model_validate({"floor": 0, **values})


def batch(texts: list[str], source: int = 0) -> list[tuple[int, str]]:
    return [(source, text) for text in texts]


def trimmed_by(teacher: LoadedModel, texts: list[str] = TRAIN, **target: Any) -> Trimmed:
    return trim_teacher(
        teacher, section(**target), [batch(texts)], HeldOutSentences(batch(HELDOUT)), progress=QUIET
    )


@pytest.fixture
def run_stage(teacher: LoadedModel, tmp_path: Path) -> Run:
    def run_stage(
        texts: list[str] = TRAIN,
        heldout: list[str] = HELDOUT,
        *,
        options: dict[str, Any] | None = None,
        **target: Any,
    ) -> VocabularyResult:
        given = {"batches": [batch(texts)], "heldout": batch(heldout), **(options or {})}
        return select_vocabulary(
            section(**target), teacher=teacher, output=tmp_path, progress=QUIET, **given
        )

    return run_stage


def piece_counts(teacher: LoadedModel) -> np.ndarray:
    encodings = teacher.tokenizer.backend_tokenizer.encode_batch(TRAIN, add_special_tokens=False)
    return np.bincount([i for e in encodings for i in e.ids], minlength=len(teacher.tokenizer))


@pytest.mark.parametrize("count", [1, 3, 10])
def test_min_count_keeps_every_piece_seen_so_often_and_no_rarer_one_but_characters(
    teacher: LoadedModel, count: int
) -> None:
    counts = piece_counts(teacher)
    kept = set(trimmed_by(teacher, min_count=count).new_ids)
    assert set(np.flatnonzero(counts >= count).tolist()) <= kept
    rarer = kept - set(np.flatnonzero(counts >= count).tolist())
    assert all(
        len(piece) == 1 or piece[0] == "<"
        for piece in teacher.tokenizer.convert_ids_to_tokens(sorted(rarer))
    )


@pytest.mark.parametrize("coverage", [0.6, 0.9, 0.99])
def test_coverage_reaches_its_share_of_the_training_texts_pieces(
    teacher: LoadedModel, coverage: float
) -> None:
    counts = piece_counts(teacher)
    kept = list(trimmed_by(teacher, coverage=coverage).new_ids)
    assert counts[kept].sum() / counts.sum() >= coverage


@pytest.mark.parametrize("alphabet", [True, False])
@pytest.mark.parametrize("size", [150, 333, 600])
def test_size_is_met_exactly_in_tokenizer_and_model(
    teacher: LoadedModel, size: int, alphabet: bool
) -> None:
    trimmed = trimmed_by(teacher, size=size, alphabet=alphabet).teacher
    assert len(trimmed.tokenizer) == trimmed.model.config.vocab_size == size
    assert trimmed.model.get_input_embeddings().weight.shape[0] == size


@pytest.mark.parametrize("identical", [0.5, 0.8, 0.9])
def test_identical_is_reached_on_the_held_out_sentences(run_stage: Run, identical: float) -> None:
    assert run_stage(texts=MORE, identical=identical).heldout_identical >= identical


def test_an_identical_out_of_reach_is_an_error_that_says_what_is(teacher: LoadedModel) -> None:
    with pytest.raises(
        UserError,
        match=r"vocabulary.identical: 0.99 is out of reach; .* leaves 0\.0\d+ of the held-out",
    ):
        trimmed_by(teacher, texts=["kung"], identical=0.99)


def test_a_last_calls_padding_and_truncation_do_not_change_what_is_counted(
    teacher: LoadedModel,
) -> None:
    tokenizer = copy.deepcopy(teacher.tokenizer)
    tokenizer(["kung och ko", "fisk"], padding="max_length", truncation=True, max_length=4)
    assert tokenizer.backend_tokenizer.truncation is not None
    called = LoadedModel(model=teacher.model, tokenizer=tokenizer)
    for target in ({"coverage": 0.7}, {"identical": 0.7}):
        assert (
            trimmed_by(called, MORE, **target).new_ids
            == trimmed_by(teacher, MORE, **target).new_ids
        )
    assert tokenizer.backend_tokenizer.truncation is not None, "the teacher's own is left as it was"


def test_what_is_kept_is_a_function_of_the_text_and_not_of_its_order(teacher: LoadedModel) -> None:
    assert (
        trimmed_by(teacher, texts=TRAIN[::-1], min_count=2).new_ids
        == trimmed_by(teacher, min_count=2).new_ids
    )


def test_the_curve_tells_what_each_threshold_would_give(
    teacher: LoadedModel, run_stage: Run
) -> None:
    for point in trimmed_by(teacher, min_count=1).curve[:4]:
        result = run_stage(min_count=point.min_count)
        assert (result.kept, result.heldout_identical) == (point.pieces, point.heldout_identical)


def test_the_result_tells_what_a_reader_of_the_folder_finds(
    teacher: LoadedModel, run_stage: Run, tmp_path: Path
) -> None:
    result = run_stage(min_count=3)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert (result.original, result.kept) == (len(teacher.tokenizer), len(tokenizer))
    before, after = (
        tok(HELDOUT, add_special_tokens=False)["input_ids"]
        for tok in (teacher.tokenizer, tokenizer)
    )
    identical = sum(
        teacher.tokenizer.convert_ids_to_tokens(a) == tokenizer.convert_ids_to_tokens(b)
        for a, b in zip(before, after, strict=True)
    )
    words = sum(len(text.split()) for text in HELDOUT)
    assert result.heldout_sentences == len(set(HELDOUT)) == len(HELDOUT)
    assert result.heldout_identical_sentences == identical > 0
    assert result.heldout_identical == identical / len(HELDOUT) < 1
    assert result.tokens_per_word_original == sum(map(len, before)) / words
    assert result.tokens_per_word == sum(map(len, after)) / words > result.tokens_per_word_original
    assert result.heldout_raw_agreement == 1.0
    kept = json.loads((tmp_path / "curve.json").read_text())
    assert kept == {
        "chosen": asdict(result.chosen),
        "points": [asdict(point) for point in result.curve],
        "unfiltered": None,
        "languages": [],
        "checks": [],
        "uncleaned": None,
    }


def test_hidden_states_of_the_saved_model_are_equal_to_the_last_bit(
    teacher: LoadedModel, run_stage: Run, tmp_path: Path
) -> None:
    assert run_stage(min_count=1).max_abs_hidden_difference == 0.0
    model, tokenizer = (
        AutoModel.from_pretrained(tmp_path / "model"),
        AutoTokenizer.from_pretrained(tmp_path / "model"),
    )
    with torch.no_grad():
        old = teacher.model(**teacher.tokenizer(TRAIN[0], return_tensors="pt")).last_hidden_state
        new = model(**tokenizer(TRAIN[0], return_tensors="pt")).last_hidden_state
    assert torch.equal(old, new)


def test_unknown_rates_are_those_of_the_tokens_between_the_special_ones(run_stage: Run) -> None:
    result = run_stage(
        texts=["kung " * 9],
        heldout=["kung ꙮ", "kung ö"],
        min_count=1,
        alphabet=False,
        symbols=False,
    )
    assert (result.heldout_unk_rate_original, result.heldout_unk_rate) == (1 / 6, 2 / 6)


def test_where_no_sentence_is_identical_there_is_no_hidden_difference(run_stage: Run) -> None:
    result = run_stage(texts=["k"], heldout=["Regeringen skatter"], min_count=1)
    assert (result.heldout_identical, result.max_abs_hidden_difference) == (0.0, None)


def test_changed_sentences_are_listed_with_both_segmentations_worst_first(
    teacher: LoadedModel, run_stage: Run, tmp_path: Path
) -> None:
    result = run_stage(min_count=6)
    rows = [
        json.loads(line)
        for line in (tmp_path / "changed.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert len(rows) == result.heldout_sentences - result.heldout_identical_sentences > 2
    assert all(row["original"] != row["trimmed"] and row["text"] in HELDOUT for row in rows)
    assert all(
        row["original"] == teacher.tokenizer.tokenize(row["text"], add_special_tokens=True)
        for row in rows
    )
    added = [len(row["trimmed"]) - len(row["original"]) for row in rows]
    assert added == sorted(added, reverse=True) and added[0] > added[-1]


def test_a_share_below_the_floor_is_an_error_that_says_what_to_do(
    run_stage: Run, tmp_path: Path
) -> None:
    with pytest.raises(
        UserError,
        match=r"vocabulary: 0\.\d+ of 60 held-out sentences .* below the floor of 0.9; keep more",
    ):
        run_stage(min_count=20, floor=0.9)
    assert (tmp_path / "changed.jsonl").stat().st_size > 0, "what changed is left to look at"


def test_no_held_out_sentence_is_an_error(run_stage: Run) -> None:
    with pytest.raises(UserError, match="no sentence to prove anything on"):
        run_stage(heldout=[])


def test_repeated_held_out_sentences_count_once(run_stage: Run) -> None:
    assert run_stage(heldout=HELDOUT * 2).heldout_sentences == len(HELDOUT)


FOREIGN = ["кошка сидит дома", "der Hund läuft über die Straße"] * 20


def test_what_the_language_filter_left_out_is_counted_for_comparison_alone(run_stage: Run) -> None:
    plain = run_stage(min_count=1)
    filtered = run_stage(min_count=1, options={"foreign": [batch(FOREIGN)]})
    assert plain.unfiltered_curve is None
    assert (filtered.kept, filtered.curve) == (plain.kept, plain.curve)
    assert filtered.unfiltered_curve is not None
    assert filtered.unfiltered_curve[0].pieces > filtered.curve[0].pieces
    assert filtered.unfiltered_curve[0].heldout_identical >= filtered.curve[0].heldout_identical


def test_held_out_text_is_also_told_before_cleaning_and_chooses_nothing(run_stage: Run) -> None:
    plain = run_stage(min_count=1)
    marked = [f"{text} und sieht the birds" for text in HELDOUT]
    result = run_stage(min_count=1, options={"uncleaned": marked})
    assert plain.uncleaned is None
    assert (result.kept, result.chosen, result.checks) == (plain.kept, plain.chosen, [])
    assert result.uncleaned is not None
    assert result.uncleaned.chosen.heldout_identical < result.heldout_identical
    assert "held-out text before cleaning" in "\n".join(fidelity_lines(result))


def test_each_source_is_reported_and_one_far_below_the_rest_is_worth_a_warning(
    run_stage: Run,
) -> None:
    other = [f"der Hund läuft über die Straße und sieht {i} birds" for i in range(40)]
    both = {
        "heldout": [*batch(HELDOUT), *batch(other, 1)],
        "sources": [("film", 1.0), ("web", 1.0), ("law", 1.0)],
    }
    result = run_stage(MORE, min_count=1, options=both)
    film, web, law = result.sources
    assert (film.name, film.heldout_sentences, web.heldout_sentences) == ("film", 60, 40)
    assert film.heldout_identical > 0.9 > 0.5 > web.heldout_identical
    assert (law.heldout_sentences, law.heldout_identical) == (0, None)
    share = 60 * film.heldout_identical + 40 * web.heldout_identical
    assert result.heldout_identical == pytest.approx(share / 100)
    (warning,) = (warning for warning in result.warnings if "web" in warning)
    assert "of web only" in warning and "of 40 held-out" in warning


def test_a_heavier_source_has_more_of_its_pieces_kept(run_stage: Run) -> None:
    texts = {"batches": [[*batch(TRAIN), *batch(FOREIGN[:2], 1)]]}
    light = run_stage(min_count=5, options={**texts, "sources": [("film", 1.0), ("web", 1.0)]})
    heavy = run_stage(min_count=5, options={**texts, "sources": [("film", 1.0), ("web", 5.0)]})
    assert heavy.kept > light.kept


def test_few_identical_sentences_are_worth_a_warning_even_without_a_floor(run_stage: Run) -> None:
    assert any(
        "More text" in w or "more text is the main lever" in w
        for w in run_stage(min_count=20).warnings
    )
    assert run_stage(MORE, min_count=1).warnings == []


def test_the_proof_reads_the_weights_that_were_written(
    run_stage: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoiling(model: Any, tokenizer: Any, folder: Path) -> None:
        save_model(model, tokenizer, folder)
        weights = load_file(folder / "model.safetensors")
        weights["encoder.layer.0.output.dense.bias"][0] += 1
        save_file(weights, folder / "model.safetensors", {"format": "pt"})

    monkeypatch.setattr(select, "save_model", spoiling)
    with pytest.raises(UserError, match=r"trimming changes the weights encoder\.layer\.0\.output"):
        run_stage()
