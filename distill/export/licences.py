"""Which licence a student can carry: of what it was made from the strictest, where the others allow
it.

What the licences ask of an adaptation is read from their own texts and from the compatibility lists
of Creative Commons, the Free Software Foundation and Mozilla. That is a reading, not advice.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

OTHER = "other"
"""What the Hub calls a licence that is not of its list."""
# From what asks least to what asks most. An adaptation may go on under any that stands further
# down, unless _ALLOWED says otherwise.
_BY_STRICTNESS = tuple(
    """
    cc0-1.0 pddl unlicense wtfpl mit isc zlib bsl-1.0 ncsa postgresql bsd-2-clause bsd-3-clause
    cdla-permissive-2.0 apache-2.0 cc-by-2.0 cc-by-2.5 cc-by-3.0 cc-by-4.0 odc-by cc-by-sa-3.0
    cc-by-sa-4.0 odbl mpl-2.0 lgpl-2.1 lgpl-3.0 gpl-2.0 gpl-3.0 agpl-3.0 cc-by-nc-2.0 cc-by-nc-3.0
    cc-by-nc-4.0 cc-by-nc-sa-2.0 cc-by-nc-sa-3.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-nc-nd-3.0
    cc-by-nc-nd-4.0
    """.split()
)
_NON_COMMERCIAL = tuple(name for name in _BY_STRICTNESS if "-nc-" in name and "-nd-" not in name)
_ALLOWED = {
    "apache-2.0": tuple(
        name for name in _BY_STRICTNESS if name != "gpl-2.0" and "-nd-" not in name
    ),
    "cc-by-sa-3.0": ("cc-by-sa-3.0", "cc-by-sa-4.0"),
    "cc-by-sa-4.0": ("cc-by-sa-4.0", "gpl-3.0"),
    "odbl": ("odbl",),
    "mpl-2.0": ("mpl-2.0", "lgpl-2.1", "lgpl-3.0", "gpl-2.0", "gpl-3.0", "agpl-3.0"),
    "lgpl-2.1": ("lgpl-2.1", "gpl-2.0", "gpl-3.0"),
    "lgpl-3.0": ("lgpl-3.0", "gpl-3.0", "agpl-3.0"),
    "gpl-2.0": ("gpl-2.0",),
    "gpl-3.0": ("gpl-3.0", "agpl-3.0"),
    "agpl-3.0": ("agpl-3.0",),
    **dict.fromkeys(("cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"), _NON_COMMERCIAL),
    "cc-by-nc-sa-2.0": ("cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    "cc-by-nc-sa-3.0": ("cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0"),
    "cc-by-nc-sa-4.0": ("cc-by-nc-sa-4.0",),
    **dict.fromkeys(("cc-by-nd-4.0", "cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0"), ()),
}
"""Under which ones an adaptation may go on, of those licences that do not leave it to whoever makes
it.
"""
HUB_LICENCES = frozenset(_BY_STRICTNESS) | {
    "afl-3.0",
    "artistic-2.0",
    "bigcode-openrail-m",
    "bigscience-bloom-rail-1.0",
    "bigscience-openrail-m",
    "bsd",
    "bsd-3-clause-clear",
    "c-uda",
    "cc",
    "cdla-permissive-1.0",
    "cdla-sharing-1.0",
    "creativeml-openrail-m",
    "deepfloyd-if-license",
    "ecl-2.0",
    "epl-1.0",
    "epl-2.0",
    "etalab-2.0",
    "eupl-1.1",
    "gemma",
    "gfdl",
    "gpl",
    "lgpl",
    "lgpl-lr",
    "llama2",
    "lppl-1.3c",
    "ms-pl",
    "ofl-1.1",
    "openrail",
    "openrail++",
    "osl-3.0",
    "unknown",
}
"""The identifiers of the Hub's list; any other makes it refuse the card."""


def strictest_licence(licences: Iterable[str | None]) -> str | None:
    """The strictest of the licences: None if one of them is not said, `other` if one is not known
    here or they conflict.
    """
    spellings = {None if licence is None else spelled(licence) for licence in licences}
    if not spellings or None in spellings:
        return None
    known = [name for name in _BY_STRICTNESS if name in spellings]
    if len(known) < len(spellings):
        return OTHER
    return next((name for name in known if all(name in _allowed(other) for other in known)), OTHER)


def unsettled(ingredients: Sequence[tuple[str, str | None]]) -> str:
    """Why no licence follows from those of the ingredients, for the three reasons there are; empty
    where one does.
    """
    licence = strictest_licence(licence for _, licence in ingredients)
    if licence is None:
        return "that of at least one ingredient was not said"
    if licence != OTHER:
        return ""
    spellings = [spelled(licence) for _, licence in ingredients if licence is not None]
    if any(name not in _BY_STRICTNESS for name in spellings):
        return "distill does not know what that of at least one ingredient asks"
    if barred := [name for name in spellings if not _allowed(name)]:
        return f"{barred[0]} does not let adaptations be shared"
    return "no licence of an ingredient is allowed by those of all others"


def spelled(licence: str) -> str:
    """A licence as the Hub spells it: CC BY-SA 4.0 is cc-by-sa-4.0."""
    return re.sub(r"[\s_]+", "-", licence.strip().lower())


def licence_metadata(licence: str | None) -> dict[str, str]:
    """What the card's metadata says; one that is not of the Hub's list by a name and the file that
    says the rest.
    """
    if licence is not None and licence != OTHER and spelled(licence) in HUB_LICENCES:
        return {"license": spelled(licence)}
    chosen = (
        ""
        if licence in (None, OTHER)
        else re.sub(r"[^a-z0-9.]+", "-", spelled(str(licence)))[:64].strip("-.")
    )
    return {"license": OTHER, "license_name": chosen or "unsettled", "license_link": "LICENSE.md"}


def _allowed(licence: str) -> Sequence[str]:
    further = _BY_STRICTNESS[_BY_STRICTNESS.index(licence) :]
    return [name for name in _ALLOWED.get(licence, further) if name in further]
