"""Before anything runs: what a recipe needs from outside, checked all at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distill.corpus.formats import Tally
from distill.corpus.sources import (
    UnreachableSourceError,
    column_value,
    list_files,
    read_source,
    source_obstacle,
)
from distill.pipeline.shapes import empty_model, student_config, teacher_config
from distill.recipe import OwnHeadTask, QuestionAnsweringTask, Recipe, RerankingTask, Source
from distill.recipe.model_reference import ModelRef, no_folder
from distill.recipe.task_section import TaskSection
from distill.runtime.errors import UserError
from distill.runtime.extras import NEEDS_MAPS, check_extra
from distill.runtime.hub import hub_obstacle

if TYPE_CHECKING:
    from transformers import PretrainedConfig

    from distill.models.sentence_form import SentenceForm

STUDENTS = {"initial", "student", "student_int8"}
"""Models whose head is the student's."""
FIRST_ROWS = 20
"""Rows of a text source that are looked at before anything runs."""


def check_surroundings(recipe: Recipe) -> list[str]:
    """Check what a recipe cannot say by itself: files, the rows of tasks, the teacher, that the
    student fits it, models to compare with; gives what of the Hub could not be reached.

    Files that are not there are told at once, before anything is loaded. Raises UserError with
    every problem found.
    """
    return list(dict.fromkeys([*check_files(recipe), *check_contents(recipe)]))


