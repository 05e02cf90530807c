"""A factorised embedding matrix: the pieces' vectors are narrow, and one matrix widens them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_ROUNDS = 4
"""Fits of the matrix and of the narrow vectors in turn; more gain nothing."""

_KEPT = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "hidden_act",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "pad_token_id",
    "bos_token_id",
    "eos_token_id",
)
"""What both kinds of config call the same."""


@torch.no_grad()
def factorise_embeddings(
    model: PreTrainedModel, size: int, counts: torch.Tensor
) -> PreTrainedModel:
    """An `ElectraModel` with embeddings of `size` and the layers of `model`, a `BertModel`.

    ALBERT's factorisation (Lan et al. 2020, section 3.1) in ELECTRA's stock form: narrow vectors
    are normalised, then widened. It starts from a low-rank fit of what the wide embeddings give the
    first layer, each piece weighted by how often it stands in the text (`counts`, [V]). Raises
    ValueError for a model of another kind.
    """
    from transformers import ElectraConfig, ElectraModel

    if model.config.model_type != "bert":
        raise ValueError(
            f"embeddings of a {model.config.model_type} model cannot be factorised; of a bert one"
        )
    kept = {key: getattr(model.config, key) for key in _KEPT}
    config = ElectraConfig(embedding_size=size, **kept)
    narrow = ElectraModel(config)
    narrow.encoder.load_state_dict(model.base_model.encoder.state_dict())
    wide = model.base_model.embeddings
    normal = wide.LayerNorm
    positions_PD = wide.position_embeddings.weight
    mean_D = positions_PD.mean(0)
    raw_VD = wide.word_embeddings.weight + mean_D + wide.token_type_embeddings.weight[0]
    vectors_VD = F.layer_norm(raw_VD, raw_VD.shape[1:], normal.weight, normal.bias, normal.eps)
    narrow_VN, matrix_DN, bias_D = fit(vectors_VD, size, counts)
    to_narrow_ND = torch.linalg.pinv(matrix_DN)
    # A position moves a normalised vector by its own over the spread of what is normalised.
    weight_V1 = (counts + 1.0).unsqueeze(-1) / (counts + 1.0).sum()
    spread = float((raw_VD.std(1, keepdim=True) * weight_V1).sum())
    moved_PD = (positions_PD - mean_D) * normal.weight / spread
    own = narrow.embeddings
    own.word_embeddings.weight.copy_(narrow_VN)
    own.position_embeddings.weight.copy_(moved_PD @ to_narrow_ND.T)
    types_TD = wide.token_type_embeddings.weight - wide.token_type_embeddings.weight[0]
    own.token_type_embeddings.weight.copy_(types_TD * normal.weight / spread @ to_narrow_ND.T)
    own.LayerNorm.weight.fill_(1.0)
    own.LayerNorm.bias.zero_()
    narrow.embeddings_project.weight.copy_(matrix_DN)
    narrow.embeddings_project.bias.copy_(bias_D)
    return narrow.eval()


def fit(
    vectors_VD: torch.Tensor, size: int, counts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Normalised narrow vectors [V, N], a matrix [D, N] and a bias [D] whose product and sum come
    near to `vectors_VD`, weighted by `counts` and one more; from their principal components on.
    """
    weight_V1 = (counts + 1.0).unsqueeze(-1).to(vectors_VD.dtype)
    weight_V1 = weight_V1 / weight_V1.sum()
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
