"""`distill.trim`: a model with the pieces of one language alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from distill.library.models import Model, display, load
from distill.runtime.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from distill.vocabulary.in_memory import Trimming


def trim(
    model: Model | PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | None = None,
    texts: Iterable[str] = (),
    *,
    min_count: int | None = None,
    coverage: float | None = None,
    size: int | None = None,
    identical: float | None = None,
    floor: float = 0.0,
    alphabet: bool = True,
    symbols: bool = True,
    lexicon: str | None = None,
    keep: Sequence[str] | Mapping[str, object] = (),
    heldout: float | Iterable[str] = 0.05,
    checks: Mapping[str, Iterable[str]] | None = None,
    proof_seconds: float = 60.0,
    workers: int = 1,
    progress: bool | None = False,
) -> Trimming:
    """A copy of `model` and `tokenizer` with the pieces alone that `texts` (documents) use, proven
    on held-out text.

    One target: pieces seen `min_count` times (3 without any target), a share of running pieces
    (`coverage`), a number of pieces (`size`), or the fewest that leave a share of held-out
    sentences `identical`. `keep` names pieces that stay, or holds `pieces`, a `pattern` and a file
    of `terms`. `heldout` is the share of the texts kept apart, drawn by content, or
    sentences; `checks` are texts by name that choose nothing, whose fidelity `checks` of the result
    tells; hidden states are compared on as many of them as fit into `proof_seconds`, of which
    segmenting takes the first. More than
    one of `workers` starts processes, which a script has to allow for
    (`if __name__ == "__main__":`). Raises UserError if nothing is held out, a target is out of
    reach, or fewer than `floor` of the held-out sentences stay as they are.
    """
    from distill.models.loading import own_prompts
    from distill.recipe import VocabularySection
    from distill.vocabulary.in_memory import trim_in_memory

    try:
        section = VocabularySection.model_validate(
            {
                "min_count": min_count,
                "coverage": coverage,
                "size": size,
                "identical": identical,
                "floor": floor,
                "alphabet": alphabet,
                "symbols": symbols,
                "lexicon": lexicon,
                "proof_seconds": proof_seconds,
                "keep": dict(keep) if isinstance(keep, Mapping) else list(keep),
            }
        )
    except ValueError as error:
        raise UserError(f"trim: {error}") from error
    trimming = trim_in_memory(
        load(model, tokenizer),
        texts,
        section,
        heldout=heldout,
        prompts=own_prompts(model) if isinstance(model, str) else (),
        checks=checks,
        workers=workers,
        progress=display(progress),
    )
    if trimming.proof.heldout_identical < floor:
        raise UserError(
            f"trim: {trimming.proof.heldout_identical:.4f} of the held-out sentences keep their "
            f"segmentation, below the floor of {floor}; keep more pieces or give more text."
        )
    return trimming
