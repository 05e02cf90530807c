"""The schema of a recipe: what each section may say, with its default and its meaning.

Strict: an unknown key, a wrong type or a contradiction is an error. `distill.recipe_file` reads one from YAML and
reports every error at once; the stages receive the typed sections.
"""

from __future__ import annotations

import os
import re
from typing import Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

_COUNT = re.compile(r"(\d+(?:\.\d+)?)\s*([kMB]?)")
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}
ENVIRONMENT_NAME = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""How a recipe writes a value that the environment fills: `${NAME}`."""


def parse_count(value: object) -> object:
    """A whole number from 1500, "1500", "400k", "400M" or "1.5B"; anything else is left to the type check."""
    if isinstance(value, str) and (found := _COUNT.fullmatch(value.strip().replace("_", ""))):
        number = float(found[1]) * _FACTORS[found[2]]
        return int(number) if number.is_integer() else value
    return value


Count = Annotated[int, BeforeValidator(parse_count), Field(gt=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Weight = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def filled_from_environment(path: str | None) -> str | None:
    """A path with its ${NAME}s filled from the environment."""
    for name in ENVIRONMENT_NAME.findall(path or ""):
        if not os.environ.get(name):
            raise ValueError(f"{path} names the environment variable {name}, which is not set")
    return path and ENVIRONMENT_NAME.sub(lambda found: os.environ[found[1]], path)


class Section(BaseModel):
    """A part of a recipe: fixed once read, and closed to keys it does not know."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True, str_strip_whitespace=True
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_numbers(cls, value: object, info: ValidationInfo) -> object:
        """Python counts with True; a recipe does not."""
        if isinstance(value, bool) and cls.model_fields[str(info.field_name)].annotation is not bool:
            raise ValueError(f"should not be {str(value).lower()}")
        return value


class Source(Section):
    """Where text or labelled rows come from: exactly one of `hub`, `path` or `package`."""

    hub: str | None = None
    """A dataset on the Hub (organisation/name), streamed."""
    config: str | None = None
    """The Hub dataset's configuration, such as swe_Latn."""
    split: str = "train"
    """The Hub dataset's split."""
    revision: str | None = None
    """The Hub dataset's branch, tag or commit."""
    path: str | None = None
    """Files: txt, jsonl, parquet, conllu or srt, plain or .gz; globs, ${NAME} and any fsspec address work."""
    package: str | None = None
    """An installed Python distribution; `files` says which of its files."""
    files: str | None = None
    """Glob over the package's files, such as journal_digital/corpus/**/*.srt."""
    format: Literal["txt", "jsonl", "parquet", "conllu", "srt"] | None = None
    """The files' format, where their names don't tell."""
    column: str = "text"
    """The column that holds the text (jsonl, parquet, hub)."""
    max_bytes: Annotated[ByteSize, Field(gt=0)] | None = None
    """Stop after this much text, such as 2GB."""
    licence: str | None = Field(default=None, validation_alias=AliasChoices("licence", "license"))
    """The text's licence as the Hub spells it (cc-by-4.0); it travels to the model card."""
    weight: Annotated[float, Field(gt=0)] = 1.0
    """How much each piece of this text counts when pieces are chosen, relative to other sources."""

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        given = [name for name in ("hub", "path", "package") if getattr(self, name)]
        if len(given) != 1:
            found = "none of them" if not given else " and ".join(given)
            raise ValueError(f"a source is one of hub, path or package; found {found}")
        if self.package and not self.files:
            raise ValueError("a package source needs `files`, a glob over the package's files")
        if self.files and not self.package:
            raise ValueError("`files` goes with `package`; for files of your own use `path`")
        for name in ENVIRONMENT_NAME.findall(self.path or ""):
            if not os.environ.get(name):
                raise ValueError(f"path {self.path} names the environment variable {name}, which is not set")
        return self

    @property
    def location(self) -> str:
        """The source in a few words, as the recipe says it."""
        if self.package:
            return f"package {self.package} ({self.files})"
        return f"hub {self.hub}" if self.hub else str(self.path)

    @property
    def label(self) -> str:
        """The source without the user's folders, fit to be published."""
        return self.hub or self.package or str(self.path).replace("\\", "/").rsplit("/", 1)[-1]

    @property
    def filled_path(self) -> str:
        """`path` with its ${NAME}s filled from the environment."""
        return ENVIRONMENT_NAME.sub(lambda found: os.environ.get(found[1], ""), self.path or "")


