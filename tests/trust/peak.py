"""`python -m tests.trust.peak recipe ...` is distill; its last line on stderr is the most memory
that it took beyond what was in use when it began, in bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path


def status(key: str) -> int:
    """One of the process's figures, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{key}:"))


if __name__ == "__main__":
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = status("VmRSS")
    from distill.cli import main

    code: object = 0
    try:
        main()
    except SystemExit as left:
        code = left.code
    print(status("VmHWM") - before, file=sys.stderr)
    sys.exit(code if isinstance(code, int) else 1)
