from __future__ import annotations

import ast
import re

from hypothesis import example, given
from markdown_it import MarkdownIt

from distill.export.markdown import code_span, escape_markdown, one_line, python_literal
from tests.export.cards import TEXTS


@given(TEXTS)
@example("ends in a backslash \\")
@example("\u202e")
def test_a_literal_is_the_text_as_python_reads_it(text: str) -> None:
    assert ast.literal_eval(python_literal(text)) == text


@given(TEXTS)
@example("`")
@example("``a`b")
def test_inline_code_is_closed_by_its_own_fence_alone(text: str) -> None:
    span = code_span(text)
    fence = re.match("`+", span)
    assert fence is not None
    inside = span[fence.end() : -fence.end()]
    assert fence[0] not in re.findall("`+", inside)
    assert len(span.splitlines()) == 1


@given(TEXTS)
@example("&lt; \\( $$ | a_b* [x](y) <br> - 1.")
@example("- item")
@example("1. item")
@example("# heading")
@example("+")
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    blocks = MarkdownIt("commonmark").enable("table").parse(f"x {escape_markdown(text)}")
    (inline,) = (block for block in blocks if block.type == "inline")
    assert {token.type for token in inline.children or []} <= {"text", "text_special"}
    assert (
        "".join(token.content for token in inline.children or []) == f"x {one_line(text)}".rstrip()
    )


@given(TEXTS)
@example("- item")
@example("1) item")
@example("===")
@example("    code")
def test_escaped_text_makes_a_paragraph_of_its_own(text: str) -> None:
    blocks = MarkdownIt("commonmark").enable("table").parse(escape_markdown(text))
    assert {block.type for block in blocks} <= {"paragraph_open", "inline", "paragraph_close"}


@given(TEXTS)
@example("a | b \\( $$")
def test_escaped_text_has_nothing_that_is_read_before_markdown(text: str) -> None:
    assert not re.search(r"\||\$|\\\\\(", escape_markdown(text))
