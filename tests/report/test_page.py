from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest

from distill.report.page import first_score, group_rows, render_page
from distill.report.plots import draw_plots
from tests.report.examples import STAGES, example_history, example_recipe, example_report, example_results, measurement

HOSTILE = '<script>alert("&")</script>'
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """A page's tags, ids, loads and text; fails on tags that do not close in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.links: list[str] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        for name, value in attributes:
            if name == "id":
                self.ids[str(value)] += 1
            if name in ("src", "href", "xlink:href", "data", "action"):
                self.links.append(str(value))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "title", "script"):
            self.text += data


def render(content: dict[str, Any], history: dict[str, Any] | None = None) -> str:
    return render_page(content, draw_plots(content, history))


@pytest.fixture(scope="module")
def full_page() -> str:
    return render(example_report(), example_history())


@pytest.mark.parametrize(
    ("until", "headings"),
    [
        ("corpus", ["Text"]),
        ("vocabulary", ["Vocabulary", "Text"]),
        ("student", ["Vocabulary", "Text"]),
        ("distillation", ["Distillation", "Vocabulary", "Text"]),
        ("evaluation", ["Scores", "Distillation", "Vocabulary", "Text"]),
        ("benchmark", ["Scores", "Size and latency", "Distillation", "Vocabulary", "Text"]),
        ("export", ["Scores", "Size and latency", "Distillation", "Vocabulary", "Text"]),
    ],
)
def test_a_page_shows_what_the_run_has_so_far(until: str, headings: list[str]) -> None:
    history = example_history() if STAGES.index(until) >= STAGES.index("distillation") else None
    html = render(example_report(until), history)
    assert re.findall("<h2>(.*?)</h2>", html) == headings
    assert ("Not run yet" in Page(html).text) == (until != "export")


def test_a_run_without_tasks_has_a_page_without_scores() -> None:
    content = example_report()
    content["evaluation"] = []
    html = render(content, example_history())
    assert "<h2>Scores" not in html and "<h2>Size and latency" in html


def test_a_run_without_the_teacher_has_scores_without_retention() -> None:
    content = example_report()
    content["evaluation"] = [
        score | {"retention": None, "reason": "the teacher was not evaluated"}
        for score in content["evaluation"]
        if score["model"] != "teacher"
    ]
    assert "None" not in Page(render(content)).text


def test_what_was_not_measured_shows_its_reason() -> None:
    content = example_report()
    nothing = dict.fromkeys(("median_ms", "p95_ms", "sequences_per_second", "peak_memory_bytes"))
    content["benchmark"].append(measurement("student", device="cuda", threads=None, reason="no CUDA device here", **nothing))
    text = Page(render(content)).text
    assert "no CUDA device here" in text and "None" not in text


def test_a_page_holds_all_plots(full_page: str) -> None:
    assert Page(full_page).tags["svg"] == 5


def test_a_page_loads_nothing(full_page: str) -> None:
    page = Page(full_page)
    assert not {"link", "img", "iframe", "object"} & page.tags.keys()
    assert all(link.startswith("#") for link in page.links)
    assert "@import" not in full_page
    assert all(target.startswith("#") for target in re.findall(r"url\((.*?)\)", full_page))


def test_no_id_occurs_twice_in_a_page(full_page: str) -> None:
    assert [name for name, count in Page(full_page).ids.items() if count > 1] == []


def test_every_reference_within_a_page_has_its_target(full_page: str) -> None:
    page = Page(full_page)
    targets = [link.removeprefix("#") for link in page.links] + re.findall(r"url\(#(.*?)\)", full_page)
    assert targets and set(targets) <= page.ids.keys()


def test_the_same_report_gives_the_same_page(full_page: str) -> None:
    assert render(example_report(), example_history()) == full_page


def test_what_comes_from_recipe_and_corpus_is_escaped() -> None:
    results = example_results()
    results["corpus"]["sources"][0] |= {"location": HOSTILE, "licence": HOSTILE}
    results["corpus"]["dropped"] = {HOSTILE: 1}
    results["benchmark"]["machine"]["processor"] = HOSTILE
    for row in (*results["evaluation"]["scores"], *results["benchmark"]["measurements"]):
        row["model"] = HOSTILE
    for score in results["evaluation"]["scores"]:
        score["task"] = HOSTILE
    from distill.report.content import report_content

    content = report_content(example_recipe(teacher={"model": HOSTILE}), results)
    page = Page(render(content, example_history()))
    assert page.tags["script"] == 1  # the grid's own
    assert page.text.count(HOSTILE) >= 6


def test_the_leading_score_is_the_students_first() -> None:
    score = first_score(example_report())
    assert score is not None
    assert (score["model"], score["task"], score["metric"]) == ("student", "faq", "mrr@10")


@pytest.mark.parametrize("evaluation", [None, [], [{"model": "teacher"}]])
def test_there_is_no_leading_score_without_a_student(evaluation: Any) -> None:
    assert first_score({"evaluation": evaluation}) is None


def test_rows_are_grouped_in_the_order_in_which_they_come() -> None:
    rows = [{"task": "b", "n": 1}, {"task": "a", "n": 2}, {"task": "b", "n": 3}]
    assert [[row["n"] for row in group] for group in group_rows(rows, "task")] == [[1, 3], [2]]


def test_the_script_stands_in_the_page_where_there_is_a_grid_alone(full_page: str) -> None:
    assert Page(full_page).tags["script"] == 1
    assert Page(render(example_report("evaluation"))).tags["script"] == 0


def test_a_score_that_was_not_measured_shows_its_reason_and_one_seed_no_interval() -> None:
    content = example_report()
    first = content["evaluation"][0]
    nothing = dict.fromkeys(("mean", "low", "high", "retention", "difference"))
    one_seed = {"low": None, "high": None, "difference": -0.0321, "difference_low": None, "difference_high": None}
    content["evaluation"] += [
        first | nothing | {"model": "org/baseline", "reason": "no safetensors there"},
        first | one_seed | {"model": "org/other"},
    ]
    text = Page(render(content)).text
    assert "no safetensors there" in text and "-0.032" in text and "None" not in text


def test_a_student_that_was_not_measured_does_not_lead() -> None:
    score = {"model": "student", "task": "mlm", "metric": "accuracy", "mean": None}
    assert first_score({"evaluation": [score]}) is None
    assert first_score({"evaluation": [score, score | {"mean": 0.5}]}) == score | {"mean": 0.5}


def test_every_model_of_the_benchmark_has_a_line_in_the_grid() -> None:
    content = example_report()
    content["benchmark"] = [
        measurement(model, runtime=runtime, threads=threads)
        for model in ("student", "organisation/model")
        for runtime in ("torch", "onnx")
        for threads in (1, 2)
    ]
    html = render(content)
    body = html[html.index("<tbody>") : html.index("</tbody>")]
    assert body.count("<tr") == 8
    assert body.count("organisation/model") == 4
