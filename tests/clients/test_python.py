"""The Python of the guide and of the card, run by the programs that it is for: their vectors are
those that distill measures, and others where the prefixes are forgotten.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from distill.export.metadata import Contents
from distill.onnx.layout import FLOAT32
from tests.clients.conftest import Vectors, printed, unit
from tests.clients.environments import python_with
from tests.export.cards import card_of, snippets
from tests.export.guide import PASSAGES, PREFIXES, QUERIES, guide_snippets
from tests.report.examples import example_report

_PRINT = """
import json
print(json.dumps({"queries": [[float(x) for x in v] for v in queries],
                  "passages": [[float(x) for x in v] for v in passages]}))
"""


@dataclass(frozen=True, kw_only=True)
class Client:
    """A program, and how its code in the guide is made to say its vectors and to forget."""

    heading: str
    module: str
    vectors: str = ""
    """Code that gives the vectors, where the guide's has no names for them."""
    forgotten: Mapping[str, str] = field(default_factory=dict)
    """What a person in a hurry leaves out of the code."""
    adds_them_itself: bool = False
    """Whether it finds the prefixes in the folder."""

    def code(self, text: str, *, forget: bool = False) -> str:
        """The guide's or the card's code, with the float32 file where a file is named."""
        text = text.replace("onnx/model_quantized.onnx", FLOAT32)
        for old, new in self.forgotten.items() if forget else ():
            assert old in text, old
            text = text.replace(old, new)
        return text + self.vectors + _PRINT


_TXTAI = """
queries = index.batchtransform({queries!r}, "query")
passages = index.batchtransform({passages!r}, "data")
"""
CLIENTS = [
    Client(
        heading="sentence-transformers",
        module="sentence_transformers",
        forgotten={"encode_query": "encode", "encode_document": "encode"},
    ),
    Client(
        heading="LangChain",
        module="langchain_huggingface",
        forgotten={
            '    encode_kwargs={"prompt_name": "document"},\n': "",
            '    query_encode_kwargs={"prompt_name": "query"},\n': "",
        },
    ),
    Client(
        heading="LlamaIndex",
        module="llama_index",
        forgotten={
            '    query_instruction="query: ",\n': "",
            '    text_instruction="passage: ",\n': "",
        },
    ),
    Client(
        heading="txtai",
        module="txtai",
        vectors=_TXTAI.format(queries=QUERIES, passages=PASSAGES),
        forgotten={'    instructions={"query": "query: ", "data": "passage: "},\n': ""},
        adds_them_itself=True,
    ),
    Client(
        heading="fastembed",
        module="fastembed",
        forgotten={'"query: ': '"', '"passage: ': '"'},
    ),
]
every_client = pytest.mark.parametrize("client", CLIENTS, ids=[one.module for one in CLIENTS])


def run(client: Client, code: str, folder: Path) -> Vectors:
    """The vectors of the queries, then of the passages."""
    found = printed([python_with(client.module), "-c", code], folder)
    return unit([*found["queries"], *found["passages"]])


def texts(queries: list[str], passages: list[str], *, prefixed: bool) -> list[str]:
    if not prefixed:
        return [*queries, *passages]
    return [
        *(PREFIXES["query"] + text for text in queries),
        *(PREFIXES["passage"] + text for text in passages),
    ]


@every_client
def test_the_guides_code_gives_our_vectors(
    client: Client, project: Path, ours: Callable[[list[str]], Vectors]
) -> None:
    (code,) = [code for heading, code in guide_snippets() if heading == client.heading]
    found = run(client, client.code(code), project)
    np.testing.assert_allclose(found, ours(texts(QUERIES, PASSAGES, prefixed=True)), atol=1e-5)


@every_client
def test_what_is_said_of_a_forgotten_prefix_is_so(
    client: Client, project: Path, ours: Callable[[list[str]], Vectors]
) -> None:
    (code,) = [code for heading, code in guide_snippets() if heading == client.heading]
    found = run(client, client.code(code, forget=True), project)
    wanted = ours(texts(QUERIES, PASSAGES, prefixed=client.adds_them_itself))
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    other = ours(texts(QUERIES, PASSAGES, prefixed=not client.adds_them_itself))
    assert np.abs(found - other).max() > 1e-3


@every_client
def test_the_cards_code_gives_our_vectors(
    client: Client, project: Path, ours: Callable[[list[str]], Vectors]
) -> None:
    folder = project / "runs" / "swedish" / "export"
    card = card_of(
        example_report(teacher={"model": "organisation/teacher", "prefixes": PREFIXES}),
        contents=Contents(files=frozenset({FLOAT32, "modules.json"})),
        name=str(folder),
    )
    queries, passages = ["A first text."], ["A second text."]
    code = snippets(card)[client.module]
    if client.module == "fastembed":  # which takes a name for an id on the Hub, unless told so
        told = f"model = TextEmbedding(specific_model_path={str(folder)!r}, model_name="
        code = code.replace("model = TextEmbedding(", told)
    elif client.module == "txtai":
        code += _TXTAI.format(queries=queries, passages=passages)
    found = run(client, code + _PRINT, project)
    np.testing.assert_allclose(found, ours(texts(queries, passages, prefixed=True)), atol=1e-5)
