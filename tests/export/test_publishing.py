from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from distill.export.publishing import public_recipe, without_folders
from tests.export.conftest import SECRET
from tests.report.examples import example_report


def strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for item in value.values() for text in strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in strings(item)]
    return [value] if isinstance(value, str) else []


def test_no_string_of_a_published_report_is_an_absolute_path(local_report: dict[str, Any]) -> None:
    assert [
        text
        for text in strings(without_folders(local_report))
        if Path(text).is_absolute() or SECRET in text
    ] == []


def test_a_published_report_keeps_the_last_names_of_local_files(
    local_report: dict[str, Any],
) -> None:
    published = without_folders(local_report)
    assert published["teacher"]["name"] == published["recipe"]["teacher"]["model"] == "mine"
    assert (
        published["recipe"]["corpus"]["sources"][0]["path"]
        == published["corpus"]["sources"][0]["location"]
        == "*.jsonl"
    )
    assert published["recipe"]["evaluation"]["tasks"][0]["source"]["path"] == "faq.jsonl"


@pytest.mark.parametrize("model", ["organisation/teacher", "package:multilingual-e5-small"])
def test_a_published_report_says_the_rest_as_it_was_measured(model: str) -> None:
    report = example_report("benchmark", teacher={"model": model})
    assert without_folders(report) == report


def test_publishing_leaves_the_runs_own_report_as_it_was(local_report: dict[str, Any]) -> None:
    before = json.dumps(local_report)
    without_folders(local_report)
    assert json.dumps(local_report) == before


def test_a_published_report_names_a_local_baseline_without_its_folder(
    local_report: dict[str, Any],
) -> None:
    folder, report = f"/home/{SECRET}/models/baseline", copy.deepcopy(local_report)
    report["recipe"]["evaluation"]["models"] += [folder, "org/baseline"]
    report["evaluation"] += [
        report["evaluation"][0]
        | {"model": folder, "reason": f"there is no folder {folder}; say a/b"}
    ]
    published = without_folders(report)
    assert published["recipe"]["evaluation"]["models"][-2:] == ["baseline", "org/baseline"]
    assert published["evaluation"][-1]["model"] == "baseline"
    assert published["evaluation"][-1]["reason"] == "there is no folder baseline; say a/b"


def test_a_published_report_names_local_models_of_benchmark_and_student_by_their_last_names(
    local_report: dict[str, Any],
) -> None:
    report = copy.deepcopy(local_report)
    report["recipe"]["benchmark"]["models"] += [f"/srv/{SECRET}/other"]
    report["recipe"]["student"]["model"] = f"~/{SECRET}/small"
    report["benchmark"][0]["model"] = f"/srv/{SECRET}/other"
    published = without_folders(report)
    assert (
        published["recipe"]["benchmark"]["models"][-1]
        == published["benchmark"][0]["model"]
        == "other"
    )
    assert published["recipe"]["student"]["model"] == "small"


@pytest.mark.parametrize(
    ("line", "published"),
    [
        ("- path: /home/jane/text/*.jsonl", "- path: *.jsonl"),
        ('- path: "/home/jane doe/text/**/a.txt"  # mine', '- path: "a.txt"  # mine'),
        ("# --set teacher.model=/home/jane/e5", "# --set teacher.model=e5"),
        ("# --set corpus.sources=[{path: ~/a/b.txt}]", "# --set corpus.sources=[{path: b.txt}]"),
        ("model: C:\\Users\\jane\\e5", "model: e5"),
        ("- path: file:///home/jane/a.txt", "- path: a.txt"),
        ("- path: /corpus", "- path: corpus"),
    ],
)
def test_a_recipe_tells_of_a_folder_of_the_users_only_its_last_name(
    local_report: dict[str, Any], line: str, published: str
) -> None:
    report = copy.deepcopy(local_report)
    report["recipe"]["corpus"]["sources"][0]["path"] = (
        "/home/jane doe/text/**/a.txt"  # its blank ends no path
    )
    assert public_recipe(line, report) == published


@pytest.mark.parametrize(
    "line",
    [
        "teacher: {model: FacebookAI/xlm-roberta-base}  # https://huggingface.co/FacebookAI/xlm-roberta-base",
        "files: journal_digital/corpus/**/*.srt  # and */data/faq.jsonl",
        "- path: ${DISTILL_DATA}/sv/*.jsonl",
        "- path: s3://bucket/a/b.parquet",
        "- path: ../text/a.txt  # 1/2 of it, and/or none",
        'prefixes: {query: "query: ", passage: "passage: "}',
    ],
)
def test_the_rest_of_a_recipe_stays_the_users_own_words(
    local_report: dict[str, Any], line: str
) -> None:
    assert public_recipe(line, local_report) == line


@given(
    st.lists(st.text("abc_-é1", min_size=1), min_size=2),
    st.sampled_from(['"{}"', "'{}'", "[{}]", " {}", "={}", "{{a: {}}}"]),
)
def test_no_folder_of_an_absolute_path_is_left(
    local_report: dict[str, Any], parts: list[str], around: str
) -> None:
    text = around.format("/" + "/".join(parts))
    assert public_recipe(text, local_report) == around.format(parts[-1])


def test_pieces_and_prefixes_that_look_like_folders_stay_as_they_are(
    local_report: dict[str, Any],
) -> None:
    report = copy.deepcopy(local_report)
    report["recipe"]["vocabulary"]["keep"] = {"pieces": ["</s>", "/km"], "pattern": "/[a-z]+/"}
    report["recipe"]["teacher"]["prefixes"] = {"query": "</s> ", "passage": ""}
    text = 'keep: {pieces: ["</s>", "/km"], pattern: "/[a-z]+/"}\nprefixes: {query: "</s> "}'
    assert public_recipe(text, report) == text
    published = without_folders(report)["recipe"]
    assert published["vocabulary"]["keep"] == report["recipe"]["vocabulary"]["keep"]
    assert published["teacher"]["prefixes"] == report["recipe"]["teacher"]["prefixes"]
    assert public_recipe("- path: /km/home/jane", report) == "- path: jane"
