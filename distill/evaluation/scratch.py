"""The student's architecture trained from nothing: documents go in; a masked-language model with
random beginnings comes out.

It shows what the teacher is worth: the same architecture and vocabulary, the same documents and as
many tokens as the distillation took, by masked-language modelling alone (Devlin et al. 2019).
"""

from __future__ import annotations

import copy
import json
import math
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from distill.distillation.objectives.mlm import mlm_loss
from distill.models import LoadedModel
from distill.models.heads import language_head
from distill.models.loading import load_model, position_limit
from distill.models.saving import save_model
from distill.recipe import DistillationSection, ObjectivesSection
from distill.report.results.evaluation import ScratchFigures
from distill.runtime.batching import split_rows
from distill.runtime.files import write_whole
from distill.runtime.progress import Progress
from distill.runtime.runtime import Runtime
from distill.training.batches import Batch, Masking
from distill.training.blocks import write_blocks
from distill.training.checkpoints import LoopState
from distill.training.chunks import Chunks, has_chunks, open_chunks
from distill.training.gradients import Gradients
from distill.training.loop import DivergedError, TrainingLoop, starting_precision

if TYPE_CHECKING:
    from transformers import PreTrainedModel

RECORD = "scratch.json"
_HELDOUT_TOKENS = 50_000
"""Tokens of held-out text by which learning rates are compared."""
_BATCH_TOKENS = 4096
"""Tokens that go through the model at once."""


def train_scratch(
    student: LoadedModel,
    section: DistillationSection,
    *,
    learning_rates: Sequence[float],
    texts: Iterable[str],
    heldout: Iterable[str],
    tokens: int,
    output: Path,
    runtime: Runtime,
) -> LoadedModel:
    """The trained model, saved to `output`/model; one that is there already is loaded, and a
    training that was cut off is resumed.

    It is trained once at each of `learning_rates`, and the model with the lowest loss on `heldout`
    is kept: a rate that suits imitation can be one at which masked-language modelling never leaves
    the pieces' frequencies. Batches, schedule and masking are those of `section`. Raises ValueError
    if the tokenizer has no mask, and Interrupted after a signal, with a checkpoint written.
    """
    tokenizer = student.tokenizer
    scaffolds = ("train", "heldout", *(f"rate-{rate:g}" for rate in learning_rates))
    if (output / "model" / "config.json").is_file():
        _remove(output, scaffolds)  # or a kill left them
        return LoadedModel(model=load_model(output / "model"), tokenizer=tokenizer)
    if tokenizer.mask_token_id is None:
        raise ValueError(
            "scratch is trained by masked-language modelling, and the teacher's tokenizer has no "
            "mask token"
        )
    longest = min(section.block_tokens, tokenizer.model_max_length, position_limit(student.model))
    train, unseen = (
        _blocks(documents, tokenizer, output / name, longest, runtime.progress)
        for name, documents in (("train", texts), ("heldout", heldout))
    )
    vocabulary = student.model.config.vocab_size
    masking = Masking.of(tokenizer, masked_section(section), vocabulary, runtime.seed)
    losses: dict[float, float] = {}
    for number, rate in enumerate(learning_rates, 1):
        trial = output / f"rate-{rate:g}"
        if not (trial / "loss.json").is_file():
            model = random_language_model(student.model, runtime.seed).to(runtime.device)
            rated = section.model_copy(update={"learning_rate": rate})
            try:
                train_masked(
                    model,
                    train,
                    masking,
                    section=rated,
                    tokens=tokens,
                    checkpoint=trial / "checkpoint",
                    runtime=runtime,
                    name=f"learning rate {rate:g} ({number} of {len(learning_rates)})",
                )
            except DivergedError:
                loss = math.nan  # this learning rate is not one to keep
            else:
                loss = heldout_loss(model, unseen, masking)
            save_model(model.to("cpu").eval(), tokenizer, trial / "model")
            write_whole(trial / "loss.json", json.dumps(loss if math.isfinite(loss) else None))
        kept = json.loads((trial / "loss.json").read_text(encoding="utf-8"))
        losses[rate] = math.inf if kept is None else kept
    best = min(losses, key=lambda rate: losses[rate])
    record = ScratchFigures(
        tokens=tokens,
        learning_rate=best,
        heldout_loss={
            f"{rate:g}": loss if math.isfinite(loss) else None for rate, loss in losses.items()
        },
    )
    write_whole(output / RECORD, json.dumps(asdict(record), indent=2) + "\n")
    (output / f"rate-{best:g}" / "model").rename(output / "model")
    _remove(output, scaffolds)
    return LoadedModel(model=load_model(output / "model"), tokenizer=tokenizer)


def _remove(output: Path, scaffolds: Sequence[str]) -> None:
    for name in scaffolds:
        shutil.rmtree(output / name, ignore_errors=True)


