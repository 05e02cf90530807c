"""trimbed in an environment of its own: `prepare`, `trim` and `compare` (peers.py runs them).

It takes folders and files as they are; `prepare` has nothing to do but to copy the teacher.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from segmentation import run


def prepare(teacher: Path, output: Path) -> None:
    """The teacher as it is."""
    shutil.copytree(teacher, output, dirs_exist_ok=True)


def trim(teacher: Path, texts: Path, output: Path, min_count: int) -> None:
    """Count pieces in the folder's documents, and save the trimmed model and tokenizer."""
    from trimbed import TrimConfig, TrimPipeline

    config = TrimConfig.model_validate(
        {
            "model": str(teacher),
            "output_dir": str(output),
            "overwrite": True,
            "corpus": {
                "datasets": [{"path": "json", "data_files": str(texts / "train.jsonl")}],
            },
            "selection": {"min_count": min_count},
        }
    )
    TrimPipeline(config).run()


if __name__ == "__main__":
    run(prepare, trim)
