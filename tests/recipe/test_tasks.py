"""The sections of tasks and of the protocol, as a recipe says them."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from distill.recipe import EvaluationSection
from distill.recipe.reading import load_recipe
from distill.runtime.errors import UserError

START = "name: x\nlanguage: sv\nteacher: {model: a/b}\ncorpus:\n  sources:\n    - hub: some/text\n"
KINDS = """
- {name: area, kind: classification, train: {path: a}, dev: {path: b}, test: {path: c},
   text: text_masked, label: area}
- {name: nli, kind: pair_classification, train: {hub: a/b}, test: {hub: a/b, split: test},
   metrics: [mcc], max_train: 1k}
- {name: sts, kind: similarity, train: {path: a}, test: {path: c}, metrics: [pearson, alpha]}
- {name: ner, kind: tokens, train: {path: a}, test: {path: c}, label: ner,
   metrics: [entity_f1], dev_share: 0.2}
- {name: faq, kind: retrieval, source: {path: a}, query: q, passage: a}
- {name: ranks, kind: reranking, source: {path: a}, query: q, passage: a, candidates: 20}
- {name: answers, kind: question_answering, source: {path: a}, answer: answer}
- {name: mlm, kind: masked, source: {path: a}}
"""


def section(**keys: Any) -> EvaluationSection:
    return EvaluationSection.model_validate(keys)


def test_every_kind_of_task_takes_a_few_lines() -> None:
    tasks = section(tasks=yaml.safe_load(KINDS)).tasks
    assert [task.kind for task in tasks] == yaml.safe_load(
        "[" + ",".join(t["kind"] for t in yaml.safe_load(KINDS)) + "]"
    )
    assert [len(task.sources) for task in tasks] == [3, 2, 2, 2, 1, 1, 1, 1]


def test_a_recipes_dump_reads_back_to_the_same_tasks() -> None:
    whole = section(
        tasks=yaml.safe_load(KINDS),
        models=["teacher", "scratch", "KB/bert-base-swedish-cased", "./local"],
    )
    assert (
        EvaluationSection.model_validate(whole.model_dump(mode="json", exclude_none=True)) == whole
    )


def test_euroevals_settings_are_defaults_that_keys_overrule() -> None:
    found = section(protocol="euroeval", seeds=2)
    assert (found.learning_rates, found.batch_size, found.max_steps, found.evaluation_steps) == (
        [2e-5],
        32,
        10_000,
        30,
    )
    assert found.seeds == 2 and section(protocol="euroeval").seeds == 10 and section().seeds == 3


@pytest.fixture
def told(tmp_path: Any) -> Callable[[str], str]:
    """What is told of a recipe with this evaluation section."""

    def read(evaluation: str) -> str:
        path = tmp_path / "x.yaml"
        path.write_text(START + "evaluation:\n" + evaluation, encoding="utf-8")
        with pytest.raises(UserError) as caught:
            load_recipe(str(path))
        return str(caught.value)

    return read


TASK = (
    "  tasks:\n    - name: t\n      kind: {kind}\n      train: {{path: a}}\n      test: {{path: "
    "b}}\n      {key}\n"
)


@pytest.mark.parametrize(
    ("evaluation", "message"),
    [
        (
            TASK.format(kind="classification", key="labl: x"),
            "line 13: evaluation.tasks.0.labl: unknown key; did you mean label?",
        ),
        (TASK.format(kind="tokens", key="text: x"), "evaluation.tasks.0.text: unknown key; "),
        (
            TASK.format(kind="similarity", key="metrics: [accuracy]"),
            "line 13: evaluation.tasks.0.metrics.0: input should be ",
        ),
        (
            TASK.format(kind="similarity", key="metrics: [pearson, pearson]"),
            "evaluation.tasks.0.metrics: names pearson twice",
        ),
        (
            TASK.format(kind="clasification", key=""),
            "evaluation.tasks.0.kind: there is no 'clasification'; kinds are classif",
        ),
        (TASK.format(kind="[a]", key=""), "line 9: evaluation.tasks.0.kind: "),
        (
            "  tasks:\n    - name: t\n",
            "evaluation.tasks.0.kind: is missing; kinds are classification, multilabel, ",
        ),
        (
            "  tasks: [{name: t, kind: classification, train: {path: a}}]\n",
            "line 8: evaluation.tasks.0.test: is missing",
        ),
        (
            "  tasks: [{name: t, kind: masked, source: {pth: a}}]\n",
            "source.pth: unknown key; did you mean path?",
        ),
        (
            "  models: [teacher, studnt]\n",
            "evaluation.models.1: there is no model 'studnt'; did you mean student?",
        ),
        (
            "  models: [zzz]\n",
            "evaluation.models.0: there is no model 'zzz'; models: teacher, trimmed",
        ),
        ("  learning_rates: []\n", "line 8: evaluation.learning_rates: "),
        ("  learning_rates: [1e-4, 0.0001]\n", "evaluation: learning_rates names 0.0001 twice"),
        (
            "  protocol: scandeval\n",
            "line 8: evaluation.protocol: input should be 'distill' or 'euroeval'",
        ),
    ],
)
def test_a_mistake_names_its_line_its_key_and_what_would_be_right(
    told: Callable[[str], str], evaluation: str, message: str
) -> None:
    assert message in told(evaluation)


ABROAD = (
    "- {name: nli, kind: KIND, train: {hub: a/b, config: TRAIN}, test: {hub: a/b, config: "
    "'{language}', split: test}REST}"
)


def abroad(
    rest: str = "", kind: str = "classification", train: str = "'{language}'"
) -> dict[str, Any]:
    task = (
        ABROAD.replace("KIND", kind)
        .replace("TRAIN", train)
        .replace("REST", f", {rest}" if rest else "")
    )
    return {"tasks": yaml.safe_load(task)}


def test_a_task_in_several_languages_names_a_source_for_each_that_its_settings_want() -> None:
    def places(settings: str) -> list[tuple[str | None, str]]:
        task = section(
            **abroad("cross_lingual: {languages: [en, sv, da], " + settings + "}")
        ).tasks[0]
        return [(source.config, source.split) for source in task.sources]

    tests = [("en", "test"), ("sv", "test"), ("da", "test")]
    assert places("settings: [transfer, translate_test]") == [("en", "train"), *tests]
    assert places("settings: [translate_train]") == [
        ("en", "train"),
        ("sv", "train"),
        ("da", "train"),
        *tests,
    ]
    translated = "settings: [translate_test], translated: {hub: 'a/{language}-en'}"
    assert places(translated)[-2:] == [(None, "train"), (None, "train")]


@pytest.mark.parametrize(
    ("task", "message"),
    [
        (
            abroad(),
            "train names {language}; say which languages there are in cross_lingual.languages",
        ),
        (
            abroad("cross_lingual: {languages: [en, sv]}", train="en"),
            "train lacks {language}, whose place each of",
        ),
        (
            abroad("cross_lingual: {languages: [en, sv], translated: {path: mt.jsonl}}"),
            "cross_lingual.translated lacks {language}",
        ),
        (
            abroad("cross_lingual: {languages: [sv, da]}"),
            "source_language en is none of the languages sv, da",
        ),
        (abroad("cross_lingual: {languages: [en, sv, en]}"), "names en twice"),
        (abroad("cross_lingual: {languages: [en, ../sv]}"), "String should match pattern"),
        (
            abroad("cross_lingual: {languages: [en, sv]}", "tokens"),
            "translate_test wants one label a text",
        ),
        (
            abroad(
                "cross_lingual: {languages: [en, sv], settings: [transfer], translated: {path: "
                "'{language}'}}"
            ),
            "translated goes with the setting translate_test",
        ),
    ],
)
def test_a_task_in_several_languages_that_cannot_be_is_refused(
    task: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        section(**task)


def test_two_tasks_cannot_have_one_name_in_the_report() -> None:
    task = abroad("cross_lingual: {languages: [en, sv]}")["tasks"]
    other = yaml.safe_load("{name: nli.transfer.sv, kind: masked, source: {path: a}}")
    with pytest.raises(ValueError, match=r"names nli\.transfer\.sv twice"):
        section(tasks=[*task, other])
