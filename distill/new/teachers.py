"""Multilingual encoders by name: their shape, how their vectors are made, their licence."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

from distill.runtime.errors import UserError

Head = Literal["masked pieces", "sentence vectors", "pair score"]
Pieces = Literal["XLM-R's Unigram", "Unigram", "WordPiece", "BPE", "XLM's BPE"]


@dataclass(frozen=True, kw_only=True, slots=True)
class KnownTeacher:
    """A model of the Hub, as its page and its config tell it."""

    model: str
    family: str
    """The `model_type` of its config."""
    layers: int
    width: int
    feed_forward: int
    heads: int
    vocabulary: int
    """Rows of its embedding table."""
    positions: int
    pieces: Pieces
    licence: str
    head: Head = "masked pieces"
    pooling: str | None = None
    """Of a model for sentence vectors."""
    after: tuple[str, ...] = ()
    """What becomes of pooled vectors."""
    query: str = ""
    passage: str = ""
    length: int | None = None
    """How many tokens sentence-transformers reads, where fewer than it could."""
    dimensions: tuple[int, ...] = ()
    """To how many numbers its vectors may be cut."""
    refused: str | None = None
    """Why it cannot be a teacher."""

    @property
    def student_layers(self) -> int | list[int]:
        """Six of its layers: a count, or where the first must be among them a list."""
        if self.family != "modernbert":
            return 6
        return [1 + round(i * (self.layers - 1) / 5) for i in range(6)]


def _base(model: str, family: str, pieces: Pieces, licence: str, **more: object) -> KnownTeacher:
    """A model of BERT base's shape, where nothing else is said."""
    shape: dict[str, object] = {"layers": 12, "width": 768, "feed_forward": 3072, "heads": 12}
    given = {"vocabulary": 250_002, "positions": 514, **shape, **more}
    return KnownTeacher(model=model, family=family, pieces=pieces, licence=licence, **given)  # type: ignore[arg-type]


_XLM_R: Pieces = "XLM-R's Unigram"
_LARGE = {"layers": 24, "width": 1024, "feed_forward": 4096, "heads": 16}
_SMALL = {"width": 384, "feed_forward": 1536, "vocabulary": 250_037, "positions": 512}
_MODERN = {"feed_forward": 1152, "positions": 8192}
_E5 = {
    "head": "sentence vectors",
    "pooling": "mean",
    "after": ("Normalize",),
    "query": "query: ",
    "passage": "passage: ",
    "length": 512,
}
_PARAPHRASE = {"head": "sentence vectors", "pooling": "mean", "length": 128}
_CLS = {"head": "sentence vectors", "pooling": "cls", "after": ("Normalize",)}

