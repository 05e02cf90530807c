"""What trimming makes of the teachers that are known by name, and that it changes nothing.

    .venv/bin/python benchmarks/teachers.py          a few minutes, 2 GB

counts the parameters of each encoder as its config has them, whole and with PIECES pieces, without
computing a weight. Then a shrunken one (the config with 2 layers of width 48, random weights) is
trimmed to made-up Swedish, with XLM-R's own tokenizer (of the package of the quickstart) where the
teacher has that, else with a small one of the same kind, and compared: the hidden states of every
held-out sentence that keeps its segmentation and, of a model for sentence vectors, what
sentence-transformers encodes. Writes benchmarks/results/teachers.json and prints the table of
docs/teacher.md.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from provenance import provenance

sys.path.insert(0, str(Path(__file__).parents[1]))

from distill.models import LoadedModel, load_tokenizer
from distill.models.after_pooling import AfterPooling, Dense, Normalize
from distill.models.saving import save_model
from distill.models.sentence_form import SentenceForm
from distill.models.sentence_writing import write_form_of
from distill.models.task_heads import head_of
from distill.new.teachers import KNOWN_TEACHERS, KnownTeacher
from distill.onnx.files import predicts_pieces
from distill.recipe import VocabularySection
from distill.runtime.progress import Progress, silence_libraries
from distill.vocabulary.in_memory import trim_in_memory
from tests.conftest import swedish_sentences
from tests.vocabulary.tokenizers_of_each_family import tokenizer_of

RESULT = Path(__file__).parent / "results" / "teachers.json"
PIECES = 30_000
SMALL = {"layers": 2, "width": 48, "feed_forward": 96, "heads": 4}
SENTENCES = 400
TOKENIZERS = {
    "Unigram": "unigram",
    "WordPiece": "wordpiece, cased",
    "BPE": "byte-level bpe, whole words first",
    "XLM's BPE": "xlm",
}


def main() -> None:
    """Count, trim and compare every teacher; print the table, keep the figures."""
    silence_libraries()
    rows = [{**counted(teacher), **tested(teacher)} for teacher in KNOWN_TEACHERS]
    settings = {"pieces": PIECES, "shrunk": SMALL, "sentences": SENTENCES}
    content = {"provenance": provenance(settings), "rows": rows}
    RESULT.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print("\n".join(table(rows)))


def config_of(teacher: KnownTeacher, **changes: Any) -> Any:
    """Its config, in transformers' own class."""
    shape = {key: changes.get(key, getattr(teacher, key)) for key in SMALL}
    family = teacher.family
    names = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
    if family == "distilbert":
        names = ("n_layers", "dim", "hidden_dim", "n_heads")
    if family == "xlm":
        names = ("n_layers", "emb_dim", "hidden_dim", "n_heads")
    keys: dict[str, Any] = dict(zip(names, shape.values(), strict=True))
    if family == "xlm":
        keys.pop("hidden_dim")  # four times its width
    if family == "eurobert":
        keys["num_key_value_heads"] = keys["num_attention_heads"]
    if family == "deberta-v2":
        keys |= {
            "relative_attention": True,
            "position_buckets": 256,
            "pos_att_type": ["p2c", "c2p"],
            "norm_rel_ebd": "layer_norm",
            "share_att_key": True,
            "position_biased_input": False,
            "type_vocab_size": 0,
        }
    if family == "xlm-roberta":
        keys["type_vocab_size"] = 1
    keys |= {
        "vocab_size": changes.get("vocabulary", teacher.vocabulary),
        "max_position_embeddings": teacher.positions,
        **changes.get("special", {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}),
    }
    return transformers.AutoConfig.for_model(family, **keys)


def parameters(teacher: KnownTeacher, vocabulary: int) -> int:
    """Those of the encoder, with its pooler where it has one and without its head."""
    with torch.device("meta"):
        config = config_of(teacher, vocabulary=vocabulary)
        return int(transformers.AutoModel.from_config(config).num_parameters())


def counted(teacher: KnownTeacher) -> dict[str, Any]:
    """What is known of a teacher, and its sizes."""
    about = {
        "model": teacher.model,
        "family": teacher.family,
        "head": teacher.head,
        "pooling": teacher.pooling,
        "after": list(teacher.after),
        "pieces": teacher.pieces,
        "licence": teacher.licence,
        "vocabulary": teacher.vocabulary,
    }
    if teacher.refused:
        return {**about, "refused": teacher.refused}
    sizes = {
        "parameters": parameters(teacher, teacher.vocabulary),
        "trimmed_parameters": parameters(teacher, PIECES),
    }
    return {**about, **sizes}