class Prefixes(Section):
    """What a sentence-embedding model wants in front of its texts."""

    query: str = ""
    """In front of a question."""
    passage: str = ""
    """In front of a text to be found."""

    # The trailing space of "query: " is part of the prefix.
    model_config = ConfigDict(str_strip_whitespace=False)


class TeacherSection(Section):
    """The multilingual encoder to extract from."""

    model: str = Field(min_length=1)
    """A Hub id, a local folder, or package:multilingual-e5-small."""
    revision: str = "main"
    """The Hub model's branch, tag or commit."""
    pooling: Literal["mean", "cls"] = "mean"
    """How token states become one sentence vector."""
    prefixes: Prefixes = Prefixes()
    """What the model wants in front of queries and passages."""
    licence: str | None = Field(default=None, validation_alias=AliasChoices("licence", "license"))
    """The teacher's licence as the Hub spells it; it travels to the model card."""


class CorpusSection(Section):
    """The text of the language."""

    sources: list[Source] = Field(min_length=1)
    """Where the text comes from, one or more."""
    heldout: Share = 0.01
    """Share of the documents kept apart, for every figure that the run reports about text."""
    min_characters: Annotated[int, Field(ge=1)] = 16
    """A shorter document is dropped."""
    min_letters: Annotated[float, Field(ge=0, le=1)] = 0.5
    """A line with a smaller share of letters among its characters is dropped."""
    language_filter: bool = False
    """Leave out documents that are in another language than the recipe's, by an offline identifier."""


class KeepSection(Section):
    """Pieces that stay whatever the target."""

    pieces: list[str] = []
    """These pieces, as the tokenizer writes them."""
    pattern: str | None = None
    """The pieces that match this regular expression whole."""
    terms: str | None = None
    """A text file of domain terms, one a line, whose pieces stay."""

    # A blank can be part of a piece or of a pattern.
    model_config = ConfigDict(str_strip_whitespace=False)

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, value: str | None) -> str | None:
        try:
            re.compile(value or "")
        except re.error as error:
            raise ValueError(f"should be a regular expression; {value!r} is none ({error})") from error
        return value

    _filled = field_validator("terms")(filled_from_environment)


class VocabularySection(Section):
    """Which pieces stay: one target, or none for `min_count: 3`."""

    min_count: Annotated[int, Field(ge=1)] | None = None
    """Keep the pieces seen at least this often in the training text."""
    coverage: Share | None = None
    """Keep the most frequent pieces that make up this share of all pieces of the training text."""
    size: Count | None = None
    """Keep this many pieces in all, special pieces and alphabet included."""
    identical: Share | None = None
    """Keep the fewest pieces that leave this share of held-out sentences segmented as before."""
    floor: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The run fails if a smaller share of held-out sentences keeps its segmentation."""
    alphabet: bool = True
    """Keep every character of the language's scripts that occurs in the text, and every ASCII character."""
    lexicon: str | None = None
    """A word list of the language, one word a line (plain or .gz), whose pieces stay."""
    keep: Annotated[KeepSection, BeforeValidator(lambda value: {"pieces": value} if isinstance(value, list) else value)] = (
        KeepSection()
    )
    """What stays besides: pieces, a pattern, terms; or a list of pieces."""

    _filled = field_validator("lexicon")(filled_from_environment)

    @property
    def word_lists(self) -> list[Source]:
        """The files that the section names."""
        return [Source(path=path, format="txt") for path in (self.lexicon, self.keep.terms) if path]

    @model_validator(mode="after")
    def _one_target(self) -> VocabularySection:
        given = [name for name in ("min_count", "coverage", "size", "identical") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"cannot aim at both {' and '.join(given)}; choose one")
        if self.identical is not None and self.identical < self.floor:
            raise ValueError(f"identical {self.identical} lies below floor {self.floor}; the run would always fail")
        return self


class PruningSection(Section):
    """How the student gets narrower, where its hidden or feed-forward size is to be smaller than the teacher's."""

    steps: Count = 8
    """In how many steps the sizes go down, evenly; many small steps keep far more than one large one."""
    importance: Literal["taylor", "magnitude"] = "taylor"
    """What a unit is worth: how much the loss would change without it on the language's text, or the size of its weights."""
    batches: Count = 16
    """Batches of text that the Taylor importance of each step is computed on."""
    recover_tokens: Annotated[int, BeforeValidator(parse_count), Field(ge=0)] = 0
    """Tokens of distillation after each step, by the recipe's objectives."""


