"""vocabtrimmer in an environment of its own: `prepare`, `trim` and `compare` (peers.py runs them).

It trims models with a head alone, so `prepare` calls the teacher a masked language model, whose
head then has random weights. It takes a Hub data set by default; a folder of files is one, too.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from segmentation import run


def prepare(teacher: Path, output: Path) -> None:
    """The teacher with a head's class in its config."""
    shutil.copytree(teacher, output, dirs_exist_ok=True)
    config = json.loads((output / "config.json").read_text())
    config["architectures"] = ["BertForMaskedLM"]
    (output / "config.json").write_text(json.dumps(config, indent=2))


def trim(teacher: Path, texts: Path, output: Path, min_count: int) -> None:
    """Count pieces in the folder's documents, and save the trimmed model and tokenizer."""
    from vocabtrimmer import VocabTrimmer

    work = output.with_name(f"{output.name}-counts")
    shutil.rmtree(work, ignore_errors=True)
    trimmer = VocabTrimmer(str(teacher))
    trimmer.trim_vocab(
        language="sv",
        path_to_save=str(output),
        dataset=str(texts),
        dataset_column="text",
        dataset_split="train",
        min_frequency=min_count,
        cache_file_vocab=str(work / "vocabulary.json"),
        cache_file_frequency=str(work / "counts.json"),
        overwrite=True,
    )


if __name__ == "__main__":
    run(prepare, trim)
