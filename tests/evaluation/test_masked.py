from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel, XLMRobertaForMaskedLM

from distill.evaluation.masked import masked_hits, read_texts
from distill.models import LoadedModel
from distill.recipe import MaskedTask
from distill.runtime.errors import UserError
from tests.conftest import swedish_sentences

TEXTS = [*swedish_sentences(12, seed=2), "Fisk.", " ".join(swedish_sentences(4, seed=3))]


@pytest.fixture(scope="module")
def language_model(tiny: LoadedModel) -> PreTrainedModel:
    torch.manual_seed(0)
    return XLMRobertaForMaskedLM(tiny.model.config).eval()


def hits(
    model: PreTrainedModel,
    tokenizer: Any,
    texts: list[str] = TEXTS,
    seed: int = 0,
    share: float = 0.3,
) -> np.ndarray:
    return masked_hits(model, tokenizer, texts, share=share, longest=60, seed=seed)


def answering(model: PreTrainedModel, answer: int) -> PreTrainedModel:
    """The model with a head that gives every masked piece the same answer."""
    fixed = copy.deepcopy(model)
    with torch.no_grad():
        fixed.lm_head.decoder.bias[answer] = 1e6
    return fixed


def test_one_answer_to_everything_is_right_as_often_as_the_piece_was_masked(
    language_model: PreTrainedModel, tiny: LoadedModel
) -> None:
    text = "fisk fisk fisk fisk hav hav hav hav hav hav"
    piece = tiny.tokenizer("fisk", add_special_tokens=False)["input_ids"][0]
    ids = tiny.tokenizer(text, add_special_tokens=False)["input_ids"]
    model = answering(language_model, piece)
    found = hits(model, tiny.tokenizer, [text] * 200)
    share = found[:, 0].sum() / found[:, 1].sum()
    assert share == pytest.approx(ids.count(piece) / len(ids), abs=0.05)


def test_the_share_of_the_pieces_is_masked_and_at_least_one(
    language_model: PreTrainedModel, tiny: LoadedModel
) -> None:
    lengths = [
        len(tiny.tokenizer(text, add_special_tokens=False)["input_ids"][:58]) for text in TEXTS
    ]
    found = hits(language_model, tiny.tokenizer)
    assert found[:, 1].tolist() == [max(1, round(0.3 * length)) for length in lengths]
    assert (found[:, 0] <= found[:, 1]).all()


def test_batches_do_not_change_what_is_masked(
    language_model: PreTrainedModel, tiny: LoadedModel
) -> None:
    together = hits(language_model, tiny.tokenizer)
    first = hits(language_model, tiny.tokenizer, TEXTS[:1])
    assert together[0].tolist() == first[0].tolist()


def test_the_model_does_not_see_what_it_is_asked_for(
    language_model: PreTrainedModel, tiny: LoadedModel
) -> None:
    seen: list[torch.Tensor] = []
    model = copy.deepcopy(language_model)
    model.base_model.register_forward_pre_hook(
        lambda module, arguments, keywords: seen.append(keywords["input_ids"]), with_kwargs=True
    )
    found = hits(model, tiny.tokenizer)
    masked = sum(int((ids == tiny.tokenizer.mask_token_id).sum()) for ids in seen)
    assert masked == found[:, 1].sum()


def test_a_model_without_a_head_cannot_be_measured(tiny: LoadedModel) -> None:
    with pytest.raises(ValueError, match="XLMRobertaModel has no masked-language-model head"):
        hits(tiny.model, tiny.tokenizer)


def test_a_tokenizer_without_a_mask_cannot_be_measured(
    language_model: PreTrainedModel, tiny: LoadedModel
) -> None:
    tokenizer = copy.deepcopy(tiny.tokenizer)
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="no mask token"):
        hits(language_model, tokenizer)


def test_texts_are_capped_by_seed(write_rows: Callable[..., dict[str, str]]) -> None:
    source = write_rows([{"text": str(i)} for i in range(50)] + [{"text": " "}])
    task = MaskedTask.model_validate(
        {"name": "mlm", "kind": "masked", "source": source, "max_test": 10}
    )
    assert len(read_texts(task, 0)) == 10 and read_texts(task, 0) == read_texts(
        task, 0
    ) != read_texts(task, 1)
    assert len(read_texts(task.model_copy(update={"max_test": None}), 0)) == 50


def test_no_text_is_the_users_error(write_rows: Callable[..., dict[str, str]]) -> None:
    task = MaskedTask.model_validate(
        {"name": "mlm", "kind": "masked", "source": write_rows([{"text": ""}])}
    )
    with pytest.raises(UserError, match="has no text in column 'text'"):
        read_texts(task, 0)
