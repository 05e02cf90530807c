"""What a kind of task is: how its rows are read, measured and scored."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import numpy as np

from distill.evaluation.protocol import Measured
from distill.evaluation.resampling import observe
from distill.evaluation.scores import Reference, no_score, score_models
from distill.evaluation.statistics import mean_statistic
from distill.evaluation.tasks import TaskRows
from distill.models import LoadedModel
from distill.models.sentence_form import SentenceForm
from distill.recipe import EvaluationSection, FineTunedTask, Task, TeacherSection
from distill.report.results.evaluation import Provenance, Score

Advance = Callable[[float, str], object]
"""Told the share of a part of the work that is done, and what it is."""
TaskT = TypeVar("TaskT", contravariant=True)
RowsT = TypeVar("RowsT")
MeasurementT = TypeVar("MeasurementT")


HOW = "how"
"""The key of kept values under which stands how they were come by."""


class UnmeasuredError(Exception):
    """A model cannot be measured on a task; the text says why."""


class Subject(Protocol):
    """The model that is measured, as a kind may use it."""

    name: str
    section: EvaluationSection
    teacher: TeacherSection
    sentence_form: SentenceForm
    """Of the teacher, and of what is made from it."""
    seed: int

    def load(self) -> LoadedModel:
        """The model, loaded once. Raises UnmeasuredError if it cannot be had."""
        ...

    def load_other(self, name: str) -> LoadedModel:
        """Another of the run's models."""
        ...

    def keep(self, task: str, measure: Callable[[], Mapping[str, object]]) -> Mapping[str, object]:
        """What was kept of the model on the task, or what `measure` gives, which is then kept.

        Its values must be such as JSON has.
        """
        ...

    def fine_tune(
        self, task: FineTunedTask, rows: TaskRows, advance: Advance, learnt_from: str | None = None
    ) -> Measured:
        """The model's fine-tunes on the rows, of every seed. Raises UnmeasuredError."""
        ...

    @property
    def is_reference(self) -> bool:
        """Whether the others are compared with it."""
        ...

    @property
    def is_int8(self) -> bool:
        """Whether it is the student's int8 file in ONNX Runtime."""
        ...


class Kind(Protocol[TaskT, RowsT, MeasurementT]):
    """One kind of task; `register` adds it to those that a recipe can name."""

    hub_type: str
    """The task's type on the Hub."""

    def read(self, task: TaskT, seed: int) -> RowsT:
        """The task's rows. Raises UserError if they cannot be read."""
        ...

    def parts(self, task: TaskT, section: EvaluationSection) -> int:
        """How many parts the work on one model has, each told to `advance` as 1 in all."""
        ...

    def measure(self, subject: Subject, task: TaskT, rows: RowsT, advance: Advance) -> MeasurementT:
        """What the model does on the rows. Raises UnmeasuredError."""
        ...

    def scores(
        self, task: TaskT, rows: RowsT, measurements: Mapping[str, MeasurementT], of: Reference
    ) -> list[Score]:
        """Every model's score under every metric, compared with the reference's where it is among
        them.
        """
        ...

    def unmeasured(self, model: str, task: TaskT, reason: str) -> list[Score]:
        """The same of a model that could not be measured."""
        ...

    def size(self, rows: RowsT) -> int:
        """How many test rows there are."""
        ...

    def fine_tunes(self, task: TaskT, rows: RowsT) -> dict[str, TaskRows]:
        """The rows of each thing that is fine-tuned, by its name in the counts; often none."""
        ...

    def fine_tuned(self, task: TaskT, measurement: MeasurementT) -> dict[str, Measured]:
        """What was measured of each, by the same names."""
        ...


class WithoutFineTunes:
    """What kinds have in common that measure models as they are."""

    def parts(self, task: Task, section: EvaluationSection) -> int:
        """One."""
        return 1

    def unmeasured(self, model: str, task: Task, reason: str) -> list[Score]:
        """No score under any metric."""
        return [no_score(model, task.name, metric, reason) for metric in task.metrics]

    def mean_scores(
        self,
        task: Task,
        measurements: Mapping[str, Mapping[str, Any]],
        of: Reference,
        rows: int,
        chance: Callable[[str], float],
    ) -> list[Score]:
        """Means of what each row contributes to each metric; `chance` is the level of a metric."""
        provenance = self.provenance(measurements, rows)

        def score(metric: str) -> list[Score]:
            observed = {
                name: observe(
                    [mean_statistic(np.array(values[metric]))], rows, of.seed, has_seeds=False
                )
                for name, values in measurements.items()
            }
            return score_models(task.name, metric, observed, of, chance(metric), provenance)

        return [scored for metric in task.metrics for scored in score(metric)]

    def provenance(
        self, measurements: Mapping[str, Mapping[str, Any]], rows: int
    ) -> dict[str, Provenance]:
        """How each model's values were come by, as `Subject.keep` noted it."""
        return {
            name: Provenance(test_rows=rows, **values.get(HOW, {}))
            for name, values in measurements.items()
        }

    def fine_tunes(self, task: Task, rows: object) -> dict[str, TaskRows]:
        """None."""
        return {}

    def fine_tuned(self, task: Task, measurement: object) -> dict[str, Measured]:
        """None."""
        return {}
