"""Before anything runs: what a recipe needs from outside, checked all at once, and what the run
would make and cost.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from distill.recipe import OwnHeadTask, Recipe, Source, VocabularySection
from distill.recipe.model_reference import ModelRef, no_folder
from distill.runtime.errors import UserError
from distill.runtime.extras import NEEDS_MAPS, check_extra
from distill.runtime.hub import hub_obstacle

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from distill.models.sentence_form import SentenceForm

_TRAINING_SHARE_OF_PEAK = 0.35
"""About how much of the measured matrix product a distillation step reaches."""
_CHECKPOINT_COPIES = 3
_FURTHER_LANGUAGE = 0.5
"""What English adds to the pieces of Swedish alone, as a share of these: 9,887 to 19,010 under
min_count: 3 (benchmarks/results/second-language.json). A third was not measured.
"""
_SYMBOLS = 1_720
"""What `symbols` adds to the 21,934 pieces of Swedish text (benchmarks/results/symbols.json)."""
FIRST_ROWS = 20
"""Rows of a text source that are looked at before anything runs."""
_BYTES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a run would make; parameters and bytes are predictions where no stage has measured
    them.
    """

    teacher_parameters: int
    vocabulary: int
    vocabulary_is_measured: bool
    student_parameters: int
    student_bytes: int
    tokens: int
    operations: float
    """Floating-point operations of the distillation."""
    teacher_matrices: int = 0
    """Parameters that every token is multiplied with."""
    student_matrices: int = 0


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
    from distill.evaluation.own_head import check_teacher_head
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
    for task in recipe.evaluation.tasks if not problems else ():
        collect(kind_of(task).read, task, recipe.seed)
    config = collect(_teacher_config, recipe)
    if config is not None:
        form = collect(_teacher_form, recipe)
        collect(check_student, recipe, config, form.after.reads if form else None)
        if recipe.export.asymmetric and not problems:
            collect(check_asymmetric, recipe, config)
        collect(_check_tokenizer, recipe)
        for task in recipe.evaluation.tasks if not problems else ():
            if isinstance(task, OwnHeadTask):
                collect(check_teacher_head, task, recipe.seed, config, recipe.teacher.model)
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
        column_value(record, source.column, source)


def check_student(recipe: Recipe, config: PretrainedConfig, dense_width: int | None = None) -> None:
    """Check that a student of the recipe's shape can be cut from the teacher and taught as it says.
    Raises UserError.
    """
    from distill.distillation.criterion import check_objectives
    from distill.student.check import check_student_section

    problems = []
    try:
        check_student_section(recipe.student, config, dense_width)
    except ValueError as error:
        problems += [f"student: {line}." for line in str(error).splitlines()]
    if not problems:
        student = _empty_model(_student_config(recipe, config, config.vocab_size))
        try:
            check_objectives(recipe.distillation, student, _empty_model(config))
        except ValueError as error:
            problems.append(f"{error}.")
    if problems:
        raise UserError("\n".join(problems))


def check_asymmetric(recipe: Recipe, config: PretrainedConfig) -> None:
    """Check that the student's vectors are as wide as the trimmed teacher's. Raises UserError."""
    width = _student_config(recipe, config, config.vocab_size).hidden_size
    if width != config.hidden_size:
        raise UserError(
            f"export.asymmetric: the student's vectors would have {width} numbers and its "
            f"teacher's {config.hidden_size}, which cannot be compared; leave student.hidden_size "
            "out, or asymmetric."
        )


def make_plan(recipe: Recipe, kept_pieces: int | None = None) -> Plan:
    """Predict the student's size and the distillation's cost, from the number of pieces kept where
    it is known.
    """
    from distill.models.operations import matrix_parameters

    config = _teacher_config(recipe)
    teacher = int(_empty_model(config).num_parameters())
    vocabulary = kept_pieces or predict_vocabulary(
        recipe.vocabulary, config.vocab_size, languages=len(recipe.languages)
    )
    student_config = _student_config(recipe, config, vocabulary)
    student = int(_empty_model(student_config).num_parameters())
    teacher_matrices, student_matrices = (
        matrix_parameters(_empty_model(shape)) for shape in (config, student_config)
    )
    return Plan(
        teacher_parameters=teacher,
        vocabulary=vocabulary,
        vocabulary_is_measured=kept_pieces is not None,
        student_parameters=student,
        student_bytes=student * _BYTES,
        tokens=recipe.distillation.tokens,
        operations=float(recipe.distillation.tokens)
        * (2 * teacher_matrices + 6 * student_matrices),
        teacher_matrices=teacher_matrices,
        student_matrices=student_matrices,
    )


def predict_vocabulary(
    section: VocabularySection, teacher_vocabulary: int, *, languages: int = 1
) -> int:
    """Roughly how many pieces would be kept: as many as were of XLM-R's for European languages.

    Of 140,000 Swedish sentences, 33,700 pieces occur at least once and 23,600 three times: about
    33,700 x count^-0.34. Each further language adds half as many, and `symbols` a fixed number.
    """
    if section.size is not None:
        return min(teacher_vocabulary, section.size)
    count = 1 if section.coverage or section.identical else section.min_count or 3
    first = 33_700 * float(count) ** -0.34
    all_languages = first * (1 + _FURTHER_LANGUAGE * (languages - 1))
    return min(teacher_vocabulary, int(all_languages) + (_SYMBOLS if section.symbols else 0))


