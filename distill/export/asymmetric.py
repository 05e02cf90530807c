"""The student for queries and its trimmed teacher for documents, as one folder of
sentence-transformers: its Router sends a text to either.
"""

from __future__ import annotations

from pathlib import Path

from distill.models import LoadedModel
from distill.models.saving import save_model
from distill.models.sentence import MODULES
from distill.models.sentence_form import SentenceForm
from distill.models.sentence_writing import write_form_of, write_json, write_usage

FOLDER = "asymmetric"
QUERY, DOCUMENT = "query", "document"


def write_asymmetric(
    folder: Path, *, student: LoadedModel, trimmed: LoadedModel, form: SentenceForm
) -> None:
    """Write the Router to `folder`/asymmetric: `encode_query` runs the student, `encode_document`
    the trimmed teacher. Each route's folder is by itself one of sentence-transformers, too.
    """
    router_folder = folder / FOLDER
    types: dict[str, str] = {}
    structure: dict[str, list[str]] = {}
    for route, pair in ((QUERY, student), (DOCUMENT, trimmed)):
        part = router_folder / route
        part.mkdir(parents=True)
        save_model(pair.model, pair.tokenizer, part)
        modules = write_form_of(pair, form, part)
        paths = [f"{route}/{module['path']}".rstrip("/") for module in modules]
        types |= {path: module["type"] for path, module in zip(paths, modules, strict=True)}
        structure[route] = paths
    router = {
        "types": types,
        "structure": structure,
        "parameters": {"default_route": DOCUMENT, "allow_empty_key": True},
    }
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Router"}]
    write_json(router_folder / "router_config.json", router)
    write_json(router_folder / MODULES, modules)
    write_usage(router_folder, form)
