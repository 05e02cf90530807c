"""The section that says how the student learns from the teacher."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    Field,
    ModelWrapValidatorHandler,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    model_serializer,
    model_validator,
)

from distill.recipe.objectives import is_registered, predicts_masked
from distill.recipe.section import Count, GrownSection, Section, Share, Weight


class ObjectivesSection(Section):
    """What the student imitates, each with its weight in the loss; 0 leaves it out."""

    hidden: Weight = 1.0
    """Hidden states of the teacher layer that each student layer stands for (TinyBERT, Jiao et al.
    2020).
    """
    relations: Weight = 0.0
    """Query, key and value relations of one layer (MiniLMv2, Wang et al. 2021)."""
    embedding: Weight = 0.0
    """Pooled sentence vectors, and how they relate to the others of their batch."""
    logits: Weight = 0.0
    """The teacher's distribution over pieces at masked positions (Hinton et al. 2015); needs a
    language-model head.
    """
    mlm: Weight = 0.0
    """The pieces that stand at masked positions (Devlin et al. 2019); needs a language-model
    head.
    """
    attention: Weight = 0.0
    """Attention scores of the teacher layer that each student layer stands for (TinyBERT, Jiao et
    al. 2020).
    """

    task: Weight = 0.0
    """The answers of a fine-tuned teacher's head (classes, labels, tags, scores), on unlabelled
    text.
    """

    _registered: dict[str, float] = PrivateAttr(default_factory=dict)
    """The weights of objectives that were registered from outside."""

    @property
    def weights(self) -> dict[str, float]:
        """The objectives that have a weight."""
        return {name: weight for name, weight in self.model_dump().items() if weight}

    @property
    def masked(self) -> bool:
        """Whether pieces are masked: only then is there something to predict."""
        predicting = any(predicts_masked(name) for name in self._registered)
        return bool(self.logits or self.mlm or predicting)

    @model_validator(mode="wrap")
    @classmethod
    def _with_registered(
        cls, given: Any, handler: ModelWrapValidatorHandler[ObjectivesSection]
    ) -> ObjectivesSection:
        if not isinstance(given, dict):
            section = handler(given)
        else:
            added = {key: weight for key, weight in given.items() if is_registered(key)}
            section = handler({key: given[key] for key in given if key not in added})
            section._registered = TypeAdapter(dict[str, Weight]).validate_python(added)
        if not section.weights:
            raise ValueError("all weights are 0; give at least one objective a weight above 0")
        return section

    @model_serializer(mode="wrap")
    def _serialize(self, handler: SerializerFunctionWrapHandler) -> dict[str, float]:
        return {**handler(self), **self._registered}


class DistillationSection(GrownSection):
    """How long and how the student learns from its teacher."""

    later: ClassVar[frozenset[str]] = frozenset({"negatives"})

    objectives: ObjectivesSection = ObjectivesSection()
    """Which objectives, with their weights."""
    relation_layer: Annotated[int, Field(ge=1)] | None = None
    """The teacher layer, counted from 1, whose relations the student's last layer imitates; the
    last by default.
    """
    relation_heads: Count | None = None
    """Into how many heads relations split queries, keys and values; as many as both models' heads
    share by default.
    """
    logits: Literal["kl", "mse"] = "kl"
    """How logits are compared: by the divergence of their softmax, or by their squared error."""
    temperature: Annotated[float, Field(gt=0)] = 2.0
    """Softmax temperature of that divergence, and of the task objective's."""
    masking: Share = 0.15
    """Share of the pieces that are masked where an objective predicts them."""
    tokens: Count = 10_000_000
    """How many tokens the student sees; the text is read again when it ends."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Fewer tokens where a short probe says that so many would take longer than this."""
    patience: Count | None = None
    """Stop after this many validations in a row without a better one; without it the tokens
    decide.
    """
    batch_tokens: Count = 4096
    """Tokens of one optimiser step, on all devices together."""
    micro_batch_tokens: Count | None = None
    """Tokens that go through the models at once, on all devices together, where memory has no room
    for a whole step's.
    """
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 5e-4
    """The highest learning rate: reached after the warm-up, then falling to zero."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """Share of the steps in which the learning rate rises."""
    weight_decay: Weight = 0.01
    """AdamW's decoupled weight decay, on matrices."""
    max_gradient_norm: Annotated[float, Field(gt=0)] = 1.0
    """Gradients are scaled down to this norm."""
    block_tokens: Annotated[int, Field(ge=8)] = 128
    """The training text is packed into blocks of so many tokens, without padding, unless it is cut
    into chunks.
    """
    chunk_words: tuple[Count, Count] | None = None
    """Cut the text into chunks of between this few and this many words, each with a prefix of the
    teacher's, instead.

    The embedding and task objectives want chunks, 8 to 64 words where nothing else is said.
    """
    negatives: Annotated[int, Field(ge=0, le=100)] = 4
    """With how many wrong second texts each first text is paired besides, where the teacher scores
    pairs: half of them share most words with it, half are drawn.
    """
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Arithmetic of the matrix products; auto takes bfloat16 where the device is faster with it."""
    cache_teacher: bool = False
    """Compute the teacher's states once and keep them on disk; pays where the text is read several
    times.
    """
    checkpoint_seconds: Annotated[float, Field(gt=0)] = 30.0
    """A checkpoint is written this often."""
    validations: Annotated[int, Field(ge=0)] = 8
    """How often along the way objective and fidelity are measured on held-out text; the best
    student is kept.
    """

    @property
    def words_of_chunks(self) -> tuple[int, int] | None:
        """`chunk_words` or its default; None where the text is packed into blocks."""
        of_texts = self.objectives.embedding or self.objectives.task
        return self.chunk_words or ((8, 64) if of_texts else None)

    @model_validator(mode="after")
    def _consistent(self) -> DistillationSection:
        if self.chunk_words and self.chunk_words[0] > self.chunk_words[1]:
            raise ValueError(f"chunk_words goes from few to many; found {list(self.chunk_words)}")
        if self.patience is not None and not self.validations:
            raise ValueError("patience counts validations, and validations is 0; give it some")
        if self.cache_teacher and self.objectives.masked:
            raise ValueError(
                "cache_teacher keeps states of unmasked text, and logits and mlm mask it anew each "
                "time; choose one"
            )
        if self.cache_teacher and self.objectives.attention:
            raise ValueError(
                "cache_teacher keeps states and no attention scores; choose it or the attention "
                "objective"
            )
        if self.cache_teacher and self.objectives.task:
            raise ValueError(
                "cache_teacher keeps states and no answers; choose it or the task objective"
            )
        if self.micro_batch_tokens is not None and self.micro_batch_tokens > self.batch_tokens:
            raise ValueError(
                f"micro_batch_tokens {self.micro_batch_tokens} is more than batch_tokens "
                f"{self.batch_tokens}"
            )
        return self
