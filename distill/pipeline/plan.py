"""Before anything runs: what the run would make and cost, predicted from its recipe."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from distill.pipeline.shapes import empty_model, student_config, teacher_config
from distill.recipe import Recipe, VocabularySection
from distill.runtime.errors import UserError

_TRAINING_SHARE_OF_PEAK = 0.35
"""About how much of the measured matrix product a distillation step reaches."""
_CHECKPOINT_COPIES = 3
_FURTHER_LANGUAGE = 0.5
"""What English adds to the pieces of Swedish alone, as a share of these: 9,887 to 19,010 under
min_count: 3 (benchmarks/results/second-language.json). A third was not measured.
"""
_SYMBOLS = 1_720
"""What `symbols` adds to the 21,934 pieces of Swedish text (benchmarks/results/symbols.json)."""
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


def make_plan(recipe: Recipe, kept_pieces: int | None = None) -> Plan:
    """Predict the student's size and the distillation's cost, from the number of pieces kept where
    it is known.
    """
    from distill.models.operations import matrix_parameters

    config = teacher_config(recipe)
    teacher = int(empty_model(config).num_parameters())
    vocabulary = kept_pieces or predict_vocabulary(
        recipe.vocabulary, config.vocab_size, languages=len(recipe.languages)
    )
    shape = student_config(recipe, config, vocabulary)
    student = int(empty_model(shape).num_parameters())
    teacher_matrices, student_matrices = (
        matrix_parameters(empty_model(each)) for each in (config, shape)
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

    config = teacher_config(recipe)
    shape = student_config(recipe, config, plan.vocabulary)
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
