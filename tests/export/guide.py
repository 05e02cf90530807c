"""docs/using-a-student.md: its code, and a folder where that code looks for one."""

from __future__ import annotations

import re
from pathlib import Path

from distill.export.handover import export_student
from distill.models import LoadedModel
from distill.recipe import ExportSection, TeacherSection
from tests.conftest import ROOT, swedish_sentences
from tests.report.examples import example_report

QUERIES = ["Vad krävs för bygglov?"]
PASSAGES = ["Kommunen prövar ansökan om bygglov.", "Fisken simmar i havet."]
"""The texts that the guide's code has vectors made of."""
PREFIXES = {"query": "query: ", "passage": "passage: "}


def guide_snippets(language: str = "python") -> list[tuple[str, str]]:
    """The guide's code in a language, each piece with the heading it stands under."""
    text = (ROOT / "docs" / "using-a-student.md").read_text(encoding="utf-8")
    found, heading = [], ""
    for title, code in re.findall(rf"## (.+?)\n|```{language}\n(.*?)```", text, re.S):
        heading = title or heading
        if code:
            found.append((heading, code))
    return found


def export_for_guide(student: LoadedModel, folder: Path) -> Path:
    """An exported student where the guide looks for it; the folder above."""
    output = folder / "runs" / "swedish" / "export"
    output.mkdir(parents=True)
    export_student(
        ExportSection(),
        student=student,
        teacher_section=TeacherSection(model="a/b", prefixes=PREFIXES),  # type: ignore[arg-type]
        report=example_report(),
        recipe_text="name: tiny\n",
        sentences=swedish_sentences(3),
        path=Path("runs/swedish/export"),
        output=output,
    )
    return folder
