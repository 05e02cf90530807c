from __future__ import annotations

from pathlib import Path

import pytest
from transformers import T5Config

from distill.models import load_config, load_model
from distill.runtime.errors import UserError
from tests.models.headed import headed_model


def test_a_model_with_a_decoder_is_refused_by_its_type(tmp_path: Path) -> None:
    T5Config().save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match=r"is of type t5, which has a decoder besides; an encoder is needed\."
    ):
        load_config(str(tmp_path))


def test_a_heads_weights_are_moved_to_where_products_give_the_same_bits(tmp_path: Path) -> None:
    headed_model("xlm-roberta", "classes", vocabulary=213).save_pretrained(tmp_path)
    head = load_model(tmp_path).classifier
    assert {weight.data_ptr() % 64 for weight in head.parameters()} == {0}
