"""`distill.distil`: a smaller model that learns from a larger one."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from distill.library.models import Model, display, form_of, load
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from distill.report.results.distillation import DistillationResult


@dataclass(frozen=True, kw_only=True, slots=True)
class Distillation:
    """A student, and how it was trained."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    layers: list[int]
    """The teacher's layers, counted from 1, that the student's stand for."""
    result: DistillationResult

    def __repr__(self) -> str:
        result = self.result
        return (
            f"Distillation({self.model.num_parameters():,} parameters, layers {self.layers}, "
            f"{result.tokens:,} tokens in {result.seconds:.0f} s, final loss {result.final_loss})"
        )


def distil(
    teacher: Model | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None = None,
    texts: Iterable[str] | Iterable[tuple[str, str]] = (),
    *,
    student: PreTrainedModel | None = None,
    layers: int | Sequence[int] | None = None,
    objectives: Mapping[str, float] | None = None,
    tokens: int = 10_000_000,
    minutes: float | None = None,
    batch_tokens: int = 4096,
    learning_rate: float = 5e-4,
    chunk_words: tuple[int, int] | None = None,
    negatives: int = 4,
    pooling: str | None = None,
    prefixes: Sequence[str] | None = None,
    precision: Literal["auto", "float32", "bfloat16"] = "auto",
    validations: int = 8,
    heldout: float = 0.01,
    seed: int = 0,
    output: Path | str | None = None,
    progress: bool | None = None,
) -> Distillation:
    """Train a student of `teacher` on `texts` (documents, or for a cross-encoder pairs of texts,
    each first text with so many `negatives` besides).

    The student is `student`, changed in place, or a copy of some of the teacher's `layers` (a
    count, half of them by default, or a list counted from 1). `pooling` and `prefixes` are by
    default as the teacher's own files say. `heldout` is the share of the texts that it is
    validated on. With `output`, a folder, an interrupted call is resumed there, and the
    student stands in `output`/model in the end. Raises UserError for input that does not fit.
    """
    from pydantic import ValidationError

    from distill.distillation import SCAFFOLDS
    from distill.distillation.loop import Pair
    from distill.distillation.train import distil_student
    from distill.models.task_heads import head_of
    from distill.recipe import DistillationSection
    from distill.runtime.runtime import Runtime
    from distill.student.custom import corresponding_layers
    from distill.student.depth import choose_layers, keep_layers

    loaded = load(teacher, tokenizer)
    form = form_of(teacher, pooling)
    asked = [form.prompts.get("query", ""), form.prompts.get("document", "")]
    depth = loaded.model.config.num_hidden_layers
    try:
        section = DistillationSection.model_validate(
            {
                "objectives": dict(objectives or {"hidden": 1.0}),
                "tokens": tokens,
                "minutes": minutes,
                "batch_tokens": batch_tokens,
                "learning_rate": learning_rate,
                "chunk_words": chunk_words,
                "negatives": negatives,
                "precision": precision,
                "validations": validations,
            }
        )
        if student is None:
            chosen = choose_layers(layers if layers is not None else max(1, depth // 2), depth)
            student = keep_layers(loaded.model, chosen)
        else:
            chosen = corresponding_layers(student.config.num_hidden_layers, depth)
        ordered, of_pairs = check_texts(texts)
        head = head_of(loaded.model)
        scores_pairs = head is not None and head.task == "pair score"
        if section.objectives.task and scores_pairs and ordered and not of_pairs:
            raise UserError(
                "distil: the teacher scores pairs of texts, and texts are single ones; give pairs, "
                "or leave the objective task out."
            )
        training, unseen = hold_out(ordered, heldout)
        if not training or not unseen:
            raise UserError("distil: give more texts: some are trained on, some are held out.")
        pair = Pair(
            student=student,
            teacher=loaded.model,
            tokenizer=loaded.tokenizer,
            layers=chosen,
            pooling=form.pooling,
            after=form.after,
            of_pairs=of_pairs,
        )
        with TemporaryDirectory() as temporary:
            folder = Path(output or temporary)
            folder.mkdir(parents=True, exist_ok=True)
            result = distil_student(
                section,
                pair=pair,
                prefixes=list(prefixes or dict.fromkeys(asked) or ("",)),
                texts=training,
                heldout=unseen,
                output=folder,
                runtime=Runtime(progress=display(progress), seed=seed),
            )
            for scaffold in SCAFFOLDS:
                shutil.rmtree(folder / scaffold, ignore_errors=True)
    except ValidationError as error:
        raise UserError(f"distil: {first_trouble(error)}") from error
    except ValueError as error:
        raise UserError(f"distil: {error}") from error
    return Distillation(
        model=student, tokenizer=loaded.tokenizer, layers=list(chosen), result=result
    )


def check_texts(texts: Iterable[Any]) -> tuple[list[Any], bool]:
    """The texts as a list, or the pairs as tuples, and whether they are pairs. Raises UserError if
    some are neither, or both occur.
    """
    ordered = [tuple(text) if isinstance(text, list) else text for text in texts]
    is_pair = [isinstance(text, tuple) for text in ordered]
    for number, text in enumerate(ordered):
        parts = text if isinstance(text, tuple) else (text,)
        of_strings = all(isinstance(part, str) for part in parts)
        if not of_strings or (is_pair[number] and len(parts) != 2) or is_pair[number] != is_pair[0]:
            raise UserError(
                "distil: texts should be strings, or all of them pairs of strings; number "
                f"{number + 1} is {text!r:.60}."
            )
    ordered = [text for text in ordered if not isinstance(text, tuple) or all(map(str.strip, text))]
    return ordered, bool(is_pair and is_pair[0])


def first_trouble(error: ValidationError) -> str:
    """What is wrong with an argument, in a few words."""
    trouble = error.errors()[0]
    where = ".".join(map(str, trouble["loc"]))
    return f"{where}: {trouble['msg']}; found {trouble['input']!r:.60}."


def hold_out(texts: Sequence[Any], share: float) -> tuple[list[Any], list[Any]]:
    """The texts to train on, and a share of them to validate on: at least one, drawn by content."""
    from distill.corpus.cleaning import content_hash, encodable

    count = max(1, round(share * len(texts)))
    hashes = [
        content_hash(encodable(text if isinstance(text, str) else "\0".join(text)))
        for text in texts
    ]
    apart = set(sorted(range(len(texts)), key=hashes.__getitem__)[:count])
    training = [text for i, text in enumerate(texts) if i not in apart]
    return training, [texts[i] for i in sorted(apart)]
