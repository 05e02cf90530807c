"""The commands, from the repository's root.

    python -m benchmarks.gpu prepare .gpu                 where there is a network: the bundle
    python -m benchmarks.gpu run .gpu back                where there is a card; back/ comes back
    python -m benchmarks.gpu collect .gpu back            figures and tables
    python -m benchmarks.gpu collect .gpu back --student folder    the finished student besides

`run --smoke` rehearses all of it on the CPU with tiny budgets. The machine with the card needs
Python 3.12, PyTorch, transformers and accelerate; the wheels that it lacks are in the bundle:

    python3 -m pip install --no-index --no-deps --target site .gpu/wheels/*.whl
    PYTHONPATH=site python3 -m benchmarks.gpu run .gpu back
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def main() -> int:
    """Run the command; 1 if a step failed."""
    options = parser().parse_args()
    if options.command == "prepare":
        from benchmarks.gpu.prepare import prepare
        from distill.runtime.progress import Progress

        bundle = prepare(
            options.bundle,
            model=options.teacher,
            documents=options.documents,
            objectives=dict(options.objective or [("hidden", 1.0), ("embedding", 1.0)]),
            minutes=options.minutes,
            wheels=not options.no_wheels,
            progress=Progress(),
        )
        manifest = bundle.manifest
        print(
            f"{bundle.folder}: {bundle.size / 1e6:.1f} MB, {manifest.tokens:,} tokens of text, "
            f"{manifest.tokens_left_out:,} left out"
        )
        return 0
    if options.command == "run":
        from benchmarks.gpu.run import STEPS, run

        device, absent = "cuda", []
        if options.smoke:
            from benchmarks.gpu.prepare import absent_packages

            device, absent = "cpu", sorted(absent_packages())
        good = run(
            options.bundle,
            options.output,
            device=device,
            rehearsal=options.smoke,
            steps=options.steps or list(STEPS),
            absent=absent,
            say=lambda line: print(line, flush=True),
        )
        return 0 if good else 1
    if options.command == "step":
        from benchmarks.gpu.run import run_step

        run_step(
            options.name,
            options.bundle,
            options.output,
            device=options.device,
            rehearsal=options.rehearsal,
            absent=options.absent,
        )
        return 0
    from benchmarks.gpu.collect import collect, tables

    for path in collect(options.bundle, options.output, options.results, options.student):
        print(path)
    print(tables(options.results))
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    prepare = commands.add_parser("prepare", help="write the bundle")
    prepare.add_argument("bundle", type=Path)
    prepare.add_argument("--teacher", default="package:multilingual-e5-small")
    prepare.add_argument("--documents", type=int, help="read no more than so many")
    prepare.add_argument("--objective", type=weighted, action="append", metavar="NAME=WEIGHT")
    prepare.add_argument("--minutes", type=float, default=4.0, help="of distillation")
    prepare.add_argument("--no-wheels", action="store_true", help="the packages are there")
    run = commands.add_parser("run", help="run the steps on the card")
    run.add_argument("bundle", type=Path)
    run.add_argument("output", type=Path)
    run.add_argument("--smoke", action="store_true", help="on the CPU, with tiny budgets")
    run.add_argument("--steps", nargs="+", metavar="STEP")
    step = commands.add_parser("step", help="one step, in this process")
    step.add_argument("name")
    step.add_argument("bundle", type=Path)
    step.add_argument("output", type=Path)
    step.add_argument("--device", default="cuda")
    step.add_argument("--rehearsal", action="store_true")
    step.add_argument("--absent", action="append", default=[])
    collect = commands.add_parser("collect", help="make results of what came back")
    collect.add_argument("bundle", type=Path)
    collect.add_argument("output", type=Path)
    collect.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results")
    collect.add_argument(
        "--student", type=Path, help="write the finished students into this folder"
    )
    return parser


def weighted(text: str) -> tuple[str, float]:
    """`hidden=1.0` as a name and a weight."""
    name, _, weight = text.partition("=")
    return name, float(weight or 1.0)


if __name__ == "__main__":
    sys.exit(main())