class StudentSection(Section):
    """The student's architecture; what is not given stays as the teacher has it."""

    layers: Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=1)]] | None = None
    """How many layers, evenly spread over the teacher's and its last among them; or which, counted from 1. 6 by default."""
    intermediate_size: Count | None = None
    """Width of the feed-forward layers."""
    hidden_size: Count | None = None
    """Hidden size; whole attention heads go with it."""
    pruning: PruningSection = PruningSection()
    """How a narrower student is pruned."""
    config: dict[str, Any] | None = None
    """A student that no pruning reaches: what a stock config says of it where it differs from the teacher's."""
    weights: Literal["copied", "random"] = "copied"
    """What a student of its own config starts from: as much of the teacher's weights as fits, or random ones."""
    model: str | None = None
    """An existing model as the student, a Hub id or a folder; its vocabulary is the teacher's, or already the trimmed one."""
    revision: str = "main"
    """That Hub model's branch, tag or commit."""

    @model_validator(mode="after")
    def _one_way(self) -> StudentSection:
        if isinstance(self.layers, list) and (not self.layers or self.layers != sorted(set(self.layers))):
            raise ValueError(f"a list of layers names at least one, each once, in rising order; found {self.layers}")
        shape = [name for name in ("layers", "intermediate_size", "hidden_size") if getattr(self, name) is not None]
        given = [name for name, value in (("model", self.model), ("config", self.config)) if value is not None]
        if len(given) > 1 or (given and shape):
            raise ValueError(f"cannot have both {' and '.join([*given, *shape][:2])}; choose one")
        if self.weights == "random" and self.config is None:
            raise ValueError("weights: random goes with config; without one the student is cut from the teacher's own weights")
        return self

    @property
    def kept_layers(self) -> int | list[int]:
        """`layers` or its default."""
        return 6 if self.layers is None else self.layers


class ObjectivesSection(Section):
    """What the student imitates, each with its weight in the loss; 0 leaves it out."""

    hidden: Weight = 1.0
    """Hidden states of the teacher layer that each student layer stands for (TinyBERT, Jiao et al. 2020)."""
    relations: Weight = 0.0
    """Query, key and value relations of one layer (MiniLMv2, Wang et al. 2021)."""
    embedding: Weight = 0.0
    """Pooled sentence vectors, and how they relate to the others of their batch."""
    logits: Weight = 0.0
    """The teacher's distribution over pieces at masked positions (Hinton et al. 2015); needs a language-model head."""
    mlm: Weight = 0.0
    """The pieces that stand at masked positions (Devlin et al. 2019); needs a language-model head."""
    attention: Weight = 0.0
    """Attention scores of the teacher layer that each student layer stands for (TinyBERT, Jiao et al. 2020)."""

    @property
    def weights(self) -> dict[str, float]:
        """The objectives that have a weight."""
        return {name: weight for name, weight in self.model_dump().items() if weight}

    @property
    def masked(self) -> bool:
        """Whether pieces are masked: only then is there something to predict."""
        return bool(self.logits or self.mlm)

    @model_validator(mode="after")
    def _at_least_one(self) -> ObjectivesSection:
        if not self.weights:
            raise ValueError("all weights are 0; give at least one objective a weight above 0")
        return self


