from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from typing import Any

import pytest
import yaml

from distill.report.page import (
    breakable,
    cell_texts,
    cell_values,
    kept_of_reference,
    list_settings,
    render_page,
)
from distill.report.plots import draw_plots
from distill.report.scoreboard import build_scoreboard
from tests.report.examples import (
    STAGES,
    example_history,
    example_recipe,
    example_report,
    example_results,
    measured_report,
    measurement,
    report_content,
)

HOSTILE = '<script>alert("&")</script>'
VOID = {"meta", "br", "hr", "img", "input", "link", "wbr"}


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
        ("corpus", ["Text", "Settings"]),
        ("vocabulary", ["Vocabulary", "Text", "Settings"]),
        ("student", ["Vocabulary", "Text", "Settings"]),
        ("distillation", ["Vocabulary", "Distillation", "Text", "Settings"]),
        ("evaluation", ["Scores", "Vocabulary", "Distillation", "Text", "Settings"]),
        (
            "benchmark",
            ["Scores", "Vocabulary", "Distillation", "Size and latency", "Text", "Settings"],
        ),
        (
            "export",
            ["Scores", "Vocabulary", "Distillation", "Size and latency", "Text", "Settings"],
        ),
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
    content["benchmark"].append(
        measurement("student", device="cuda", threads=None, reason="no CUDA device here", **nothing)
    )
    text = Page(render(content)).text
    assert "no CUDA device here" in text and "None" not in text


def test_a_page_holds_all_plots(full_page: str) -> None:
    assert Page(full_page).tags["svg"] == 4


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
    targets = [link.removeprefix("#") for link in page.links] + re.findall(
        r"url\(#(.*?)\)", full_page
    )
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
    content = report_content(example_recipe(teacher={"model": HOSTILE}), results)
    page = Page(render(content, example_history()))
    assert page.tags["script"] == 1  # the tables' own
    assert page.text.count(HOSTILE) >= 6


def test_a_page_opens_with_the_picture(full_page: str) -> None:
    body = full_page[full_page.index("<body>") :]
    assert body.index("<svg") < body.index('class="figures"') < body.index("<h2>")


@pytest.mark.parametrize(("tasks", "panels"), [(("faq",), 1), (("faq", "news"), 3)])
def test_the_mean_has_a_panel_where_there_are_several_tasks(
    tasks: tuple[str, ...], panels: int
) -> None:
    html = render(report_content(example_recipe(), example_results(tasks=tasks)))
    assert html.count('role="img"') == panels
    assert ("Mean of 2 tasks" in html) == (panels == 3)


def test_what_the_student_keeps_is_that_of_the_mean_over_several_tasks() -> None:
    content = report_content(example_recipe(), example_results(tasks=("faq", "news")))
    assert kept_of_reference(build_scoreboard(content)) == {
        "share": pytest.approx(0.81),
        "of": "mean score on 2 tasks",
        "interval": "",
        "verdict": "",
    }
    assert kept_of_reference(build_scoreboard(example_report())) == {
        "share": pytest.approx(0.81),
        "of": "MRR@10 on faq",
        "interval": "",
        "verdict": "",
    }


def test_the_page_says_from_which_model_the_differences_are() -> None:
    content = example_report()
    assert "The difference is from the teacher, on the same rows" in render(content)
    content["recipe"]["evaluation"]["models"] = ["trimmed", "student"]
    page = render(content)
    assert "The difference is from the trimmed teacher, on the same rows" in page
    assert "kept of the trimmed teacher&#39;s" in page


@pytest.mark.parametrize("until", ["corpus", "distillation"])
def test_nothing_is_kept_that_was_not_measured(until: str) -> None:
    assert kept_of_reference(build_scoreboard(example_report(until))) is None


