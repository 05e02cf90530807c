"""Weights in PyTorch's own format, read once and kept as safetensors in the cache folder.

Such a file is a pickle, which can run code when it is read. torch's weights-only unpickler knows
tensors and plain containers alone and refuses everything else.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from distill.models.packaged import cache_folder
from distill.models.soundness import shard_files
from distill.runtime.errors import UserError
from distill.runtime.files import make_once
from distill.runtime.hashes import hash_file, hash_text

if TYPE_CHECKING:
    import torch

WEIGHTS, INDEX = "pytorch_model.bin", "pytorch_model.bin.index.json"
BESIDE = (".json", ".txt", ".model", ".md")
"""Endings of the files that go with the weights: config, tokenizer, sentence modules."""


def pickled_files(folder: Path) -> list[Path]:
    """The files of a folder that hold weights as pickles; none where it has safetensors. Raises
    UserError if an index names a file that is not the folder's own.
    """
    if any(folder.glob("*.safetensors")):
        return []
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    return shard_files(folder / INDEX) if (folder / INDEX).is_file() else []


def converted(folder: Path, files: list[Path]) -> Path:
    """A folder in the cache with the weights of `files` as safetensors, and what stands beside
    them; made on first use.

    Raises UserError if a file holds anything but weights.
    """
    beside = [path for path in sorted(folder.iterdir()) if path.suffix in BESIDE]
    identity = [f"{path.name} {hash_file(path)}" for path in (*files, *beside)]

    def fill(partial: Path) -> None:
        write_safetensors(files, partial / "model.safetensors")
        for path in beside:
            if path.name != INDEX:
                shutil.copyfile(path, partial / path.name)

    return make_once(cache_folder() / "converted" / hash_text("\n".join(identity)), fill)


def write_safetensors(files: list[Path], output: Path) -> None:
    """Write the weights of `files` to one safetensors file. Raises UserError if one holds anything
    else.
    """
    from safetensors.torch import save_file

    tensors: dict[str, torch.Tensor] = {}
    seen: set[tuple[int, int]] = set()
    for file in files:
        for name, tensor in read_tensors(file).items():
            where = (tensor.data_ptr(), tensor.numel())
            if where not in seen:  # tied weights are one tensor, and stand in safetensors once
                tensors[name] = tensor.contiguous().clone()
                seen.add(where)
    save_file(tensors, output, metadata={"format": "pt"})


def read_tensors(file: Path) -> Mapping[str, torch.Tensor]:
    """The tensors of a pickle by name. Raises UserError if it holds anything else."""
    import torch

    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of the unpickler, of the archive, of the system
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UserError(
            f"{file} is refused: it holds more than weights, or is damaged ({reason:.200}).",
            key="teacher.model",
        ) from error
    if not isinstance(content, Mapping) or not all(
        isinstance(tensor, torch.Tensor) for tensor in content.values()
    ):
        raise UserError(f"{file} is refused: it should hold tensors by name.", key="teacher.model")
    return content
