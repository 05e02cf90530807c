from __future__ import annotations

import copy
import gzip
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM, XLMRobertaModel

import distill
from distill import trim
from distill.models import LoadedModel
from distill.recipe import VocabularySection
from distill.runtime.errors import UserError
from distill.runtime.progress import Progress
from distill.vocabulary.in_memory import Trimming, trim_in_memory
from tests.conftest import swedish_sentences
from tests.vocabulary.tokenizers_of_each_family import BUILDERS, tokenizer_of

TEXTS = swedish_sentences(400, 3)
HELDOUT = swedish_sentences(40, 4)


def trimmed(teacher: LoadedModel, texts: Any = TEXTS, **options: Any) -> Trimming:
    return trim(teacher.model, teacher.tokenizer, texts, **{"heldout": HELDOUT, **options})


def pieces(trimming: Trimming) -> set[str]:
    return set(trimming.tokenizer.get_vocab())


@pytest.mark.parametrize("kind", BUILDERS)
def test_every_kind_of_vocabulary_is_trimmed_and_proven(kind: str) -> None:
    tokenizer = tokenizer_of(kind)
    sizes = {
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
    }
    config = XLMRobertaConfig(
        vocab_size=len(tokenizer) + 3, pad_token_id=tokenizer.pad_token_id, **sizes
    )
    torch.manual_seed(0)
    trimming = trim(XLMRobertaForMaskedLM(config), tokenizer, TEXTS, heldout=0.1, min_count=2)
    proof = trimming.proof
    assert (
        proof.kept == len(trimming.tokenizer) == trimming.model.config.vocab_size < len(tokenizer)
    )
    assert proof.max_abs_hidden_difference == proof.max_abs_logit_difference == 0.0
    assert trimming.chosen.heldout_identical == proof.heldout_identical > 0.3
    assert trimming.chosen.heldout_words_identical == pytest.approx(proof.heldout_words_identical)
    assert trimming.chosen.parameters == trimming.model.num_parameters()
    assert trimming.chosen.tokens_per_word == pytest.approx(proof.tokens_per_word)
    assert proof.heldout_round_trip == 1.0
    assert trimming.model.config.pad_token_id == trimming.tokenizer.pad_token_id


def test_any_iterable_of_texts_will_do(teacher: LoadedModel) -> None:
    assert trimmed(teacher, iter(TEXTS)).new_ids == trimmed(teacher, TEXTS).new_ids


def test_a_share_of_the_texts_is_held_out_by_content_and_not_counted(teacher: LoadedModel) -> None:
    trimming = trim(teacher.model, teacher.tokenizer, TEXTS, heldout=0.3, min_count=1)
    again = trim(teacher.model, teacher.tokenizer, TEXTS[::-1], heldout=0.3, min_count=1)
    assert trimming.proof.heldout_sentences == again.proof.heldout_sentences
    assert 0.2 * len(TEXTS) < trimming.proof.heldout_sentences < 0.4 * len(TEXTS)
    assert trimming.new_ids == again.new_ids
    assert trimming.proof.heldout_identical < 1, (
        "a held-out text has pieces that the others have not"
    )


def test_repeated_held_out_sentences_count_once(teacher: LoadedModel) -> None:
    assert trimmed(teacher, heldout=HELDOUT * 2).proof.heldout_sentences == len(HELDOUT)


@pytest.mark.parametrize(
    "target",
    [{"min_count": 2}, {"size": 300}, {"coverage": 0.95}, {"identical": 0.8}],
    ids=lambda target: next(iter(target)),
)
def test_each_target_is_met(teacher: LoadedModel, target: dict[str, float]) -> None:
    proof = trimmed(teacher, **target).proof
    assert proof.kept == target.get("size", proof.kept)
    assert proof.heldout_identical >= target.get("identical", 0.0)
    assert proof.max_abs_hidden_difference == 0.0


def test_a_prompt_is_segmented_as_before_however_little_text_has_its_words(
    teacher: LoadedModel,
) -> None:
    prompt = "Straße: "
    with_it, without = (
        trim_in_memory(
            teacher,
            TEXTS,
            VocabularySection(min_count=50, alphabet=False),
            heldout=HELDOUT,
            prompts=prompts,
            progress=Progress(quiet=True),
        )
        for prompts in ([prompt], [])
    )
    wanted = teacher.tokenizer.tokenize(prompt + "hej")[:-1]
    size = len(teacher.tokenizer.tokenize(prompt.strip()))
    assert with_it.tokenizer.tokenize(prompt + "hej")[:size] == wanted[:size]
    assert without.tokenizer.tokenize(prompt + "hej")[:size] != wanted[:size]