def read_record(output: Path) -> ScratchFigures | None:
    """What `train_scratch` wrote to `output`; None if nothing was trained."""
    if not (output / RECORD).is_file():
        return None
    return ScratchFigures(**json.loads((output / RECORD).read_text(encoding="utf-8")))


def _blocks(
    texts: Iterable[str], tokenizer: Any, folder: Path, longest: int, progress: Progress
) -> Chunks:
    """The texts as blocks in `folder`, which are taken up if they are there."""
    if not has_chunks(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with progress.task("evaluation: encoding text for scratch", unit="documents") as task:
            write_blocks(task.counted(texts), tokenizer, folder, block_tokens=longest)
    return open_chunks(folder)


@torch.no_grad()
def heldout_loss(model: PreTrainedModel, heldout: Chunks, masking: Masking) -> float:
    """Mean cross-entropy of the masked pieces of the first held-out blocks, about 50,000 tokens, in
    nats; nan without any.
    """
    count = min(len(heldout), int(np.searchsorted(np.cumsum(heldout.lengths), _HELDOUT_TOKENS)) + 1)
    head, padding, device = language_head(model), model.config.pad_token_id or 0, model.device
    total = pieces = 0.0
    for rows in split_rows(np.arange(count), heldout.lengths, _BATCH_TOKENS):
        batch = masking.batch(heldout, rows, padding, epoch=0).to(device)
        masked = int(batch.chosen.sum())
        total, pieces = (
            total + masked * float(_masked_loss(model, head, batch, "float32")),
            pieces + masked,
        )
    return total / pieces if pieces else math.nan


def random_language_model(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """The architecture of `model` with random weights and a masked-language head, tied to the
    embeddings where it can be.
    """
    from transformers import AutoModelForMaskedLM

    config = copy.deepcopy(model.config)
    config.tie_word_embeddings = True
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made: PreTrainedModel = AutoModelForMaskedLM.from_config(config)
    return made


def masked_section(section: DistillationSection) -> DistillationSection:
    """The section with masked-language modelling as its only objective."""
    nothing = dict.fromkeys(ObjectivesSection.model_fields, 0.0)
    return section.model_copy(update={"objectives": ObjectivesSection(**{**nothing, "mlm": 1.0})})


def train_masked(
    model: PreTrainedModel,
    chunks: Chunks,
    masking: Masking,
    *,
    section: DistillationSection,
    tokens: int,
    checkpoint: Path,
    runtime: Runtime,
    name: str = "",
) -> LoopState:
    """Train `model` in place on `tokens` tokens of `chunks`, resuming from the checkpoint if there
    is one.

    Without dropout, as the student, so that position and moments are all that a resumed run needs.
    Raises DivergedError if the loss goes astray twice, and Interrupted after a signal.
    """
    precision = starting_precision(checkpoint, section, model.device, runtime.processes)
    loop = TrainingLoop(
        model.eval(),
        section.model_copy(update={"tokens": tokens, "patience": None}),
        chunks.lengths,
        precision=precision,
        checkpoint=checkpoint,
        runtime=runtime,
    )
    backward = _MaskedBackward(model, chunks, masking, precision)
    if not loop.is_resumed:
        loop.save()
    for _ in loop.steps(backward, f"evaluation: training scratch {name}".rstrip()):
        pass
    return loop.state


class _MaskedBackward:
    """Forward and backward over a batch, with masked-language modelling as the only objective."""

    def __init__(
        self, model: PreTrainedModel, chunks: Chunks, masking: Masking, precision: str
    ) -> None:
        self._model, self._head = model, language_head(model)
        self._chunks, self._masking, self._precision = chunks, masking, precision

    def prepare(self, rows: np.ndarray, epoch: int) -> Batch:
        """The batch of `rows`."""
        padding = self._model.config.pad_token_id or 0
        batch = self._masking.batch(self._chunks, rows, padding, epoch)
        return batch.ready_for(self._model.device)

    def __call__(self, prepared: Batch, *, stop: bool = False, due: bool = False) -> Gradients:
        """Add the gradients of the batch to the parameters'."""
        batch = prepared.to(self._model.device)
        loss = _masked_loss(self._model, self._head, batch, self._precision)
        loss.backward()  # type: ignore[no-untyped-call]
        return Gradients(
            losses=[("mlm", loss.detach(), 1.0)],
            weights={"mlm": 1.0},
            tokens=int(prepared.tokens),
            stop=stop,
            due=due,
        )


def _masked_loss(model: PreTrainedModel, head: Any, batch: Batch, precision: str) -> torch.Tensor:
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        hidden = model.base_model(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        logits = head(hidden[batch.chosen])
    return mlm_loss(logits, batch.labels[batch.chosen])
