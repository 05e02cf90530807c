"""Whether a teacher can have the student that a recipe describes, known from its config before
anything runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from distill.models.task_heads import task_head
from distill.recipe import StudentSection
from distill.student.custom import custom_config
from distill.student.depth import check_layers, choose_layers
from distill.student.factorised import check_embedding_size
from distill.student.width import check_width

if TYPE_CHECKING:
    from transformers import PreTrainedConfig


def check_student_section(
    section: StudentSection, config: PreTrainedConfig, dense_width: int | None = None
) -> None:
    """Nothing if a teacher of `config` can have this student; raises ValueError with a line for
    each reason why not. `dense_width` is what a Dense layer after its pooling reads.

    An existing model is known only when it is loaded, so nothing is checked of it here.
    """
    checks: list[Callable[[], object]] = []
    if section.config is not None:
        overrides = section.config
        checks = [lambda: custom_config(overrides, config)]
    elif section.model is None:
        checks = [
            lambda: check_layers(
                config, choose_layers(section.kept_layers, config.num_hidden_layers)
            ),
            lambda: check_width(
                config, hidden_size=section.hidden_size, intermediate_size=section.intermediate_size
            ),
        ]
    if (size := section.embedding_size) is not None:
        checks.append(lambda: check_embedding_size(config, size))
        checks.append(lambda: _check_head(section, config))
    if dense_width is not None:
        checks.append(lambda: _check_dense(section, dense_width))
    problems = []
    for check in checks:
        try:
            check()
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))


def _check_dense(section: StudentSection, dense_width: int) -> None:
    hidden_size = section.hidden_size or (section.config or {}).get("hidden_size", dense_width)
    if hidden_size != dense_width:
        raise ValueError(
            f"hidden_size {hidden_size} does not go with the teacher's Dense layer, which reads "
            f"pooled vectors of {dense_width}; leave hidden_size out and take fewer layers or a "
            "smaller intermediate_size"
        )


def _check_head(section: StudentSection, config: PreTrainedConfig) -> None:
    if section.head == "keep" and (head := task_head(config)):
        raise ValueError(
            f"embedding_size leaves the teacher's head ({head.words}) behind; say head: drop, too"
        )
