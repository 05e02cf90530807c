"""The bench: the models set up in one placement (a device with so many threads), ready to be
timed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING

import torch

from distill.benchmark.files import Source
from distill.benchmark.floor import BYTES, copy_bandwidth, count_work, floor_ms, product_rate
from distill.benchmark.latency import Pass, encoder_pass, torch_pass
from distill.benchmark.process import Shape, open_encoder
from distill.benchmark.settings import RUNTIMES, Entrant, Placement
from distill.benchmark.subjects import Subject
from distill.models.loading import position_limit
from distill.onnx.encoder import OnnxEncoder
from distill.openvino.encoder import OpenvinoEncoder
from distill.runtime.precision import choose_precision

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Bench:
    """The models in one placement; torch's threads are set by whoever holds the bench."""

    def __init__(
        self,
        placement: Placement,
        subjects: Mapping[str, Subject],
        sources: Mapping[Entrant, Source],
    ) -> None:
        self.placement, self.subjects, self.sources = placement, subjects, sources
        self.absent = placement.device == "cuda" and not torch.cuda.is_available()
        self._models: dict[tuple[str, str], PreTrainedModel] = {}
        self._encoders: dict[Entrant, OnnxEncoder | OpenvinoEncoder] = {}
        self._rates: dict[tuple[str, str], float] = {}
        self._bandwidths: dict[int, float] = {}
        self._fastest = cache(lambda: choose_precision("auto", torch.device(placement.device)))

    def subject(self, entrant: Entrant) -> Subject:
        """The model that the entrant runs."""
        return self.subjects[entrant.subject]

    def runs(self, entrant: Entrant) -> bool:
        """Whether the entrant is meant for this device: all but torch is measured on the CPU
        alone.
        """
        return self.placement.device == "cpu" or RUNTIMES[entrant.runtime][0] == "torch"

    def obstacle(self, entrant: Entrant, shape: Shape) -> str | None:
        """Why the entrant cannot be timed here, if it cannot."""
        if self.absent:
            return "no CUDA device here"
        if shape[1] > position_limit(self.subject(entrant).model):
            return f"the model has no positions for {shape[1]} tokens"
        if RUNTIMES[entrant.runtime][1] == "bfloat16" and self._fastest() != "bfloat16":
            return "bfloat16 multiplies no faster than float32 here"
        return self.sources[entrant].reason

    def floor_ms(self, entrant: Entrant, shape: Shape) -> float | None:
        """The least milliseconds that a pass could take here; None of OpenVINO, whose own matrix
        product is not measured.
        """
        runtime, precision = RUNTIMES[entrant.runtime]
        if runtime == "openvino":
            return None
        work = count_work(self.subject(entrant).model, *shape)
        between = "float32" if precision == "int8" else precision
        return floor_ms(
            work,
            precision=precision,
            weight_rate=self._rate(runtime, precision),
            attention_rate=self._rate(runtime, between),
            bandwidth=self._bandwidth(work.weights * BYTES[precision]),
        )

    def sample_rates(self) -> None:
        """Measure again what floors rest on and keep the best: a machine's speed drifts, and a
        floor is what it can do.
        """
        for runtime, precision in self._rates:
            self._sample_rate(runtime, precision)
        for size in self._bandwidths:
            self._sample_bandwidth(size)

    def make_pass(self, entrant: Entrant, shape: Shape) -> Pass:
        """A forward pass of the entrant; models and sessions are made once."""
        if RUNTIMES[entrant.runtime][0] == "torch":
            return torch_pass(self._model(entrant), *shape)
        path = self.sources[entrant].path
        assert path is not None, "an entrant without a file has an obstacle"
        if entrant not in self._encoders:
            self._encoders[entrant] = open_encoder(entrant.runtime, path, self.placement.threads)
        return encoder_pass(
            self._encoders[entrant], self.subject(entrant).model.config.vocab_size, *shape
        )

    @torch.inference_mode()
    def cuda_peak(self, entrant: Entrant, shape: Shape) -> int:
        """The most GPU memory that the model needs for such a batch, its weights included."""
        model = self._model(entrant)
        weights = sum(tensor.nbytes for tensor in [*model.parameters(), *model.buffers()])
        others = torch.cuda.memory_allocated() - weights  # the other models lie on the device too
        torch.cuda.reset_peak_memory_stats()
        ids = torch.zeros(shape, dtype=torch.long, device="cuda")
        model.base_model(input_ids=ids, attention_mask=torch.ones_like(ids))
        return int(torch.cuda.max_memory_allocated() - others)

    def clear(self) -> None:
        """Let go of what was made for this placement, and bring the models back."""
        self._models.clear()
        self._encoders.clear()
        for subject in self.subjects.values():
            subject.model.to("cpu")

    def _rate(self, runtime: str, precision: str) -> float:
        return self._rates.get((runtime, precision)) or self._sample_rate(runtime, precision)

    def _sample_rate(self, runtime: str, precision: str) -> float:
        rate = product_rate(runtime, precision, self.placement.device, self.placement.threads)
        self._rates[runtime, precision] = max(rate, self._rates.get((runtime, precision), 0.0))
        return self._rates[runtime, precision]

    def _bandwidth(self, size: int) -> float:
        return self._bandwidths.get(size) or self._sample_bandwidth(size)

    def _sample_bandwidth(self, size: int) -> float:
        self._bandwidths[size] = max(
            copy_bandwidth(size, self.placement.device), self._bandwidths.get(size, 0.0)
        )
        return self._bandwidths[size]

    def _model(self, entrant: Entrant) -> PreTrainedModel:
        key = (entrant.subject, RUNTIMES[entrant.runtime][1])
        if key not in self._models:
            model = self.subject(entrant).model
            if key[1] == "bfloat16":
                model = copy.deepcopy(model).to(torch.bfloat16)
            self._models[key] = model.to(self.placement.device)
        return self._models[key]
