"""Documents, a teacher and a student go in; a trained student comes out."""

SCAFFOLDS = (
    "train",
    "heldout",
    "teacher",
    *(f"{name}{ending}" for name in ("checkpoint", "best") for ending in ("", ".old", ".new")),
)
"""Folders that a distillation needs only until its student is in place: encoded text, the teacher's
kept states, checkpoints, and the best weights along the way.
"""
