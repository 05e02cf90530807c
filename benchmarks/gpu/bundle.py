"""The folder that travels: a trimmed teacher, text as token ids, task rows, and what to check them
against.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.gpu.packing import pack_ids, pack_weights, unpack_ids, unpack_weights
from distill.runtime.hashes import hash_file
from distill.training.chunks import Chunks

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MANIFEST, WEIGHTS, TASKS, REFERENCE = "manifest.json", "weights.npz", "tasks.json", "reference.npz"
SHARD_TOKENS = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What the bundle holds and how the student is made of it."""

    commit: str
    version: str
    untrimmed_pieces: int
    layers: list[int]
    """The teacher's layers, counted from 1, that the student copies."""
    pooling: str
    prefixes: dict[str, str]
    distillation: dict[str, Any]
    """The recipe's section of that name."""
    tokens: int
    """Of the text in the bundle."""
    tokens_left_out: int
    """Of the text that there was no room for."""
    files: dict[str, str] = field(default_factory=dict)
    """The hash of each file."""


@dataclass(frozen=True, kw_only=True)
class Retrieval:
    """Queries, and passages that each has one of."""

    queries: list[str]
    passages: list[str]
    answers: list[int]
    """The index of each query's passage."""

    def first(self, count: int) -> Retrieval:
        """Its first passages, and the queries that one of them answers."""
        rows = [i for i, answer in enumerate(self.answers) if answer < count]
        return Retrieval(
            queries=[self.queries[i] for i in rows],
            passages=self.passages[:count],
            answers=[self.answers[i] for i in rows],
        )


@dataclass(frozen=True)
class Bundle:
    """The folder, opened."""

    folder: Path

    @cached_property
    def manifest(self) -> Manifest:
        """What it says of itself."""
        return Manifest(**json.loads((self.folder / MANIFEST).read_text(encoding="utf-8")))

    @cached_property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The trimmed teacher's."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder / "teacher")

    @cached_property
    def _chunks(self) -> dict[str, Chunks]:
        return {}

    @cached_property
    def longest(self) -> int:
        """The most tokens that the models take."""
        return int(self.tokenizer.model_max_length)

    def encode(self, texts: list[str]) -> list[list[int]]:
        """The ids of each text, cut off at what the models take."""
        ids: list[list[int]] = self.tokenizer(texts, truncation=True, max_length=self.longest)[
            "input_ids"
        ]
        return ids

    def teacher(self) -> PreTrainedModel:
        """The trimmed teacher, float32, in eval mode."""
        import torch
        from transformers import AutoConfig, AutoModel

        model = AutoModel.from_config(AutoConfig.from_pretrained(self.folder / "teacher"))
        with np.load(self.folder / WEIGHTS) as packed:
            tensors = unpack_weights(packed)
        state = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
        missing, unexpected = model.load_state_dict(state, strict=False)
        # Buffers such as position ids are made by the model itself.
        learned = {name for name, _ in model.named_parameters()}
        if unexpected or learned & set(missing):
            raise ValueError(f"the bundle's weights do not fit: {missing}, {unexpected}")
        return model.eval()

    def student(self, teacher: PreTrainedModel) -> PreTrainedModel:
        """The initial student: a copy of the teacher's layers that the manifest names."""
        from distill.student.depth import keep_layers

        return keep_layers(teacher, self.manifest.layers)

    def chunks(self, name: str, limit: int | None = None) -> Chunks:
        """The chunks of `train` or `heldout`, as many as have `limit` tokens."""
        if limit is None:
            if name not in self._chunks:
                self._chunks[name] = self._read_chunks(name, None)
            return self._chunks[name]
        return self._read_chunks(name, limit)

    def _read_chunks(self, name: str, limit: int | None) -> Chunks:
        ids, lengths, tokens = [], [], 0
        for shard in sorted(self.folder.glob(f"{name}-*.xz")):
            of_shard = unpack_ids(shard.read_bytes())
            ids.append(of_shard[0])
            lengths.append(of_shard[1])
            tokens += len(of_shard[0])
            if limit is not None and tokens >= limit:
                break
        offsets = np.concatenate([[0], np.cumsum(np.concatenate(lengths))])
        if limit is not None:
            offsets = offsets[: max(2, int(np.searchsorted(offsets, limit)))]
        return Chunks(ids=np.concatenate(ids)[: int(offsets[-1])], offsets=offsets)

    @cached_property
    def counts(self) -> torch.Tensor:
        """How often each piece stands in the training text, float32 [V]."""
        import torch

        ids = self.chunks("train").ids.astype(np.int64)
        counts = np.bincount(ids, minlength=len(self.tokenizer))
        return torch.from_numpy(counts).float()

    def blocks(self, block_tokens: int, limit: int | None = None) -> Chunks:
        """The training ids in blocks of equal length, which no batch has to pad."""
        ids = self.chunks("train", limit).ids
        count = len(ids) // block_tokens
        offsets = np.arange(count + 1, dtype=np.int64) * block_tokens
        return Chunks(ids=ids[: count * block_tokens], offsets=offsets)

    @cached_property
    def tasks(self) -> dict[str, Retrieval]:
        """The retrieval tasks by name."""
        content = json.loads((self.folder / TASKS).read_text(encoding="utf-8"))
        return {name: Retrieval(**task) for name, task in content.items()}

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())

    def check(self) -> None:
        """Nothing if every file is as it was written; raises ValueError naming one that is not."""
        for name, digest in self.manifest.files.items():
            path = self.folder / name
            if not path.is_file() or hash_file(path) != digest:
                raise ValueError(f"{path} is missing or not as it was prepared; prepare again")


def write_teacher(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """The teacher's files: weights packed, config and tokenizer as in any model folder."""
    from distill.models.saving import save_tokenizer

    model.config.save_pretrained(folder / "teacher")
    save_tokenizer(tokenizer, folder / "teacher")
    weights = {name: weight.detach().numpy() for name, weight in model.named_parameters()}
    np.savez(folder / WEIGHTS, **pack_weights(weights))  # type: ignore[arg-type]


def write_chunks(folder: Path, name: str, chunks: Chunks, room: int) -> int:
    """Write shards of `chunks` until `room` bytes are used; the tokens that were written."""
    written, row = 0, 0
    while row < len(chunks):
        start = int(chunks.offsets[row])
        end = int(np.searchsorted(chunks.offsets, start + SHARD_TOKENS, side="right")) - 1
        end = max(end, row + 1)
        ids = np.asarray(chunks.ids[start : int(chunks.offsets[end])])
        packed = pack_ids(ids, chunks.lengths[row:end])
        if len(packed) > room:
            break
        room -= len(packed)
        (folder / f"{name}-{written // SHARD_TOKENS:03d}-{row:08d}.xz").write_bytes(packed)
        written, row = written + len(ids), end
    return written


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """The last file of a bundle, with the digests of the others."""
    files = {
        path.relative_to(folder).as_posix(): hash_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    content = {**asdict(manifest), "files": files}
    (folder / MANIFEST).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
