"""How threads wait for one another: without holding a core that somebody else could use."""

from __future__ import annotations

import os
from collections.abc import MutableMapping

_TURNS = "5000"
"""Turns of a waiting OpenMP thread before it sleeps; 300,000 by default, some milliseconds.

Where another program keeps one of two cores busy, distillation then reads 6 times as many tokens a
second (126 and 807); on an idle machine 7% fewer (4,275 and 3,995).
"""


def let_threads_rest(environment: MutableMapping[str, str] = os.environ) -> None:
    """Have OpenMP's threads sleep soon where they wait, unless the user said how they wait.

    The library reads this once, when torch is imported.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", _TURNS)
