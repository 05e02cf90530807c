"""Which languages a recipe may name: those that CLDR has an English name for, by ISO 639."""

from __future__ import annotations

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


def _spoken_in(country: str) -> str | None:
    """The language of most of a country, by CLDR's likely subtags: codes of countries are often
    taken for those of languages.
    """
    from babel.core import get_global

    likely = str(get_global("likely_subtags").get(f"und_{country.upper()}", ""))
    return language if (language := likely.split("_")[0]) in language_names() else None


def _named_like(code: str) -> str | None:
    """The language whose English name begins so."""
    names = sorted((name.lower(), own) for own, name in language_names().items() if len(own) == 2)
    return next((own for name, own in names if name.startswith(code)), None)
