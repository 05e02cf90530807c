"""The way from text and a teacher to a student, a stage at a time: what each one needs, depends on, and calls."""

from distill.stages.table import STAGES, Stage, check_name, stage_named

__all__ = ["STAGES", "Stage", "check_name", "stage_named"]