def test_a_student_without_a_score_keeps_what_it_has_of_the_next_task() -> None:
    content = report_content(example_recipe(), example_results(tasks=("mlm", "faq")))
    for score in content["evaluation"]:
        if score["model"] == "student" and score["task"] == "mlm":
            score |= {
                "mean": None,
                "low": None,
                "high": None,
                "retention": None,
                "reason": "no head",
            }
    assert kept_of_reference(build_scoreboard(content)) == {
        "share": pytest.approx(0.81),
        "of": "MRR@10 on faq",
        "interval": "",
        "verdict": "",
    }


def test_published_scores_stand_in_a_column_of_their_own() -> None:
    results = example_results(models=("teacher", "student", "KB/bert-base-swedish-cased"))
    html = render(report_content(example_recipe(), results))
    titles = re.findall(
        r"<th[^>]*>(?:<[^>]*>)*([^<]+)", html[html.index("<thead>") : html.index("</thead>")]
    )
    assert titles[-1] == "published, other protocol"
    assert html.count("ScaLA 0.695") == 1
    assert "published, other protocol" not in render(example_report())


def test_the_settings_are_the_recipe_with_its_defaults() -> None:
    settings = list_settings(example_report()["recipe"])
    assert yaml.safe_load(settings["recipe"]) == {"name": "tiny", "language": "sv", "seed": 0}
    assert yaml.safe_load(settings["student"])["layers"] == 2
    assert "seeds: 3" in settings["evaluation"].splitlines()


def test_a_cell_is_sorted_by_what_it_shows_and_by_nothing_where_that_is_not_known() -> None:
    cell = {"mean": 0.25, "low": None, "high": None, "retention": None, "difference": -0.5}
    assert cell_values(cell) == "0.25 -0.5 "
    assert cell_texts(cell) == [("0.250", "", ""), ("-0.500", "", ""), ("–", "", "")]
    assert cell_values({"mean": 0.5, "retention": 1.0}) == "0.5  1"


def test_the_page_shows_chance_verdicts_and_how_scores_were_come_by() -> None:
    text = Page(render(measured_report())).text
    assert "at chance" in text and "as good within ±0.02" in text
    assert "701 rows of train (321 distinct), 204 of test" in text
    assert "macro-F1 0.143" in text
    assert "60 (2 whole) of 204 of test" in text
    assert "0.0003 (edge of the grid)" in text
    assert "onnx int8" in text and "abc1234" in text


def test_a_page_of_scores_that_say_nothing_of_themselves_has_no_table_of_it(full_page: str) -> None:
    assert "How they were measured" not in full_page


def test_a_long_name_may_break_after_the_organisation_and_is_escaped() -> None:
    assert breakable("a&b/c") == "a&amp;b/<wbr>c"


def test_the_script_stands_in_the_page_where_there_is_a_table_to_sort(full_page: str) -> None:
    assert Page(full_page).tags["script"] == 1
    assert Page(render(example_report("distillation"))).tags["script"] == 0


def test_a_score_that_was_not_measured_shows_its_reason_and_one_seed_no_interval() -> None:
    content = example_report()
    first = content["evaluation"][0]
    nothing = dict.fromkeys(("mean", "low", "high", "retention", "difference"))
    one_seed = {
        "low": None,
        "high": None,
        "difference": -0.0321,
        "difference_low": None,
        "difference_high": None,
    }
    content["evaluation"] += [
        first | nothing | {"model": "org/baseline", "reason": "no safetensors there"},
        first | one_seed | {"model": "org/other"},
    ]
    text = Page(render(content)).text
    assert "no safetensors there" in text and "-0.032" in text and "None" not in text


def test_every_model_of_the_benchmark_has_a_line_in_the_grid() -> None:
    content = example_report()
    content["benchmark"] = [
        measurement(model, runtime=runtime, threads=threads)
        for model in ("student", "organisation/model")
        for runtime in ("torch", "onnx")
        for threads in (1, 2)
    ]
    html = render(content)
    body = html[html.rindex("<tbody>") : html.rindex("</tbody>")]
    assert body.count("<tr") == 8
    assert body.count("organisation/model") == 4
