"""A factorised embedding table: the pieces' vectors are narrow, and one matrix widens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from transformers import ElectraConfig, PreTrainedConfig, PreTrainedModel

FAMILIES = ("bert", "roberta", "xlm-roberta")
"""Whose layers a stock ELECTRA has, too."""
_ROUNDS = 4
"""Fits of the matrix and of the narrow vectors in turn; more gain nothing."""
_KEPT = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "hidden_dropout_prob",
    "attention_probs_dropout_prob",
    "type_vocab_size",
    "layer_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
)
"""What all these configs call the same."""


def check_embedding_size(config: PreTrainedConfig, size: int) -> None:
    """Nothing if a model of `config` can have embeddings of that size; raises ValueError saying why
    it can't.
    """
    if config.model_type not in FAMILIES:
        raise ValueError(
            f"embedding_size needs a teacher of type {', '.join(FAMILIES[:-1])} or {FAMILIES[-1]}, "
            f"and this one is of type {config.model_type}"
        )
    if size >= config.hidden_size:
        raise ValueError(
            f"embedding_size {size} is not smaller than the teacher's {config.hidden_size}"
        )


def factorised_config(config: PreTrainedConfig, size: int) -> ElectraConfig:
    """The config of the ELECTRA that has embeddings of `size` and otherwise the shape of `config`.

    Raises ValueError as `check_embedding_size` does.
    """
    from transformers import ElectraConfig

    check_embedding_size(config, size)
    kept = {key: getattr(config, key) for key in _KEPT}
    length = config.max_position_embeddings - _unused_positions(config)
    factorised = ElectraConfig(embedding_size=size, max_position_embeddings=length, **kept)
    factorised.architectures = ["ElectraModel"]
    return factorised


@torch.no_grad()
def factorise_embeddings(
    model: PreTrainedModel, size: int, counts: torch.Tensor
) -> PreTrainedModel:
    """An `ElectraModel` with embeddings of `size` and the layers of the encoder of `model`.

    ALBERT's factorisation (Lan et al. 2020, section 3.1) in ELECTRA's stock form: narrow vectors
    are normalised, then widened. They start from a low-rank fit of what the wide ones give the
    first layer, each piece weighted by how often it stands in the text (`counts`, [V]). A head is
    left behind. Raises ValueError as `check_embedding_size` does.
    """
    from transformers import ElectraModel

    wide = model.base_model.embeddings
    narrow = ElectraModel(factorised_config(model.config, size))
    narrow.encoder.load_state_dict(model.base_model.encoder.state_dict())
    normal = wide.LayerNorm
    positions_PD = wide.position_embeddings.weight[_unused_positions(model.config) :]
    mean_D, type_D = positions_PD.mean(0), wide.token_type_embeddings.weight[0]
    raw_VD = wide.word_embeddings.weight + mean_D + type_D
    vectors_VD = F.layer_norm(raw_VD, raw_VD.shape[1:], normal.weight, normal.bias, normal.eps)
    narrow_VN, matrix_DN, bias_D = fit_narrow(vectors_VD, size, counts)
    # A position moves a normalised vector by its own over the spread of what is normalised.
    spread = float((raw_VD.std(1) * _weights(counts)).sum())
    to_narrow_DN = torch.linalg.pinv(matrix_DN).T * normal.weight.unsqueeze(-1) / spread
    embeddings = narrow.embeddings
    embeddings.word_embeddings.weight.copy_(narrow_VN)
    embeddings.position_embeddings.weight.copy_((positions_PD - mean_D) @ to_narrow_DN)
    embeddings.token_type_embeddings.weight.copy_(
        (wide.token_type_embeddings.weight - type_D) @ to_narrow_DN
    )
    embeddings.LayerNorm.weight.fill_(1.0)
    embeddings.LayerNorm.bias.zero_()
    narrow.embeddings_project.weight.copy_(matrix_DN)
    narrow.embeddings_project.bias.copy_(bias_D)
    return narrow.eval()


def fit_narrow(
    vectors_VD: torch.Tensor, size: int, counts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalised narrow vectors [V, N], a matrix [D, N] and a bias [D] whose product and sum come
    near to `vectors_VD`, each weighted by its count and one more: from the principal components on,
    by least squares in turn.
    """
    weight_V1 = _weights(counts).unsqueeze(-1).to(vectors_VD.dtype)
    bias_D = (vectors_VD * weight_V1).sum(0)
    centred_VD = vectors_VD - bias_D
    _, components_DD = torch.linalg.eigh(centred_VD.T @ (centred_VD * weight_V1))
    matrix_DN = components_DD[:, -size:]
    for _ in range(_ROUNDS):
        narrow_VN = F.layer_norm((vectors_VD - bias_D) @ torch.linalg.pinv(matrix_DN).T, (size,))
        design_VM = F.pad(narrow_VN, (0, 1), value=1.0)
        gram_MM = design_VM.T @ (design_VM * weight_V1)
        both_MD = torch.linalg.lstsq(gram_MM, design_VM.T @ (vectors_VD * weight_V1)).solution
        matrix_DN, bias_D = both_MD[:-1].T.contiguous(), both_MD[-1]
    return narrow_VN, matrix_DN, bias_D


def _weights(counts: torch.Tensor) -> torch.Tensor:
    return (counts + 1.0) / (counts + 1.0).sum()


def _unused_positions(config: PreTrainedConfig) -> int:
    """RoBERTa's positions begin behind the padding's id, ELECTRA's at 0."""
    return 0 if config.model_type == "bert" else config.pad_token_id + 1
