from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import PreTrainedTokenizerBase, XLMRobertaConfig, XLMRobertaModel

from distill.models import LoadedModel
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.vocabulary import proof
from distill.vocabulary.comparison import ComparedStates
from distill.vocabulary.families import open_vocabulary
from distill.vocabulary.proof import prove
from distill.vocabulary.trimming import renumbering, trim_model
from distill.vocabulary.verification import (
    Segmentation,
    raw_figures,
    renumbered,
    round_trip,
    segment,
    words_identical,
)
from tests.conftest import swedish_sentences
from tests.vocabulary.conftest import close
from tests.vocabulary.test_trimming import SIZES
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of

HELDOUT = swedish_sentences(60, seed=2)


def test_of_many_identical_sentences_every_nth_is_compared() -> None:
    ids = [[0, i, 2] for i in range(10)]
    segmentation = Segmentation(original=ids, trimmed=ids, identical=np.array([True, False] * 5))
    assert segmentation.sample(100).original == ids[::2]
    assert segmentation.sample(8).original == [[0, 0, 2], [0, 4, 2], [0, 8, 2]]
    assert segmentation.sample(1).identical.tolist() == [True]


def test_raw_agreement_is_the_share_of_equal_ids(teacher: LoadedModel) -> None:
    new_ids = renumbering(range(len(teacher.tokenizer)))

    def agreement(segmentation: Segmentation) -> float | None:
        tokenizer = teacher.tokenizer
        return raw_figures(tokenizer, tokenizer, HELDOUT[:4], segmentation, new_ids).agreement

    honest = segment(HELDOUT[:4], teacher.tokenizer, teacher.tokenizer, new_ids)
    assert agreement(honest) == 1.0
    other = [*honest.trimmed[:3], honest.trimmed[0]]
    assert agreement(replace(honest, trimmed=other)) == 0.75


def test_segmentations_are_identical_where_ids_are_renumbered_and_nothing_else() -> None:
    before, after = [[0, 5, 9], [0, 5], [0, 7], [0]], [[0, 1, 2], [0, 2], [0, 1], [0, 0]]
    assert renumbered(before, after, {0: 0, 5: 1, 9: 2}).tolist() == [True, False, False, False]


