"""Show that two checkouts compute the same to the last bit: a small quickstart, every tokenizer
family, a few scores.

    python benchmarks/identity.py capture CHECKOUT FOLDER    runs that checkout's code
    python benchmarks/identity.py compare FOLDER FOLDER      exit code 1 if anything differs

A second capture takes the tokenizers of the first with `--like FIRST_FOLDER`: training one is not
deterministic. `--only tokenizers` leaves the quickstart out.

Both captures must run on one machine with one number of threads: other processors sum in another
order.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

STEP_LOGGERS = ("distill.distillation.loop", "distill.distillation.record", "distill.training.loop")
"""Modules that may say how often losses are logged, newest last; here every step is."""
EXACT_FILES = ("corpus/*.jsonl", "vocabulary/model/*", "student/model/*", "distillation/model/*")
"""What a run leaves that must be equal byte for byte."""
UNTIMED = (
    "model",
    "task",
    "metric",
    "scores",
    "mean",
    "low",
    "high",
    "retention",
    "difference",
    "learning_rate",
)
"""What of a score must be equal."""


def recipe(checkout: Path, folder: Path) -> Path:
    """A quickstart of 60,000 tokens with a task of each kind on made-up rows."""
    content = yaml.safe_load((checkout / "recipes" / "quickstart.yaml").read_text(encoding="utf-8"))
    content["name"] = "identity"
    content["distillation"] |= {
        "tokens": 60_000,
        "minutes": None,
        "validations": 2,
        "precision": "float32",
        "objectives": {"hidden": 1.0, "relations": 0.5, "embedding": 0.5},
    }
    rows = {"train": 48, "dev": 16, "test": 24}
    for split, count in rows.items():
        lines = "".join(
            json.dumps(row, ensure_ascii=False) + "\n" for row in made_up_rows(split, count)
        )
        (folder / f"{split}.jsonl").write_text(lines, encoding="utf-8")
    sources = {split: {"path": str(folder / f"{split}.jsonl")} for split in rows}
    retrieval = content["evaluation"]["tasks"][0]
    content["evaluation"] = {
        "models": [
            "teacher",
            "trimmed",
            "student",
            "student_int8",
            "initial",
            "untrained",
            "scratch",
        ],
        "seeds": 2,
        "learning_rates": [1.0e-4, 3.0e-4],
        "scratch_learning_rates": [3.0e-4],
        "epochs": 1,
        "precision": "float32",
        "tasks": [
            retrieval,
            {"name": "topic", "kind": "classification", **sources},
            {
                "name": "alike",
                "kind": "similarity",
                "text": "text",
                "text_pair": "other",
                "label": "value",
                **sources,
            },
            {"name": "words", "kind": "tokens", "metrics": ["accuracy", "macro_f1"], **sources},
        ],
    }
    del content["benchmark"]
    path = folder / "identity.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def made_up_rows(split: str, count: int) -> Iterator[dict[str, Any]]:
    """Rows with a class, a number and words, drawn from the split's name."""
    chance = random.Random(split)
    words = {
        "sport": ["laget", "matchen", "målet", "spelaren", "tränaren"],
        "politik": ["riksdagen", "partiet", "valet", "ministern", "lagen"],
    }
    for _ in range(count):
        topic = chance.choice(list(words))
        tokens = [chance.choice(words[topic]) for _ in range(chance.randint(3, 9))]
        other = [chance.choice(words[chance.choice(list(words))]) for _ in range(5)]
        yield {
            "text": " ".join(tokens),
            "other": " ".join(other),
            "label": topic,
            "value": sum(word in words[topic] for word in other) / 5,
            "tokens": tokens,
            "tags": [topic if word.endswith("n") else "annat" for word in tokens],
        }