KNOWN_TEACHERS = (
    _base("FacebookAI/xlm-roberta-base", "xlm-roberta", _XLM_R, "mit"),
    _base("FacebookAI/xlm-roberta-large", "xlm-roberta", _XLM_R, "mit", **_LARGE),
    _base("facebook/xlm-v-base", "xlm-roberta", "Unigram", "mit", vocabulary=901_629),
    _base(
        "google-bert/bert-base-multilingual-cased",
        "bert",
        "WordPiece",
        "apache-2.0",
        vocabulary=119_547,
        positions=512,
    ),
    _base(
        "distilbert/distilbert-base-multilingual-cased",
        "distilbert",
        "WordPiece",
        "apache-2.0",
        layers=6,
        vocabulary=119_547,
        positions=512,
    ),
    _base(
        "microsoft/mdeberta-v3-base",
        "deberta-v2",
        "Unigram",
        "mit",
        vocabulary=251_000,
        positions=512,
    ),
    _base(
        "sentence-transformers/LaBSE",
        "bert",
        "WordPiece",
        "apache-2.0",
        vocabulary=501_153,
        positions=512,
        **{**_CLS, "after": ("Dense (tanh)", "Normalize"), "length": 256},
    ),
    _base("intfloat/multilingual-e5-small", "bert", _XLM_R, "mit", **_SMALL, **_E5),
    _base("intfloat/multilingual-e5-base", "xlm-roberta", _XLM_R, "mit", **_E5),
    _base("intfloat/multilingual-e5-large", "xlm-roberta", _XLM_R, "mit", **_LARGE, **_E5),
    _base("BAAI/bge-m3", "xlm-roberta", _XLM_R, "mit", positions=8194, **_LARGE, **_CLS),
    _base(
        "BAAI/bge-reranker-v2-m3",
        "xlm-roberta",
        _XLM_R,
        "apache-2.0",
        head="pair score",
        positions=8194,
        **_LARGE,
    ),
    _base(
        "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
        "bert",
        _XLM_R,
        "apache-2.0",
        **_SMALL,
        **_PARAPHRASE,
    ),
    _base(
        "sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
        "xlm-roberta",
        _XLM_R,
        "apache-2.0",
        **_PARAPHRASE,
    ),
    _base(
        "jhu-clsp/mmBERT-small",
        "modernbert",
        "BPE",
        "mit",
        layers=22,
        width=384,
        heads=6,
        vocabulary=256_000,
        **_MODERN,
    ),
    _base(
        "jhu-clsp/mmBERT-base", "modernbert", "BPE", "mit", layers=22, vocabulary=256_000, **_MODERN
    ),
    _base(
        "EuroBERT/EuroBERT-210m",
        "eurobert",
        "BPE",
        "apache-2.0",
        vocabulary=128_256,
        positions=8192,
    ),
    _base(
        "ibm-granite/granite-embedding-97m-multilingual-r2",
        "modernbert",
        "BPE",
        "apache-2.0",
        width=384,
        feed_forward=1536,
        vocabulary=180_000,
        positions=32_768,
        **_CLS,
    ),
    _base(
        "ibm-granite/granite-embedding-311m-multilingual-r2",
        "modernbert",
        "BPE",
        "apache-2.0",
        layers=22,
        feed_forward=1152,
        vocabulary=262_152,
        positions=32_768,
        dimensions=(128, 256, 384, 512),
        **_CLS,
    ),
    _base(
        "Alibaba-NLP/gte-multilingual-base",
        "new",
        _XLM_R,
        "apache-2.0",
        vocabulary=250_048,
        positions=8192,
        refused="its code comes with the model, and remote code is never run",
        **_CLS,
    ),
    _base(
        "FacebookAI/xlm-mlm-100-1280",
        "xlm",
        "XLM's BPE",
        "cc-by-nc-4.0",
        layers=16,
        width=1280,
        feed_forward=5120,
        heads=16,
        vocabulary=200_000,
        positions=512,
    ),
    _base("cis-lmu/glot500-base", "xlm-roberta", "Unigram", "apache-2.0", vocabulary=401_145),
    _base("NbAiLab/nb-roberta-base-scandi", "xlm-roberta", _XLM_R, "apache-2.0"),
)


def find_teacher(name: str) -> KnownTeacher:
    """The known teacher of that Hub id, or of what follows its organisation. Raises UserError if
    there is none, or if it cannot be a teacher.
    """
    by_name = {teacher.model.lower(): teacher for teacher in KNOWN_TEACHERS}
    by_name |= {teacher.model.split("/")[1].lower(): teacher for teacher in KNOWN_TEACHERS}
    known = by_name.get(name.lower())
    if known is None:
        near = difflib.get_close_matches(name.lower(), by_name, n=1)
        hint = (
            f"did you mean {by_name[near[0]].model}?"
            if near
            else ("docs/teacher.md has a table; any other goes into the recipe by hand.")
        )
        raise UserError(f"--teacher: {name} is not among the teachers known by name; {hint}")
    if known.refused:
        raise UserError(f"--teacher: {known.model} cannot be a teacher: {known.refused}.")
    return known
