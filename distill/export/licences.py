"""Which licence a student can carry: that of the strictest of what it was made from."""

from __future__ import annotations

from collections.abc import Iterable

# From what asks least to what asks most, as the Hub spells them.
_BY_STRICTNESS = (
    "cc0-1.0", "unlicense", "mit", "bsd-2-clause", "bsd-3-clause", "apache-2.0", "cc-by-3.0", "cc-by-4.0", "odc-by",
    "cc-by-sa-3.0", "cc-by-sa-4.0", "odbl", "lgpl-3.0", "mpl-2.0", "gpl-2.0", "gpl-3.0", "agpl-3.0",
    "cc-by-nc-3.0", "cc-by-nc-4.0", "cc-by-nc-sa-3.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0",
)  # fmt: skip


def strictest_licence(licences: Iterable[str | None]) -> str | None:
    """The strictest of the licences: None if one of them is not said, `other` if one is not known here."""
    found = [None if licence is None else licence.strip().lower() for licence in licences]
    if not found or None in found:
        return None
    if any(licence not in _BY_STRICTNESS for licence in found):
        return "other"
    return max((str(licence) for licence in found), key=_BY_STRICTNESS.index)
