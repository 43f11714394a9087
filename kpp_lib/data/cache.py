"""The user's cache: downloads, and what took long to decode, kept such that a damaged copy is made again."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from .opening import BROKEN

Arrays = dict[str, np.ndarray]


def cache_folder() -> Path:
    """Folder of downloaded data: ``$XDG_CACHE_HOME/kpp``, else ``~/.cache/kpp``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kpp"


def kept(name: str, check: Callable[[Arrays], None], make: Callable[[], Arrays]) -> Arrays:
    """The arrays of the cache file `name`, or those of `make`, which are then kept there.

    `check` raises ValueError for arrays that are not what `make` would give: the file is made again. It gets its name
    in one step, whole; where the cache cannot be written, nothing is kept.
    """
    path = cache_folder() / "decoded" / f"{name}.npz"
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
        check(arrays)
        return arrays
    except (*BROKEN, OSError, KeyError):
        arrays = make()
    _put(path, arrays)
    return arrays


def _put(path: Path, arrays: Arrays) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".", dir=path.parent) as part:
            np.savez(Path(part) / path.name, **arrays)
            os.replace(Path(part) / path.name, path)
    except OSError:  # a cache that is full or read-only costs time, no more
        return