class DistillationSection(Section):
    """How long and how the student learns from its teacher."""

    objectives: ObjectivesSection = ObjectivesSection()
    """Which objectives, with their weights."""
    relation_layer: Annotated[int, Field(ge=1)] | None = None
    """The teacher layer, counted from 1, whose relations the student's last layer imitates; the last by default."""
    relation_heads: Count | None = None
    """Into how many heads relations split queries, keys and values; as many as both models' heads share by default."""
    logits: Literal["kl", "mse"] = "kl"
    """How logits are compared: by the divergence of their softmax, or by their squared error."""
    temperature: Annotated[float, Field(gt=0)] = 2.0
    """Softmax temperature of that divergence."""
    masking: Share = 0.15
    """Share of the pieces that are masked where an objective predicts them."""
    tokens: Count = 10_000_000
    """How many tokens the student sees; the text is read again when it ends."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Fewer tokens where a short probe says that so many would take longer than this."""
    patience: Count | None = None
    """Stop after this many validations in a row without a better one; without it the tokens decide."""
    batch_tokens: Count = 4096
    """Tokens of one optimiser step, on all devices together."""
    micro_batch_tokens: Count | None = None
    """Tokens that go through the models at once, on all devices together, where memory has no room for a whole step's."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    """The highest learning rate: reached after the warm-up, then falling to zero."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps in which the learning rate rises."""
    weight_decay: Weight = 0.01
    """AdamW's decoupled weight decay, on matrices."""
    max_gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are scaled down to this norm."""
    block_tokens: Annotated[int, Field(ge=8)] = 128
    """The training text is packed into blocks of so many tokens, without padding; not so with the embedding objective."""
    chunk_words: tuple[Count, Count] = (8, 64)
    """With the embedding objective the text is cut into chunks of between this few and this many words instead."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the matrix products; auto takes bfloat16 where the device is faster with it."""
    cache_teacher: bool = False
    """Compute the teacher's states once and keep them on disk; pays where the text is read several times."""
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 30.0
    """A checkpoint is written this often."""
    validations: Annotated[int, Field(ge=0)] = 8
    """How often along the way objective and fidelity are measured on held-out text; the best student is kept."""

    @model_validator(mode="after")
    def _consistent(self) -> DistillationSection:
        low, high = self.chunk_words
        if low > high:
            raise ValueError(f"chunk_words goes from few to many; found [{low}, {high}]")
        if self.patience is not None and not self.validations:
            raise ValueError("patience counts validations, and validations is 0; give it some")
        if self.cache_teacher and self.objectives.masked:
            raise ValueError(
                "cache_teacher keeps states of unmasked text, and logits and mlm mask it anew each time; choose one"
            )
        if self.cache_teacher and self.objectives.attention:
            raise ValueError("cache_teacher keeps states and no attention scores; choose it or the attention objective")
        if self.micro_batch_tokens is not None and self.micro_batch_tokens > self.batch_tokens:
            raise ValueError(f"micro_batch_tokens {self.micro_batch_tokens} is more than batch_tokens {self.batch_tokens}")
        return self


class RetrievalTask(Section):
    """Find the passage that answers each query among all passages, by the cosine of sentence vectors; no fine-tuning."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The task's name in the report."""
    kind: Literal["retrieval"]
    """The kind of task."""
    source: Source
    """Where the rows come from."""
    query: str
    """The column of the queries."""
    passage: str
    """The column of the passages, each the answer to its row's query."""
    metrics: list[Literal["mrr@10", "recall@1"]] = Field(default=["mrr@10", "recall@1"], min_length=1)
    """What is measured; retention and the report's plot use the first."""


ModelName = Literal["teacher", "trimmed", "student", "initial", "untrained"]


class EvaluationSection(Section):
    """What the models can do."""

    models: list[ModelName] = ["teacher", "trimmed", "student", "initial", "untrained"]
    """Which models: initial is the student before distillation, untrained its architecture with random weights."""
    tasks: list[RetrievalTask] = []
    """On which tasks."""

    @model_validator(mode="after")
    def _each_once(self) -> EvaluationSection:
        for what, names in (("models", list(map(str, self.models))), ("tasks", [task.name for task in self.tasks])):
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{what} names {', '.join(twice)} twice")
        return self


class BenchmarkSection(Section):
    """How large and how fast the models are."""

    models: list[ModelName] = ["teacher", "trimmed", "student"]
    """Which models."""
    devices: list[Literal["cpu", "cuda"]] = ["cpu"]
    """On which devices; one that is absent is reported so."""
    threads: list[Annotated[int, Field(ge=1)] | Literal["all"]] = [1, "all"]
    """CPU threads."""
    batch_sizes: list[Annotated[int, Field(ge=1)]] = [1, 32]
    """Sequences at once."""
    lengths: list[Annotated[int, Field(ge=3)]] = [32, 128]
    """Tokens of a sequence."""
    seconds: Annotated[float, Field(gt=0)] = 4.0
    """Time spent on each combination of device, threads, batch size and length, all models together."""


class ExportSection(Section):
    """The folder that is handed over."""

    licence: str | None = Field(default=None, validation_alias=AliasChoices("licence", "license"))
    """The student's licence; without it the strictest of teacher and corpora is named."""


class Recipe(Section):
    """One student: from which teacher, for which language, by which steps."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=96)
    """The run's folder in runs/, MLflow experiment and default export name."""
    language: str = Field(pattern=r"^[a-z]{2,3}$")
    """ISO 639-1 (or 639-3) code of the language to keep."""
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    """Everything random follows from it."""
    teacher: TeacherSection
    corpus: CorpusSection
    vocabulary: VocabularySection = VocabularySection()
    student: StudentSection = StudentSection()
    distillation: DistillationSection = DistillationSection()
    evaluation: EvaluationSection = EvaluationSection()
    benchmark: BenchmarkSection = BenchmarkSection()
    export: ExportSection = ExportSection()