def shrunk(teacher: KnownTeacher) -> LoadedModel:
    """A small model of its config, with random weights, and a tokenizer of its kind."""
    torch.manual_seed(0)
    if teacher.pieces == "XLM-R's Unigram":
        tokenizer = load_tokenizer("package:multilingual-e5-small")
    else:
        tokenizer = tokenizer_of(TOKENIZERS[teacher.pieces])
    roles = [f"{role}_token_id" for role in ("pad", "bos", "eos")]
    special = {role: getattr(tokenizer, role) for role in roles}
    if teacher.family == "eurobert":
        special["mask_token_id"] = tokenizer.mask_token_id
    config = config_of(
        teacher,
        **SMALL,
        vocabulary=len(tokenizer),
        special={key: number for key, number in special.items() if number is not None},
    )
    auto = transformers.AutoModel
    if teacher.head == "masked pieces":
        auto = transformers.AutoModelForMaskedLM
    elif teacher.head == "pair score":
        auto, config.num_labels = transformers.AutoModelForSequenceClassification, 1
    return LoadedModel(model=auto.from_config(config).eval(), tokenizer=tokenizer)


def tested(teacher: KnownTeacher) -> dict[str, Any]:
    """What trimming changed of the shrunken teacher."""
    if teacher.refused:
        return {}
    small = shrunk(teacher)
    texts = swedish_sentences(SENTENCES, seed=11)
    section = VocabularySection.model_validate({"min_count": 1})
    trimming = trim_in_memory(
        small,
        texts,
        section,
        heldout=swedish_sentences(100, seed=12),
        prompts=[teacher.query, teacher.passage],
        progress=Progress(quiet=True),
    )
    proof = trimming.proof
    found: dict[str, Any] = {
        "tested_pieces": [proof.original, proof.kept],
        "compared": proof.compared_sentences,
        "max_abs_hidden_difference": proof.max_abs_hidden_difference,
        "max_abs_logit_difference": proof.max_abs_logit_difference,
        "max_abs_head_difference": proof.max_abs_head_difference,
        "has_head": predicts_pieces(small) or head_of(small.model) is not None,
    }
    print(teacher.model, found, flush=True)
    if teacher.pooling is None:
        return found
    pair = LoadedModel(model=trimming.model, tokenizer=trimming.tokenizer)
    return {**found, "max_abs_vector_difference": encoded_apart(teacher, small, pair, texts)}


def encoded_apart(
    teacher: KnownTeacher, whole: LoadedModel, small: LoadedModel, texts: list[str]
) -> float:
    """How far apart sentence-transformers' vectors of both are, on text that is segmented alike."""
    from sentence_transformers import SentenceTransformer

    draw = torch.Generator().manual_seed(1)
    width = SMALL["width"]
    layers: list[Dense | Normalize] = [
        Dense(torch.randn(width, width, generator=draw), None, "Tanh")
        if "Dense" in kind
        else Normalize()
        for kind in teacher.after
    ]
    form = SentenceForm(
        pooling=str(teacher.pooling),
        after=AfterPooling(layers),
        prompts={"query": teacher.query, "document": teacher.passage},
        length=teacher.length,
    )

    def pieces(pair: LoadedModel, text: str) -> list[str]:
        found: list[str] = pair.tokenizer.tokenize(teacher.query + text)
        return found

    same = [text for text in texts if pieces(whole, text) == pieces(small, text)][:100]
    with tempfile.TemporaryDirectory() as place:
        vectors = []
        for name, pair in (("whole", whole), ("small", small)):
            folder = Path(place, name)
            save_model(pair.model, pair.tokenizer, folder)
            write_form_of(pair, form, folder)
            model = SentenceTransformer(str(folder), local_files_only=True, device="cpu")
            vectors.append(model.encode_query(same, batch_size=8))
    assert len(same) > 50 and vectors[0].shape == vectors[1].shape
    return float(np.abs(vectors[0] - vectors[1]).max())


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The rows as docs/teacher.md shows them."""
    lines = [
        "| teacher | family | head | vectors | licence | pieces | parameters | with 30,000 | "
        "tokenizer of the test |",
        "|---|---|---|---|---|---:|---:|---:|---|",
    ]
    for row in rows:
        vectors = ", ".join([row["pooling"], *row["after"]]) if row["pooling"] else "–"
        own = row["pieces"] == "XLM-R's Unigram"
        kind = row["pieces"].removeprefix("XLM's ")
        tokenizer = "its own" if own else f"a small {kind}"
        sizes = "refused: remote code | – | –"
        if "refused" not in row:
            counts = [f"{row[key] / 1e6:.0f}M" for key in ("parameters", "trimmed_parameters")]
            sizes = " | ".join([*counts, tokenizer])
        lines.append(
            f"| `{row['model']}` | {row['family']} | {row['head']} | {vectors} | "
            f"{row['licence']} | {row['vocabulary']:,} | {sizes} |"
        )
    return lines


if __name__ == "__main__":
    main()
