"""Checkpoints: safetensors for numbers, JSON for words, no pickles. A folder appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..baselines import VAE
from ..config import Config
from ..inputs import check_device, check_flag, check_kind
from ..model import KanervaPlusPlus

Model = KanervaPlusPlus | VAE

WEIGHTS, CARD, TRAINING = "weights.safetensors", "model.json", "training.safetensors"
PRETRAINED = Path(__file__).parents[1] / "weights"
FORMAT = 1


def make_model(config: Config) -> Model:
    """The model that `config` describes: Kanerva++, or the memory-free VAE where write='none'."""
    return VAE(config) if config.write == "none" else KanervaPlusPlus(config)


class CheckpointError(RuntimeError):
    """A checkpoint that is missing, damaged or of another format; the message names the file and what was expected."""


def save_model(
    model: Model,
    folder: str | Path,
    card: dict[str, Any] | None = None,
    training: dict[str, Tensor] | None = None,
    half: bool = False,
) -> Path:
    """Write `folder` with weights.safetensors and model.json (and training.safetensors for `fit`), atomically.

    An existing folder is replaced only once the new one is complete on disk. `half` stores floats as fp16.
    """
    check_kind("model", model, nn.Module, "a KanervaPlusPlus or a VAE")
    check_kind("folder", folder, (str, os.PathLike), "the path of a folder")
    check_flag("half", half)
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    weights = {
        k: (v.half() if half and v.is_floating_point() else v).contiguous().cpu() for k, v in model.state_dict().items()
    }
    try:
        save_file(weights, new / WEIGHTS)
        if training is not None:
            save_file({k: v.contiguous().cpu() for k, v in training.items()}, new / TRAINING)
        text = {"format": FORMAT, "config": model.config.to_dict(), "sha256": sha256(new / WEIGHTS)} | (card or {})
        (new / CARD).write_text(json.dumps(text, indent=1) + "\n")
    except BaseException:  # an interruption too: leave nothing half-written behind
        shutil.rmtree(new, ignore_errors=True)
        raise
    _swap(new, folder)
    return folder


def _swap(new: Path, folder: Path) -> None:
    new.chmod(0o755)  # mkdtemp and save_file make theirs private
    for file in new.iterdir():
        file.chmod(0o644)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(new, folder)
    shutil.rmtree(old, ignore_errors=True)


def find(path: str | Path) -> Path:
    """The folder that holds the weights: `path` itself, or `best` or the last checkpoint of a training run."""
    path = Path(check_kind("path", path, (str, os.PathLike), "the path of a model, or the name of shipped weights"))
    shipped = PRETRAINED / path
    if not path.exists() and len(path.parts) == 1 and shipped.exists():
        path = shipped
    for folder in (path, path / "best", path / "last"):
        hidden = folder.with_name(f".{folder.name}.old")  # a swap was cut off between its two renames
        for place in (folder, hidden):
            if (place / CARD).is_file():
                return place
    names = ", ".join(pretrained_names()) or "none"
    raise CheckpointError(
        f"{path}: no {CARD} here, nor in best/ or last/; expected the folder of a model or of a `kpp train` "
        f"run, or the name of shipped weights ({names})"
    )


def load_card(path: str | Path) -> dict[str, Any]:
    """model.json of a checkpoint: config, and what its maker recorded."""
    file = find(path) / CARD
    try:
        card = json.loads(file.read_text())
    except ValueError as error:
        raise CheckpointError(f"{file}: not JSON ({error}); expected the card that save_model writes") from error
    if card.get("format") != FORMAT or "config" not in card:
        raise CheckpointError(f"{file}: format {card.get('format')!r}, expected {FORMAT}")
    return card


def load_model(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """The model of a checkpoint, a training run or shipped weights, in eval mode.

    Raises CheckpointError if it is damaged or missing, ValueError for a device that this machine does not have.
    """
    device = check_device("device", device)
    folder, card = find(path), load_card(path)
    file = folder / WEIGHTS
    if not file.is_file():
        raise CheckpointError(f"{file}: missing; expected beside {CARD}")
    if sha256(file) != card["sha256"]:
        raise CheckpointError(
            f"{file}: sha256 {sha256(file)[:12]}..., expected {card['sha256'][:12]}... of {CARD}: damaged"
        )
    model = make_model(Config.from_dict(card["config"]))
    weights = read_tensors(file)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in weights.items()})
    return model.to(device).eval()


def load_pretrained(name: str = "mnist-cpu", device: str | torch.device = "cpu") -> Model:
    """Weights shipped inside the package; no network, no code execution. Raises ValueError for an unknown name."""
    if not isinstance(name, str) or name not in pretrained_names():
        raise ValueError(f"name: got {name!r}, expected one of {', '.join(pretrained_names())}")
    return load_model(PRETRAINED / name, device)


def pretrained_names() -> list[str]:
    """Names that `load_pretrained` takes."""
    return sorted(p.parent.name for p in PRETRAINED.glob(f"*/{CARD}"))


def read_tensors(file: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file; CheckpointError if it is missing or damaged."""
    try:
        return load_file(file)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file}: {error}; expected a complete safetensors file") from error


def sha256(file: Path) -> str:
    """Hex digest of a file."""
    return hashlib.sha256(Path(file).read_bytes()).hexdigest()


def pack_optimizer(state: dict[str, Any]) -> dict[str, Tensor]:
    """The tensors of an optimiser's state_dict under flat names "index/name"."""
    return {f"{i}/{name}": torch.as_tensor(v) for i, values in state["state"].items() for name, v in values.items()}


def unpack_optimizer(tensors: dict[str, Tensor], state: dict[str, Any]) -> dict[str, Any]:
    """The inverse of `pack_optimizer`, with the groups of a fresh optimiser's `state`."""
    packed: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, name = key.split("/")
        packed.setdefault(int(index), {})[name] = value
    return {"state": packed, "param_groups": state["param_groups"]}
