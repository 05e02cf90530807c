from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from distill.export.licences import _BY_STRICTNESS, licence_metadata, strictest_licence, unsettled


@pytest.mark.parametrize(
    ("licences", "strictest"),
    [
        (["mit"], "mit"),
        (["mit", "cc0-1.0"], "mit"),
        (["mit", "apache-2.0", "cc-by-4.0"], "cc-by-4.0"),
        (["cc-by-4.0", "cc-by-sa-4.0"], "cc-by-sa-4.0"),
        (["cc-by-3.0", "odc-by", "mit"], "odc-by"),
        (["cc-by-nc-4.0", "cc-by-4.0"], "cc-by-nc-4.0"),
        (["cc-by-nc-4.0", "cc-by-nc-sa-4.0"], "cc-by-nc-sa-4.0"),
        (["cc-by-sa-4.0", "gpl-3.0"], "gpl-3.0"),
        (["cc-by-sa-3.0", "cc-by-sa-4.0"], "cc-by-sa-4.0"),
        (["apache-2.0", "gpl-3.0"], "gpl-3.0"),
        ([" MIT ", "CC BY-SA 4.0"], "cc-by-sa-4.0"),
        (["agpl-3.0", "cc-by-nc-4.0"], "other"),
        (["cc-by-sa-4.0", "cc-by-nc-4.0"], "other"),
        (["cc-by-sa-4.0", "cc-by-nc-sa-4.0"], "other"),
        (["apache-2.0", "gpl-2.0"], "other"),
        (["gpl-2.0", "gpl-3.0"], "other"),
        (["mit", "cc-by-nd-4.0"], "other"),
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
def test_the_order_of_the_licences_does_not_matter(
    licences: list[str | None], random: object
) -> None:
    shuffled = sorted(licences, key=lambda licence: random.random())  # type: ignore[attr-defined]
    assert strictest_licence(shuffled) == strictest_licence(licences)


@given(st.lists(st.sampled_from(_BY_STRICTNESS), min_size=1))
def test_another_ingredient_never_makes_the_licence_laxer(licences: list[str]) -> None:
    places = {licence: place for place, licence in enumerate((*_BY_STRICTNESS, "other"))}
    before, after = strictest_licence(licences[:1]), strictest_licence(licences)
    assert places[str(after)] >= places[str(before)]


@given(st.lists(st.sampled_from(_BY_STRICTNESS), min_size=1))
def test_the_strictest_is_one_of_those_named(licences: list[str]) -> None:
    assert strictest_licence(licences) in (*licences, "other")


@given(st.lists(st.sampled_from([*_BY_STRICTNESS, "my-own", None]), min_size=1))
def test_there_is_a_reason_exactly_where_no_licence_follows(licences: list[str | None]) -> None:
    named = strictest_licence(licences)
    assert bool(unsettled([("one", licence) for licence in licences])) == (named in (None, "other"))


@pytest.mark.parametrize(
    ("licence", "metadata"),
    [
        ("cc-by-4.0", {"license": "cc-by-4.0"}),
        ("Apache 2.0", {"license": "apache-2.0"}),
        ("gemma", {"license": "gemma"}),
        (
            "My Own, v1",
            {"license": "other", "license_name": "my-own-v1", "license_link": "LICENSE.md"},
        ),
        ("<b>\n---", {"license": "other", "license_name": "b", "license_link": "LICENSE.md"}),
        ("许可证", {"license": "other", "license_name": "unsettled", "license_link": "LICENSE.md"}),
        (None, {"license": "other", "license_name": "unsettled", "license_link": "LICENSE.md"}),
        ("other", {"license": "other", "license_name": "unsettled", "license_link": "LICENSE.md"}),
    ],
)
def test_the_metadata_names_a_licence_that_the_hub_takes(
    licence: str | None, metadata: dict[str, str]
) -> None:
    assert licence_metadata(licence) == metadata
