"""Which languages a recipe may name: those that CLDR has an English name for, by ISO 639."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache


@cache
def language_names() -> dict[str, str]:
    """The English name of each language by its code, ISO 639-1 or, without one, 639-3."""
    from babel import Locale

    return {
        code: name
        for code, name in Locale("en").languages.items()
        if code.isalpha() and len(code) in (2, 3)
    }


def usual_code(code: str) -> str:
    """The code that a language goes by (swe: sv), or what was given."""
    from babel.core import get_global

    return str(get_global("language_aliases").get(code, code)).split("_")[0]


def checked_language(code: str) -> str:
    """The code as it was given. Raises ValueError, with the code that was probably meant, if it is
    no language's.
    """
    if usual_code(code) in language_names():
        return code
    meant = _spoken_in(code) or _named_like(code)
    hint = (
        f"did you mean {meant} ({language_names()[meant]})?"
        if meant
        else "it should be a code of ISO 639, such as sv or ceb."
    )
    raise ValueError(f"there is no language {code}; {hint}")


def checked_languages(given: object) -> object:
    """One code as it was given, or the codes of several. Raises ValueError if one is no language's
    or stands there twice.
    """
    codes: list[str] = []
    for code in given if isinstance(given, list) else [given]:
        if not isinstance(code, str) or not re.fullmatch(r"[a-z]{2,3}", code):
            raise ValueError(
                f"should be a code of ISO 639, such as sv, or several, such as [sv, en]; "
                f"found {code!r}"
            )
        codes.append(checked_language(code))
    usual = [usual_code(code) for code in codes]
    if twice := next((code for code in codes if usual.count(usual_code(code)) > 1), None):
        raise ValueError(f"names {twice} twice; a language stands there once")
    if not codes:
        raise ValueError("names no language; it should be a code of ISO 639, such as sv")
    return codes[0] if len(codes) == 1 else codes


def check_text_languages(languages: Sequence[str], sources: Sequence[str | None]) -> None:
    """Check that each of a recipe's languages has text; `sources` are the languages of the text's
    sources. Raises ValueError if one has none, or a source is in no language of the recipe.
    """
    named = ", ".join(languages)
    for number, language in enumerate(sources):
        if language is None and len(languages) > 1:
            raise ValueError(
                f"corpus.sources.{number} does not say its language; add language: one of {named}"
            )
        if language is not None and language not in languages:
            raise ValueError(
                f"corpus.sources.{number} is in {language}, which is not among the recipe's "
                f"languages, {named}"
            )
    if len(languages) > 1 and (missing := [code for code in languages if code not in sources]):
        raise ValueError(
            f"the recipe names {named}, and no source of corpus.sources is in {missing[0]}; add "
            f"its text, or leave {missing[0]} out"
        )


def _spoken_in(country: str) -> str | None:
    """The language of most of a country, by CLDR's likely subtags: codes of countries are often
    taken for those of languages.
    """
    from babel.core import get_global

    likely = str(get_global("likely_subtags").get(f"und_{country.upper()}", ""))
    return language if (language := likely.split("_")[0]) in language_names() else None


def _named_like(code: str) -> str | None:
    """The language whose English name begins so."""
    names = sorted(
        (name.lower(), code_of) for code_of, name in language_names().items() if len(code_of) == 2
    )
    return next((code_of for name, code_of in names if name.startswith(code)), None)
