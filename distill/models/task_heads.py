"""A fine-tuned model's head: what it answers, with which labels, and its answers to a batch.

A head is told by the model's class (`...ForSequenceClassification`) and its config, as transformers
tells it: one output is a number, `problem_type` says whether several labels can hold at once.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

HeadTask = Literal["classes", "labels", "number", "pair score", "tags", "answer span"]

_KINDS = ("SequenceClassification", "TokenClassification", "QuestionAnswering")
NUMBERS: tuple[HeadTask, ...] = ("number", "pair score")
"""Those whose answer is one number."""
_WORDS: dict[HeadTask, str] = {
    "classes": "one class a text",
    "labels": "several labels a text",
    "number": "a number for a text",
    "pair score": "a score for a pair of texts",
    "tags": "a tag a word",
    "answer span": "an answer's span",
}
_PIPELINES: dict[HeadTask, str] = {
    "classes": "text-classification",
    "labels": "text-classification",
    "number": "text-classification",
    "pair score": "text-ranking",
    "tags": "token-classification",
    "answer span": "question-answering",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TaskHead:
    """What a head answers."""

    task: HeadTask
    labels: tuple[str, ...]
    """The names of its outputs, in their order; none of a number, a score or a span."""

    @property
    def words(self) -> str:
        """For a person: "one class a text, of 7"."""
        return _WORDS[self.task] + (f", of {len(self.labels)}" if self.labels else "")

    @property
    def pipeline_tag(self) -> str:
        """The Hub's name for the task."""
        return _PIPELINES[self.task]

    @property
    def of_tokens(self) -> bool:
        """Whether it answers for every token, not for the text."""
        return self.task in ("tags", "answer span")


def task_head(config: PretrainedConfig, architecture: str | None = None) -> TaskHead | None:
    """The head of a fine-tuned model; None for a bare encoder or a language model.

    `architecture` is the model's class, the first that the config names by default. An output
    alone is a number where `problem_type` says regression, else a cross-encoder's score, whose
    training leaves it unsaid.
    """
    named = architecture or (getattr(config, "architectures", None) or [""])[0]
    kind = next((kind for kind in _KINDS if named.endswith(f"For{kind}")), None)
    if kind is None:
        return None
    if kind == "QuestionAnswering":
        return TaskHead(task="answer span", labels=())
    labels = tuple(str(config.id2label[i]) for i in range(config.num_labels))
    if kind == "TokenClassification":
        return TaskHead(task="tags", labels=labels)
    problem = getattr(config, "problem_type", None)
    if problem == "multi_label_classification":
        return TaskHead(task="labels", labels=labels)
    if len(labels) == 1:
        return TaskHead(task="number" if problem == "regression" else "pair score", labels=())
    return TaskHead(task="classes", labels=labels)


def head_of(model: PreTrainedModel) -> TaskHead | None:
    """The head of a model in memory."""
    config = getattr(model, "config", None)
    return None if config is None else task_head(config, type(model).__name__)


def head_logits(output: Any) -> torch.Tensor:
    """What the head says in a model's output: [B, N], of tokens [B, L, N]; a span's start and end
    are [B, L, 2].
    """
    if "start_logits" in output:
        return torch.stack((output.start_logits, output.end_logits), dim=-1)
    logits: torch.Tensor = output.logits
    return logits


def predictions(logits: torch.Tensor, head: TaskHead) -> torch.Tensor:
    """What the logits say: classes [B], tags [B, L], which labels hold [B, N], a span's two places
    [B, 2], or the numbers themselves [B, 1].
    """
    if head.task == "labels":
        return logits > 0
    if head.task in NUMBERS:
        return logits
    return logits.argmax(1 if head.task == "answer span" else -1)


def without_head(model: PreTrainedModel) -> PreTrainedModel:
    """The model's encoder, whose config says nothing of labels any more; a copy of the config, the
    weights themselves.
    """
    if head_of(model) is None:
        return model
    encoder: PreTrainedModel = model.base_model
    encoder.config = copy.deepcopy(encoder.config)
    encoder.config.num_labels, encoder.config.problem_type = 2, None
    return encoder
