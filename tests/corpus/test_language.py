from __future__ import annotations

import pytest

from distill.corpus.language import LanguageIdentifier

SENTENCES = {
    "sv": "Regeringen föreslår att skatten på drivmedel höjs nästa år, men oppositionen säger nej.",
    "da": "Regeringen foreslår, at afgiften på brændstof hæves næste år, men oppositionen siger "
    "nej.",
    "nb": "Regjeringen foreslår at avgiften på drivstoff økes neste år, men opposisjonen sier nei.",
    "nn": "Regjeringa gjer framlegg om at avgifta på drivstoff aukar neste år, men opposisjonen "
    "seier nei.",
    "en": "The government proposes to raise the tax on fuel next year, but the opposition says no.",
    "fi": "Hallitus ehdottaa polttoaineveron korottamista ensi vuonna, mutta oppositio sanoo ei.",
    "ru": "Правительство предлагает повысить налог на топливо в следующем году, но оппозиция "
    "против.",
    "th": "รัฐบาลเสนอให้ขึ้นภาษีน้ำมันในปีหน้า แต่ฝ่ายค้านไม่เห็นด้วย",
}


@pytest.fixture(scope="module")
def swedish() -> LanguageIdentifier:
    return LanguageIdentifier("sv")


@pytest.mark.parametrize("language", [language for language in SENTENCES if language != "sv"])
def test_text_in_another_language_is_foreign(language: str, swedish: LanguageIdentifier) -> None:
    assert swedish.is_foreign(SENTENCES[language])


def test_text_in_the_language_is_not(swedish: LanguageIdentifier) -> None:
    assert not swedish.is_foreign(SENTENCES["sv"])


def test_text_that_tells_no_language_is_not_foreign(swedish: LanguageIdentifier) -> None:
    assert not any(map(swedish.is_foreign, ["", "1234 – 5678", "🐟🐟🐟"]))


def test_norwegian_has_two_written_forms() -> None:
    norwegian = LanguageIdentifier("no")
    assert not norwegian.is_foreign(SENTENCES["nb"]) and not norwegian.is_foreign(SENTENCES["nn"])
    assert norwegian.is_foreign(SENTENCES["en"])


@pytest.mark.parametrize(
    ("code", "known"),
    [("sv", True), ("swe", True), ("th", True), ("fo", False), ("xx", False), ("", False)],
)
def test_languages_are_known_by_either_code(code: str, known: bool) -> None:
    assert LanguageIdentifier(code).knows is known
