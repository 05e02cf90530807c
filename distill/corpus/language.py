"""Which language a text is in, told offline by the lingua library; pure functions of a text."""

from __future__ import annotations

from functools import cached_property
from typing import Any

TELLING_CHARACTERS = 600
"""A text's first so many characters tell its language."""
_FOREIGN_CONFIDENCE = 0.1
"""Below this confidence a text is taken to be in another language: close neighbours (Danish,
Norwegian) stay above it.
"""
_VARIETIES = {
    "no": ("nb", "nn"),
    "hr": ("hr", "sr", "bs"),
    "bs": ("hr", "sr", "bs"),
    "sr": ("sr", "hr", "bs"),
}
"""Codes that stand for several of the identifier's languages, or that it can't tell apart."""


class LanguageIdentifier:
    """Tells whether texts are in one language, given by its ISO 639-1 or 639-3 code."""

    def __init__(self, language: str) -> None:
        self.language = language

    @property
    def knows(self) -> bool:
        """Whether the identifier knows the language at all."""
        return bool(self._own)

    def is_foreign(self, text: str) -> bool:
        """Whether the text is in another language; a text that tells none is not."""
        values = self._detector.compute_language_confidence_values(text[:TELLING_CHARACTERS])
        expected = sum(value.value for value in values if value.language in self._own)
        return bool(values) and values[0].value > 0 and expected < _FOREIGN_CONFIDENCE

    @cached_property
    def _own(self) -> set[Any]:
        from lingua import Language

        codes = {code.upper() for code in _VARIETIES.get(self.language, (self.language,))}
        return {
            language
            for language in Language.all()
            if {language.iso_code_639_1.name, language.iso_code_639_3.name} & codes
        }

    @cached_property
    def _detector(self) -> Any:
        from lingua import LanguageDetectorBuilder

        return LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode().build()
