from __future__ import annotations

import csv
import io

from distill.report.score_files import to_csv, to_markdown
from distill.report.scoreboard import Scoreboard, build_scoreboard
from tests.report.examples import example_recipe, example_results, report_content

BASELINE = "KB/bert-base-swedish-cased"


def board_of(*models: str, tasks: tuple[str, ...] = ("faq", "news")) -> Scoreboard:
    """The first is measured, the others are not."""
    results = example_results(tasks=tasks, models=models)
    for score in results["evaluation"]["scores"]:
        if score["model"] != models[0]:
            score |= dict.fromkeys(("mean", "low", "high", "retention")) | {"reason": "not | here"}
    return build_scoreboard(report_content(example_recipe(), results))


def records(board: Scoreboard) -> dict[str, dict[str, str]]:
    return {row["model"]: row for row in csv.DictReader(io.StringIO(to_csv(board)))}


def test_the_csv_file_has_a_row_a_model_unrounded() -> None:
    rows = records(board_of("teacher", BASELINE))
    assert list(rows) == ["teacher", BASELINE]
    assert rows["teacher"]["faq mrr@10 mean"] == "0.8"
    assert rows["teacher"]["faq mrr@10 high"] == str(0.85)
    assert rows["teacher"]["mean of tasks mean"] == "0.8"
    assert rows["teacher"]["median_ms_for"] == "128 tokens, batch 1, CPU, 1 thread"


def test_what_is_not_measured_is_empty_in_the_csv_file_beside_its_reason() -> None:
    row = records(board_of("teacher", BASELINE))[BASELINE]
    assert (row["faq mrr@10 mean"], row["faq mrr@10 reason"]) == ("", "not | here")


def test_published_scores_have_columns_of_their_own_in_the_csv_file() -> None:
    rows = records(board_of("teacher", BASELINE))
    published = {
        key: value
        for key, value in rows[BASELINE].items()
        if key.startswith("published, other protocol")
    }
    assert published["published, other protocol: EuroEval ScaLA mcc"] == "0.6949"
    assert all(rows["teacher"][key] == "" for key in published)
    assert not any(key.startswith("published") for key in records(board_of("teacher"))["teacher"])


def test_the_markdown_table_has_a_column_for_every_title_and_says_what_is_missing() -> None:
    text = to_markdown(board_of("teacher", BASELINE))
    table = [line.replace("\\|", "") for line in text.split("\n\n")[0].split("\n")]
    assert len({line.count("|") for line in table}) == 1
    assert "0.800 (0.750 to 0.850)" in text
    assert "– [1]" in text and "[1] not | here." in text
    assert table[0].endswith("| published, other protocol |")
    assert "SweReC 0.733; SUC 3.0 0.770; ScaLA 0.695" in text
    assert (
        "published, other protocol: EuroEval (SweReC in MCC, SUC 3.0 in entity F1, ScaLA in MCC)"
        in text
    )


def test_the_mean_has_a_column_where_there_are_several_tasks() -> None:
    assert "| mean |" in to_markdown(board_of("teacher"))
    alone = to_markdown(board_of("teacher", tasks=("faq",)))
    assert "mean" not in alone
    assert not any(
        "mean of" in key for key in records(board_of("teacher", tasks=("faq",)))["teacher"]
    )
