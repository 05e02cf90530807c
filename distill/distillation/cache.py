"""The teacher's states of all training chunks, computed once and kept on disk: it pays where text
is read several times.
"""

from __future__ import annotations

import json
import shutil
import time
from hashlib import blake2b
from pathlib import Path

import numpy as np
import torch

from distill.distillation.criterion import Criterion
from distill.distillation.states import States
from distill.runtime.errors import UserError
from distill.runtime.files import write_whole
from distill.runtime.progress import Progress
from distill.training.batches import Batch, Masking
from distill.training.chunks import Chunks

_BATCH_TOKENS = 4096
_DONE = "done.json"
_NOTED_SECONDS = 2.0
"""As much of the work a kill costs."""
_BLOCK = 1 << 20
_RAW = {torch.bfloat16: (np.int16, torch.int16), torch.float32: (np.int32, torch.int32)}
"""As what numpy, which has no bfloat16, keeps the bits of a tensor."""


class TeacherCache:
    """States of every token as the teacher computes them, in the order of the chunks: mapped
    layers, query, key, value.
    """

    def __init__(self, criterion: Criterion, chunks: Chunks, folder: Path) -> None:
        """`folder` holds what a cut-off try had computed, and will hold the rest."""
        teacher, weights = criterion.teacher.config, criterion.section.objectives
        last = criterion.layers[-1] != teacher.num_hidden_layers
        self._hidden, self._projections = (
            len(criterion.layers) + last,
            3 if weights.relations else 0,
        )
        self._dtype = criterion.teacher.dtype
        self._numpy, self._raw = _RAW[self._dtype]
        self._criterion, self._chunks, self._folder = criterion, chunks, folder
        self._shape = (
            int(chunks.offsets[-1]),
            self._hidden + self._projections,
            teacher.hidden_size,
        )

    @property
    def bytes(self) -> int:
        """How much room it takes on disk."""
        return int(np.prod(self._shape) * np.dtype(self._numpy).itemsize)

    def fill(
        self, masking: Masking, padding: int, device: torch.device, progress: Progress
    ) -> None:
        """Compute what is not there yet. Raises UserError if the disk has no room for it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "states.raw"
        done, digest = self._whole_chunks(file)
        free = shutil.disk_usage(self._folder).free + (file.stat().st_size if file.is_file() else 0)
        if free < self.bytes:
            raise UserError(
                f"distillation.cache_teacher: the teacher's states take {self.bytes / 1e9:,.1f} GB "
                "and the device has "
                f"{free / 1e9:,.1f} GB free; free some, or set it to false."
            )
        progress.say(f"distillation: the teacher's states take {self.bytes / 1e9:,.2f} GB on disk")
        states = np.memmap(file, dtype=self._numpy, mode="r+" if done else "w+", shape=self._shape)
        with progress.task(
            "distillation: teacher's states", total=self._shape[0], unit="tokens"
        ) as task:
            task.advance(float(self._chunks.offsets[done]))
            noted_at = time.monotonic()
            while done < len(self._chunks):
                end = max(
                    done + 1,
                    int(
                        np.searchsorted(
                            self._chunks.offsets, self._chunks.offsets[done] + _BATCH_TOKENS
                        )
                    )
                    - 1,
                )
                rows = np.arange(done, end)
                batch = masking.batch(self._chunks, rows, padding, epoch=0).to(device)
                with torch.inference_mode():
                    target = self._criterion.read_teacher(batch)
                    everything = torch.stack([*target.hidden, *target.projections], dim=2)[
                        batch.mask.bool()
                    ]
                span = slice(int(self._chunks.offsets[done]), int(self._chunks.offsets[end]))
                computed = everything.to(self._dtype).view(self._raw).cpu().numpy()
                states[span] = computed
                digest.update(np.ascontiguousarray(computed).data)
                task.advance(span.stop - span.start)
                done = end
                if time.monotonic() - noted_at >= _NOTED_SECONDS or done == len(self._chunks):
                    noted = {"chunks": done, "digest": digest.hexdigest()}
                    write_whole(self._folder / _DONE, json.dumps(noted))
                    noted_at = time.monotonic()
        self._states = states

    def _whole_chunks(self, file: Path) -> tuple[int, blake2b]:
        """How many chunks' states the file of a cut-off try holds as they were computed, and the
        hash of those; none if it is damaged.
        """
        digest = blake2b(digest_size=16)
        try:
            noted = json.loads((self._folder / _DONE).read_text())
            done = int(noted["chunks"])
            left = int(self._chunks.offsets[done]) * (self.bytes // self._shape[0])
            with file.open("rb") as states:
                while left and (block := states.read(min(left, _BLOCK))):
                    digest.update(block)
                    left -= len(block)
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return 0, blake2b(digest_size=16)
        if digest.hexdigest() != noted["digest"] or file.stat().st_size != self.bytes:
            return 0, blake2b(digest_size=16)
        return done, digest

    def open(self) -> None:
        """Map what another process has computed."""
        self._states = np.memmap(
            self._folder / "states.raw", dtype=self._numpy, mode="r", shape=self._shape
        )

    def __call__(self, batch: Batch, rows: np.ndarray) -> States:
        """The teacher's states of the batch's rows, as `Criterion.read_teacher` gives them."""
        states = torch.zeros((*batch.ids.shape, *self._shape[1:]), dtype=self._dtype)
        for i, row in enumerate(rows):
            cached = self._states[self._chunks.offsets[row] : self._chunks.offsets[row + 1]]
            states[i, : len(cached)] = torch.from_numpy(np.array(cached)).view(self._dtype)
        parts = states.to(batch.ids.device).unbind(2)
        return States(
            hidden=parts[: self._hidden], projections=parts[self._hidden :], attentions=()
        )
