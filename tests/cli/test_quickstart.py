"""The quickstart's recipe through the real command line, on the real teacher and real text, barely
trained.
"""

from __future__ import annotations

import json
import subprocess
from itertools import islice
from pathlib import Path

import pytest

from tests.conftest import ROOT, distill_command, distill_environment, needs_quickstart

pytestmark = needs_quickstart


def run_quickstart(folder: Path, *, every_thread: bool = False, **settings: object) -> Path:
    """Run the recipe in a working folder, on one thread unless it has the machine to itself; the
    run's folder.
    """
    options = [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    command = distill_command("recipe", ROOT / "recipes" / "quickstart.yaml", *options)
    environment = distill_environment()
    if every_thread:
        del environment["OMP_NUM_THREADS"]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "quickstart"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run on the films of two years, barely trained."""
    files = "'journal_digital/corpus/*/sf/194[01]/*.srt'"
    settings = {
        "corpus.sources": f"[{{package: journal_digital, files: {files}, licence: cc-by-nc-4.0}}]",
        "corpus.heldout": 0.02,
        "vocabulary.floor": 0.4,
        "vocabulary.proof_seconds": 8,
        "distillation.tokens": "4k",
        "distillation.minutes": "null",
        "distillation.validations": 1,
        "evaluation.models": "[student, untrained]",
        "benchmark.models": "[student, student_int8]",
        "benchmark.batch_sizes": "[1]",
        "benchmark.lengths": "[32]",
        "benchmark.seconds": 0.2,
    }
    return run_quickstart(tmp_path_factory.mktemp("quickstart"), **settings)


@pytest.fixture(scope="module")
def report(run: Path) -> dict:
    return json.loads((run / "report.json").read_text(encoding="utf-8"))


def test_trimming_changes_no_hidden_state_where_segmentation_is_equal(report):
    assert report["vocabulary"]["max_abs_hidden_difference"] == 0.0


def test_hardly_a_token_of_held_out_text_becomes_unknown(report):
    vocabulary = report["vocabulary"]
    assert vocabulary["heldout_unk_rate"] <= vocabulary["heldout_unk_rate_original"] + 0.0005


def test_the_student_is_a_fifth_of_its_teacher(report):
    assert report["teacher"]["parameters"] == 117_653_760
    assert report["student"]["parameters"] <= 25_000_000
    assert report["student"]["layers"] == 6


def test_in_int8_the_student_is_a_quarter_of_its_size(report):
    rows = {row["model"]: row for row in report["benchmark"]}
    assert rows["student_int8"]["runtime"] == "onnx"
    assert rows["student_int8"]["bytes_on_disk"] < 0.3 * rows["student"]["bytes_on_disk"]


def test_a_few_seconds_of_distillation_beat_an_untrained_model(report):
    scores = {
        row["model"]: row["mean"] for row in report["evaluation"] if row["metric"] == "mrr@10"
    }
    assert scores["untrained"] < scores["student"]


def test_the_export_gives_the_students_hidden_states_to_the_last_bit(run):
    import torch
    from transformers import AutoModel, AutoTokenizer

    states = []
    for folder in (run / "export", run / "distillation" / "model"):
        batch = AutoTokenizer.from_pretrained(folder)(
            ["query: Vad kostar bygglov?", "Fiske."], padding=True, return_tensors="pt"
        )
        with torch.inference_mode():
            states.append(AutoModel.from_pretrained(folder).eval()(**batch).last_hidden_state)
    assert torch.equal(*states)


def test_the_tokenizers_library_alone_gives_the_ids_of_transformers_on_held_out_text(run):
    from tokenizers import Tokenizer
    from transformers import AutoTokenizer

    with (run / "corpus" / "heldout.jsonl").open(encoding="utf-8") as file:
        texts = [line for row in islice(file, 30) for line in json.loads(row)["text"].split("\n")]
    raw, stock = (
        Tokenizer.from_file(str(run / "export" / "tokenizer.json")),
        AutoTokenizer.from_pretrained(run / "export"),
    )
    assert [encoding.ids for encoding in raw.encode_batch(texts)] == stock(texts)["input_ids"]


def test_the_texts_licence_reaches_the_card(run):
    assert "license: cc-by-nc-4.0" in (run / "export" / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_whole_quickstart_keeps_its_segmentation_and_three_quarters_of_its_teachers_mrr(
    tmp_path,
):
    # In ten minutes a slow machine reads half of the tokens.
    run = run_quickstart(tmp_path, every_thread=True, **{"distillation.minutes": "null"})
    report = json.loads((run / "report.json").read_text(encoding="utf-8"))
    rows = {row["model"]: row for row in report["evaluation"] if row["metric"] == "mrr@10"}
    assert rows["teacher"]["mean"] > 0.6
    retention = {model: row["retention"] for model, row in rows.items()}
    assert retention["untrained"] < retention["initial"] < 0.5
    assert retention["student"] >= 0.75
    assert report["vocabulary"]["heldout_identical"] >= 0.93
