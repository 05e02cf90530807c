from __future__ import annotations

from pathlib import Path

import pytest
from transformers import T5Config

from distill.models import load_config
from distill.runtime.errors import UserError


def test_a_model_with_a_decoder_is_refused_by_its_type(tmp_path: Path) -> None:
    T5Config().save_pretrained(tmp_path)
    with pytest.raises(
        UserError, match=r"is of type t5, which has a decoder besides; an encoder is needed\."
    ):
        load_config(str(tmp_path))
