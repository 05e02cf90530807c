from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoModel, AutoTokenizer

from distill.errors import UserError
from distill.progress import Progress
from distill.recipe import VocabularySection
from distill.teacher import Teacher
from distill.vocabulary.stage import Trimmed, VocabularyResult, run, trim
from distill.vocabulary.trimming import renumbering, trim_model
from distill.vocabulary.verification import Segmentation, max_hidden_difference, pad, raw_agreement, segment
from tests.conftest import swedish_sentences

TRAIN, HELDOUT = swedish_sentences(80, seed=1), swedish_sentences(60, seed=2)
MORE = swedish_sentences(1500, seed=3)
"""Enough to have seen most words."""
QUIET = Progress(quiet=True)
Run = Callable[..., VocabularyResult]


def section(**values: Any) -> VocabularySection:
    return VocabularySection.model_validate({"floor": 0, **values})


def trimmed_by(teacher: Teacher, texts: list[str] = TRAIN, **target: Any) -> Trimmed:
    return trim(teacher, section(**target), texts, HELDOUT, QUIET)


@pytest.fixture
def run_stage(teacher: Teacher, tmp_path: Path) -> Run:
    def run_stage(texts: list[str] = TRAIN, heldout: list[str] = HELDOUT, **target: Any) -> VocabularyResult:
        return run(section(**target), teacher=teacher, texts=texts, heldout=heldout, output=tmp_path, progress=QUIET)

    return run_stage


def piece_counts(teacher: Teacher) -> np.ndarray:
    encodings = teacher.tokenizer.backend_tokenizer.encode_batch(TRAIN, add_special_tokens=False)
    return np.bincount([i for e in encodings for i in e.ids], minlength=len(teacher.tokenizer))


@pytest.mark.parametrize("count", [1, 3, 10])
def test_min_count_keeps_every_piece_seen_so_often_and_no_rarer_one_but_characters(teacher: Teacher, count: int) -> None:
    counts = piece_counts(teacher)
    kept = set(trimmed_by(teacher, min_count=count).new_ids)
    assert set(np.flatnonzero(counts >= count).tolist()) <= kept
    rarer = kept - set(np.flatnonzero(counts >= count).tolist())
    assert all(len(piece) == 1 or piece[0] == "<" for piece in teacher.tokenizer.convert_ids_to_tokens(sorted(rarer)))


@pytest.mark.parametrize("coverage", [0.6, 0.9, 0.99])
def test_coverage_reaches_its_share_of_the_training_texts_pieces(teacher: Teacher, coverage: float) -> None:
    counts = piece_counts(teacher)
    kept = list(trimmed_by(teacher, coverage=coverage).new_ids)
    assert counts[kept].sum() / counts.sum() >= coverage


@pytest.mark.parametrize("alphabet", [True, False])
@pytest.mark.parametrize("size", [150, 333, 600])
def test_size_is_met_exactly_in_tokenizer_and_model(teacher: Teacher, size: int, alphabet: bool) -> None:
    trimmed = trimmed_by(teacher, size=size, alphabet=alphabet).teacher
    assert len(trimmed.tokenizer) == trimmed.model.config.vocab_size == size
    assert trimmed.model.get_input_embeddings().weight.shape[0] == size


@pytest.mark.parametrize("identical", [0.5, 0.8, 0.9])
def test_identical_is_reached_on_the_held_out_sentences(run_stage: Run, identical: float) -> None:
    assert run_stage(texts=MORE, identical=identical).heldout_identical >= identical


def test_an_identical_out_of_reach_is_an_error_that_says_what_is(teacher: Teacher) -> None:
    with pytest.raises(UserError, match=r"vocabulary.identical: 0.99 is out of reach; .* leaves 0\.0\d+ of the held-out"):
        trimmed_by(teacher, texts=["kung"], identical=0.99)


def test_the_alphabet_keeps_every_ascii_character_that_has_a_piece(teacher: Teacher) -> None:
    with_it, without = (trimmed_by(teacher, texts=["kung"], min_count=1, alphabet=a).teacher.tokenizer for a in (True, False))
    known = {piece for piece in teacher.tokenizer.get_vocab() if len(piece) == 1 and "!" <= piece <= "~"}
    assert known <= set(with_it.get_vocab())
    assert len(known - set(without.get_vocab())) > 10


def test_a_last_calls_padding_and_truncation_do_not_change_what_is_counted(teacher: Teacher) -> None:
    tokenizer = copy.deepcopy(teacher.tokenizer)
    tokenizer(["kung och ko", "fisk"], padding="max_length", truncation=True, max_length=4)
    assert tokenizer.backend_tokenizer.truncation is not None
    called = Teacher(model=teacher.model, tokenizer=tokenizer)
    for target in ({"coverage": 0.7}, {"identical": 0.7}):
        assert trimmed_by(called, MORE, **target).new_ids == trimmed_by(teacher, MORE, **target).new_ids
    assert tokenizer.backend_tokenizer.truncation is not None, "the teacher's own is left as it was"


def test_what_is_kept_is_a_function_of_the_text_and_not_of_its_order(teacher: Teacher) -> None:
    assert trimmed_by(teacher, texts=TRAIN[::-1], min_count=2).new_ids == trimmed_by(teacher, min_count=2).new_ids


def test_the_curve_tells_what_each_threshold_would_give(teacher: Teacher, run_stage: Run) -> None:
    for point in trimmed_by(teacher, min_count=1).curve[:4]:
        result = run_stage(min_count=point.min_count)
        assert (result.kept, result.heldout_identical) == (point.pieces, point.heldout_identical)


