from __future__ import annotations

from itertools import combinations

import pytest

from distill.inspection.languages import (
    FAMILIES,
    by_family,
    colours,
    family_of,
    language_name,
    spread_over_families,
)

STUDY = ["en", "fr", "es", "de", "el", "bg", "ru", "tr", "ar", "vi", "th", "zh", "hi", "sw", "ur"]


@pytest.mark.parametrize(
    ("code", "family"),
    [("sv", "Germanic"), ("pt-BR", "Romance"), ("zh_Hans", "East and South Asia"), ("xx", "other")],
)
def test_a_language_has_its_family(code: str, family: str) -> None:
    assert family_of(code) == family


def test_no_language_has_two_families() -> None:
    members = [code for _, codes in FAMILIES.values() for code in codes.split()]
    assert len(members) == len(set(members))


def test_names_are_those_of_a_reader() -> None:
    assert [language_name(code) for code in ("sv", "pt-BR", "xx")] == [
        "Swedish",
        "Portuguese",
        "xx",
    ]


def test_every_language_has_a_colour_of_its_own() -> None:
    found = colours([*STUDY, "sv", "da", "no", "is", "fi", "xx"])
    rgb = {
        code: tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))
        for code, colour in found.items()
    }
    closest = min(
        sum(abs(a - b) for a, b in zip(rgb[one], rgb[other], strict=True))
        for one, other in combinations(rgb, 2)
    )
    assert closest > 20


def test_a_few_languages_are_of_as_many_families_as_there_are() -> None:
    chosen = spread_over_families([*STUDY, "sv"], 7, "sv")
    assert "sv" in chosen and len(chosen) == 7 and len(by_family(chosen)) >= 6
    assert chosen == [code for code in [*STUDY, "sv"] if code in chosen]


def test_fewer_than_asked_for_are_all() -> None:
    assert spread_over_families(STUDY, 50) == STUDY
