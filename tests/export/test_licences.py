from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from distill.export.licences import _BY_STRICTNESS, strictest_licence


@pytest.mark.parametrize(
    ("licences", "strictest"),
    [
        (["mit"], "mit"),
        (["mit", "cc0-1.0"], "mit"),
        (["mit", "apache-2.0", "cc-by-4.0"], "cc-by-4.0"),
        (["cc-by-4.0", "cc-by-sa-4.0"], "cc-by-sa-4.0"),
        (["agpl-3.0", "cc-by-nc-4.0"], "cc-by-nc-4.0"),
        (["cc-by-nc-4.0", "cc-by-nc-sa-4.0"], "cc-by-nc-sa-4.0"),
        ([" MIT ", "CC-BY-4.0"], "cc-by-4.0"),
        (["mit", "my-own"], "other"),
        (["my-own"], "other"),
        (["mit", None], None),
        (["my-own", None], None),
        ([None], None),
        ([], None),
    ],
)
def test_the_strictest_of_the_licences(licences: list[str | None], strictest: str | None) -> None:
    assert strictest_licence(licences) == strictest


@given(st.lists(st.sampled_from([*_BY_STRICTNESS, "my-own", None]), min_size=1), st.randoms())
def test_the_order_of_the_licences_does_not_matter(licences: list[str | None], random: object) -> None:
    shuffled = sorted(licences, key=lambda licence: random.random())  # type: ignore[attr-defined]
    assert strictest_licence(shuffled) == strictest_licence(licences)


@given(st.lists(st.sampled_from(_BY_STRICTNESS), min_size=1))
def test_another_ingredient_never_makes_the_licence_laxer(licences: list[str]) -> None:
    before, after = strictest_licence(licences[:1]), strictest_licence(licences)
    assert _BY_STRICTNESS.index(str(after)) >= _BY_STRICTNESS.index(str(before))