@pytest.mark.parametrize("zipped", [False, True])
def test_pieces_of_a_lexicon_and_of_terms_stay_and_so_do_named_ones(
    teacher: LoadedModel, tmp_path: Path, zipped: bool
) -> None:
    words = ["birds", "Straße"]
    path = tmp_path / ("words.txt.gz" if zipped else "words.txt")
    content = "\n".join(words) + "\n"
    path.write_bytes(gzip.compress(content.encode()) if zipped else content.encode())
    wanted = {piece for word in words for piece in teacher.tokenizer.tokenize(word)}
    without = trimmed(teacher, min_count=50, alphabet=False)
    assert not wanted <= pieces(without)
    assert wanted <= pieces(trimmed(teacher, min_count=50, alphabet=False, lexicon=str(path)))
    assert wanted <= pieces(
        trimmed(teacher, min_count=50, alphabet=False, keep={"terms": str(path)})
    )
    assert wanted <= pieces(trimmed(teacher, min_count=50, alphabet=False, keep=sorted(wanted)))
    assert wanted <= pieces(
        trimmed(teacher, min_count=50, alphabet=False, keep={"pattern": "|".join(wanted)})
    )


def test_the_alphabet_has_every_ascii_character_and_no_letter_of_another_script(
    teacher: LoadedModel,
) -> None:
    texts = [*TEXTS, "кошка сидит"]
    with_it = pieces(trimmed(teacher, texts, min_count=500))
    without = pieces(trimmed(teacher, texts, min_count=500, alphabet=False))
    ascii_pieces = {
        piece for piece in teacher.tokenizer.get_vocab() if len(piece) == 1 and "!" <= piece <= "~"
    }
    assert ascii_pieces <= with_it and len(ascii_pieces - without) > 10
    assert {"å", "ö"} <= with_it and "к" not in with_it


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 300, "min_count": 2}, "cannot aim at both min_count and size"),
        ({"keep": ["▁Donaudampf"]}, "the teacher has no piece '▁Donaudampf'"),
        ({"keep": {"pattern": "("}}, "should be a regular expression"),
        (
            {"lexicon": "missing.txt"},
            "vocabulary.lexicon: source missing.txt: there is no such file",
        ),
        ({"identical": 0.999}, "out of reach"),
        ({"heldout": 0.0}, "heldout 0.0 should be a share between 0 and 1, or sentences"),
        ({"heldout": 2}, "heldout 2 should be a share"),
        ({"heldout": []}, "no sentence to prove anything on"),
        ({"texts": []}, "the text is empty"),
        ({"texts": ["", " \n "]}, "the text is empty"),
    ],
)
def test_what_cannot_be_is_one_clear_error(
    teacher: LoadedModel, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        trimmed(teacher, **options)


def test_a_tokenizer_that_does_not_belong_to_the_model_is_refused(teacher: LoadedModel) -> None:
    config = XLMRobertaConfig(
        vocab_size=100,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    with pytest.raises(UserError, match="do not belong together"):
        trim(XLMRobertaModel(config), teacher.tokenizer, TEXTS)


def test_a_model_in_training_mode_is_compared_without_dropout_and_stays_in_it(
    teacher: LoadedModel,
) -> None:
    model = copy.deepcopy(teacher.model).train()
    trimming = trim(model, teacher.tokenizer, TEXTS, heldout=HELDOUT)
    assert trimming.proof.max_abs_hidden_difference == 0.0
    assert all(module.training for module in model.modules())


def test_the_given_model_and_tokenizer_are_left_as_they_are(teacher: LoadedModel) -> None:
    before = {name: tensor.clone() for name, tensor in teacher.model.state_dict().items()}
    trimming = trimmed(teacher)
    with torch.no_grad():
        for parameter in trimming.model.parameters():
            parameter.zero_()
    assert all(
        torch.equal(tensor, before[name]) for name, tensor in teacher.model.state_dict().items()
    )
    assert len(teacher.tokenizer) > len(trimming.tokenizer)


def test_the_package_offers_nothing_else() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'trimm'"):
        distill.trimm  # noqa: B018
