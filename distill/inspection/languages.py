"""Languages on a figure: codes go in; names, families, and colours that keep families apart come
out.

Fifteen colours cannot all be told apart, by colour-blind eyes least of all: a family has a hue
(Okabe and Ito's), its languages shades of it from dark to light, and figures write codes besides.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

FAMILIES: dict[str, tuple[str, str]] = {
    "Germanic": ("#0072B2", "af da de en fo fy is lb nb nl nn no sv yi"),
    "Romance": ("#D55E00", "ca es fr gl it la oc pt ro"),
    "Balto-Slavic": ("#009E73", "be bg bs cs hr lt lv mk pl ru sk sl sr uk"),
    "Indo-Iranian": ("#B4508F", "as bn fa gu hi ku mr ne or pa ps sa sd si tg ur"),
    "Turkic and Uralic": ("#C49A00", "az et fi hu kk ky se tk tr tt ug uz"),
    "Africa and Near East": ("#8B5A2B", "am ar ha he ig mt om rw sn so sw ti xh yo zu"),
    "East and South Asia": (
        "#2F9FD8",
        "fil id ja jv km kn ko lo ml mn ms my ta te th tl vi yue zh",
    ),
    "other": ("#555555", ""),
}
"""Each family, or group of families, with its colour and its languages."""
_LIGHTEST, _DARKEST = 0.66, 0.24


def language_name(code: str) -> str:
    """The language's English name where it has one, else its code."""
    from babel import Locale

    return str(Locale("en").languages.get(code.replace("-", "_").split("_", 1)[0].lower(), code))


def family_of(code: str) -> str:
    """The family, by the first part of a code such as swe_Latn or pt-BR."""
    short = code.replace("_", "-").split("-", 1)[0].lower()
    return next(
        (family for family, (_, members) in FAMILIES.items() if short in members.split()), "other"
    )


def by_family(codes: Sequence[str]) -> dict[str, list[str]]:
    """The codes of each family that has some."""
    grouped = {family: [code for code in codes if family_of(code) == family] for family in FAMILIES}
    return {family: members for family, members in grouped.items() if members}


def spread_over_families(codes: Sequence[str], most: int, first: str | None = None) -> list[str]:
    """At most so many of the codes, from as many families as there are, in the order given; `first`
    is among them.
    """
    waiting = list(by_family([code for code in codes if code != first]).values())
    chosen = {first} & set(codes)
    for turn in range(len(codes)):
        for members in waiting:
            if turn < len(members) and len(chosen) < most:
                chosen.add(members[turn])
    return [code for code in codes if code in chosen]


def colours(codes: Sequence[str]) -> dict[str, str]:
    """A colour for each code: its family's hue, darker or lighter by its place among the
    family's.
    """
    chosen: dict[str, str] = {}
    for family, members in by_family(codes).items():
        red, green, blue = (int(FAMILIES[family][0][at : at + 2], 16) / 255 for at in (1, 3, 5))
        hue, lightness, saturation = colorsys.rgb_to_hls(red, green, blue)
        for position, code in enumerate(members):
            shade = (
                lightness
                if len(members) == 1
                else _DARKEST + (_LIGHTEST - _DARKEST) * position / (len(members) - 1)
            )
            rgb = colorsys.hls_to_rgb(hue, shade, saturation)
            chosen[code] = "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
    return {code: chosen[code] for code in codes}
