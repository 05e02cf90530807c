"""Cards as a stranger's program reads them."""

from __future__ import annotations

import re
from typing import Any

from huggingface_hub import ModelCard
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from distill.export.card import card_licence, render_card
from distill.export.metadata import Contents
from tests.report.examples import example_report

WHOLE = Contents(
    files=frozenset(
        {"model.safetensors", "modules.json", "onnx/model.onnx", "onnx/model_quantized.onnx"}
    ),
    head=True,
    positions=512,
)
"""A folder with everything that a card can tell of."""
HOSTILE = [
    "`code` ``more`` ```fence",
    "a | b | c",
    "x\n---\nlicense: mit",
    "---",
    "...",
    "line\nbreak\r\n\n# heading",
    "{{ report.recipe.name }} {% raw %}",
    "<script>alert(1)</script>",
    "'single' \"double\" \\ back \\\\(x\\\\) $$y$$",
    '"""\nimport os; os.abort()',
    "[link](http://x.y) ![image](x) *bold* _it_ ~~no~~ &lt; &#60;",
    "[x]: http://x.y",
    "- item",
    "1. item",
    "1) item",
    "setext\n===",
    "```\n```python\nraise SystemExit",
    "åäö 😀 \u2028 \x85 \x00 \u202e",
]
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def card_of(
    report: dict[str, Any],
    given: str | None = None,
    contents: Contents = WHOLE,
    name: str | None = None,
) -> str:
    return render_card(report, card_licence(report, given), contents, name)


def front_matter(card: str) -> dict[str, Any]:
    """The metadata, found as the Hub's client finds it."""
    data = ModelCard(card, ignore_metadata_errors=False).data.to_dict()
    assert isinstance(data, dict)
    return data


def tokens(card: str) -> list[Token]:
    """The card's text, taken apart as the Hub does: HTML counts, and tables are read."""
    body = card.split("\n---\n", 1)[1]
    blocks = (
        MarkdownIt("commonmark", {"html": True}).enable("table").enable("strikethrough").parse(body)
    )
    return [token for block in blocks for token in (block, *(block.children or []))]


def snippets(card: str) -> dict[str, str]:
    """The card's code blocks, by the module that their first import names."""
    blocks = [
        token.content for token in tokens(card) if token.type == "fence" and token.info == "python"
    ]
    found = {re.split(r"\W+", block)[1]: block for block in blocks}
    assert len(found) == len(blocks)
    return found


def skeleton(card: str) -> list[str]:
    """What the card's text is made of, without its words: headings, tables, cells, links and what
    they lead to.
    """
    return [
        f"{token.type} {token.attrGet('href') or ''}"
        for token in tokens(card)
        if token.type not in ("text", "softbreak")
    ]


def hostile_report(text: str) -> dict[str, Any]:
    """A report with `text` wherever a user, a corpus or a library could have put it."""
    report = example_report()
    recipe = report["recipe"]
    recipe["name"] = text
    recipe["teacher"] |= {
        "model": text,
        "licence": text,
        "prefixes": {"query": text, "passage": text},
    }
    recipe["student"]["model"] = text
    recipe["corpus"]["sources"][0] |= {"hub": text, "licence": text}
    recipe["evaluation"]["tasks"][0] |= {
        "name": text,
        "source": {"hub": text, "config": text, "split": text, "revision": text},
    }
    report["corpus"]["sources"][0] |= {"name": text, "location": text, "licence": text}
    report["vocabulary"]["sources"] = [
        {"name": text, "weight": 1.0, "heldout_sentences": 1, "heldout_identical": share}
        for share in (0.5, 0.9)
    ]
    report["machine"]["processor"] = text
    report["evaluation"] += [
        report["evaluation"][0] | {"model": text, "mean": None, "reason": text}
    ]
    for row in report["evaluation"]:
        row["task"] = text
    for row in report["evaluation"][8:10]:
        row["model"] = text
    report["benchmark"][-1] |= {"median_ms": None, "reason": text}
    report["benchmark"][0]["reason"] = text
    for row in report["benchmark"]:
        row["model"] = text if row["model"] == "trimmed" else row["model"]
    return report
