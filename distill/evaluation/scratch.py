"""The student's architecture trained from nothing: documents go in; a masked-language model with random beginnings comes out.

It shows what the teacher is worth: the same architecture and vocabulary, the same documents and as many tokens as the
distillation took, by masked-language modelling alone (Devlin et al. 2019).
"""

from __future__ import annotations

import copy
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from distill.distillation.blocks import write_blocks
from distill.distillation.checkpoints import LoopState, find_checkpoint, load_checkpoint, save_checkpoint, saved_precision
from distill.distillation.chunks import Chunks, batch_stream, open_chunks
from distill.distillation.criterion import Batch, Masking
from distill.distillation.heads import language_head
from distill.distillation.loop import learning_rate_at, parameter_groups
from distill.distillation.objectives import mlm_loss
from distill.errors import Interrupted
from distill.interruption import Interruption
from distill.precision import choose_precision
from distill.progress import Progress
from distill.recipe import DistillationSection, ObjectivesSection
from distill.teacher import Teacher
from distill.teacher.loading import load_model, position_limit
from distill.teacher.saving import save_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def train_scratch(
    student: Teacher,
    section: DistillationSection,
    *,
    texts: Iterable[str],
    tokens: int,
    seed: int,
    output: Path,
    device: torch.device,
    interruption: Interruption,
    progress: Progress,
) -> Teacher:
    """The trained model, saved to `output`/model; one that is there already is loaded, and one half-way goes on.

    Batches, learning rate and masking are those of `section`. Raises ValueError if the tokenizer has no mask, and Interrupted
    after a signal, with a checkpoint written.
    """
    tokenizer = student.tokenizer
    if (output / "model" / "config.json").is_file():
        return Teacher(model=load_model(output / "model"), tokenizer=tokenizer)
    if tokenizer.mask_token_id is None:
        raise ValueError("scratch is trained by masked-language modelling, and the teacher's tokenizer has no mask token")
    model = random_language_model(student.model, seed)
    folder = output / "train"
    if not (folder / "offsets.npy").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        with progress.task("evaluation: encoding text for scratch", unit="documents") as task:
            longest = min(section.block_tokens, tokenizer.model_max_length, position_limit(model))
            write_blocks(_advancing(texts, task.advance), tokenizer, folder, block_tokens=longest)
    train_masked(
        model.to(device),
        open_chunks(folder),
        Masking.of(tokenizer, masked_section(section), model.config.vocab_size, seed),
        section=section,
        tokens=tokens,
        seed=seed,
        checkpoint=output / "checkpoint",
        interruption=interruption,
        progress=progress,
    )
    fresh = output / "model.new"
    shutil.rmtree(fresh, ignore_errors=True)
    save_model(model.to("cpu").eval(), tokenizer, fresh)
    fresh.rename(output / "model")
    for scaffold in ("train", "checkpoint"):
        shutil.rmtree(output / scaffold, ignore_errors=True)
    return Teacher(model=model, tokenizer=tokenizer)


def random_language_model(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    """The architecture of `model` with random weights and a masked-language head, tied to the embeddings where it can be."""
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
    seed: int,
    checkpoint: Path,
    interruption: Interruption,
    progress: Progress,
) -> LoopState:
    """Train `model` in place on `tokens` tokens of `chunks`, going on from the checkpoint if there is one.

    Without dropout, as the student, so that position and moments are all that a resumed run needs.
    """
    device, padding, found = model.device, model.config.pad_token_id or 0, find_checkpoint(checkpoint)
    precision = saved_precision(found) if found else choose_precision(section.precision, device)
    optimizer = torch.optim.AdamW(parameter_groups(model.eval(), section.weight_decay), betas=(0.9, 0.98), fused=True)
    state = load_checkpoint(found, model, optimizer) if found else LoopState(precision=precision, budget=tokens)
    head = language_head(model)
    saved_at = time.monotonic()
    stream = batch_stream(chunks.lengths, section.batch_tokens, seed, state.epoch, state.batch)
    with (
        interruption.deferred(),
        progress.task("evaluation: training scratch", total=tokens, unit="tokens", already=state.tokens) as task,
    ):
        while state.tokens < tokens:
            epoch, number, rows = next(stream)
            batch = masking.batch(chunks, rows, padding, epoch).to(device)
            loss = _masked_loss(model, head, batch, precision)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), section.max_gradient_norm)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(state.tokens / tokens, section)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            gained = int(batch.mask.sum())
            state.step, state.epoch, state.batch = state.step + 1, epoch, number + 1
            state.tokens, state.loss = state.tokens + gained, float(loss.detach())
            task.advance(gained, f"loss {state.loss:.3f}")
            due = time.monotonic() - saved_at >= section.checkpoint_seconds
            if interruption.requested or due:
                save_checkpoint(checkpoint, model, optimizer, state)
                saved_at = time.monotonic()
                if interruption.requested:
                    raise Interrupted
    return state


def _masked_loss(model: PreTrainedModel, head: Any, batch: Batch, precision: str) -> torch.Tensor:
    with torch.autocast(model.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
        hidden = model.base_model(input_ids=batch.ids, attention_mask=batch.mask).last_hidden_state
        logits = head(hidden[batch.chosen])
    return mlm_loss(logits, batch.labels[batch.chosen])


def _advancing(texts: Iterable[str], advance: Any) -> Iterable[str]:
    for text in texts:
        yield text
        advance(1)
