"""distill beside other tools, in one run: trimming, and distillation in the same minutes.

    DISTILL_DATA=... .venv/bin/python benchmarks/peers.py          the data's Swedish text, for hours
    .venv/bin/python benchmarks/peers.py --text "my/*.jsonl.gz"    documents of your own
    .venv/bin/python benchmarks/peers.py --megabytes 1 --minutes 0.5 --output peers.json    a look

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
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from peer_runs import environments, segmentation
from peer_runs.environments import CannotInstallError, Peer
from provenance import provenance
from setting import NEWSREELS, PASSAGE, QUERY, RESULTS, TEACHER

from distill import __version__
from distill.corpus.cleaning import clean_text, split_sentences
from distill.corpus.documents import read_documents
from distill.corpus.formats import Tally
from distill.corpus.sources import column_value, read_source
from distill.models import load_with_tokenizer
from distill.models.saving import save_model
from distill.recipe import Source
from distill.report.formats import format_bytes, format_score, format_share, markdown_table
from distill.runtime.progress import silence_libraries

RUNNERS = Path(__file__).parent / "peer_runs"
SENTENCES_A_DOCUMENT = 60
"""That are held out: a novel would be most of the sentences."""
CHEAP_SECONDS = 120
"""What takes no longer is run three times."""
LAYERS = [2, 4, 6, 8, 10, 12]
FIDELITY_CHUNKS = 1000


class FailedError(Exception):
    """A sentence on why a step came to nothing."""


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
    teacher = saved_teacher(options.folder / "teacher")
    if options.only != "distillation":
        measure_trimming(kept, options, teacher)
        print(trimming_table(kept.section("trimming")["rows"]), flush=True)
    if options.only != "trimming":
        measure_distillation(kept, options)
        print(distillation_table(kept.section("distillation")["rows"]), flush=True)


class Kept:
    """The file of results: what is there already is not measured again."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def open(self, name: str, settings: dict[str, Any]) -> None:
        """Go on with a section, or begin it anew where it had other settings."""
        if self.content.get(name, {}).get("settings") != settings:
            self.content[name] = {**provenance(settings), "rows": {}}

    def section(self, name: str) -> dict[str, Any]:
        """What is kept under a name."""
        section: dict[str, Any] = self.content[name]
        return section

    def row(self, section: str, key: str, measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """A row, measured and written where it is missing; a failure is a row with a reason."""
        rows = self.section(section)["rows"]
        if key not in rows:
            print(f"{section}: {key}", flush=True)
            try:
                rows[key] = measure()
            except (CannotInstallError, FailedError) as error:
                rows[key] = {"reason": str(error)}
            text = json.dumps(self.content, indent=2, ensure_ascii=False)
            self.path.write_text(text + "\n", encoding="utf-8")
            print(f"  {rows[key]}", flush=True)
        row: dict[str, Any] = rows[key]
        return row


def saved_teacher(folder: Path) -> Path:
    """The quickstart's teacher as a folder."""
    if not (folder / "config.json").is_file():
        loaded = load_with_tokenizer(TEACHER)
        save_model(loaded.model, loaded.tokenizer, folder)
    return folder


def measure_trimming(kept: Kept, options: argparse.Namespace, teacher: Path) -> None:
    """Every peer, and distill at each size that a peer came to."""
    folder: Path = options.folder / "trimming"
    texts, sentences, read = write_texts(options, folder)
    settings = {**read, "min_count": options.min_count, "teacher": TEACHER}
    kept.open("trimming", settings)
    sizes = []
    for peer in environments.TRIMMERS:
        row = kept.row(
            "trimming",
            peer.name,
            lambda peer=peer: trim_with(peer, options, teacher, texts, sentences),  # type: ignore[misc]
        )
        if "pieces" in row and row["pieces"] not in sizes:
            sizes.append(row["pieces"])
    variants = {"distill": [], "distill, by frequency alone": ["--no-alphabet", "--no-symbols"]}
    for size in sizes:
        for name, arguments in variants.items():
            kept.row(
                "trimming",
                f"{name}, {size} pieces",
                lambda size=size, arguments=arguments: trim_with_distill(  # type: ignore[misc]
                    size, arguments, options, teacher, texts, sentences
                ),
            )


def write_texts(options: argparse.Namespace, folder: Path) -> tuple[Path, Path, dict[str, Any]]:
    """A folder with the documents to trim by, a file of held-out sentences that are not in them,
    and what they are.
    """
    source, name = NEWSREELS, NEWSREELS.label
    if options.text:
        source = Source(path=options.text, column=options.column)
        name = Path(options.text).name
    elif data := os.environ.get("DISTILL_DATA"):
        source, name = Source(path=f"{data}/sv/text/*.jsonl.gz"), "sv/text/*.jsonl.gz"
    documents = [
        text
        for row in read_source(source, Tally())
        if (text := clean_text(column_value(row, source.column, source)))
    ]
    draw = random.Random(0)
    draw.shuffle(documents)
    apart: list[str] = []
    while len(apart) < 1.5 * options.heldout and len(documents) > 1:
        found = split_sentences(documents.pop())
        apart += draw.sample(found, min(len(found), SENTENCES_A_DOCUMENT))
    size = 0
    shutil.rmtree(folder / "texts", ignore_errors=True)
    (folder / "texts").mkdir(parents=True)
    seen: set[str] = set()
    limit = float("inf") if options.megabytes is None else options.megabytes * 1e6
    count = 0
    with (folder / "texts" / "train.jsonl").open("w", encoding="utf-8") as file:
        for text in documents:
            if size >= limit:
                break
            file.write(json.dumps({"text": text}, ensure_ascii=False) + "\n")
            seen.update(split_sentences(text))
            size, count = size + len(text.encode()), count + 1
    sentences = [sentence for sentence in dict.fromkeys(apart) if sentence not in seen]
    heldout = folder / "heldout.json"
    kept = sentences[: options.heldout]
    heldout.write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
    about = {"text": name, "bytes": size, "documents": count, "heldout_sentences": len(kept)}
    return folder / "texts", heldout, about


def trim_with(
    peer: Peer, options: argparse.Namespace, teacher: Path, texts: Path, sentences: Path
) -> dict[str, Any]:
    """A peer's figures."""
    python = environments.make(peer, options.folder / "environments", options.newer_python)
    work = options.folder / "trimming" / peer.name
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    runner = [python, RUNNERS / f"run_{peer.name}.py"]
    given, trimmed, log = work / "teacher", work / "trimmed", work / "log.txt"
    run([*runner, "prepare", teacher, given], log, options.timeout)

    def trim() -> tuple[float, int]:
        for made in (trimmed, work / "cache"):  # what a data set leaves there would be reused
            shutil.rmtree(made, ignore_errors=True)
        return run(
            [*runner, "trim", given, texts, trimmed, options.min_count], log, options.timeout
        )

    cost = repeated(trim)
    run([*runner, "compare", given, trimmed, sentences], log, options.timeout)
    compared: dict[str, Any] = json.loads(log.read_text().strip().splitlines()[-1])
    remark = {"remark": peer.remark} if peer.remark else {}
    return {"version": peer.version, **cost, **compared, **remark}


def trim_with_distill(
    size: int,
    arguments: list[str],
    options: argparse.Namespace,
    teacher: Path,
    texts: Path,
    sentences: Path,
) -> dict[str, Any]:
    """The figures of `distill trim` at a number of pieces, its proof included."""
    output = options.folder / "trimming" / "distill"
    log = output.with_name("distill.txt")
    command = [sys.executable, "-m", "distill", "trim", teacher, texts / "train.jsonl"]
    command += ["--output", output, "--size", size, "--heldout", 0.01, *arguments]

    def trim() -> tuple[float, int]:
        shutil.rmtree(output, ignore_errors=True)
        return run(command, log, options.timeout)

    cost = repeated(trim)
    both = [segmentation.load(folder) for folder in (teacher, output)]
    compared = segmentation.compare(*both, json.loads(sentences.read_text(encoding="utf-8")))
    return {"version": __version__, **cost, **compared}


def repeated(action: Callable[[], tuple[float, int]]) -> dict[str, Any]:
    """Median seconds and largest memory of an action, run three times where it is cheap."""
    runs = [action()]
    while len(runs) < 3 and runs[0][0] <= CHEAP_SECONDS:
        runs.append(action())
    return {
        "seconds": statistics.median(seconds for seconds, _ in runs),
        "runs": len(runs),
        "peak_memory_bytes": max(memory for _, memory in runs),
    }


def run(command: list[Any], log: Path, minutes: float) -> tuple[float, int]:
    """Seconds that a command took, and the most memory that it and its children had; its output is
    in `log`. Raises FailedError.
    """
    environment = {
        **os.environ,
        "HF_HOME": str(log.parent / "cache"),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": os.environ.get("TOKENIZERS_PARALLELISM", "true"),
    }
    words, peak = [str(word) for word in command], 0
    with log.open("w", encoding="utf-8") as file:
        started = time.monotonic()
        process = subprocess.Popen(
            words, stdout=file, stderr=subprocess.STDOUT, env=environment, cwd=log.parent
        )
        while process.poll() is None:
            peak = max(peak, memory_of(process.pid))
            if time.monotonic() - started > 60 * minutes:
                stop(process)
                raise FailedError(f"It did not end within {minutes:g} minutes.")
            time.sleep(0.1)
        seconds = time.monotonic() - started
    if process.returncode:
        told = [line.strip() for line in log.read_text(errors="replace").splitlines()]
        last = next((line for line in reversed(told) if line), "it says nothing")
        raise FailedError(f"{Path(words[1]).stem} {words[2]} failed: {last}")
    return seconds, peak


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process with its children."""
    for child in psutil.Process(process.pid).children(recursive=True):
        child.kill()
    process.kill()
    process.wait()


def memory_of(process_id: int) -> int:
    """Memory of a process and its children in bytes, what they share counted once."""
    total = 0
    try:
        parent = psutil.Process(process_id)
        for process in [parent, *parent.children(recursive=True)]:
            total += process.memory_full_info().pss
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        pass
    return total


def measure_distillation(kept: Kept, options: argparse.Namespace) -> None:
    """The quickstart's student and those of sentence-transformers, with their teacher."""
    settings = {"recipe": "quickstart", "layers": LAYERS, "minutes": options.minutes}
    kept.open("distillation", settings)
    folder: Path = options.folder / f"distillation-{options.minutes:g}"
    folder.mkdir(exist_ok=True)
    quickstart = folder / "runs" / "quickstart"
    teacher, student = (quickstart / stage / "model" for stage in ("vocabulary", "distillation"))

    def distilled() -> dict[str, Any]:
        # Far more tokens than fit, so that the minutes are what ends it.
        command = [sys.executable, "-m", "distill", "recipe", "quickstart.yaml"]
        for setting in (f"minutes={options.minutes}", f"tokens={int(1e6 * options.minutes) + 1}"):
            command += ["--set", f"distillation.{setting}"]
        command += ["--until", "distillation"]
        run(command, folder / "distill.txt", options.timeout + 2 * options.minutes)
        result = json.loads((quickstart / "distillation" / "stage.json").read_text())["result"]
        told = {key: result[key] for key in ("tokens", "steps", "seconds", "precision")}
        return {"version": __version__, **told, **scores(student, quickstart)}

    precision = kept.row("distillation", "distill", distilled).get("precision")
    if not teacher.is_dir() or precision is None:
        return  # the trimmed teacher, its text and its precision are those of distill's run
    kept.row("distillation", "teacher, trimmed", lambda: scores(teacher, quickstart))
    for rate in options.learning_rates:
        kept.row(
            "distillation",
            f"sentence-transformers, learning rate {rate:g}",
            lambda rate=rate: distil_with_sentence_transformers(  # type: ignore[misc]
                rate, precision, options, folder, quickstart
            ),
        )


def distil_with_sentence_transformers(
    rate: float, precision: str, options: argparse.Namespace, folder: Path, quickstart: Path
) -> dict[str, Any]:
    """What its example makes of the same text in the same minutes."""
    peer = environments.SENTENCE_TRANSFORMERS
    python = environments.make(peer, options.folder / "environments", options.newer_python)
    texts, output = folder / "texts.json", folder / f"sentence-transformers-{rate:g}"
    chunks = prefixed_chunks(quickstart / "corpus" / "train.jsonl")
    texts.write_text(json.dumps(chunks, ensure_ascii=False), encoding="utf-8")
    shutil.rmtree(output, ignore_errors=True)
    command = [python, RUNNERS / "run_sentence_transformers.py", "--texts", texts]
    command += ["--teacher", quickstart / "vocabulary" / "model", "--layers", *LAYERS]
    command += ["--minutes", options.minutes, "--learning-rate", rate, "--precision", precision]
    log = folder / "sentence-transformers.txt"
    run([*command, "--output", output], log, options.timeout + 2 * options.minutes)
    told: dict[str, Any] = json.loads(log.read_text().strip().splitlines()[-1])
    scored = scores(output, quickstart)
    return {"version": peer.version, **told, "precision": precision, **scored}


def prefixed_chunks(documents: Path, seed: int = 0) -> list[str]:
    """The documents in runs of 8 to 64 words with a prefix each, in any order: what distill's
    student reads.
    """
    import numpy as np

    from distill.training.chunks import cut_words

    draw = np.random.default_rng(seed)
    chunks = [
        (QUERY, PASSAGE)[int(draw.integers(2))] + run_of_words
        for document in read_documents(documents)
        for run_of_words in cut_words(document.text, (8, 64), draw)
    ]
    return [chunks[i] for i in draw.permutation(len(chunks))]


def scores(folder: Path, quickstart: Path) -> dict[str, Any]:
    """The quickstart's task, and how near held-out vectors are to the trimmed teacher's."""
    from distill import evaluate, load_recipe
    from distill.evaluation.embedding import embed
    from distill.onnx.closeness import closeness

    chunks = prefixed_chunks(quickstart / "corpus" / "heldout.jsonl")[:FIDELITY_CHUNKS]
    vectors = []
    for path in (folder, quickstart / "vocabulary" / "model"):
        loaded = load_with_tokenizer(str(path))
        model = loaded.model.float().eval()
        vectors.append(embed(model, loaded.tokenizer, chunks, pooling="mean", longest=512))
    near = closeness(*vectors)
    tasks = [
        task.model_dump(exclude_unset=True)
        for task in load_recipe("quickstart.yaml").recipe.evaluation.tasks
    ]
    # In memory, so that every model has the same pooling and prefixes, whatever its files say.
    loaded = load_with_tokenizer(str(folder))
    result = evaluate(
        {"student": loaded},
        tasks,
        pooling="mean",
        prefixes={"query": QUERY, "passage": PASSAGE},
        max_length=512,
        precision="float32",
        progress=False,
    )
    retrieval = {
        score.metric: {"mean": score.mean, "low": score.low, "high": score.high}
        for score in result.scores
    }
    return {
        "parameters": loaded.model.num_parameters(),
        "retrieval": retrieval,
        "chunks": near.rows,
        "centred_cosine": near.centred_cosine,
        "neighbour_agreement": near.neighbours,
    }


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
