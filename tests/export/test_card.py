from __future__ import annotations

import ast
import re
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard
from hypothesis import example, given, settings, strategies as st

from distill.export.card import (
    card_licence,
    card_metadata,
    code_span,
    escape_markdown,
    python_literal,
    render_card,
    teacher_origin,
)
from tests.report.examples import example_report

HOSTILE = [
    "`code` ``more`` ```fence",
    "a | b | c",
    "x\n---\nlicense: mit",
    "---",
    "line\nbreak\r\n\n# heading",
    "{{ report.recipe.name }} {% raw %}",
    "<script>alert(1)</script>",
    "'single' \"double\" \\ back",
    '"""\nimport os; os.abort()',
    "[link](http://x.y) ![image](x) *bold* _it_ ~~no~~ &lt;",
    "- item",
    "1. item",
    "```\n```python\nraise SystemExit",
    "åäö 😀 \u2028 \x85 \x00",
]
every_hostile = pytest.mark.parametrize("text", HOSTILE)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


def card_of(report: dict[str, Any], given: str | None = None) -> str:
    return render_card(report, card_licence(report, given))


def front_matter(card: str) -> dict[str, Any]:
    """The metadata, found as the Hub finds it."""
    data = ModelCard(card, ignore_metadata_errors=False).data.to_dict()
    assert isinstance(data, dict)
    return data


def body(card: str) -> str:
    """The card without its metadata."""
    return card.split("\n---\n", 1)[1]


def snippet(card: str) -> str:
    """The card's only code block."""
    blocks = re.findall(r"^```python\n(.*?)^```$", body(card), flags=re.DOTALL | re.MULTILINE)
    assert len(blocks) == 1
    assert len(re.findall(r"^ {0,3}```", body(card), flags=re.MULTILINE)) == 2
    return str(blocks[0])


def tables(card: str) -> list[list[str]]:
    """The rows of each table."""
    found: list[list[str]] = [[]]
    for line in card.splitlines():
        if line.startswith("|"):
            found[-1].append(line)
        elif found[-1]:
            found.append([])
    return [rows for rows in found if rows]


def headings(card: str) -> list[str]:
    without_code = re.sub(r"```python\n.*?\n```", "", body(card), flags=re.DOTALL)
    return re.findall(r"^#+ .*$", without_code, flags=re.MULTILINE)


def hostile_report(text: str) -> dict[str, Any]:
    """A report with `text` wherever a user or a corpus could have put it."""
    report = example_report()
    recipe = report["recipe"]
    recipe["name"] = text
    recipe["teacher"] |= {"model": text, "licence": text, "prefixes": {"query": text, "passage": text}}
    recipe["corpus"]["sources"][0] |= {"hub": text, "licence": text}
    report["corpus"]["sources"][0] |= {"name": text, "location": text, "licence": text}
    report["machine"]["processor"] = text
    for row in report["evaluation"]:
        row["task"] = text
    for row in report["benchmark"]:
        row["model"] = text
    return report


def test_the_metadata_says_language_licence_base_model_and_datasets() -> None:
    data = front_matter(card_of(example_report()))
    assert data["language"] == "sv"
    assert data["license"] == "cc-by-4.0"
    assert data["base_model"] == "organisation/teacher"
    assert data["datasets"] == ["organisation/text"]
    assert data["library_name"] == "transformers"
    assert data["pipeline_tag"] == "feature-extraction"


def test_the_metadata_holds_the_students_measured_scores() -> None:
    report = example_report()
    results = ModelCard(card_of(report)).data.eval_results
    assert results is not None
    assert [(r.dataset_name, r.metric_type, r.metric_value) for r in results] == [
        (score["task"], score["metric"], pytest.approx(score["mean"], abs=1e-4))
        for score in report["evaluation"]
        if score["model"] == "student"
    ]


def test_a_student_without_tasks_has_a_card_without_scores() -> None:
    report = example_report()
    report["evaluation"] = []
    card = card_of(report)
    assert "model-index" not in front_matter(card)
    assert "## What it can do" not in card


