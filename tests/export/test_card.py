from __future__ import annotations

import ast
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, constants
from hypothesis import example, given, settings, strategies as st

from distill.export.card import card_licence, render_licence
from distill.export.metadata import Contents
from tests.export.cards import (
    HOSTILE,
    TEXTS,
    WHOLE,
    card_of,
    front_matter,
    hostile_report,
    skeleton,
    snippets,
    tokens,
)
from tests.report.examples import example_report, measured_report, measurement

SENTENCES = ("sentence_transformers", "langchain_huggingface", "llama_index", "txtai")
"""The programs that take a folder as sentence-transformers does."""
every_hostile = pytest.mark.parametrize("text", HOSTILE)


def rows_of(card: str) -> list[list[str]]:
    """The cells of every table row."""
    lines = (line for line in card.splitlines() if line.startswith("|"))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_student_without_tasks_has_a_card_that_says_so() -> None:
    card = card_of(example_report() | {"evaluation": []})
    assert "Nothing was measured: how good it is at any task is not known." in card
    assert "It lost most" not in card
    assert "model-index" not in front_matter(card)


def test_a_student_without_benchmark_has_a_card_without_times() -> None:
    card = card_of(example_report() | {"benchmark": None, "machine": None})
    assert "How fast" not in card and "how fast" not in card


@pytest.mark.parametrize("model", ["package:multilingual-e5-small", "organisation/teacher"])
def test_a_teacher_on_the_hub_is_linked(model: str) -> None:
    card = card_of(example_report(teacher={"model": model}))
    assert f"](https://huggingface.co/{front_matter(card)['base_model']})" in card


def test_a_local_teacher_is_neither_linked_nor_the_base_model() -> None:
    card = card_of(example_report(teacher={"model": "/home/somebody/mine"}))
    assert "base_model" not in front_matter(card)
    assert "huggingface.co" not in card
    assert "somebody" not in card
    assert "made from mine (" in card


@pytest.mark.parametrize(
    ("student", "sentence"),
    [
        ({"layers": 2}, "2 of the 4 layers were kept,"),
        (
            {"model": "organisation/small"},
            "the student began as [organisation/small](https://huggingface.co/organisation/small),",
        ),
        ({"model": "/home/somebody/small"}, "the student began as small,"),
        ({"config": {"hidden_size": 32}, "weights": "random"}, "which began with random weights,"),
        (
            {"config": {"hidden_size": 32}},
            "which began with as much of the teacher's weights as fits,",
        ),
    ],
)
def test_the_card_says_how_the_student_began(student: dict[str, Any], sentence: str) -> None:
    assert sentence in card_of(example_report(student=student))


def test_a_student_that_began_as_another_model_has_an_ingredient_of_unknown_licence() -> None:
    card = card_of(example_report(student={"model": "organisation/small"}))
    assert "- the model that the student began as: not said" in card
    assert front_matter(card)["license"] == "other"


@pytest.mark.parametrize(
    ("teacher", "text", "chosen", "sentence"),
    [
        ("mit", "cc-by-4.0", None, "The student is under `cc-by-4.0`, the strictest licence of "
                                   "what it was made from:"),
        ("mit", "cc-by-4.0", "cc-by-4.0", "the strictest licence of what it was made from:"),
        ("mit", "cc-by-4.0", "gpl-3.0", "The student is under `gpl-3.0`, the choice of who made "
                                        "it. It was made from:"),
        ("mit", None, "mit", "by itself none follows from what it was made from, because that of "
                             "at"),
        ("mit", None, None, "No licence is named, because that of at least one ingredient was not "
                            "said."),
        ("mit", "my-own", None, "because distill does not know what that of at least one "
                                "ingredient asks"),
        ("cc-by-sa-4.0", "cc-by-nc-4.0", None, "because no licence of an ingredient is allowed by "
                                               "those of all others"),
        ("mit", "cc-by-nd-4.0", None, "because cc-by-nd-4.0 does not let adaptations be shared"),
    ],
)  # fmt: skip
def test_the_card_says_which_licence_and_why(
    teacher: str, text: str | None, chosen: str | None, sentence: str
) -> None:
    report = example_report()
    report["recipe"]["teacher"]["licence"] = teacher
    report["corpus"]["sources"][0]["licence"] = text
    assert sentence in card_of(report, chosen)


@pytest.mark.parametrize("chosen", [None, "my-own"])
def test_a_licence_that_the_hub_does_not_know_gets_a_file_that_explains_it(
    chosen: str | None,
) -> None:
    report = example_report()
    report["corpus"]["sources"][0]["licence"] = None
    text = render_licence(report, card_licence(report, chosen))
    assert text is not None and "- organisation/text: not said" in text
    assert front_matter(card_of(report, chosen))["license_link"] == "LICENSE.md"


