"""Memories on disk: written once, read tomorrow, by the weights that wrote them and no others."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import safetensors
import torch
from safetensors.torch import save
from torch import Tensor, nn

from ..doors import memory_of
from ..inputs import check_kind
from ..model import KanervaPlusPlus
from .atomic import write_file
from .card import CheckpointError
from .checkpoint import pack, plain_weights, unwrapped

FORMAT = "kpp memory 1"


def save_memory(model: nn.Module, memory: Tensor, file: str | Path) -> Path:
    """Write `memory` [B, 3, S, S] of `model` to `file`, whole or not at all; it names the weights. Returns the path.

    A file that is no memory, or a folder, stays as it is: ValueError. CheckpointError when it cannot be written.
    """
    model, file = _with_memory(model), _path(file)
    memory = memory_of(model, memory).detach().float().cpu().contiguous()
    if os.path.lexists(file) and (not file.is_file() or _said(file).get("format") != FORMAT):
        raise ValueError(f"file: got {file}, which is no memory, expected a new name, or a memory to replace")
    said = {"format": FORMAT, "weights": _digest(model), "length": str(model.config.length), "sha256": _sum(memory)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_file(file, save({"memory": memory}, metadata=said))
    except OSError as error:
        raise CheckpointError(f"{file}: not saved: {error.strerror}") from error
    return file


def load_memory(model: nn.Module, file: str | Path) -> Tensor:
    """The memory [B, 3, S, S] in `file`, on the device of `model`, whose weights wrote it.

    A memory of more images than the model's own T is read with `model.holding(T)`, as it was written. CheckpointError
    for a file that is missing, damaged, no memory, or of other weights or another T.
    """
    model, file = _with_memory(model), _path(file)
    said = _said(file)
    if said.get("format") != FORMAT:
        raise CheckpointError(f"{file}: {'damaged, or no memory' if file.is_file() else 'no such file'}; expected what "
                              "save_memory writes")  # fmt: skip
    for key, mine in (("weights", _digest(model)), ("length", str(model.config.length))):
        if said.get(key) != mine:
            what = {"weights": "other weights", "length": f"episodes of T = {said.get(key, '?')[:9]}"}[key]
            hint = f"; this model holds T = {mine}: model.holding({said.get(key)})" if key == "length" else ""
            raise CheckpointError(f"{file}: a memory of {what}{hint}; expected one that this model wrote")
    try:
        with safetensors.safe_open(file, "pt") as f:
            memory = f.get_tensor("memory")
    except (OSError, safetensors.SafetensorError) as error:
        raise CheckpointError(f"{file}: damaged: {error}") from error
    if _sum(memory) != said.get("sha256"):
        raise CheckpointError(f"{file}: damaged: its sha256 does not fit")
    return memory_of(model, memory.to(next(model.parameters()).device))


def _with_memory(model: nn.Module) -> KanervaPlusPlus:
    model = unwrapped(check_kind("model", model, nn.Module, "a KanervaPlusPlus"))
    return check_kind("model", model, KanervaPlusPlus, "a model with a memory")


def _path(file: str | Path) -> Path:
    return Path(check_kind("file", file, (str, os.PathLike), "the path of a file"))


def _said(file: Path) -> dict[str, str]:
    """What a memory says of itself; nothing where it is none."""
    try:
        with safetensors.safe_open(file, "pt") as f:
            return f.metadata() or {}
    except (OSError, safetensors.SafetensorError, UnicodeDecodeError, ValueError):
        return {}


def _digest(model: KanervaPlusPlus) -> str:
    return hashlib.sha256(pack(plain_weights(model))).hexdigest()


def _sum(memory: Tensor) -> str:
    return hashlib.sha256(str(list(memory.shape)).encode() + memory.to(torch.float32).numpy().tobytes()).hexdigest()
