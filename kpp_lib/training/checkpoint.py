"""Checkpoints: safetensors for numbers, JSON for words, no pickles; every file has its hash in the card.

A checkpoint is a folder: weights.safetensors, model.json (the *card*), and, of a run to go on with, the optimiser's
training.safetensors and the log so far. The card names the hash of each other file and ends with its own. A folder
appears whole or not at all (`atomic`), and what is read is either what was written, or a CheckpointError.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.optim import Optimizer

from ..config import Config
from ..inputs import check_device, check_flag, check_kind
from ..models import Model, make_model
from .atomic import CARD, LOG, TRAINING, WEIGHTS, present, write_file, write_folder
from .card import FORMAT, WRITTEN, CheckpointError, read_card, seal
from .device import Speed

PRETRAINED = Path(__file__).parents[1] / "weights"


class Checkpoint(NamedTuple):
    """The files of a checkpoint, as they were written."""

    folder: Path
    card: dict[str, Any]
    files: dict[str, bytes]


# --- writing ----------------------------------------------------------------------------------------------------------


def save_model(model: nn.Module, folder: str | Path, card: dict[str, Any] | None = None, half: bool = False) -> Path:
    """Write `folder` with weights.safetensors and model.json: whole, or not at all. Returns `folder`.

    model: one of ours, as it is, compiled, or wrapped for several processes. card: what JSON can hold, to be found
    again with `load_card`. `half` stores floats as fp16. A checkpoint in `folder` is replaced once the new one is
    complete on disk; a file, or a folder with anything else in it, is a ValueError and stays as it is.
    FloatingPointError for weights that are not finite; CheckpointError when the disk is full: then too, what was there
    is there still.
    """
    check_kind("model", model, nn.Module, "a KanervaPlusPlus or a VAE")
    check_kind("folder", folder, (str, os.PathLike), "the path of a folder")
    check_flag("half", half)
    return write_checkpoint(model, folder, card or {}, half)


def write_checkpoint(
    model: nn.Module,
    folder: str | Path,
    card: dict[str, Any],
    half: bool = False,
    training: dict[str, Tensor] | None = None,
    log: bytes | None = None,
) -> Path:
    """`save_model`, and beside the weights the state of an optimiser and a log, for a run to go on with."""
    model, folder = unwrapped(model), Path(folder)
    weights = {k: v.half() if half and v.is_floating_point() else v for k, v in plain_weights(model).items()}
    if bad := not_finite(weights | {f"optimiser {k}": v for k, v in (training or {}).items()}):
        raise FloatingPointError(f"model: got NaN or infinity in {', '.join(bad[:3])}, expected finite numbers")
    files = {WEIGHTS: pack(weights)}
    files |= {TRAINING: pack(training)} if training is not None else {}
    files |= {LOG: log} if log is not None else {}
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    said = {k: v for k, v in card.items() if k not in WRITTEN}
    files[CARD] = seal({"format": FORMAT, "config": model.config.to_dict()} | said | {"files": hashes})
    try:
        write_folder(folder, files)
    except OSError as error:
        raise CheckpointError(f"{folder}: not saved: {error.strerror}; what was there before is kept") from error
    return folder


def amend_card(folder: Path, said: dict[str, Any]) -> None:
    """Add to the card of a checkpoint, whose other files stay as they are."""
    write_file(folder / CARD, seal(load_card(folder) | said))


def unwrapped(model: nn.Module) -> Model:
    """Our model inside those of torch.compile, DistributedDataParallel and their like. ValueError if there is none."""
    inner = model
    while not isinstance(inner, Model):
        wrapped = getattr(inner, "_orig_mod", None) or getattr(inner, "module", None)
        if not isinstance(wrapped, nn.Module):
            raise ValueError(f"model: got {type(model).__name__}, expected KanervaPlusPlus or VAE")
        inner = wrapped
    return inner


def plain_weights(model: Model) -> dict[str, Tensor]:
    """Its state under the names of a model none of whose parts is compiled."""
    return {name.replace("_orig_mod.", ""): value for name, value in model.state_dict().items()}


def not_finite(tensors: dict[str, Tensor]) -> list[str]:
    """The names of those that hold NaN or infinity; the device is waited for once."""
    floats = {k: v for k, v in tensors.items() if v.is_floating_point()}
    if not floats:
        return []
    home = next(iter(floats.values())).device  # Adam keeps its step counts on the CPU
    good = torch.stack([v.isfinite().all().to(home) for v in floats.values()]).tolist()
    return [name for name, fine in zip(floats, good, strict=True) if not fine]


def pack(tensors: dict[str, Tensor]) -> bytes:
    """A safetensors file of them."""
    return save({k: v.detach().contiguous().cpu() for k, v in tensors.items()})


# --- reading ----------------------------------------------------------------------------------------------------------


def find(path: str | Path) -> Path:
    """The folder that holds the weights: `path` itself, or `best` or the last checkpoint of a training run."""
    path = Path(check_kind("path", path, (str, os.PathLike), "the path of a model, or the name of shipped weights"))
    shipped = PRETRAINED / path
    if not path.exists() and len(path.parts) == 1 and shipped.exists():
        path = shipped
    for folder in (path, path / "best", path / "last"):
        if (place := present(folder)) and (place / CARD).is_file():
            return place
    names = ", ".join(pretrained_names()) or "none"
    raise CheckpointError(
        f"{path}: no {CARD} here, nor in best/ or last/; expected the folder of a model or of a `kpp train` "
        f"run, or the name of shipped weights ({names})"
    )


def load_card(path: str | Path) -> dict[str, Any]:
    """model.json of a checkpoint: config, and what its maker recorded. CheckpointError if it is not as written."""
    folder = find(path)
    return read_card(folder / CARD, _content(folder / CARD))


def read_checkpoint(path: str | Path) -> Checkpoint:
    """All files of a checkpoint, each held against its hash. Waits for a run that swaps it at this moment."""
    before = None
    while True:
        folder = find(path)
        try:
            raw = _content(folder / CARD)
            card = read_card(folder / CARD, raw)
            return Checkpoint(folder, card, {name: _verified(folder / name, h) for name, h in card["files"].items()})
        except CheckpointError:
            if before == (now := (folder, _seen(folder / CARD))):  # nobody works on it
                raise
            before = now


def load_model(path: str | Path, device: str | torch.device = "cpu") -> Model:
    """The model of a checkpoint, a training run or shipped weights, in eval mode.

    Raises CheckpointError if it is damaged or missing, ValueError for a device that this machine does not have.
    """
    device = check_device("device", device)
    found = read_checkpoint(path)
    try:
        config = Config.from_dict(found.card["config"])
        _check_sizes(config, found)
        model = make_model(config)
    except (ValueError, TypeError, RuntimeError, ArithmeticError, MemoryError) as error:
        raise CheckpointError(f"{found.folder / CARD}: config: {error}; expected that of a model") from error
    load_weights(model, found)
    return Speed.of(device).lay_out(model).eval()


def _check_sizes(config: Config, found: Checkpoint) -> None:
    """ValueError for a config of terabytes or of a billion layers, before there is a model of it."""
    values = config.to_dict()
    sizes = [v for k, v in values.items() if k not in ("steps", "seed", "episodes", "length")]
    if max(n for v in sizes for n in (v if isinstance(v, list) else [v]) if isinstance(n, int)) <= 4096:
        return  # as all of ours are: what follows takes a while
    if config.dense_layers > 4096:
        raise ValueError(f"dense_layers: got {config.dense_layers}")
    with torch.device("meta"):  # shapes without memory
        asked = sum(v.numel() for v in make_model(config).state_dict().values())
    if 2 * asked > len(found.files[WEIGHTS]):  # two bytes a number are the least
        raise ValueError(f"{asked} numbers for a file of {len(found.files[WEIGHTS])} bytes")


def load_weights(model: Model, found: Checkpoint) -> None:
    """Give `model` the weights of a checkpoint; CheckpointError unless they are all there and of its shapes."""
    file, weights, wanted = found.folder / WEIGHTS, unpack(found, WEIGHTS), plain_weights(model)
    if problems := [
        *(f"{name} is missing" for name in wanted.keys() - weights.keys()),
        *(f"{name} is not of this model" for name in weights.keys() - wanted.keys()),
        *(f"{name}: {_kind(v)} for {_kind(wanted[name])}" for name, v in weights.items() if _misfit(v, wanted, name)),
    ]:
        raise CheckpointError(f"{file}: {'; '.join(sorted(problems)[:3])}; expected the tensors of the config's model")
    with torch.no_grad():
        for name, value in wanted.items():
            value.copy_(weights[name])


def _misfit(value: Tensor, wanted: dict[str, Tensor], name: str) -> bool:
    if name not in wanted:
        return False
    want = wanted[name]
    dtypes = (want.dtype, torch.float16) if want.is_floating_point() else (want.dtype,)
    return value.shape != want.shape or value.dtype not in dtypes


def _kind(value: Tensor) -> str:
    return f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"


def load_pretrained(name: str = "mnist-cpu", device: str | torch.device = "cpu") -> Model:
    """Weights shipped inside the package; no network, no code execution. Raises ValueError for an unknown name."""
    if not isinstance(name, str) or name not in pretrained_names():
        raise ValueError(f"name: got {name!r}, expected one of {', '.join(pretrained_names())}")
    return load_model(PRETRAINED / name, device)


def pretrained_names() -> list[str]:
    """Names that `load_pretrained` takes."""
    return sorted(p.parent.name for p in PRETRAINED.glob(f"*/{CARD}"))


def _verified(file: Path, expected: str) -> bytes:
    content = _content(file)
    if (found := hashlib.sha256(content).hexdigest()) != expected:
        raise CheckpointError(f"{file}: sha256 {found[:12]}..., expected {str(expected)[:12]}... of {CARD}: damaged")
    return content


def _content(file: Path) -> bytes:
    """What a file holds. In memory, not mapped: Windows renames no folder with a mapped file, and what was hashed is
    then what is used."""
    if not file.is_file():
        raise CheckpointError(f"{file}: missing; expected beside {CARD}")
    try:
        return file.read_bytes()
    except OSError as error:
        raise CheckpointError(f"{file}: {error.strerror}; expected a file that can be read") from error


def _seen(file: Path) -> bytes | None:
    try:
        return _content(file)
    except CheckpointError:
        return None


def unpack(found: Checkpoint, name: str) -> dict[str, Tensor]:
    """The tensors of one file of a checkpoint; CheckpointError unless they are a safetensors file of finite numbers."""
    file = found.folder / name
    if name not in found.files:
        raise CheckpointError(f"{file}: not in {CARD}; expected the checkpoint of a run to go on with")
    try:
        tensors = load(found.files[name])
        bad = not_finite(tensors)
    except (SafetensorError, ValueError, TypeError, LookupError, RuntimeError, AttributeError) as error:
        raise CheckpointError(f"{file}: {error}; expected a complete safetensors file") from error
    if bad:
        raise CheckpointError(f"{file}: NaN or infinity in {', '.join(bad[:3])}; expected finite numbers")
    return tensors


# --- the optimiser ----------------------------------------------------------------------------------------------------


def pack_optimizer(optimizer: Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimiser's state under flat names "index/name"."""
    state = optimizer.state_dict()["state"]
    return {f"{i}/{name}": torch.as_tensor(v) for i, values in state.items() for name, v in values.items()}


def unpack_optimizer(tensors: dict[str, Tensor], optimizer: Optimizer, begun: bool = True) -> None:
    """The inverse: give a fresh `optimizer`, which has its groups, the state.

    ValueError if it is of other weights, or if there is none though the run has `begun`.
    """
    shapes = [p.shape for group in optimizer.param_groups for p in group["params"]]
    packed: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition("/")
        if not index.isdecimal() or not name or int(index) >= len(shapes):
            raise ValueError(f"{key}: a state of no weight")
        if value.dim() and value.shape != shapes[int(index)]:
            raise ValueError(f"{key}: {list(value.shape)} for a weight of {list(shapes[int(index)])}")
        packed.setdefault(int(index), {})[name] = value
    if len({frozenset(names) for names in packed.values()}) > 1 or len(packed) != (len(shapes) if begun else 0):
        raise ValueError("some weights have a state and others have not")
    optimizer.load_state_dict({"state": packed, "param_groups": optimizer.state_dict()["param_groups"]})
