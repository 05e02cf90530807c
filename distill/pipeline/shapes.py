"""The shapes of a recipe's teacher and student, as configurations, before either is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from distill.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def teacher_config(recipe: Recipe) -> PretrainedConfig:
    """The teacher's configuration.

    Raises UserError if it, its weights or its sentence files are not what a teacher can have.
    """
    from distill.models import load_config
    from distill.models.loading import check_weights, sentence_folder
    from distill.models.sentence import check_sentence_files

    config = load_config(recipe.teacher.model, recipe.teacher.revision)
    check_weights(recipe.teacher.model, config, recipe.teacher.revision)
    folder = sentence_folder(recipe.teacher.model, recipe.teacher.revision)
    said = "pooling" in recipe.teacher.model_fields_set
    check_sentence_files(recipe.teacher.model, folder, recipe.teacher.pooling if said else None)
    return config


def student_config(recipe: Recipe, config: PretrainedConfig, vocabulary: int) -> PretrainedConfig:
    """The student's configuration, of a teacher with `config`, with so many pieces."""
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


def empty_model(config: PretrainedConfig) -> PreTrainedModel:
    """The model of a configuration, with the head that it is to have, without computing a
    weight.
    """
    import torch

    from distill.models.loading import auto_class

    with torch.device("meta"):
        return auto_class(config).from_config(config)