def predict_seconds(operations: float, precision: str) -> tuple[float, str]:
    """About how long the distillation takes on the device at hand, and in which precision, by a
    short probe.
    """
    import torch

    from distill.runtime.precision import choose_precision, peak_rate

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = choose_precision(precision, device)
    return operations / (peak_rate(device, chosen) * _TRAINING_SHARE_OF_PEAK), chosen


def rehearse(recipe: Recipe, plan: Plan) -> tuple[float, str]:
    """Operations a second of the recipe's distillation here, by whole steps of models of its shapes
    with random weights, for ten seconds, and in which precision. Raises UserError.
    """
    from distill.distillation.rehearsal import rehearse_distillation
    from distill.models import load_tokenizer
    from distill.models.loading import auto_class, position_limit
    from distill.runtime.runtime import Runtime
    from distill.student.depth import choose_layers

    config = _teacher_config(recipe)
    shape = _student_config(recipe, config, plan.vocabulary)
    config.vocab_size, config.pad_token_id = plan.vocabulary, shape.pad_token_id
    teacher, student = (auto_class(form).from_config(form).eval() for form in (config, shape))
    tokenizer = load_tokenizer(recipe.teacher.model, recipe.teacher.revision)
    section = recipe.student
    count = section.kept_layers if not section.model else shape.num_hidden_layers
    rate, precision = rehearse_distillation(
        recipe.distillation,
        student=student,
        teacher=teacher,
        tokenizer=tokenizer,
        layers=choose_layers(count, config.num_hidden_layers),
        pooling=recipe.teacher.pooling,
        longest=min(tokenizer.model_max_length, position_limit(student)),
        runtime=Runtime(seed=recipe.seed),
    )
    return rate * plan.operations / plan.tokens, precision


def check_space(plan: Plan, folder: Path) -> None:
    """Check that the run's folder has room for the models and checkpoints. Raises UserError if it
    clearly has not.
    """
    trimmed = plan.teacher_parameters * _BYTES  # at most: the trimmed teacher is smaller
    needed = min(trimmed, 4 * plan.student_bytes) + plan.student_bytes * (
        3 + 3 * _CHECKPOINT_COPIES
    )
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise UserError(
            f"{folder}: no space left for the run: it needs about {math.ceil(needed / 1e6):,} MB "
            "and the device has "
            f"{free // 10**6:,} MB free; free some, or name another folder with --runs."
        )


def _teacher_config(recipe: Recipe) -> PretrainedConfig:
    from distill.models import load_config
    from distill.models.loading import check_weights, sentence_folder
    from distill.models.sentence import check_sentence_files

    config = load_config(recipe.teacher.model, recipe.teacher.revision)
    check_weights(recipe.teacher.model, config, recipe.teacher.revision)
    folder = sentence_folder(recipe.teacher.model, recipe.teacher.revision)
    said = "pooling" in recipe.teacher.model_fields_set
    check_sentence_files(recipe.teacher.model, folder, recipe.teacher.pooling if said else None)
    return config


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


def _student_config(recipe: Recipe, config: PretrainedConfig, vocabulary: int) -> PretrainedConfig:
    import copy

    from distill.models import load_config
    from distill.models.task_heads import task_head
    from distill.student.custom import custom_config
    from distill.student.depth import choose_layers
    from distill.student.factorised import factorised_config

    section = recipe.student
    if section.model:
        student = load_config(section.model, section.revision)
        student.vocab_size = vocabulary
        return student
    student = (
        copy.deepcopy(config) if section.config is None else custom_config(section.config, config)
    )
    if section.config is None:
        student.num_hidden_layers = len(
            choose_layers(section.kept_layers, config.num_hidden_layers)
        )
    if section.head == "drop" and task_head(config):
        student.architectures = None
    student.vocab_size = vocabulary
    student.pad_token_id = (
        0 if config.pad_token_id is not None else None
    )  # within the smaller vocabulary
    if section.intermediate_size:
        setattr(
            student,
            "hidden_dim" if hasattr(config, "hidden_dim") else "intermediate_size",
            section.intermediate_size,
        )
    if section.hidden_size:
        head = config.hidden_size // config.num_attention_heads
        student.hidden_size, student.num_attention_heads = (
            section.hidden_size,
            section.hidden_size // head,
        )
    if section.embedding_size:
        return factorised_config(student, section.embedding_size)
    return student


def _empty_model(config: PretrainedConfig) -> PreTrainedModel:
    """The model of a configuration, with the head that it is to have, without computing a
    weight.
    """
    import torch

    from distill.models.loading import auto_class

    with torch.device("meta"):
        return auto_class(config).from_config(config)
