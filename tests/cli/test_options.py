from __future__ import annotations

import pytest

from distill.cli.options import counts_of, words_of
from distill.runtime.errors import UserError


@pytest.mark.parametrize("given", [["1,all"], ["1", "all"], ["1, all,"]])
def test_values_come_with_commas_or_one_by_one(given: list[str]) -> None:
    assert counts_of(given, "--threads", word="all") == [1, "all"]


@pytest.mark.parametrize("given", [None, [], [""], [","]])
def test_an_option_without_values_was_not_given(given: list[str] | None) -> None:
    assert counts_of(given, "--threads") is None
    assert words_of(given, "--devices", ["cpu"]) is None


@pytest.mark.parametrize("text", ["-1", "1.5", "٣", "all", "0"])
def test_what_is_no_whole_number_is_refused(text: str) -> None:
    with pytest.raises(
        UserError, match=r"^--threads: .* should be a whole number of at least 1\.$"
    ):
        counts_of([text], "--threads")


def test_a_word_that_is_not_known_is_refused_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"^--devices: 'gpu' should be one of cpu, cuda\.$"):
        words_of(["cpu,gpu"], "--devices", ["cpu", "cuda"])
