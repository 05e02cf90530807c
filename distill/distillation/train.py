"""Distillation from documents to a model folder: encode the text, train the student, save it.

The folder also holds the encoded chunks and the last checkpoints, from which a call that was cut
off goes on, at whatever moment that was; the caller removes them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.distillation.loop import Pair, distil
from distill.distillation.pairs import TextPair, write_pairs
from distill.models.loading import position_limit
from distill.models.saving import save_model
from distill.recipe import DistillationSection
from distill.report.results.distillation import DistillationResult
from distill.runtime.runtime import Runtime
from distill.training.blocks import write_blocks
from distill.training.chunks import Chunks, has_chunks, open_chunks, write_chunks
from distill.training.loop import Log

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

HELDOUT_DOCUMENTS = 500
"""Fidelity along the way is measured on the first of the held-out documents; more would only be
encoded.
"""


def distil_student(
    section: DistillationSection,
    *,
    pair: Pair,
    prefixes: Sequence[str],
    texts: Iterable[str] | Iterable[TextPair],
    heldout: Iterable[str] | Iterable[TextPair],
    output: Path,
    runtime: Runtime,
    log: Log = lambda figures, step: None,
) -> DistillationResult:
    """Train the pair's student on `texts` and save it to `output`/model, resuming from what
    `output` holds.

    Texts are pairs where the models read such; else chunks of them get one of `prefixes` each.
    Every process of a launch runs this; the first reads and writes. Raises ValueError if the models
    lack what an objective compares.
    """
    processes = runtime.processes
    longest = min(pair.tokenizer.model_max_length, position_limit(pair.student))

    def encode(name: str, texts: Iterable[Any], seed: int) -> Chunks:
        folder = output / name
        if processes.is_first and not has_chunks(folder):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            task = f"distillation: encoding {name} text"
            with runtime.progress.task(task, unit="documents") as counter:
                documents = counter.counted(texts)
                if pair.of_pairs:
                    scored = pair.head is not None and pair.head.task == "pair score"
                    write_pairs(
                        documents,
                        pair.tokenizer,
                        folder,
                        negatives=section.negatives if scored else 0,
                        longest=longest,
                        seed=seed,
                    )
                else:
                    write_text(documents, pair.tokenizer, folder, section, prefixes, longest, seed)
        processes.wait()
        return open_chunks(folder)

    chunks = encode("train", texts, runtime.seed)
    state = distil(
        pair,
        chunks,
        encode("heldout", islice(heldout, HELDOUT_DOCUMENTS), runtime.seed + 1),
        section,
        checkpoint=output / "checkpoint",
        runtime=runtime,
        log=log,
    )
    if processes.is_first:
        save_model(pair.student.to("cpu").eval(), pair.tokenizer, output / "model")
        history = json.dumps({"losses": state.history, "fidelity": state.fidelity})
        (output / "history.json").write_text(history + "\n", encoding="utf-8")
    return DistillationResult(
        tokens=state.tokens,
        steps=state.step,
        seconds=state.seconds,
        tokens_per_second=state.tokens / state.seconds if state.seconds else 0.0,
        final_loss=state.loss,
        objectives=section.objectives.weights,
        precision=state.precision,
        epochs=state.tokens / int(chunks.offsets[-1]),
        best_step=state.best_step,
        skipped_batches=len(state.skipped),
        processes=processes.count,
        resumed_from=state.resumed_from,
        fidelity=state.fidelity,
    )


def write_text(
    texts: Iterable[str],
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    section: DistillationSection,
    prefixes: Sequence[str],
    longest: int,
    seed: int,
) -> None:
    """Encode `texts` into `folder`: as chunks of words where the section wants those, else packed
    into blocks; neither is longer than `longest` tokens.
    """
    if words := section.words_of_chunks:
        write_chunks(
            texts,
            tokenizer,
            folder,
            prefixes=prefixes,
            chunk_words=words,
            longest=longest,
            seed=seed,
        )
    else:
        block_tokens = min(section.block_tokens, longest)
        write_blocks(texts, tokenizer, folder, block_tokens=block_tokens)
