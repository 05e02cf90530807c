"""distill beside other tools, in one run: trimming, and distillation in the same minutes.

    DISTILL_DATA=... python -m benchmarks.peers          the Swedish text, for two hours
    python -m benchmarks.peers --text "my/*.jsonl.gz"    documents of your own
    python -m benchmarks.peers --megabytes 1 --minutes 0.5 --output peers.json    a look

Trimming: vocabtrimmer, TextPruner and trimbed cut the quickstart's teacher down to the pieces that
the text has at least twice; `distill trim` then keeps as many, as it does by default and by
frequency alone. Distillation: the layer-dropping example of sentence-transformers beside the
quickstart's student, on the same text, layers, vocabulary, minutes and threads, both scored by
distill. Each tool gets a virtual environment of its own below --folder (benchmarks/peer_runs); one
that cannot be installed is told in a sentence. trimbed wants Python 3.12 (--newer-python).

Writes benchmarks/results/peers.json as each step ends, and goes on with those that are missing.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks.peer_runs.distillation import measure_distillation
from benchmarks.peer_runs.kept import Kept
from benchmarks.peer_runs.trimming import measure_trimming
from benchmarks.setting import RESULTS
from distill.report.formats import format_bytes, format_score, format_share, markdown_table
from distill.runtime.progress import silence_libraries


def main() -> None:
    """Measure what is missing, print tables, keep the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=["trimming", "distillation"])
    parser.add_argument(
        "--text", help="files of documents; else DISTILL_DATA's Swedish text, else the newsreels"
    )
    parser.add_argument("--column", default="text")
    parser.add_argument("--megabytes", type=float, help="of text to trim by; all without it")
    parser.add_argument("--heldout", type=int, default=4000, help="sentences to compare on")
    parser.add_argument("--min-count", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10.0, help="for each student")
    parser.add_argument(
        "--learning-rates",
        type=float,
        nargs="+",
        default=[1e-4, 1e-3],
        help="of sentence-transformers: its example's, and the quickstart's",
    )
    parser.add_argument("--timeout", type=float, default=60.0, help="minutes for each command")
    parser.add_argument("--newer-python", help="a Python for peers that this one is too old for")
    parser.add_argument("--folder", type=Path, default=Path("runs/peers"))
    parser.add_argument("--output", type=Path, default=RESULTS / "peers.json")
    options = parser.parse_args()
    options.folder = options.folder.absolute()
    options.folder.mkdir(parents=True, exist_ok=True)
    silence_libraries()
    kept = Kept(options.output)
    if options.only != "distillation":
        measure_trimming(kept, options)
        print(trimming_table(kept.section("trimming")["rows"]), flush=True)
    if options.only != "trimming":
        measure_distillation(kept, options)
        print(distillation_table(kept.section("distillation")["rows"]), flush=True)


def trimming_table(rows: dict[str, dict[str, Any]]) -> str:
    """The figures of trimming for a reader, and why some are missing."""
    titles = ["", "version", "pieces", "seconds", "memory", "sentences as before"]
    cells = [
        [
            name,
            row["version"],
            f"{row['pieces']:,}",
            f"{row['seconds']:.1f}",
            format_bytes(row["peak_memory_bytes"]),
            format_share(row["alike"]),
        ]
        for name, row in rows.items()
        if "reason" not in row
    ]
    return "\n".join([markdown_table(titles, cells, words=2), *reasons(rows)])


def distillation_table(rows: dict[str, dict[str, Any]]) -> str:
    """The figures of distillation for a reader, and why some are missing."""
    titles = ["", "tokens", "seconds", "FAQ, MRR@10", "centred cosine", "nearest neighbour kept"]
    cells = [
        [
            name,
            f"{row['tokens']:,}" if "tokens" in row else "",
            f"{row['seconds']:.0f}" if "seconds" in row else "",
            format_score(row["retrieval"]["mrr@10"]["mean"]),
            format_score(row["centred_cosine"]),
            format_score(row["neighbour_agreement"]),
        ]
        for name, row in rows.items()
        if "reason" not in row
    ]
    return "\n".join([markdown_table(titles, cells, words=1), *reasons(rows)])


def reasons(rows: dict[str, dict[str, Any]]) -> list[str]:
    """The sentences of what could not be measured."""
    return [f"{name}: {row['reason']}" for name, row in rows.items() if "reason" in row]


if __name__ == "__main__":
    main()