def test_the_result_tells_what_a_reader_of_the_folder_finds(teacher: Teacher, run_stage: Run, tmp_path: Path) -> None:
    result = run_stage(min_count=3)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    assert (result.original, result.kept) == (len(teacher.tokenizer), len(tokenizer))
    before, after = (tok(HELDOUT, add_special_tokens=False)["input_ids"] for tok in (teacher.tokenizer, tokenizer))
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
    assert json.loads((tmp_path / "curve.json").read_text()) == result.curve


def test_hidden_states_of_the_saved_model_are_equal_to_the_last_bit(teacher: Teacher, run_stage: Run, tmp_path: Path) -> None:
    assert run_stage(min_count=1).max_abs_hidden_difference == 0.0
    model, tokenizer = AutoModel.from_pretrained(tmp_path / "model"), AutoTokenizer.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        old = teacher.model(**teacher.tokenizer(TRAIN[0], return_tensors="pt")).last_hidden_state
        new = model(**tokenizer(TRAIN[0], return_tensors="pt")).last_hidden_state
    assert torch.equal(old, new)


def test_unknown_rates_are_those_of_the_tokens_between_the_special_ones(run_stage: Run) -> None:
    result = run_stage(texts=["kung " * 9], heldout=["kung ꙮ", "kung ö"], min_count=1, alphabet=False)
    assert (result.heldout_unk_rate_original, result.heldout_unk_rate) == (1 / 6, 2 / 6)


def test_where_no_sentence_is_identical_there_is_no_hidden_difference(run_stage: Run) -> None:
    result = run_stage(texts=["k"], heldout=["Regeringen skatter"], min_count=1)
    assert (result.heldout_identical, result.max_abs_hidden_difference) == (0.0, None)


def test_changed_sentences_are_listed_with_both_segmentations_worst_first(
    teacher: Teacher, run_stage: Run, tmp_path: Path
) -> None:
    result = run_stage(min_count=6)
    rows = [json.loads(line) for line in (tmp_path / "changed.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == result.heldout_sentences - result.heldout_identical_sentences > 2
    assert all(row["original"] != row["trimmed"] and row["text"] in HELDOUT for row in rows)
    assert all(row["original"] == teacher.tokenizer.tokenize(row["text"], add_special_tokens=True) for row in rows)
    added = [len(row["trimmed"]) - len(row["original"]) for row in rows]
    assert added == sorted(added, reverse=True) and added[0] > added[-1]


def test_a_share_below_the_floor_is_an_error_that_says_what_to_do(run_stage: Run, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"vocabulary: 0\.\d+ of 60 held-out sentences .* below the floor of 0.9; keep more"):
        run_stage(min_count=20, floor=0.9)
    assert (tmp_path / "changed.jsonl").stat().st_size > 0, "what changed is left to look at"


def test_no_held_out_sentence_is_an_error(run_stage: Run) -> None:
    with pytest.raises(UserError, match="no sentence to prove anything on"):
        run_stage(heldout=[])


def test_repeated_held_out_sentences_count_once(run_stage: Run) -> None:
    assert run_stage(heldout=HELDOUT * 2).heldout_sentences == len(HELDOUT)


def test_the_proof_sees_a_single_changed_weight(teacher: Teacher) -> None:
    new_ids = renumbering(range(len(teacher.tokenizer)))
    segmentation = segment(HELDOUT, teacher.tokenizer, teacher.tokenizer, new_ids)
    assert segmentation.identical.all()
    spoilt = trim_model(teacher.model, new_ids)
    assert max_hidden_difference(teacher.model, spoilt, segmentation) == 0.0
    used = segmentation.original[0][1]
    with torch.no_grad():
        spoilt.get_input_embeddings().weight[used, 0] += 0.01
    assert (max_hidden_difference(teacher.model, spoilt, segmentation) or 0) > 0


def test_the_proof_takes_sentences_that_are_too_long_for_the_model(teacher: Teacher) -> None:
    new_ids = renumbering(range(len(teacher.tokenizer)))
    segmentation = segment(["kung " * 500], teacher.tokenizer, teacher.tokenizer, new_ids)
    assert max_hidden_difference(teacher.model, trim_model(teacher.model, new_ids), segmentation) == 0.0


def test_raw_agreement_is_the_share_of_equal_ids(teacher: Teacher) -> None:
    raw = Tokenizer.from_str(teacher.tokenizer.backend_tokenizer.to_str())
    ids = [teacher.tokenizer(text)["input_ids"] for text in HELDOUT[:4]]
    assert raw_agreement(raw, HELDOUT[:4], ids) == 1.0
    assert raw_agreement(raw, HELDOUT[:4], [*ids[:3], ids[0]]) == 0.75


def test_rates_leave_the_two_special_tokens_out() -> None:
    ids = [[0, 3, 7, 2], [0, 8, 9, 2], [0, 2]]
    segmentation = Segmentation(original=ids, trimmed=ids, identical=np.ones(3, dtype=bool))
    assert segmentation.unknown_rate(ids, 3) == 0.25
    assert segmentation.unknown_rate(ids, None) == segmentation.unknown_rate([[0, 2]], 3) == 0.0
    assert segmentation.tokens_per_word(ids, 2) == 2.0


def test_padding_fills_up_to_the_longest() -> None:
    ids, mask = pad([[5, 6, 7], [8]], 1)
    assert ids.tolist() == [[5, 6, 7], [8, 1, 1]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
