"""transformers.js: the guide's code in Node, and the page of examples/browser in Chromium."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from distill.models import load_with_tokenizer
from distill.models.after_pooling import SentenceVectors
from distill.onnx.encoder import OnnxEncoder
from distill.onnx.files import pooled_vectors
from distill.onnx.layout import INT8
from tests.clients.conftest import Vectors, printed, unit
from tests.conftest import ROOT
from tests.export.guide import PASSAGES, PREFIXES, QUERIES, guide_snippets

BROWSER = ROOT / "examples" / "browser"
_PRINT = """
console.log(JSON.stringify({ queries: queries.tolist(), passages: passages.tolist() }));
"""
QUESTION, ROWS = "Vad krävs för bygglov?", 4


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None or not (BROWSER / "node_modules" / "@huggingface").is_dir():
        pytest.skip("transformers.js is not installed: cd examples/browser && npm ci")
    return found


def run(node: str, project: Path, code: str) -> Vectors:
    """The vectors of the guide's JavaScript, which looks for its modules above its own file."""
    script = project / "guide.mjs"
    if not (project / "node_modules").exists():
        (project / "node_modules").symlink_to(BROWSER / "node_modules")
    script.write_text(code + _PRINT, encoding="utf-8")
    found = printed([node, str(script)], project)
    return unit([*found["queries"], *found["passages"]])


def guide_code() -> str:
    ((_, code),) = guide_snippets("js")
    return code


PREFIXED = [
    *(PREFIXES["query"] + text for text in QUERIES),
    *(PREFIXES["passage"] + text for text in PASSAGES),
]


def test_the_guides_code_gives_our_vectors(
    node: str, project: Path, ours: Callable[[list[str]], Vectors]
) -> None:
    found = run(node, project, guide_code().replace("'q8'", "'fp32'"))
    np.testing.assert_allclose(found, ours(PREFIXED), atol=1e-5)


def test_what_is_said_of_a_forgotten_prefix_is_so(
    node: str, project: Path, ours: Callable[[list[str]], Vectors]
) -> None:
    code = guide_code().replace("'q8'", "'fp32'")
    found = run(node, project, code.replace("'query: ", "'").replace("'passage: ", "'"))
    np.testing.assert_allclose(found, ours([*QUERIES, *PASSAGES]), atol=1e-5)
    assert np.abs(found - ours(PREFIXED)).max() > 1e-3


def test_the_guides_code_reads_the_int8_file(
    node: str, project: Path, ours: Callable[[list[str]], Vectors]
) -> None:
    found = run(node, project, guide_code())
    cosines = (found * ours(PREFIXED)).sum(1)
    assert 0.99 < cosines.min() < 1 - 1e-7


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("serve", BROWSER / "serve.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def address(example: ModuleType, project: Path, tmp_path: Path) -> Iterator[str]:
    """The page, built with the student and a few questions, and served."""
    pytest.importorskip("zaragoza_construction_faq")
    example.build(project / "runs" / "swedish" / "export", tmp_path / "site", ROWS)
    handler = partial(example.Handler, directory=str(tmp_path / "site"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_page_answers_a_question_as_our_int8_student_does(
    node: str, address: str, project: Path, tmp_path: Path
) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    picture = tmp_path / "page.png"
    command = [node, "drive.mjs", address, chromium, QUESTION, str(picture)]
    told = subprocess.run(
        command, cwd=BROWSER, env=os.environ, capture_output=True, text=True, timeout=300
    )
    assert told.returncode == 0, told.stderr[-3000:]
    shown = json.loads(told.stdout)
    assert shown["problems"] == [] and picture.stat().st_size > 0
    faq = json.loads((tmp_path / "site" / "faq.json").read_text(encoding="utf-8"))
    scores = scores_of(project / "runs" / "swedish" / "export", [row["a"] for row in faq])
    number = {row["a"]: index for index, row in enumerate(faq)}
    answers = [number[answer] for _, answer, _ in shown["answers"]]
    assert [faq[index]["q"] for index in answers] == [
        question for question, _, _ in shown["answers"]
    ]
    told_scores = [float(text.removeprefix("cosine ")) for _, _, text in shown["answers"]]
    np.testing.assert_allclose(told_scores, scores[answers], atol=5e-3)
    assert scores[answers[0]] >= scores.max() - 1e-2


def scores_of(folder: Path, answers: list[str]) -> Vectors:
    """The cosine of each answer to the question, with their prefixes, by the folder's int8 file."""
    tokenizer = load_with_tokenizer(str(folder)).tokenizer
    encoder, batches = OnnxEncoder(folder / INT8), []
    for text in (PREFIXES["query"] + QUESTION, *(PREFIXES["passage"] + text for text in answers)):
        ids = np.array([tokenizer(text, truncation=True)["input_ids"]], dtype=np.int64)
        batches.append((ids, np.ones_like(ids)))
    vectors = unit(pooled_vectors(encoder, batches, SentenceVectors("mean")).tolist())
    scores: Vectors = vectors[1:] @ vectors[0]
    return scores
