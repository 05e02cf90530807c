"""TextPruner in an environment of its own: `prepare`, `trim` and `compare` (peers.py runs them).

It trims this vocabulary only in a model of the type xlm-roberta with the slow tokenizer, which
reads SentencePiece's file. `prepare` therefore writes the teacher, a BERT over XLM-R's pieces, as
an XLM-R of the same weights (positions begin at 2 there), and its tokenizer.json as that file.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

from segmentation import read_texts, run

FIRST_POSITION = 2


def prepare(teacher: Path, output: Path) -> None:
    """The teacher as XLM-R, with the slow tokenizer's file."""
    import torch
    from transformers import BertModel, XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizer

    output.mkdir(parents=True, exist_ok=True)
    bert = BertModel.from_pretrained(teacher)
    settings = bert.config.to_dict()
    for key in ("model_type", "architectures", "max_position_embeddings", "pad_token_id"):
        settings.pop(key, None)
    positions = bert.config.max_position_embeddings + FIRST_POSITION
    config = XLMRobertaConfig(**settings, max_position_embeddings=positions, pad_token_id=1)
    weights = bert.state_dict()
    name = "embeddings.position_embeddings.weight"
    unused = torch.zeros(FIRST_POSITION, bert.config.hidden_size)
    weights[name] = torch.cat([unused, weights[name]])
    model = XLMRobertaModel(config)
    ids = ("embeddings.position_ids", "embeddings.token_type_ids")
    model.load_state_dict({key: value for key, value in weights.items() if key not in ids})
    model.save_pretrained(output)
    sentencepiece_file(teacher / "tokenizer.json", output / "sentencepiece.bpe.model")
    XLMRobertaTokenizer(str(output / "sentencepiece.bpe.model")).save_pretrained(output)


def sentencepiece_file(tokenizer: Path, output: Path) -> None:
    """XLM-R's pieces, scores and normalisation from tokenizer.json as SentencePiece's file."""
    from sentencepiece import sentencepiece_model_pb2 as messages

    described = json.loads(tokenizer.read_text(encoding="utf-8"))
    model = messages.ModelProto()
    model.trainer_spec.model_type = messages.TrainerSpec.UNIGRAM
    model.trainer_spec.unk_id, model.trainer_spec.bos_id, model.trainer_spec.eos_id = 0, 1, 2
    model.trainer_spec.pad_id = -1
    normalizer = described["normalizer"]
    for part in normalizer.get("normalizers", [normalizer]):
        if part["type"] == "Precompiled":
            rules = base64.b64decode(part["precompiled_charsmap"])
            model.normalizer_spec.precompiled_charsmap = rules
    kinds = messages.ModelProto.SentencePiece
    for piece, kind in (("<unk>", kinds.UNKNOWN), ("<s>", kinds.CONTROL), ("</s>", kinds.CONTROL)):
        model.pieces.add(piece=piece, score=0.0, type=kind)
    # tokenizer.json begins with <s> <pad> </s> <unk> and ends with <mask>.
    for piece, score in described["model"]["vocab"][4:-1]:
        model.pieces.add(piece=piece, score=score, type=kinds.NORMAL)
    output.write_bytes(model.SerializeToString())


def trim(teacher: Path, texts: Path, output: Path, min_count: int) -> None:
    """Count pieces in the folder's documents, and save the trimmed model and tokenizer."""
    from textpruner import VocabularyPruner
    from textpruner.configurations import GeneralConfig, VocabularyPruningConfig
    from transformers import XLMRobertaModel, XLMRobertaTokenizer

    pruner = VocabularyPruner(
        XLMRobertaModel.from_pretrained(teacher),
        XLMRobertaTokenizer.from_pretrained(teacher),
        VocabularyPruningConfig(min_count=min_count),
        GeneralConfig(use_device="cpu", output_dir=str(output)),
    )
    pruner.prune(dataiter=read_texts(texts / "train.jsonl"), save_model=False)
    pruner.save_model(".")


if __name__ == "__main__":
    run(prepare, trim, classes=("XLMRobertaModel", "XLMRobertaTokenizer"))
