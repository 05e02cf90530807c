"""Masked pieces: a model predicts them by its language-model head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from distill.evaluation.kinds.kind import Advance, Subject, WithoutFineTunes
from distill.evaluation.masked import masked_hits, read_texts
from distill.evaluation.resampling import observe
from distill.evaluation.scores import Reference, no_score, score_models
from distill.evaluation.statistics import share_statistic
from distill.models.loading import position_limit
from distill.recipe import MaskedTask
from distill.report.results.evaluation import Score

Values = Mapping[str, Any]
"""Hits and masked pieces of each text by metric, or a reason why there are none."""


class Masked(WithoutFineTunes):
    """The kind `masked`."""

    hub_type = "fill-mask"

    def read(self, task: MaskedTask, seed: int) -> list[str]:
        """Texts."""
        return read_texts(task, seed)

    def measure(
        self, subject: Subject, task: MaskedTask, rows: list[str], advance: Advance
    ) -> Values:
        """Hits and masked pieces of each text, or why there are none."""
        return subject.keep(task.name, lambda: self._hits(subject, task, rows, advance))

    def scores(
        self,
        task: MaskedTask,
        rows: list[str],
        measurements: Mapping[str, Values],
        of: Reference,
    ) -> list[Score]:
        """The share of masked pieces that are predicted; rows are texts."""
        reasons = {
            name: measurement["reason"]
            for name, measurement in measurements.items()
            if "reason" in measurement
        }
        measured = {
            name: measurement for name, measurement in measurements.items() if name not in reasons
        }

        def score(metric: str) -> list[Score]:
            observed = {
                name: observe(
                    [share_statistic(np.array(values[metric]))], len(rows), of.seed, has_seeds=False
                )
                for name, values in measured.items()
            }
            provenance = self.provenance(measured, len(rows))
            scores = score_models(task.name, metric, observed, of, None, provenance)
            return scores + [
                no_score(name, task.name, metric, why) for name, why in reasons.items()
            ]

        return [measurement for metric in task.metrics for measurement in score(metric)]

    def size(self, rows: list[str]) -> int:
        """Texts."""
        return len(rows)

    def _hits(
        self, subject: Subject, task: MaskedTask, rows: list[str], advance: Advance
    ) -> Values:
        detail = f"{subject.name} on {task.name}"
        model = subject.load()
        longest = min(
            subject.section.max_length,
            model.tokenizer.model_max_length,
            position_limit(model.model),
        )
        try:
            hits = masked_hits(
                model.model,
                model.tokenizer,
                rows,
                share=task.masking,
                longest=longest,
                seed=subject.seed,
                advance=lambda share: advance(share, detail),
            )
        except ValueError as error:
            advance(1, detail)
            return {"reason": str(error)}
        return {"accuracy": hits.tolist()}
