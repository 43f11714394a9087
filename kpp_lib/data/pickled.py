"""Pickles of plain data alone: dicts, lists, numbers, strings, bytes and NumPy arrays. All else is refused unread.

A pickle can name any function of any module to be called with arguments of its choice. So only the few names that
NumPy's arrays need are known here.
"""

from __future__ import annotations

import pickle
from io import BytesIO
from typing import Any

import numpy as np

from .sources import DataError


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 spells bytes in a pickle for Python 2; `codecs.encode` itself knows codecs that unpack anything."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes encoded as {encoding!r}")
    return text.encode("latin1")


def _array(kind: type, shape: Any, letter: Any) -> np.ndarray:
    """The empty array that NumPy's pickles begin with; its contents come with its state."""
    if kind is not np.ndarray or shape != (0,):
        raise pickle.UnpicklingError("an array of another kind")
    return np.ndarray((0,), np.int8)


ALLOWED = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _latin1,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _array for core in ("core", "_core")},
}


class _Plain(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no data needs") from None

    def persistent_load(self, pid: Any) -> Any:
        raise pickle.UnpicklingError("it refers to something outside the file")


def plain(place: object, raw: bytes) -> Any:
    """What a pickle holds, from Python 2 or 3. Raises DataError that names `place` for a damaged one, and for one that
    asks for anything but plain data."""
    try:
        return _Plain(BytesIO(raw), encoding="latin1").load()
    except pickle.UnpicklingError as error:
        raise DataError(f"{place}: refused, not a pickle of plain data: {error}") from error
    except Exception as error:  # a damaged pickle fails in any of NumPy's and Python's ways
        raise DataError(f"{place}: truncated or damaged pickle ({type(error).__name__}: {error})") from error
