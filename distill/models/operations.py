"""What a model must compute: models go in; parameters that multiply and floating-point operations
come out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel


def matrix_parameters(model: PreTrainedModel) -> int:
    """Parameters that every token is multiplied with: the layers', embeddings and positions left
    out.
    """
    from distill.models.layers import layer_list_name

    return sum(
        parameter.numel() for parameter in model.get_submodule(layer_list_name(model)).parameters()
    )


def embedding_parameters(config: PretrainedConfig) -> int:
    """Parameters of the embedding table of a model of this configuration, positions left out."""
    import torch

    from distill.models.loading import auto_class

    with torch.device("meta"):  # shapes alone: no weight is computed
        table = auto_class(config).from_config(config).get_input_embeddings()
    return int(table.weight.numel())


def attention_operations(model: PreTrainedModel, length: int) -> float:
    """Operations of attention's two products of activations, a token: 4 x length x width in each
    layer.
    """
    return float(4.0 * model.config.num_hidden_layers * length * model.config.hidden_size)


def forward_operations(model: PreTrainedModel, length: int) -> float:
    """Operations of a forward pass, a token: 2 a matrix parameter, and those of attention."""
    return float(2.0 * matrix_parameters(model) + attention_operations(model, length))


def training_operations(student: PreTrainedModel, teacher: PreTrainedModel, length: int) -> float:
    """Operations a token of distillation: the student forward and twice that backward, the teacher
    forward.

    Kaplan et al. 2020, section 2.1: 6 operations a trained parameter, 2 a parameter that is only
    read.
    """
    return 3.0 * forward_operations(student, length) + forward_operations(teacher, length)
