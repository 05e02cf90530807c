"""What a student of twelve million parameters is best made of: layers, pieces, or a narrower table.

    DISTILL_DATA=... .venv/bin/python benchmarks/small_students.py    300k tokens an arm, 2 minutes

distils students of several shapes on the quickstart's newsreels, from one seed, and measures
retrieval without fine-tuning as benchmarks/levers.py does: the Swedish SQuAD's dev paragraphs
choose, the quickstart's questions do not. Latency is the median for one text of 128 tokens as a
share of the trimmed teacher's, the two measured in turn. Writes
benchmarks/results/small_students.json after every arm, and goes on with those that are missing.
"""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import levers
import torch
from levers import Rows, measure, read_faq, read_squad
from provenance import provenance
from setting import RESULTS, TEACHER, cut, newsreels, trimmed_teacher
from transformers import AutoModel

from distill.models import LoadedModel
from distill.recipe import StudentSection
from distill.report.results.student import StudentResult, TeacherFigures
from distill.runtime.progress import silence_libraries
from distill.student.build import build_student, describe_model

RESULT = RESULTS / "small_students.json"
SETTINGS: dict[str, Any] = {**levers.SETTINGS, "batch_tokens": 512}
TOKENS, TIMES = 128, 40


@dataclass(frozen=True)
class Arm:
    """A student's section, and how many pieces its teacher keeps where not all are kept."""

    student: dict[str, Any]
    pieces: int | None = None


ARMS = {
    "3 layers": Arm({"layers": 3}),
    "3 layers, 16,000 pieces": Arm({"layers": 3}, pieces=16_000),
    "3 layers, table of 192": Arm({"layers": 3, "embedding_size": 192}),
    "3 layers, table of 128": Arm({"layers": 3, "embedding_size": 128}),
    "4 layers, table of 128": Arm({"layers": 4, "embedding_size": 128}),
    "6 layers, feed-forward of 768, table of 128": Arm(
        {"layers": 6, "intermediate_size": 768, "embedding_size": 128}
    ),
}


def main() -> None:
    """Distil what is missing; print and keep the results."""
    silence_libraries()
    films = newsreels()
    training, heldout = [film for i, film in enumerate(films) if i % 100], films[::100]
    tasks = {"squad": read_squad(), "faq": read_faq()}
    kept = json.loads(RESULT.read_text()) if RESULT.exists() else provenance(SETTINGS)
    arms = kept.setdefault("arms", {})
    for pieces in sorted({arm.pieces for arm in ARMS.values()}, key=lambda size: size or 0):
        missing = {name: arm for name, arm in ARMS.items() if arm.pieces == pieces}
        missing = {name: arm for name, arm in missing.items() if name not in arms}
        if not missing:
            continue
        teacher = trimmed_teacher(training, pieces=pieces)
        if pieces is None and "teacher" not in arms:
            arms["teacher"] = measure(teacher, tasks)
        for name, arm in missing.items():
            arms[name] = run_arm(arm, teacher, training, heldout, tasks)
            RESULT.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")
            print(name, arms[name], flush=True)


def run_arm(
    arm: Arm, teacher: LoadedModel, training: list[str], heldout: list[str], tasks: dict[str, Rows]
) -> dict[str, float]:
    """Size, latency, fidelity and retrieval of one student."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        built = build(arm, teacher, training, folder / "student")
        student = AutoModel.from_pretrained(folder / "student" / "model").eval()
        ratio = latency_ratio(student, teacher.model)
        chunks, unseen = (
            cut(texts, teacher, folder / name)
            for name, texts in (("train", training), ("heldout", heldout))
        )
        figures = levers.taught(
            student, built.teacher_layers, teacher, chunks, unseen, SETTINGS, tasks
        )
    return {
        "parameters": built.parameters,
        "pieces": built.vocabulary_size,
        "latency of the trimmed teacher's": ratio,
        **figures,
    }


def build(arm: Arm, teacher: LoadedModel, texts: list[str], output: Path) -> StudentResult:
    """The initial student, in a folder."""
    figures = TeacherFigures(name=TEACHER, **asdict(describe_model(teacher.model)))
    return build_student(
        StudentSection(**arm.student),
        trimmed=teacher,
        teacher=figures,
        texts=texts,
        output=output,
    )


def latency_ratio(student: torch.nn.Module, teacher: torch.nn.Module) -> float:
    """The student's median time for one text as a share of the teacher's, measured in turn."""
    ids = torch.randint(10, 1_000, (1, TOKENS), generator=torch.Generator().manual_seed(0))
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    seconds: dict[str, list[float]] = {"student": [], "teacher": []}
    with torch.inference_mode():
        for _ in range(TIMES):
            for name, model in (("student", student), ("teacher", teacher)):
                began = time.perf_counter()
                model(**inputs)
                seconds[name].append(time.perf_counter() - began)
    return median(seconds["student"]) / median(seconds["teacher"])


if __name__ == "__main__":
    main()
