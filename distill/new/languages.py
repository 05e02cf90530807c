"""Languages by code or English name, and what large collections of text and tasks call them."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from babel import Locale
from babel.core import get_global

from distill.recipe.language import language_names, usual_code
from distill.runtime.errors import UserError

_NOT_MEANT = frozenset(
    """
        alb arm baq bur chi cze dut fre geo ger gre ice mac mao may per rum slo tib wel adp cls kng
        mol prp scc scr
        """.split()
)
"""ISO 639-2's second codes of some languages, and retired ones, which no collection uses."""
_INDIVIDUAL = dict(
    pair.split("=")
    for pair in """
    ar=arb az=azj et=ekk fa=fas ku=kmr lv=lvs mg=plt mn=khk ms=zsm ne=npi no=nob om=gaz or=ory
    ps=pbt qu=quy sq=als sw=swh uz=uzn yi=ydd zh=cmn
    """.split()
)
"""Of a macrolanguage the one language that FineWeb-2 has most of, by its ISO 639-3 code."""
_SCRIPTS = {"cmn": "Hani", "kor": "Hang"}
"""FineWeb-2 names scripts by their characters, where CLDR names them by their standards."""
_FLORES = {"zh": "zho_Hans", "fa": "pes_Arab", "et": "est_Latn", "gn": "grn_Latn"}
"""Where FLORES, whose sentences SIB-200 has, says it otherwise than FineWeb-2."""
_FLORES_IN_OTHER_SCRIPT = {("zh", "Hant"): "zho_Hant"}
_XLM_R = frozenset(
    """
        af am ar as az be bg bn br bs ca cs cy da de el en eo es et eu fa fi fr fy ga gd gl gu ha he
        hi hr hu hy id is it ja jv ka kk km kn ko ku ky la lo lt lv mg mk ml mn mr ms my ne nl no nb
        nn om or pa pl ps pt ro ru sa sd si sk sl so sq sr su sv sw ta te th tl tr ug uk ur uz vi xh
        yi zh
        """.split()
)
"""The languages of XLM-R's training text (Conneau et al. 2020, appendix A)."""
_SIB_200 = frozenset(
    """
        af am ar as az ba be bg bm bn bo bs ca cs cy da de dz ee el en eo es et eu fa fi fj fo fr ga
        gd gl gn gu ha he hi hr ht hu hy id ig is it ja jv ka kg ki kk km kn ko ku ky lb lg li ln lo
        lt lv mg mi mk ml mn mr ms mt my nb ne nl nn no ny oc om or pa pl ps pt qu rn ro ru rw sa sd
        sg si sk sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tn tr ts tt ug uk ur uz vi wo xh
        yi yo zh zu
        """.split()
)
"""The languages of SIB-200 (Adelani et al. 2024) that have a code of two letters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Language:
    """A language, and where it is found."""

    code: str
    """ISO 639-1, or 639-3 where it has no other."""
    name: str
    """In English, with its script where that was asked for and is another than most of the language
    is written in.
    """
    fineweb: str | None
    """Its configuration of FineWeb-2; None for English, which FineWeb has."""
    sib200: str | None
    """Its configuration of SIB-200, where that has it."""
    in_xlm_r: bool
    """Whether XLM-R learnt from it."""
    in_other_script: bool
    """Whether a script was asked for that is another than most of the language is written in."""


def find_language(given: str) -> Language:
    """The language of a code (sv, swe, sv-SE, sr-Latn) or an English name (swedish). Raises
    UserError if there is none.
    """
    english, aliases, names = Locale("en"), get_global("language_aliases"), language_names()
    wanted = given.strip().lower()
    code, *subtags = wanted.replace("_", "-").split("-")
    code = usual_code(code)
    if code not in names:
        by_name = {name.lower(): code for code, name in names.items()}
        if wanted not in by_name:
            near = difflib.get_close_matches(wanted, by_name, n=1)
            hint = (
                f"did you mean {near[0]}?"
                if near
                else "it should be a code of ISO 639 (sv, ceb) or an English name (swedish)."
            )
            raise UserError(f"There is no language {given}; {hint}")
        code, subtags = by_name[wanted], []
    usual = _script(code)
    script = next((tag.title() for tag in subtags if tag.title() in english.scripts), usual)
    individual, other = _individual(code, aliases), script != usual
    fineweb = f"{individual}_{_SCRIPTS.get(individual, script)}"
    flores = _FLORES_IN_OTHER_SCRIPT.get((code, script)) if other else _FLORES.get(code, fineweb)
    return Language(
        code=code,
        name=f"{names[code]} ({english.scripts[script]})" if other else names[code],
        fineweb=None if code == "en" and not other else fineweb,
        sib200=flores if code in _SIB_200 else None,
        in_xlm_r=code in _XLM_R,
        in_other_script=other,
    )


def _individual(code: str, aliases: dict[str, str]) -> str:
    """The language's ISO 639-3 code."""
    if len(code) == 3:
        return code
    known = [
        long
        for long, short in aliases.items()
        if short == code and len(long) == 3 and long not in _NOT_MEANT
    ]
    return _INDIVIDUAL.get(code) or (known[0] if known else code)


def _script(code: str) -> str:
    """The script that most of the language is written in, by CLDR's likely subtags (ISO 15924)."""
    likely = get_global("likely_subtags").get(code, "")
    return next((part for part in likely.split("_") if len(part) == 4), "Latn")