def test_a_licence_that_the_hub_knows_needs_no_file() -> None:
    assert render_licence(example_report(), "cc-by-4.0") is None


@pytest.mark.parametrize(
    ("prefixes", "sentence"),
    [
        ({}, None),
        ({"query": "query: "}, "Put `query: ` in front of a query, as for the teacher."),
        ({"passage": "passage: "}, "Put `passage: ` in front of a passage, as for the teacher."),
        (
            {"query": "x: ", "passage": "y: "},
            "Put `x: ` in front of a query and `y: ` in front of a passage, as for the teacher.",
        ),
    ],
)
def test_the_card_says_which_prefixes_to_use(
    prefixes: dict[str, str], sentence: str | None
) -> None:
    card = card_of(example_report(teacher={"model": "organisation/teacher", "prefixes": prefixes}))
    assert (sentence in card) if sentence else ("Put " not in card)


@pytest.mark.parametrize(
    ("contents", "modules"),
    [
        (Contents(), {"torch"}),
        (Contents(files=frozenset({"onnx/model.onnx"})), {"torch", "onnxruntime"}),
        (Contents(files=frozenset({"modules.json"})), {"torch", *SENTENCES}),
        (
            Contents(files=frozenset({"modules.json", "onnx/model.onnx"})),
            {"torch", "onnxruntime", "fastembed", *SENTENCES},
        ),
        (Contents(head=True), {"torch", "transformers"}),
        (WHOLE, {"torch", "transformers", "onnxruntime", "fastembed", *SENTENCES}),
    ],
)
def test_the_card_shows_the_ways_in_which_the_folder_loads_and_no_other(
    contents: Contents, modules: set[str]
) -> None:
    assert snippets(card_of(example_report(), contents=contents)).keys() == modules


ROUTER = frozenset({"asymmetric/modules.json", "asymmetric/query/model.safetensors"})


@pytest.mark.parametrize("files", [frozenset(), frozenset({"modules.json"}), WHOLE.files])
def test_the_card_tells_of_the_asymmetric_folder_where_it_was_exported_and_nowhere_else(
    files: frozenset[str],
) -> None:
    without = card_of(example_report(), contents=Contents(files=files))
    both = card_of(example_report(), contents=Contents(files=files | ROUTER), name="group/tiny")
    assert "asymmetric/" not in without and "huggingface_hub" not in snippets(without)
    assert "sends queries to the student and documents to the trimmed teacher" in both
    code = snippets(both)["huggingface_hub"]
    ast.parse(code)
    assert 'snapshot_download("group/tiny", allow_patterns="asymmetric/*")' in code
    assert 'SentenceTransformer(f"{folder}/asymmetric")' in code


@every_hostile
def test_the_name_in_the_asymmetric_code_is_a_string_whatever_it_holds(text: str) -> None:
    card = card_of(hostile_report(text), contents=Contents(files=ROUTER))
    (called,) = (
        node
        for node in ast.walk(ast.parse(snippets(card)["huggingface_hub"]))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "snapshot_download"
    )
    assert isinstance(called.args[0], ast.Constant) and called.args[0].value == text


def test_weights_beside_the_onnx_file_are_fetched_too() -> None:
    contents = Contents(files=frozenset({"onnx/model.onnx", "onnx/model.onnx_data"}))
    code = snippets(card_of(example_report(), contents=contents))["onnxruntime"]
    assert code.index('cached_file(name, "onnx/model.onnx_data")') < code.index("InferenceSession")


def test_code_names_the_repository_where_it_is_known() -> None:
    report = example_report()
    assert 'name = "tiny"' in snippets(card_of(report))["torch"]
    assert (
        'name = "organisation/tiny"' in snippets(card_of(report, name="organisation/tiny"))["torch"]
    )
    report["recipe"]["export"]["push"] = "organisation/pushed"
    assert 'name = "organisation/pushed"' in snippets(card_of(report))["torch"]


def test_scores_stand_beside_the_teachers_with_intervals_and_retention() -> None:
    rows = rows_of(card_of(example_report()))
    assert [
        "faq",
        "mrr@10",
        "0.800 (0.750 to 0.850)",
        "0.648 (0.608 to 0.689)",
        "–",
        "81.0%",
    ] in rows
    assert [
        "faq",
        "mrr@10",
        "0.720 (0.675 to 0.765)",
        "0.583 (0.547 to 0.620)",
        "0.525 (0.492 to 0.558)",
    ] in rows