@pytest.mark.parametrize("kind", BUILDERS)
def test_every_figure_of_the_proof_is_what_a_few_lines_of_counting_give(kind: str) -> None:
    tokenizer, vocabulary = tokenizer_of(kind), open_vocabulary(tokenizer_of(kind))
    sentences = [*HELDOUT[:30], "Kungen ꙮꙮ 🐟"]
    used = sorted({i for ids in vocabulary.encode(sentences[:20]) for i in ids})
    new_ids = renumbering(close(tokenizer, used[: len(used) * 9 // 10]))
    trimmed = vocabulary.trim(new_ids)
    model = XLMRobertaModel(XLMRobertaConfig(vocab_size=vocabulary.size, **SIZES))
    segmentation = segment(sentences, tokenizer, trimmed, new_ids)
    same = [old == new for old, new in pieces(tokenizer, trimmed, sentences)]
    assert segmentation.identical.tolist() == same and 0 < sum(same) < len(same)
    nothing = Segmentation(
        original=segmentation.original,
        trimmed=segmentation.trimmed,
        identical=np.zeros(len(sentences), dtype=bool),
    )
    old, new = (
        LoadedModel(model=model, tokenizer=tokenizer),
        LoadedModel(model=trim_model(model, new_ids), tokenizer=trimmed),
    )
    proof = prove(old, new, nothing, sentences, new_ids, Progress(quiet=True))
    assert (proof.original, proof.kept) == (
        len(tokenizer),
        len(new_ids) == len(trimmed) and len(trimmed),
    )
    assert (proof.heldout_identical_sentences, proof.max_abs_hidden_difference) == (0, None)
    if tokenizer.is_fast:
        assert proof.heldout_identical_raw == sum(same) / len(same)
        assert proof.heldout_raw_agreement == 1.0
    else:
        assert (proof.heldout_identical_raw, proof.heldout_raw_agreement) == (None, None)
    words = sorted({vocabulary.units.within(word) for text in sentences for word in text.split()})
    kept = [old == new for old, new in pieces(tokenizer, trimmed, words)]
    assert proof.heldout_words_identical == pytest.approx(sum(kept) / len(words))
    decoded = [
        tokenizer.decode(a, skip_special_tokens=True) == trimmed.decode(b, skip_special_tokens=True)
        for a, b in both(tokenizer, trimmed, sentences)
    ]
    assert proof.heldout_round_trip == sum(decoded) / len(decoded)
    running = sum(len(text.split()) for text in sentences)
    assert proof.tokens_per_word == pytest.approx(
        sum(len(trimmed.tokenize(text)) for text in sentences) / running
    )
    characters = sum(len(text.replace(" ", "")) for text in sentences)
    assert (
        proof.heldout_unknown_characters
        == sum(open_vocabulary(trimmed).unknown_characters(sentences)) / characters
    )


def test_what_segmenting_took_is_no_time_for_hidden_states(
    teacher: LoadedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[float] = []

    def compare(*models: object, seconds: float, **others: object) -> ComparedStates:
        given.append(seconds)
        return ComparedStates(sentences=1, seconds=0.0, largest=0.0)

    monkeypatch.setattr(proof, "compare_states", compare)
    new_ids = renumbering(range(len(teacher.tokenizer)))
    segmentation = segment(HELDOUT, teacher.tokenizer, teacher.tokenizer, new_ids)
    for took in (0.0, 300.0, 2000.0):
        slow = replace(segmentation, seconds=took)
        prove(teacher, teacher, slow, HELDOUT, new_ids, Progress(quiet=True), seconds=1000)
    assert 700 < given[0] <= 1000 and 400 < given[1] <= 700 and 0 < given[2] <= 1


def pieces(
    tokenizer: PreTrainedTokenizerBase, trimmed: PreTrainedTokenizerBase, texts: list[str]
) -> Iterator[tuple[list[str], ...]]:
    for before, after in both(tokenizer, trimmed, texts):
        yield tokenizer.convert_ids_to_tokens(before), trimmed.convert_ids_to_tokens(after)


def both(
    tokenizer: PreTrainedTokenizerBase, trimmed: PreTrainedTokenizerBase, texts: list[str]
) -> zip[tuple[list[int], list[int]]]:
    return zip(tokenizer(texts)["input_ids"], trimmed(texts)["input_ids"], strict=True)


def test_a_spoilt_tokenizer_is_seen_through_each_library(teacher: LoadedModel) -> None:
    new_ids = renumbering(range(len(teacher.tokenizer)))
    spoilt = copy.deepcopy(teacher.tokenizer)
    spoilt.add_tokens(["ung"])
    texts = ["en kung", "en ko"]
    segmentation = segment(texts, teacher.tokenizer, spoilt, new_ids)
    assert segmentation.identical.tolist() == [False, True]
    assert raw_figures(teacher.tokenizer, spoilt, texts, segmentation, new_ids).identical == 0.5
    assert words_identical(
        open_vocabulary(teacher.tokenizer), open_vocabulary(spoilt), texts, new_ids
    ) == pytest.approx(2 / 3)


def test_the_round_trip_sees_a_text_that_decodes_otherwise(teacher: LoadedModel) -> None:
    ids = teacher.tokenizer(["en kung", "en ko"])["input_ids"]
    segmentation = Segmentation(
        original=ids, trimmed=[ids[0], ids[0]], identical=np.ones(2, dtype=bool)
    )
    assert round_trip(teacher.tokenizer, teacher.tokenizer, segmentation) == 0.5


def test_rates_leave_the_special_tokens_around_a_sentence_out() -> None:
    ids = [[0, 3, 7, 2], [0, 8, 9, 2], [0, 2]]
    segmentation = Segmentation(original=ids, trimmed=ids, identical=np.ones(3, dtype=bool))
    assert segmentation.unknown_rate(ids, 3) == 0.25
    assert segmentation.unknown_rate(ids, None) == segmentation.unknown_rate([[0, 2]], 3) == 0.0
    assert segmentation.tokens_per_word(ids, 2) == 2.0


def test_the_unknown_token_around_a_sentence_is_not_counted_where_it_is_the_end_token() -> None:
    ids = [[0, 7, 8, 3], [0, 3, 9, 3]]
    segmentation = Segmentation(original=ids, trimmed=ids, identical=np.ones(2, dtype=bool))
    assert segmentation.unknown_rate(ids, 3, around=[0, 3]) == 0.25


def test_states_that_are_not_finite_fail_the_proof(teacher: LoadedModel) -> None:
    model = copy.deepcopy(teacher.model)
    with torch.no_grad():
        model.get_parameter("encoder.layer.0.output.dense.bias").fill_(float("nan"))
    damaged = LoadedModel(model=model, tokenizer=teacher.tokenizer)
    new_ids = renumbering(range(len(teacher.tokenizer)))
    sentences = ["en kung", "en ko"]
    segmentation = segment(sentences, teacher.tokenizer, teacher.tokenizer, new_ids)
    with pytest.raises(UserError, match="hidden states on held-out text are not finite numbers"):
        prove(damaged, damaged, segmentation, sentences, new_ids, Progress(quiet=True))