@pytest.mark.parametrize(
    ("model", "origin"),
    [
        ("FacebookAI/xlm-roberta-base", "FacebookAI/xlm-roberta-base"),
        ("package:multilingual-e5-small", "intfloat/multilingual-e5-small"),
        ("/home/somebody/models/mine", "mine"),
        ("/home/somebody/models/mine/", "mine"),
        ("../models/mine", "mine"),
        ("C:\\models\\mine", "mine"),
        ("bert-base-multilingual-cased", "bert-base-multilingual-cased"),
    ],
)
def test_a_teacher_is_known_by_its_hub_id_or_its_last_name(model: str, origin: str) -> None:
    assert teacher_origin(model) == origin


@pytest.mark.parametrize("model", ["package:multilingual-e5-small", "organisation/teacher"])
def test_a_teacher_on_the_hub_is_linked_and_is_the_base_model(model: str) -> None:
    report = example_report(teacher={"model": model})
    card = card_of(report)
    assert front_matter(card)["base_model"] == teacher_origin(model)
    assert f"](https://huggingface.co/{teacher_origin(model)})" in card


def test_a_local_teacher_is_neither_linked_nor_the_base_model() -> None:
    card = card_of(example_report(teacher={"model": "/home/somebody/mine"}))
    assert "base_model" not in front_matter(card)
    assert "huggingface.co" not in card
    assert "somebody" not in card


@pytest.mark.parametrize(
    ("teacher", "text", "chosen", "metadata", "sentence"),
    [
        ("mit", "cc-by-4.0", None, "cc-by-4.0", "Its licence is `cc-by-4.0`, the strictest of what it was made from:"),
        ("mit", "cc-by-4.0", "cc-by-4.0", "cc-by-4.0", "the strictest of what it was made from:"),
        ("mit", "cc-by-4.0", "gpl-3.0", "gpl-3.0", "Its licence, `gpl-3.0`, is the choice of who made it"),
        ("mit", None, "mit", "mit", "Its licence, `mit`, is the choice of who made it"),
        ("mit", None, None, "other", "No licence is named, because that of at least one ingredient was not said:"),
        ("mit", "my-own", None, "other", "distill does not know that of at least one ingredient:"),
    ],
)
def test_the_card_says_which_licence_and_why(
    teacher: str, text: str | None, chosen: str | None, metadata: str, sentence: str
) -> None:
    report = example_report()
    report["recipe"]["teacher"]["licence"] = teacher
    report["corpus"]["sources"][0]["licence"] = text
    card = card_of(report, chosen)
    assert front_matter(card)["license"] == metadata
    assert sentence in card


@pytest.mark.parametrize(
    ("prefixes", "sentence"),
    [
        ({}, None),
        ({"query": "query: "}, "Put `query: ` in front of a query, as for the teacher."),
        ({"passage": "passage: "}, "Put `passage: ` in front of a passage, as for the teacher."),
        (
            {"query": "x: ", "passage": "x: "},
            "Put `x: ` in front of a query and `x: ` in front of a passage, as for the teacher.",
        ),
    ],
)
def test_the_card_says_which_prefixes_to_use(prefixes: dict[str, str], sentence: str | None) -> None:
    card = card_of(example_report(teacher={"model": "organisation/teacher", "prefixes": prefixes}))
    assert (sentence in card) if sentence else ("Put " not in card)


def test_a_difference_that_was_not_measured_is_not_mentioned() -> None:
    report = example_report()
    report["vocabulary"]["max_abs_hidden_difference"] = None
    card = card_of(report)
    assert "largest difference" not in card
    assert "held-out sentences are segmented as before." in card


def test_what_was_not_measured_on_an_absent_device_is_left_out() -> None:
    report = example_report()
    report["benchmark"][0] |= dict.fromkeys(("median_ms", "p95_ms", "sequences_per_second"))
    assert len(tables(card_of(report))[1]) == 2 + len(report["benchmark"]) - 1


