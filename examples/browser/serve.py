"""A page that searches questions and answers with an exported student, in the browser.

    npm ci --ignore-scripts
    python serve.py ../../runs/quickstart/export

puts the page, transformers.js, the student and the quickstart's questions into build/, and serves
it on http://127.0.0.1:8000. With --rows N it reads the first N of them.
"""

from __future__ import annotations

import argparse
import json
import shutil
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
STUDENT = (
    "config.json",
    "config_sentence_transformers.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "onnx/model_quantized.onnx",
)


def build(student: Path, output: Path, rows: int | None = None) -> None:
    """Write a site without a server of its own: any host of files will do."""
    for name in STUDENT:
        copy(student / name, output / "student" / name)
    for name in ("index.html", "search.js"):
        copy(HERE / name, output / name)
    library = MODULES / "@huggingface" / "transformers" / "dist"
    copy(library / "transformers.min.js", output / "transformers.min.js")
    for path in (MODULES / "onnxruntime-web" / "dist").glob("ort-wasm-simd-threaded*"):
        copy(path, output / "wasm" / path.name)
    text = files("zaragoza_construction_faq").joinpath("data/faq.jsonl").read_text("utf-8")
    faq = [json.loads(line) for line in text.splitlines()][:rows]
    kept = [{"q": row["q"], "a": row["a"]} for row in faq]
    (output / "faq.json").write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")


def copy(source: Path, target: Path) -> None:
    """Copy a file to a place whose folder may not be there yet."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


class Handler(SimpleHTTPRequestHandler):
    """Files, with the types that a browser asks of modules."""

    extensions_map = SimpleHTTPRequestHandler.extensions_map | {
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
    }


def main() -> None:
    """Build, then serve until interrupted."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("student", type=Path)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    output = HERE / "build"
    build(options.student, output, options.rows)
    handler = partial(Handler, directory=str(output))
    with ThreadingHTTPServer(("127.0.0.1", options.port), handler) as server:
        print(f"http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
