from __future__ import annotations

from distill.pipeline.stages import STAGES
from tests.report.examples import example_recipe


def test_a_recipe_asks_for_the_stages_in_the_order_in_which_they_run() -> None:
    names = tuple(stage.name for stage in STAGES)
    assert example_recipe().stages == tuple(name for name in names if name != "inspection")
    assert example_recipe(inspection={"sentences": "sentences"}).stages == names


def test_a_stage_reads_only_stages_before_it() -> None:
    for at, stage in enumerate(STAGES):
        assert set(stage.reads) <= {earlier.name for earlier in STAGES[:at]}
