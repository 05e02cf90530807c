"""Tasks that a model is fine-tuned on, in one language or carried from one to others."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from distill.evaluation.chance import chance_levels
from distill.evaluation.cross_lingual import (
    CrossLingualRows,
    cross_lingual_scores,
    no_cross_lingual_scores,
    read_cross_lingual,
)
from distill.evaluation.finished import each_here
from distill.evaluation.kinds.kind import Advance, Subject
from distill.evaluation.protocol import Measured, planned
from distill.evaluation.scores import Reference, no_score
from distill.evaluation.task_scores import score_task
from distill.evaluation.tasks import TaskRows, read_task
from distill.recipe import EvaluationSection, FineTunedTask
from distill.report.results.evaluation import Score


class FineTuned:
    """The kinds `classification`, `multilabel`, `pair_classification`, `similarity` and
    `tokens`.
    """

    def __init__(self, hub_type: str) -> None:
        self.hub_type = hub_type

    def read(self, task: FineTunedTask, seed: int) -> TaskRows:
        """Rows of train, dev and test."""
        return read_task(task, seed)

    def parts(self, task: FineTunedTask, section: EvaluationSection) -> int:
        """Its fine-tunes."""
        return planned(section)

    def measure(
        self, subject: Subject, task: FineTunedTask, rows: TaskRows, advance: Advance
    ) -> Measured:
        """What each seed's fine-tune predicts."""
        return subject.fine_tune(task, rows, advance)

    def scores(
        self,
        task: FineTunedTask,
        rows: TaskRows,
        measurements: Mapping[str, Measured],
        of: Reference,
    ) -> list[Score]:
        """Means over seeds, with the variance of rows and seeds."""
        chance = chance_levels(task, rows.test, rows.majority if rows.classes else None, of.seed)
        return [
            score
            for metric in task.metrics
            for score in score_task(task, metric, rows, measurements, of, chance[metric])
        ]

    def unmeasured(self, model: str, task: FineTunedTask, reason: str) -> list[Score]:
        """No score under any metric."""
        return [no_score(model, task.name, metric, reason) for metric in task.metrics]

    def size(self, rows: TaskRows) -> int:
        """Test rows."""
        return len(rows.test)

    def fine_tunes(self, task: FineTunedTask, rows: TaskRows) -> dict[str, TaskRows]:
        """The task itself."""
        return {task.name: rows}

    def fine_tuned(self, task: FineTunedTask, measurement: Measured) -> dict[str, Measured]:
        """The task itself."""
        return {task.name: measurement}


class CrossLingual:
    """The same kinds, where a task names several languages."""

    def __init__(self, hub_type: str) -> None:
        self.hub_type = hub_type

    def read(self, task: FineTunedTask, seed: int) -> CrossLingualRows:
        """The rows of every language and setting."""
        return read_cross_lingual(task, seed)

    def parts(self, task: FineTunedTask, section: EvaluationSection) -> int:
        """The fine-tunes of every language that is learnt from."""
        assert task.cross_lingual is not None
        return planned(section) * len(task.cross_lingual.fine_tunes)

    def measure(
        self, subject: Subject, task: FineTunedTask, rows: CrossLingualRows, advance: Advance
    ) -> dict[str, Measured]:
        """What was measured after learning from each language, and from all."""

        def learn_from(name: str) -> Measured:
            return subject.fine_tune(task, rows.fine_tunes[name], advance, name)

        measured = each_here(partial(learn_from, name) for name in rows.fine_tunes)
        return dict(zip(rows.fine_tunes, measured, strict=True))

    def scores(
        self,
        task: FineTunedTask,
        rows: CrossLingualRows,
        measurements: Mapping[str, Mapping[str, Measured]],
        of: Reference,
    ) -> list[Score]:
        """A score for each setting and language, and their averages."""
        return cross_lingual_scores(task, rows, measurements, of)

    def unmeasured(self, model: str, task: FineTunedTask, reason: str) -> list[Score]:
        """No score in any setting."""
        return no_cross_lingual_scores(model, task, reason)

    def size(self, rows: CrossLingualRows) -> int:
        """Test rows of each language."""
        return rows.test

    def fine_tunes(self, task: FineTunedTask, rows: CrossLingualRows) -> dict[str, TaskRows]:
        """One for each language that is learnt from, and for all."""
        return {f"{task.name} from {name}": part for name, part in rows.fine_tunes.items()}

    def fine_tuned(
        self, task: FineTunedTask, measurement: dict[str, Measured]
    ) -> dict[str, Measured]:
        """What was measured of each."""
        return {f"{task.name} from {name}": part for name, part in measurement.items()}
