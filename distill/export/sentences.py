"""What sentence-transformers reads beside a model: how vectors are pooled and what stands in front
of a text.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from distill.recipe import TeacherSection


def write_sentence_files(teacher: TeacherSection, folder: Path, *, width: int, length: int) -> None:
    """Write the files by which `SentenceTransformer(folder)` gives the vectors that the run
    measured.

    `width` is that of a vector, `length` how many tokens of a text are read. The classes go by
    their names since version 1, which every later version knows; `pooling_mode_...` and
    `max_seq_length` are what text-embeddings-inference reads.
    """
    modules = [
        {
            "idx": index,
            "name": str(index),
            "path": path,
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, (path, kind) in enumerate([("", "Transformer"), ("1_Pooling", "Pooling")])
    ]
    pooling = {
        "word_embedding_dimension": width,
        "pooling_mode_cls_token": teacher.pooling == "cls",
        "pooling_mode_mean_tokens": teacher.pooling == "mean",
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    query, passage = teacher.prefixes.query, teacher.prefixes.passage
    whole = {
        # The names of encode_query and encode_document; mteb warns of any other.
        "prompts": {"query": query, "document": passage},
        "default_prompt_name": None,
        "similarity_fn_name": "cosine",
    }
    (folder / "1_Pooling").mkdir(exist_ok=True)
    _write(folder / "modules.json", modules)
    _write(folder / "1_Pooling" / "config.json", pooling)
    _write(folder / "config_sentence_transformers.json", whole)
    _write(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
