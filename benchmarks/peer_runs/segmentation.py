"""What the runners of the peers share: their command line, and how a trimmed tokenizer cuts
sentences beside the teacher's. The environment of every peer can run it: only torch is imported.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any


def pieces_of(tokenizer: Any, sentences: Sequence[str]) -> list[list[str]]:
    """Each sentence's pieces by name, without special tokens; what is unknown as that token."""
    return [
        tokenizer.convert_ids_to_tokens(tokenizer(sentence, add_special_tokens=False)["input_ids"])
        for sentence in sentences
    ]


def alike(teachers: Sequence[Sequence[str]], trimmed: Sequence[Sequence[str]]) -> list[bool]:
    """Whether each sentence has the same pieces in both."""
    return [list(first) == list(second) for first, second in zip(teachers, trimmed, strict=True)]


def compare(
    teacher: tuple[Any, Any], trimmed: tuple[Any, Any], sentences: Sequence[str], sample: int = 200
) -> dict[str, Any]:
    """The share of sentences that both tokenizers cut alike, and the largest difference of a value
    of the first such sentences' vectors; each of the two is a model with its tokenizer.
    """
    cut = [pieces_of(tokenizer, sentences) for _, tokenizer in (teacher, trimmed)]
    same = alike(*cut)
    kept = [sentence for sentence, equal in zip(sentences, same, strict=True) if equal][:sample]
    difference = None
    if kept:
        vectors = [mean_vectors(model, tokenizer, kept) for model, tokenizer in (teacher, trimmed)]
        difference = float((vectors[0] - vectors[1]).abs().max())
    return {
        "pieces": len(trimmed[1]),
        "sentences": len(sentences),
        "alike": sum(same) / len(sentences),
        "largest_vector_difference": difference,
    }


def mean_vectors(model: Any, tokenizer: Any, sentences: Sequence[str]) -> Any:
    """Mean-pooled last hidden states, a row a sentence, computed one by one: no padding."""
    import torch

    rows = []
    for sentence in sentences:
        encoded = tokenizer(sentence, return_tensors="pt", truncation=True, max_length=256)
        with torch.inference_mode():
            states = model(
                input_ids=encoded["input_ids"], attention_mask=encoded["attention_mask"]
            ).last_hidden_state
        rows.append(states[0].float().mean(0))
    return torch.stack(rows)


def load(folder: Path, model: str = "AutoModel", tokenizer: str = "AutoTokenizer") -> Any:
    """A folder's model and tokenizer, by the classes of transformers that are named."""
    import transformers

    return (
        getattr(transformers, model).from_pretrained(folder).eval(),
        getattr(transformers, tokenizer).from_pretrained(folder),
    )


def run(
    prepare: Callable[[Path, Path], None],
    trim: Callable[[Path, Path, Path, int], None],
    classes: tuple[str, str] = ("AutoModel", "AutoTokenizer"),
) -> None:
    """A runner's command line: the teacher as the peer takes it; trimming, which is timed; or the
    trimmed folder beside the teacher's, as JSON in the last line.
    """
    match sys.argv[1:]:
        case ["prepare", teacher, output]:
            prepare(Path(teacher), Path(output))
        case ["trim", teacher, texts, output, min_count]:
            trim(Path(teacher), Path(texts), Path(output), int(min_count))
        case ["compare", teacher, trimmed, sentences]:
            texts = json.loads(Path(sentences).read_text(encoding="utf-8"))
            both = load(Path(teacher), *classes), load(Path(trimmed), *classes)
            print(json.dumps(compare(*both, texts)))
        case other:
            sys.exit(f"unknown arguments: {other}")


def read_texts(path: Path) -> list[str]:
    """The documents of a file with a JSON object a line."""
    with path.open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]