def test_scores_stand_beside_the_trimmed_teachers_where_the_teacher_was_left_out() -> None:
    report = example_report()
    report["recipe"]["evaluation"]["models"] = ["trimmed", "student"]
    report["evaluation"] = [
        score for score in report["evaluation"] if score["model"] in ("trimmed", "student")
    ]
    card = card_of(report)
    rows = rows_of(card)
    assert ["task", "metric", "trimmed", "student", "difference", "kept"] in rows
    assert [
        "faq",
        "mrr@10",
        "0.720 (0.675 to 0.765)",
        "0.648 (0.608 to 0.689)",
        "–",
        "81.0%",
    ] in rows
    assert "The difference is from the trimmed teacher, on the same rows and seeds" in card


def test_scores_in_int8_stand_beside_the_students() -> None:
    report = example_report()
    report["evaluation"].append(
        report["evaluation"][0] | {"model": "student_int8", "mean": 0.64, "low": None, "high": None}
    )
    assert [
        "faq",
        "mrr@10",
        "0.800 (0.750 to 0.850)",
        "0.648 (0.608 to 0.689)",
        "–",
        "81.0%",
        "0.640",
    ] in rows_of(card_of(report))


def test_a_score_that_was_not_measured_says_why() -> None:
    report = example_report()
    nothing = dict.fromkeys(("mean", "low", "high", "retention"))
    report["evaluation"].append(
        report["evaluation"][0]
        | nothing
        | {"model": "student", "task": "mlm", "metric": "accuracy", "reason": "no head there"}
    )
    card = card_of(report)
    assert ["mlm", "accuracy", "–", "–", "–", "–"] in rows_of(card)
    assert "- student on mlm: no head there" in card


def test_the_card_names_the_task_on_which_the_student_is_furthest_below_its_teacher() -> None:
    report = example_report()
    first = next(score for score in report["evaluation"] if score["model"] == "student")
    lost = {"difference": -0.25, "difference_low": -0.3, "difference_high": -0.2}
    report["evaluation"].append(first | {"task": "acceptability", "metric": "mcc"} | lost)
    sentence = (
        "**It is furthest below the teacher on acceptability:** mcc differs by −0.250 "
        "(−0.300 to −0.200)."
    )
    assert sentence in card_of(report)


def test_nothing_is_called_a_loss_that_its_interval_does_not_show() -> None:
    report = example_report()
    for score in report["evaluation"]:
        score |= {"difference": -0.01, "difference_low": -0.05, "difference_high": 0.03}
    assert "furthest below" not in card_of(report)


def test_as_good_as_the_teacher_is_said_of_tasks_that_passed_the_test_alone() -> None:
    report = example_report()
    assert "as well as the teacher" not in card_of(report)
    for score in report["evaluation"]:
        score["equivalent"] = score["model"] == "student"
    report["recipe"]["evaluation"]["margin"] = 0.02
    assert "with a margin of 0.02 the student does as well as the teacher on faq" in card_of(report)


def test_the_card_says_rows_chance_verdicts_and_learning_rates_at_the_edge() -> None:
    card = card_of(measured_report())
    assert "| topics | 701 rows of train (321 distinct), 204 of test | macro-F1 0.143 |" in card
    assert "topics has rows of which text also stands in what it was distilled on" in card
    assert "−0.010 (−0.015 to −0.005): as good within ±0.02" in card
    assert "The student's learning rate is at the edge of those that were tried on topics" in card


def test_the_card_says_of_task_rows_in_the_text_only_what_was_looked_at() -> None:
    report = measured_report()
    report["overlap"]["topics"] = {"train": None, "test": {"rows": 9, "exact": 0, "shared": 0}}
    assert "no row shares 12 words in a row with the text" in card_of(report)
    report["overlap"] = None
    assert "is not known" in card_of(report)


def test_a_difference_that_was_not_measured_is_not_mentioned() -> None:
    report = example_report()
    report["vocabulary"]["max_abs_hidden_difference"] = None
    card = card_of(report)
    assert "largest difference" not in card
    assert "are segmented exactly as by the teacher's whole vocabulary.\n" in card


def test_a_time_that_was_not_measured_says_why() -> None:
    report = example_report()
    report["benchmark"][0] |= {"median_ms": None, "reason": "no CUDA device here"}
    card = card_of(report)
    assert "| – [1] |" in card and "[1] no CUDA device here." in card


