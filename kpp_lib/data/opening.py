"""Files opened by what they are: gzip or not, zip, npz. What is damaged is a DataError that names the file."""

from __future__ import annotations

import gzip
import lzma
import struct
import tarfile
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .sources import DataError

GZIP = b"\x1f\x8b"  # how a gzip file begins
# What a damaged archive, or an array or picture in one, ends in. RuntimeError: a bit more and it asks for a password,
# or for a kind of compression that there is not. TokenError, MemoryError: the head of an array, read before its sum is.
BROKEN = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, tokenize.TokenError),
    *(EOFError, ValueError, TypeError, RuntimeError, SyntaxError, MemoryError),
)


def contents(path: Path) -> bytes:
    """The bytes of a file; of a gzip file, whatever its name, the unpacked ones. Raises DataError for a broken one."""
    raw = path.read_bytes()
    try:
        return gzip.decompress(raw) if raw[:2] == GZIP else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error}), expected a complete one") from error


def head(path: Path, count: int) -> bytes:
    """The first bytes of `contents`; none where the file cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(count)
        if raw[:2] != GZIP:
            return raw
        with gzip.open(path) as file:
            return file.read(count)
    except (OSError, EOFError, zlib.error):
        return b""


def members(path: Path) -> frozenset[str] | None:
    """The names inside a zip or npz file; None for a damaged one."""
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(archive.namelist())
    except (*BROKEN, OSError):
        return None


@contextmanager
def npz(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """An npz file; DataError that names it where it is damaged, or lacks an array."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except KeyError as error:
        raise DataError(f"{path}: missing split or array, {error.args[0]}") from error
    except DataError:
        raise
    except BROKEN as error:
        raise DataError(f"{path}: truncated or damaged ({error}), expected a complete .npz file") from error


def check_rows(path: Path, key: str, packed: np.ndarray, width: int) -> None:
    """DataError unless these are rows of packed bits, uint8 [N, width]."""
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != width:
        raise DataError(f"{path}: {key!r} has wrong shape {packed.shape} {packed.dtype}, expected (N, {width}) uint8")
