"""An evaluation of a few models on two tasks, on as many processes as a launcher started:

python -m tests.evaluation.shared_evaluation TEACHER OUTPUT
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from tests.evaluation.conftest import PAIRS, toy_records

MODELS = ["teacher", "student", "tfidf"]
SECTION: dict[str, Any] = {
    "models": MODELS,
    "seeds": 2,
    "learning_rates": [1e-3, 3e-3],
    "epochs": 1,
    "batch_size": 16,
    "max_length": 48,
    "precision": "float32",
}


def evaluate_shared(teacher: Path, output: Path) -> None:
    """Leaves scores.json and measured.jsonl in `output`, and for each process how much it measured
    itself.
    """
    from distill.evaluation.evaluate import evaluate_models
    from distill.evaluation.finished import Finished
    from distill.models import LoadedModel, load_with_tokenizer
    from distill.recipe import EvaluationSection, TeacherSection
    from distill.runtime.processes import Processes
    from distill.runtime.runtime import Runtime
    from distill.student.depth import untrained_copy

    processes = Processes()
    output.mkdir(parents=True, exist_ok=True)
    if processes.is_first:
        for name, rows in (
            ("train", toy_records(80)),
            ("test", toy_records(30, seed=1)),
            ("faq", PAIRS),
        ):
            lines = "".join(json.dumps(row) + "\n" for row in rows)
            (output / f"{name}.jsonl").write_text(lines, encoding="utf-8")
    processes.wait()
    toy = {"kind": "classification", "name": "toy", "max_train": 40, "max_dev": 8}
    toy |= {split: {"path": str(output / f"{split}.jsonl")} for split in ("train", "test")}
    faq = {"kind": "retrieval", "name": "faq", "query": "q", "passage": "a"}
    faq |= {"source": {"path": str(output / "faq.jsonl")}}
    loaded = load_with_tokenizer(str(teacher))
    student = untrained_copy(loaded.model, 1)

    def load(name: str) -> LoadedModel:
        model = student if name == "student" else loaded.model
        return LoadedModel(model=model, tokenizer=loaded.tokenizer)

    added = []
    keep = Finished.add

    def counted(finished: Finished, entry: dict[str, Any]) -> dict[str, Any]:
        added.append(entry)
        return keep(finished, entry)

    Finished.add = counted  # type: ignore[method-assign]
    evaluate_models(
        EvaluationSection.model_validate({**SECTION, "tasks": [toy, faq]}),
        load=load,
        teacher_section=TeacherSection(model="organisation/teacher"),
        output=output,
        runtime=Runtime(processes=processes),
    )
    Finished.add = keep  # type: ignore[method-assign]
    (output / f"process-{processes.index}").write_text(str(len(added)))
    processes.close()


if __name__ == "__main__":
    evaluate_shared(Path(sys.argv[1]), Path(sys.argv[2]))
