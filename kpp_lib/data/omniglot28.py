"""Omniglot at 28x28 as the IWAE authors made it (Burda et al., 2016): chardata.mat, a MATLAB v5 file.

The drawings are columns of 784 numbers in [0, 1], each image column by column as MATLAB stores it. Grey values are
kept in 256 steps, as everywhere here. No checksum of the release is known to us: names, shapes and range are checked.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import torch

from .finding import Tree, first_good
from .opening import head
from .sources import DataError, Labelled, MissingError

COUNTS = {"train": 24_345, "test": 8_070}
KEYS = {"train": "", "test": "test"}  # before data, target and targetchar
ADDRESS = "https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT/chardata.mat"
NAMED = re.compile(r"chardata|omniglot", re.I)


def read_chardata(tree: Tree) -> tuple[dict[str, Labelled] | None, list[str]]:
    """Grey images of "train" and "test" with classes as labels, or None where no such file is there; and what is
    wrong with other copies. Raises DataError where all are damaged.

    A class is a pair of alphabet and character in it, numbered from 0 in their order, the same in both splits.
    """
    damage: list[str] = []
    found = first_good([path for path in tree.files if _could_be(path)], _read, damage)
    if found is None and damage:
        raise DataError("; ".join(damage))
    return found, damage


def missing(tree: Tree) -> MissingError:
    """What to download."""
    return MissingError(
        f"missing file of omniglot28: expected chardata.mat anywhere in {tree.root}: download {ADDRESS} into "
        f"{tree.root / 'omniglot'}{tree.said()}"
    )


def _could_be(path: Path) -> bool:
    if path.suffix.lower() != ".mat":
        return False
    if NAMED.search(path.name):
        return True
    if head(path, 6) != b"MATLAB":
        return False
    from scipy.io import whosmat

    try:
        shapes = {name: shape for name, shape, _ in whosmat(path)}
    except Exception:  # as below
        return False
    return all(shapes.get(f"{key}data", (0,))[0] == 784 for key in KEYS.values())


def _read(path: Path) -> dict[str, Labelled]:
    from scipy.io import loadmat  # here, not above: slow to import

    names = [f"{key}{what}" for key in KEYS.values() for what in ("data", "target", "targetchar")]
    try:
        arrays = loadmat(path, variable_names=names)
    except Exception as error:  # scipy's reader fails on damage in many ways, some of them bare exceptions
        raise DataError(f"{path}: truncated or damaged ({error}), expected a MATLAB v5 file") from error
    labels = _classes(path, arrays)
    return {split: Labelled(_pixels(path, arrays, split), labels and labels[split]) for split in KEYS}


def _pixels(path: Path, arrays: dict, split: str) -> torch.Tensor:
    name, shape = f"{KEYS[split]}data", (784, COUNTS[split])
    x = arrays.get(name)
    if not isinstance(x, np.ndarray) or x.shape != shape or x.dtype.kind not in "fui":
        found = "none" if x is None else f"{np.shape(x)}"
        raise DataError(f"{path}: {name!r} has wrong shape {found}, expected numbers of shape {shape}")
    x = x.astype(np.float32)
    if not (np.isfinite(x).all() and x.min() >= 0 and x.max() <= 1):
        raise DataError(f"{path}: {name!r} has numbers from {x.min():g} to {x.max():g}, expected [0, 1]")
    grey = torch.from_numpy((x * 255).round().astype(np.uint8).T.copy())  # [784, N] -> [N, 784]
    return grey.view(-1, 1, 28, 28).mT.contiguous()  # column by column -> row by row


def _classes(path: Path, arrays: dict) -> dict[str, torch.Tensor] | None:
    """Labels int64 [N] of both splits; None where the file has none."""
    if any(f"{key}{what}" not in arrays for key in KEYS.values() for what in ("target", "targetchar")):
        return None
    pairs = []
    for split, key in KEYS.items():
        alphabets, characters = arrays[f"{key}target"], arrays[f"{key}targetchar"]  # one-hot [50, N], [1, N]
        if alphabets.ndim != 2 or {alphabets.shape[1], characters.size} != {COUNTS[split]}:
            got = f"{alphabets.shape} and {characters.shape}"
            raise DataError(f"{path}: labels of {split!r} have shapes {got}, expected one for each of {COUNTS[split]}")
        pairs.append(np.stack([alphabets.argmax(0), characters.ravel().astype(np.int64)], axis=1))  # [N, 2]
    _, classes = np.unique(np.concatenate(pairs), axis=0, return_inverse=True)
    parts = torch.from_numpy(classes.reshape(-1).astype(np.int64)).split([len(p) for p in pairs])
    return dict(zip(KEYS, parts, strict=True))