def check_contents(recipe: Recipe) -> list[str]:
    """Check what is in the files that `check_files` finds, and the models; gives what of the Hub
    could not be reached. Raises UserError with every problem found.
    """
    from distill.benchmark.subjects import check_subject
    from distill.evaluation.kinds import kind_of
    from distill.inspection.sentences import read_sentences
    from distill.models import load_config
    from distill.openvino.installed import check_openvino

    problems: list[str] = []
    unreached: list[str] = []

    def collect(check: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return check(*arguments)
        except UnreachableSourceError as error:
            unreached.append(str(error))
        except UserError as error:
            problems.append(str(error))
        return None

    for source in [*recipe.corpus.sources, *recipe.vocabulary.check]:
        collect(check_text, source)
    rows = {
        task.name: collect(kind_of(task).read, task, recipe.seed)
        for task in (recipe.evaluation.tasks if not problems else ())
    }
    config = collect(teacher_config, recipe)
    if config is not None:
        form = collect(_teacher_form, recipe)
        collect(check_student, recipe, config, form.after.reads if form else None)
        if recipe.export.asymmetric and not problems:
            collect(check_asymmetric, recipe, config)
        collect(_check_tokenizer, recipe)
        for task in recipe.evaluation.tasks if not problems else ():
            collect(check_heads, recipe, task, rows[task.name], config)
    collect(check_extra, "mlflow", "a recipe's run is kept in MLflow")
    if recipe.export.openvino:
        collect(check_openvino, "export.openvino")
    if any(runtime.startswith("openvino") for runtime in recipe.benchmark.runtimes):
        collect(check_openvino, "benchmark.runtimes")
    for name in recipe.benchmark.models:
        if not ModelRef.of(name).is_own:
            collect(check_subject, name)
    if (inspection := recipe.inspection) is not None:
        collect(check_extra, "inspect", NEEDS_MAPS, "inspection")
        collect(read_sentences, inspection, inspection.kept or recipe.languages[0], recipe.seed)
        for name in inspection.models:
            if not ModelRef.of(name).is_own:
                collect(load_config, name)
    if problems:
        raise UserError("\n".join(problems))
    return list(dict.fromkeys(unreached))


def check_files(recipe: Recipe) -> list[str]:
    """Check that the files of every source, and the folders of models, are there, and that a
    teacher on the Hub can be had; gives what datasets of the Hub could not be reached.

    Loads no library that takes long. Raises UserError.
    """
    problems, unreached = [], []
    sources = [
        *recipe.corpus.sources,
        *recipe.vocabulary.word_lists,
        *recipe.vocabulary.check,
        *(source for task in recipe.evaluation.tasks for source in task.sources),
    ]
    for source in sources:
        if source.hub:
            unreached.append(source_obstacle(source))
            continue
        try:
            list_files(source)
        except UserError as error:
            problems.append(str(error))
    models: dict[str, Sequence[str | None]] = {
        "teacher.model": [recipe.teacher.model],
        "student.model": [recipe.student.model],
        "evaluation.models": recipe.evaluation.models,
        "benchmark.models": recipe.benchmark.models,
    }
    problems += [
        f"{key}: {no_folder(name)}"
        for key, names in models.items()
        for name in names
        if name and ModelRef.of(name).kind == "folder" and not Path(name).is_dir()
    ]
    problems += [
        f"{key}: {name} cannot be had: {obstacle}, and the cache does not have it."
        for key, name, revision in (
            ("teacher.model", recipe.teacher.model, recipe.teacher.revision),
            ("student.model", recipe.student.model, recipe.student.revision),
        )
        if name and (obstacle := model_obstacle(name, revision))
    ]
    if problems:
        raise UserError("\n".join(problems))
    return [obstacle for obstacle in dict.fromkeys(unreached) if obstacle]


def model_obstacle(name: str, revision: str) -> str | None:
    """Why a model of the Hub cannot be had from here; None if it can, or is in the cache."""
    if ModelRef.of(name).kind != "hub":
        return None
    from huggingface_hub import try_to_load_from_cache

    cached = isinstance(try_to_load_from_cache(name, "config.json", revision=revision), str)
    return None if cached else hub_obstacle()


def check_text(source: Source) -> None:
    """Check that the first rows of a text source have text in its column. Raises UserError."""
    for record in islice(read_source(source, Tally()), FIRST_ROWS):
        for column in filter(None, (source.column, source.text_pair)):
            column_value(record, column, source)


def check_student(recipe: Recipe, config: PretrainedConfig, dense_width: int | None = None) -> None:
    """Check that a student of the recipe's shape can be cut from the teacher and taught as it says.
    Raises UserError.
    """
    from distill.distillation.criterion import check_objectives
    from distill.models.task_heads import task_head
    from distill.student.check import check_student_section

    problems = []
    try:
        check_student_section(recipe.student, config, dense_width)
    except ValueError as error:
        problems += [f"student: {line}." for line in str(error).splitlines()]
    head = task_head(config)
    scores_pairs = head is not None and head.task == "pair score"
    has_pairs = any(source.text_pair for source in recipe.corpus.sources)
    if recipe.distillation.objectives.task and scores_pairs and not has_pairs:
        problems.append(
            f"distillation.objectives.task: {recipe.teacher.model} scores pairs of texts, and no "
            "source of corpus.sources has pairs; name the column of the second texts in text_pair, "
            "or leave the objective out."
        )
    if not problems:
        student = empty_model(student_config(recipe, config, config.vocab_size))
        try:
            check_objectives(recipe.distillation, student, empty_model(config))
        except ValueError as error:
            problems.append(f"{error}.")
    if problems:
        raise UserError("\n".join(problems))


def check_heads(recipe: Recipe, task: TaskSection, rows: Any, config: PretrainedConfig) -> None:
    """Check that the heads of the teacher and of the student answer what the task, whose rows were
    read, asks of a model as it is. Raises UserError.
    """
    from distill.evaluation.own_head import check_head
    from distill.evaluation.question_answering import check_answers_questions
    from distill.evaluation.reranking import check_scores_pairs
    from distill.models.task_heads import head_of, task_head

    heads = {recipe.teacher.model: task_head(config)}
    if STUDENTS & {*recipe.evaluation.models}:
        student = empty_model(student_config(recipe, config, config.vocab_size))
        heads["the student"] = None if recipe.student.head == "drop" else head_of(student)
    for name, head in heads.items():
        if isinstance(task, OwnHeadTask):
            check_head(task, rows or [], head, name)  # none where the Hub cannot be reached
        elif isinstance(task, RerankingTask):
            check_scores_pairs(task, head, name)
        elif isinstance(task, QuestionAnsweringTask):
            check_answers_questions(task, head, name)


def check_asymmetric(recipe: Recipe, config: PretrainedConfig) -> None:
    """Check that the student's vectors are as wide as the trimmed teacher's. Raises UserError."""
    width = student_config(recipe, config, config.vocab_size).hidden_size
    if width != config.hidden_size:
        raise UserError(
            f"export.asymmetric: the student's vectors would have {width} numbers and its "
            f"teacher's {config.hidden_size}, which cannot be compared; leave student.hidden_size "
            "out, or asymmetric."
        )


def _teacher_form(recipe: Recipe) -> SentenceForm:
    """How the teacher makes vectors. Raises UserError if its Dense layers' weights do not fit."""
    from distill.models.sentence_form import teacher_form

    return teacher_form(recipe.teacher)


def _check_tokenizer(recipe: Recipe) -> None:
    from distill.models import load_tokenizer
    from distill.vocabulary.families import open_vocabulary
    from distill.vocabulary.selection import find_pieces

    tokenizer = load_tokenizer(recipe.teacher.model, recipe.teacher.revision)
    vocabulary, keep = open_vocabulary(tokenizer), recipe.vocabulary.keep
    find_pieces(vocabulary.ids, keep.pieces, keep.pattern)
    if (size := recipe.vocabulary.size) is not None and size > len(tokenizer):
        raise UserError(
            f"vocabulary.size: {size} is more than the teacher's {len(tokenizer)} pieces."
        )
