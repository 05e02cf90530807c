"""The model that an evaluation measures: loaded once, fine-tuned, and kept count of."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from distill.evaluation import tfidf
from distill.evaluation.finished import Entry, Finished
from distill.evaluation.int8 import exported_int8
from distill.evaluation.kinds.kind import HOW, Advance, UnmeasuredError
from distill.evaluation.protocol import Measured, measure_model, task_entry
from distill.evaluation.tasks import TaskRows
from distill.models import LoadedModel
from distill.models.after_pooling import SentenceVectors
from distill.models.sentence_form import SentenceForm
from distill.onnx.conversion import ConversionError
from distill.recipe import EvaluationSection, FineTunedTask, TeacherSection
from distill.recipe.asymmetric import ASYMMETRIC
from distill.recipe.model_reference import OWN_MODELS
from distill.runtime.errors import UserError
from distill.runtime.precision import choose_precision
from distill.runtime.version import commit

STUDENT = "student"
INT8 = "student_int8"
"""The file that export hands over; and the student's fine-tunes, each converted in the same way."""
_UNLOADABLE = (ConversionError, UserError, OSError, ValueError, ImportError, RuntimeError)


class EvaluatedModel:
    """One model of an evaluation; a `Subject` of `distill.evaluation.kinds`."""

    def __init__(
        self,
        name: str,
        *,
        section: EvaluationSection,
        teacher: TeacherSection,
        seed: int,
        finished: Finished,
        load: Callable[[str], LoadedModel],
        device: torch.device,
        is_reference: bool = False,
        sentence_form: SentenceForm | None = None,
        sentences: Callable[[], Sequence[str]] = lambda: (),
    ) -> None:
        """`load` gives a model by its name; `sentence_form` is the teacher's; `sentences` are those
        by which export judges the int8 file.
        """
        self.name, self.section, self.teacher, self.seed = name, section, teacher, seed
        self.sentence_form = sentence_form or SentenceForm()
        self._finished, self._load_by_name = finished, load
        self.is_reference, self._sentences = is_reference, sentences
        self._device = device
        self._model: LoadedModel | None = None
        self._refused = ""

    @property
    def is_int8(self) -> bool:
        """Whether it is the student's encoder in ONNX Runtime."""
        return self.name == INT8

    def keep(self, task: str, measure: Callable[[], Mapping[str, object]]) -> Mapping[str, object]:
        """What was kept of the model on the task, or what `measure` gives, which is then kept."""

        def values() -> dict[str, object]:
            return {"values": {**measure(), HOW: self._how()}}

        measured: Mapping[str, Any] = self._finished.measured(self.name, task, values)["values"]
        return measured

    def _how(self) -> dict[str, object]:
        """Runtime and arithmetic of a model as it is."""
        file = None if self._model is None else getattr(self._model.model, "digest", None)
        return {
            **({} if file is None else {"file": file}),
            "precision": "int8" if self.is_int8 else "float32",
            "runtime": "onnx" if self.is_int8 else "torch",
            "threads": torch.get_num_threads(),
            **(tfidf.HOW if self.name == tfidf.TFIDF else {}),
            "commit": commit(),
        }

    def fine_tune(
        self, task: FineTunedTask, rows: TaskRows, advance: Advance, learnt_from: str | None = None
    ) -> Measured:
        """The model's fine-tunes on the rows, of every seed. Raises UnmeasuredError."""
        if self.name == tfidf.TFIDF:
            return self._classify(task, rows, advance, learnt_from)
        try:
            return measure_model(
                task,
                rows,
                name=STUDENT if self.is_int8 else self.name,
                # Another process may not have made all of the student's fine-tunes yet.
                load=partial(self.load_other, STUDENT) if self.is_int8 else self.load,
                section=self.section,
                pooling=self.teacher.pooling,
                seed=self.seed,
                precision=self._precision(),
                device=self._device,
                finished=self._finished,
                quantise=self.name in (STUDENT, INT8) and INT8 in self.section.models,
                scores="int8" if self.is_int8 else "scores",
                learnt_from=learnt_from,
                advance=advance,
            )
        except ConversionError as error:
            raise UnmeasuredError(str(error)) from error

    def _precision(self) -> str:
        """The arithmetic of fine-tunes: that of earlier ones, or what the device is faster with."""
        earlier = self._finished.precision()
        return earlier or choose_precision(self.section.precision, self._device)

    def _classify(
        self, task: FineTunedTask, rows: TaskRows, advance: Advance, learnt_from: str | None
    ) -> Measured:
        """What the bag of words predicts."""
        if not tfidf.can_classify(rows):
            raise UnmeasuredError(tfidf.UNSUITED)
        entry = task_entry(task.name, learnt_from)

        def classify() -> Entry:
            learned = tfidf.classify(task, rows, self.section, self.seed)
            advance(1, f"{self.name} on {entry}")
            return learned

        kept = self._finished.measured(self.name, entry, classify)
        return tfidf.measured_of(kept, rows, self.section.seeds)

    def load(self) -> LoadedModel:
        """The model. Raises UnmeasuredError for a baseline that cannot be loaded, a scratch that
        cannot be trained, a student that cannot be converted, or a bag of words.
        """
        if self.name == tfidf.TFIDF:
            raise UnmeasuredError(tfidf.UNSUITED)
        if self.name == ASYMMETRIC:
            raise UnmeasuredError("it is two models, which retrieve together and do nothing else")
        if self._refused:
            raise UnmeasuredError(self._refused)
        if self._model is None:
            try:
                self._model = self._load()
            except _UNLOADABLE as error:
                expected = isinstance(error, ConversionError)
                expected |= self.name == "scratch" and isinstance(error, ValueError)
                if self.name in OWN_MODELS and not expected:
                    raise
                self._refused = error.text if isinstance(error, UserError) else str(error)
                raise UnmeasuredError(self._refused) from error
        return self._model

    def load_other(self, name: str) -> LoadedModel:
        """Another of the run's models."""
        return self._load_by_name(name)

    def _vectors(self) -> SentenceVectors:
        """How the teacher's sentence vectors are made."""
        return SentenceVectors(self.teacher.pooling, self.sentence_form.after)

    def _load(self) -> LoadedModel:
        if not self.is_int8:
            return self._load_by_name(self.name)
        student = self._load_by_name(STUDENT)
        return exported_int8(student, self._sentences(), self._vectors())