def capture(checkout: Path, folder: Path, like: Path | None, only: str | None) -> None:
    """Run the checkout's code in `folder`, in a process of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    if like is not None:
        shutil.copytree(like / "tokenizers", folder / "tokenizers", dirs_exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    script = str(Path(__file__).resolve())
    inside = [sys.executable, script, "inside", str(checkout.resolve()), "."]
    inside += ["--only", only] if only else []
    subprocess.run(inside, cwd=folder, env=environment, check=True)


def inside(checkout: Path, folder: Path, only: str | None) -> None:
    """What the process of a capture does."""
    sys.path[0] = str(checkout)
    identity: dict[str, Any] = dict(tokenizers(checkout, folder / "tokenizers"))
    if only is None:
        identity |= quickstart(checkout, folder)
    (folder / "identity.json").write_text(json.dumps(identity, indent=1) + "\n", encoding="utf-8")


def quickstart(checkout: Path, folder: Path) -> dict[str, Any]:
    """What the small quickstart computes."""
    identity: dict[str, Any] = {}
    for name in STEP_LOGGERS:
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        if hasattr(module, "LOG_STEPS"):
            module.LOG_STEPS = 1  # type: ignore[attr-defined]
    from distill.cli import main

    sys.argv = ["distill", "recipe", str(recipe(checkout, folder)), "--until", "evaluation"]
    try:
        main()
    except SystemExit as left:
        if left.code:
            raise
    run = folder / "runs" / "identity"
    for pattern in EXACT_FILES:
        for path in sorted(run.glob(pattern)):
            identity[path.relative_to(run).as_posix()] = sha256(path.read_bytes()).hexdigest()
    history = json.loads((run / "distillation" / "history.json").read_text(encoding="utf-8"))
    identity["losses of the first 50 steps"] = history["losses"][:50]
    identity["fidelity"] = history["fidelity"]
    for score in json.loads((run / "evaluation" / "scores.json").read_text(encoding="utf-8")):
        name = "/".join(["score", score["task"], score["model"], score["metric"]])
        identity[name] = {key: score[key] for key in UNTIMED}
    return identity


def tokenizers(checkout: Path, kept: Path) -> Iterator[tuple[str, Any]]:
    """Ids and rows of a trimmed tokenizer of each family, with a model of random weights."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertForMaskedLM, XLMTokenizer

    from distill import trim
    from tests.vocabulary.tokenizers_of_each_family import BUILDERS, TEXT

    assert checkout in Path(sys.modules["distill"].__file__ or "").parents, (
        "the other checkout was imported"
    )
    for name, build in BUILDERS.items():
        saved = kept / name.replace(" ", "-").replace(",", "")
        if not saved.exists():
            build().save_pretrained(saved)
        loader = XLMTokenizer if name == "xlm" else AutoTokenizer
        tokenizer = loader.from_pretrained(saved)
        torch.manual_seed(0)
        config = BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=64,
            pad_token_id=tokenizer.pad_token_id,
        )
        trimmed = trim(
            BertForMaskedLM(config).eval(),
            tokenizer,
            TEXT[:400],
            heldout=TEXT[400:500],
            min_count=2,
        )
        rows = trimmed.model.get_input_embeddings().weight.detach().numpy().tobytes()
        ids = trimmed.tokenizer(TEXT[500:])["input_ids"]
        yield f"trimmed/{name}/ids", sha256(json.dumps(ids).encode()).hexdigest()
        yield f"trimmed/{name}/rows", sha256(rows).hexdigest()


def compare(first: Path, second: Path) -> int:
    """How many entries differ; each is named."""
    one, other = (
        json.loads((folder / "identity.json").read_text(encoding="utf-8"))
        for folder in (first, second)
    )
    different = [name for name in dict.fromkeys([*one, *other]) if one.get(name) != other.get(name)]
    for name in different:
        print(f"differs: {name}")
    print(f"{len(one)} entries, {len(different)} differ")
    return len(different)


def main() -> None:
    """Capture one checkout, or compare two captures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("capture", "compare", "inside"))
    parser.add_argument("paths", nargs=2, type=Path)
    parser.add_argument("--like", type=Path, help="a capture whose tokenizers are taken")
    parser.add_argument("--only", choices=("tokenizers",))
    given = parser.parse_args()
    if given.action == "compare":
        sys.exit(1 if compare(*given.paths) else 0)
    if given.action == "capture":
        capture(*given.paths, given.like, given.only)
    else:
        inside(*given.paths, given.only)


if __name__ == "__main__":
    main()