def test_no_value_is_left_unfilled() -> None:
    card = card_of(example_report())
    assert not re.search(r"None|nan|\{\{|\{%|undefined", card)


@every_hostile
def test_a_hostile_text_leaves_the_metadata_as_it_is(text: str) -> None:
    data = front_matter(card_of(hostile_report(text)))
    assert data["license"] == "other"
    assert data["model-index"][0]["name"] == text
    assert set(data) <= set(front_matter(card_of(example_report())))


@every_hostile
def test_a_hostile_licence_stays_one_value(text: str) -> None:
    assert front_matter(card_of(example_report(), text))["license"] == text


@every_hostile
def test_a_hostile_text_leaves_the_tables_as_they_are(text: str) -> None:
    plain, hostile = tables(card_of(example_report())), tables(card_of(hostile_report(text)))
    assert [len(rows) for rows in hostile] == [len(rows) for rows in plain]
    for rows in hostile:
        columns = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
        assert len(columns) == 1


@every_hostile
def test_a_hostile_text_adds_no_heading_and_no_line(text: str) -> None:
    plain, hostile = card_of(example_report()), card_of(hostile_report(text))
    assert headings(hostile)[1:] == headings(plain)[1:]
    lines, expected = (re.split(r"\r\n|\r|\n", body(card)) for card in (hostile, plain))
    assert len(lines) == len(expected)


@every_hostile
def test_a_hostile_text_stays_a_string_in_the_code(text: str) -> None:
    tree = ast.parse(snippet(card_of(hostile_report(text))))
    strings = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)]
    assert text in strings
    assert f"{text}..." in strings
    assert len(tree.body) == len(ast.parse(snippet(card_of(example_report()))).body)


@every_hostile
def test_a_hostile_text_brings_no_html(text: str) -> None:
    outside_code = re.sub(r"(`+).*?\1", "", body(card_of(hostile_report(text))), flags=re.DOTALL)
    assert not re.search(r"(?<!\\)<", outside_code)


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True))
@example("no")
@example("null")
@example("1e4")
@example("0x1F")
@example("2026-01-01")
@settings(max_examples=30)
def test_any_name_that_a_recipe_may_have_can_be_read_back_from_the_cards_metadata(text: str) -> None:
    report = example_report()
    report["recipe"]["name"] = text
    card = card_of(report)
    metadata = re.match(r"---\n(.*?)\n---\n", card, flags=re.DOTALL)
    assert metadata is not None
    assert yaml.safe_load(metadata[1])["model-index"][0]["name"] == text


@given(TEXTS)
@example("ends in a backslash \\")
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
    assert "\n" not in span and "\r" not in span


@given(TEXTS)
def test_escaped_text_is_one_line_without_unescaped_marks(text: str) -> None:
    escaped = escape_markdown(text)
    assert len(escaped.splitlines()) <= 1
    assert not re.search(r"(?<!\\)(\\\\)*[`*_\[\]<>#|{}~$&]", re.sub(r"\\[^\\]", "", escaped))


def test_a_score_that_was_not_measured_says_why_and_is_not_in_the_metadata() -> None:
    report = example_report()
    report["recipe"]["evaluation"]["tasks"] += [{"name": "mlm", "kind": "masked"}, {"name": "pos", "kind": "tokens"}]
    first = report["evaluation"][0]
    nothing = dict.fromkeys(("mean", "low", "high", "retention"))
    report["evaluation"] += [
        first | nothing | {"model": "student", "task": "mlm", "metric": "accuracy", "reason": "no head there"},
        first | {"model": "student", "task": "pos", "metric": "accuracy", "mean": 0.9, "low": None, "high": None},
    ]
    card = render_card(report, "mit")
    assert "| student | mlm | accuracy | – | no head there | – |" in card
    assert "| student | pos | accuracy | 0.900 | – | " in card
    results = card_metadata(report, "mit").eval_results or []
    assert {(result.dataset_name, result.task_type) for result in results} == {
        ("faq", "retrieval"),
        ("pos", "token-classification"),
    }
