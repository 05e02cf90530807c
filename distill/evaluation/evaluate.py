"""The evaluation stage: tasks and models go in; scores.json comes out, a score for every model,
task and metric.

What was measured stands line by line in measured.jsonl, so that an interrupted stage goes on with
what is missing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from distill.evaluation.comparing import no_scores, scores_of
from distill.evaluation.cross_lingual import CrossLingualRows, read_cross_lingual
from distill.evaluation.finished import MEASURED, Finished
from distill.evaluation.int8 import Int8Encoder
from distill.evaluation.masked import masked_hits, read_texts
from distill.evaluation.protocol import Measured, measure_model, planned
from distill.evaluation.retrieval import RetrievalRows, read_retrieval_rows, retrieval_values
from distill.evaluation.tasks import TaskRows, read_task
from distill.models import LoadedModel
from distill.models.loading import position_limit
from distill.onnx.conversion import ConversionError
from distill.recipe import (
    EvaluationSection,
    FineTunedTask,
    MaskedTask,
    RetrievalTask,
    Task,
    TeacherSection,
)
from distill.recipe.evaluation import OWN_MODELS
from distill.report.results.evaluation import EvaluationResult, Score
from distill.runtime.errors import UserError
from distill.runtime.interruption import Interruption
from distill.runtime.precision import choose_precision
from distill.runtime.progress import Progress

Rows = RetrievalRows | list[str] | TaskRows | CrossLingualRows
STUDENT, INT8 = "student", "student_int8"


class _NoModelError(Exception):
    """A baseline that cannot be loaded, a scratch that cannot be trained, a student that has no
    int8; its text says why.
    """


def evaluate_models(
    section: EvaluationSection,
    *,
    load: Callable[[str], LoadedModel],
    teacher_section: TeacherSection,
    seed: int,
    output: Path,
    progress: Progress,
    interruption: Interruption | None = None,
    reference: str = "teacher",
    on_scores: Callable[[str, str, Sequence[Score]], None] = lambda model, task, scores: None,
) -> EvaluationResult:
    """Score every model of the section on every task; `load` gives a model and its tokenizer by
    name.

    All are compared with the model named `reference`, where it is among them. Goes on from what
    `output` already holds. A baseline that cannot be loaded gets scores without a mean that say
    why. Raises UserError for what the user can mend, and Interrupted after a signal.
    """
    rows = {task.name: _read(task, seed) for task in section.tasks}
    counts = _counts(rows)
    finished = Finished(output / MEASURED, interruption or Interruption())
    # The reference comes first where it is among the models: the others are compared with it. In
    # int8 the student is scored in the student's own fine-tunes.
    names = (
        sorted(section.models, key=lambda name: (name != reference, name == INT8))
        if section.tasks
        else []
    )
    scores: list[Score] = []
    whole: dict[str, Any] = {}
    parts = sum(_parts(name, task, section) for name in names for task in section.tasks)
    percent = 100 / max(1, parts)
    with progress.task(
        "evaluation", total=100, unit="%", already=percent * finished.count(names)
    ) as bar:

        def advance(share: float, detail: str) -> None:
            bar.advance(percent * share, detail)

        def load_resting(name: str) -> LoadedModel:
            began = time.monotonic()
            try:
                return load(name)  # scratch is trained by this, with a progress of its own
            finally:
                bar.rest(time.monotonic() - began)

        bench = _Bench(section, teacher_section, seed, finished, load_resting)
        for name in names:
            bench.take(name)
            for task in section.tasks:
                try:
                    found = bench.measure(task, rows[task.name], advance)
                except _NoModelError as error:
                    own = no_scores(name, task, str(error))
                    advance(_parts(name, task, section), f"{name}: {error}")
                else:
                    if name == reference:
                        whole[task.name] = found
                    own = scores_of(name, task, found, whole.get(task.name), reference, seed)
                    for at, measured in _fine_tunes(task.name, found).items():
                        counts[at].setdefault("cut", {})[name] = measured.cut
                scores += own
                on_scores(name, task.name, own)
    (output / "scores.json").write_text(
        json.dumps([asdict(s) for s in scores], indent=2) + "\n", encoding="utf-8"
    )
    return EvaluationResult(
        scores=scores, rows={name: _size(found) for name, found in rows.items()}, counts=counts
    )


class _Bench:
    """One model after another, each loaded when something of it is missing, and then once."""

    def __init__(
        self,
        section: EvaluationSection,
        teacher_section: TeacherSection,
        seed: int,
        finished: Finished,
        load: Callable[[str], LoadedModel],
    ) -> None:
        self._section, self._teacher_section, self._seed, self._finished = (
            section,
            teacher_section,
            seed,
            finished,
        )
        self._load_by_name = load
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._precision = finished.precision()
        self._name, self._refused = "", ""
        self._model: LoadedModel | None = None

    def take(self, name: str) -> None:
        """Turn to the model of that name."""
        self._name, self._model, self._refused = name, None, ""

    def measure(self, task: Task, rows: Rows, advance: Callable[[float, str], object]) -> Any:
        """What `scores_of` makes scores of. Raises _NoModelError if the model is a baseline that
        cannot be loaded.
        """
        if isinstance(rows, CrossLingualRows | TaskRows):
            assert not isinstance(task, RetrievalTask | MaskedTask)
            if isinstance(rows, TaskRows):
                return self._fine_tuned(task, rows, advance)
            return {
                name: self._fine_tuned(task, own, advance, name)
                for name, own in rows.fine_tunes.items()
            }
        found = self._finished.find(self._name, task.name)
        if found is None:
            values = self._values(task, rows, advance)
            found = self._finished.add({"model": self._name, "task": task.name, "values": values})
        return found["values"]

    def _fine_tuned(
        self,
        task: FineTunedTask,
        rows: TaskRows,
        advance: Callable[[float, str], object],
        learnt_from: str | None = None,
    ) -> Measured:
        self._precision = self._precision or choose_precision(self._section.precision, self._device)
        try:
            return measure_model(
                task,
                rows,
                name=STUDENT if self._name == INT8 else self._name,
                load=self._load,
                section=self._section,
                pooling=self._teacher_section.pooling,
                seed=self._seed,
                precision=self._precision,
                device=self._device,
                finished=self._finished,
                quantise=self._name in (STUDENT, INT8) and INT8 in self._section.models,
                scores="int8" if self._name == INT8 else "scores",
                learnt_from=learnt_from,
                advance=advance,
            )
        except ConversionError as error:
            raise _NoModelError(str(error)) from error

    def _values(
        self, task: Task, rows: Any, advance: Callable[[float, str], object]
    ) -> dict[str, Any]:
        """For each metric what each row contributes, as JSON writes it; of a masked task it may be
        a reason instead.
        """
        detail = f"{self._name} on {task.name}"
        if isinstance(task, MaskedTask) and self._name == INT8:
            advance(1, detail)
            return {"reason": "the encoder alone is had in int8, without its language-model head"}
        model = self._load()
        if isinstance(task, RetrievalTask):
            texts = len(rows.queries) + len(rows.passages)
            found = retrieval_values(
                model,
                rows,
                task,
                self._teacher_section,
                advance=lambda done: advance(done / texts, detail),
            )
            return {metric: values.tolist() for metric, values in found.items()}
        assert isinstance(task, MaskedTask)
        longest = min(
            self._section.max_length, model.tokenizer.model_max_length, position_limit(model.model)
        )
        try:
            hits = masked_hits(
                model.model,
                model.tokenizer,
                rows,
                share=task.masking,
                longest=longest,
                seed=self._seed,
                advance=lambda share: advance(share, detail),
            )
        except ValueError as error:
            advance(1, detail)
            return {"reason": str(error)}
        return {"accuracy": hits.tolist()}

    def _load(self) -> LoadedModel:
        if self._refused:
            raise _NoModelError(self._refused)
        if self._model is None:
            try:
                self._model = (
                    self._load_int8() if self._name == INT8 else self._load_by_name(self._name)
                )
            except (
                ConversionError,
                UserError,
                OSError,
                ValueError,
                ImportError,
                RuntimeError,
            ) as error:
                known = isinstance(error, ConversionError) or (
                    self._name == "scratch" and isinstance(error, ValueError)
                )
                if self._name in OWN_MODELS and not known:
                    raise
                self._refused = str(error).removeprefix("teacher.model: ")
                raise _NoModelError(self._refused) from error
        return self._model

    def _load_int8(self) -> LoadedModel:
        student = self._load_by_name(STUDENT)
        return LoadedModel(model=Int8Encoder(student.model), tokenizer=student.tokenizer)


def _read(task: Task, seed: int) -> Rows:
    if isinstance(task, RetrievalTask):
        return read_retrieval_rows(task)
    if isinstance(task, MaskedTask):
        return read_texts(task, seed)
    return read_task(task, seed) if task.cross_lingual is None else read_cross_lingual(task, seed)


def _counts(rows: Mapping[str, Rows]) -> dict[str, dict[str, Any]]:
    """Of each fine-tuned task, or of everything that it learns from, how many rows there are."""
    counts = {name: found.counts for name, found in rows.items() if isinstance(found, TaskRows)}
    for name, found in rows.items():
        if isinstance(found, CrossLingualRows):
            counts |= {
                f"{name} from {learnt}": own.counts for learnt, own in found.fine_tunes.items()
            }
    return counts


def _fine_tunes(task: str, found: Any) -> dict[str, Measured]:
    """What was fine-tuned, by its name in the counts."""
    if isinstance(found, Measured):
        return {task: found}
    return {f"{task} from {name}": own for name, own in found.items() if isinstance(own, Measured)}


def _size(rows: Rows) -> int:
    if isinstance(rows, CrossLingualRows):
        return rows.test
    return (
        len(rows.queries)
        if isinstance(rows, RetrievalRows)
        else len(rows.test)
        if isinstance(rows, TaskRows)
        else len(rows)
    )


def _parts(model: str, task: Task, section: EvaluationSection) -> int:
    if isinstance(task, RetrievalTask | MaskedTask):
        return 1
    fine_tunes = 1 if task.cross_lingual is None else len(task.cross_lingual.fine_tunes)
    return 0 if model == INT8 else planned(section) * fine_tunes  # those of the student are its own