@pytest.mark.parametrize(("median", "slower"), [(7.5, True), (5.0, False)])
def test_int8_that_is_slower_than_float32_is_called_so(median: float, slower: bool) -> None:
    report = example_report()
    report["benchmark"].append(
        measurement("student_int8", runtime="onnx", precision="int8", median_ms=median)
    )
    card = card_of(report)
    assert (
        "**In int8 it is slower there** than in float32 at batch 1 × 32 tokens: 7.5 against 6.0 ms."
        in card
    ) is slower


def test_no_value_is_left_unfilled() -> None:
    words = " ".join(
        token.content for token in tokens(card_of(example_report())) if token.type == "text"
    )
    assert not re.search(r"None|nan\b|\{\{|\{%|undefined", words)


@every_hostile
def test_a_hostile_text_changes_words_alone(text: str) -> None:
    plain, hostile = (
        skeleton(card_of(hostile_report("plain"), "mit")),
        skeleton(card_of(hostile_report(text), "mit")),
    )
    assert hostile == plain


@given(TEXTS)
@settings(max_examples=20, deadline=None)
def test_any_text_changes_words_alone(text: str) -> None:
    # Of nothing, emphasis would have nothing to stand on; with a space, it is no name on the Hub,
    # to which a link belongs.
    report = hostile_report(f"a, {text}")
    assert skeleton(card_of(report, "mit")) == skeleton(card_of(hostile_report("plain"), "mit"))


@every_hostile
def test_a_hostile_text_brings_no_html(text: str) -> None:
    assert not [
        token.content
        for token in tokens(card_of(hostile_report(text)))
        if token.type.startswith("html")
    ]


@every_hostile
def test_a_hostile_text_leaves_the_metadata_as_it_is(text: str) -> None:
    data, plain = (
        front_matter(card_of(hostile_report(text))),
        front_matter(card_of(hostile_report("plain"))),
    )
    assert data.keys() == plain.keys()
    assert (data["license"], data["language"], data["tags"]) == (
        plain["license"],
        plain["language"],
        plain["tags"],
    )
    assert "\n" not in data["model-index"][0]["name"]


@every_hostile
def test_a_hostile_text_stays_a_string_in_the_code(text: str) -> None:
    for code in snippets(card_of(hostile_report(text), name=text)).values():
        strings = [
            node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)
        ]
        assert text in strings
    assert (
        snippets(card_of(hostile_report(text))).keys() == snippets(card_of(example_report())).keys()
    )


@given(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]*", fullmatch=True))
@example("no")
@example("null")
@example("1e4")
@example("0x1F")
@example("2026-01-01")
@settings(max_examples=20, deadline=None)
def test_any_name_that_a_recipe_may_have_can_be_read_back_from_the_cards_metadata(
    text: str,
) -> None:
    report = example_report()
    report["recipe"]["name"] = text
    metadata = re.match(r"---\n(.*?)\n---\n", card_of(report), flags=re.DOTALL)
    assert metadata is not None
    assert yaml.safe_load(metadata[1])["model-index"][0]["name"] == text


@pytest.fixture
def validating_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    """What was sent to a server that checks metadata as the Hub's specification reads."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            seen.append({"path": self.path, **sent})
            problem = metadata_problem(yaml.safe_load(sent["content"].split("---\n")[1]))
            self.send_response(400 if problem else 200)
            self.end_headers()
            self.wfile.write(problem.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        yield seen
        server.shutdown()


def metadata_problem(data: dict[str, Any]) -> str:
    """What the Hub refuses, of what its specification names."""
    if data["license"] == "other" and not {"license_name", "license_link"} <= data.keys():
        return '"license_name" and "license_link" are required with other'
    if not re.fullmatch(r"[a-z]{2,3}", data["language"]):
        return '"language" must be a code'
    for result in data.get("model-index", [{"results": []}])[0]["results"]:
        for name in ("type", "name"):
            if not isinstance(result["dataset"].get(name), str):
                return f'"dataset.{name}" is required'
        if not all(
            isinstance(metric["value"], float) and metric["type"] for metric in result["metrics"]
        ):
            return '"metrics" need type and value'
    return ""


@pytest.mark.parametrize("text", [None, *HOSTILE])
def test_the_card_passes_the_hubs_validation(
    validating_hub: list[dict[str, Any]], text: str | None
) -> None:
    card = card_of(example_report() if text is None else hostile_report(text))
    ModelCard(card).validate()
    assert [(sent["path"], sent["repoType"]) for sent in validating_hub] == [
        ("/api/validate-yaml", "model")
    ]


def test_a_card_that_the_hub_refuses_does_not_pass(validating_hub: list[dict[str, Any]]) -> None:
    with pytest.raises(ValueError, match="language"):
        ModelCard(card_of(example_report()).replace("language: sv", "language: Swedish")).validate()
