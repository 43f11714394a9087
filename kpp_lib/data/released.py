"""The released binarization of MNIST (Larochelle and Murray, 2011): three text files, or one npz of packed bits.

Whatever the form, the bits are those of the release, by their SHA-256: numbers on others do not compare.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .bits import SPLITS
from .finding import Tree, first_good
from .opening import check_rows, contents, head, members, npz
from .sources import DataError, check_sha256

PIXELS = 784
# SHA-256 of the 0/1 bytes of the release, [N, 784] unpacked.
BITS_SHA256 = {
    "train": "43490d4d6ac9002727af4426d8748609fdb7e4094fa65ad8d681ea60082a7a5a",
    "valid": "069b4f0beb389b776478c3e872b4df71c95ac4be64d7cbe6d32e24ebac8e6d5e",
    "test": "ca0294c3b8d984c7a1dc891015a8eea6f37bae59a34e35ea0fc8c47110a8dd86",
}
ADDRESS = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
NAMED = re.compile(r"binari[sz]ed[-_. ]?mnist", re.I)
SPLIT = re.compile(r"(train|valid|val|test)(?![a-z])", re.I)


@dataclass(frozen=True)
class Bits:
    """The release: three splits; and, in the npz alone, for each row the index of the grey image it most likely came
    from (train and valid: among the 60,000 training images; test: among the 10,000 test images)."""

    pixels: dict[str, torch.Tensor]  # uint8 0/1 [N, 1, 28, 28]
    guess: dict[str, torch.Tensor] | None  # int64 [N]


def read_bits(tree: Tree) -> tuple[Bits | None, list[str]]:
    """The release, or None where no file of it is there; and what is wrong with other copies.

    The npz goes first, for its guesses. Raises DataError where all copies are damaged, or a split is missing.
    """
    damage, others = [], []
    named, unnamed = npz_files(tree)
    bits = first_good(named, _read_npz, damage) or first_good(unnamed, _read_npz, others)
    if bits is None:
        bits = _read_texts(tree, damage)
    if bits is None and damage:
        raise DataError("; ".join(damage))
    return bits, damage


def npz_files(tree: Tree) -> tuple[list[Path], list[Path]]:
    """The npz files that are named as the release, and those that could be it by the arrays in them."""
    files = [path for path in tree.files if path.suffix.lower() == ".npz"]
    named = [path for path in files if NAMED.search(path.name)]
    wanted = {f"{split}.npy" for split in SPLITS}
    return named, [path for path in files if path not in named and wanted <= (members(path) or set())]


def _read_npz(path: Path) -> Bits:
    pixels, guess = {}, {}
    with npz(path) as arrays:
        guessed = any(key.endswith("_mnist_index_guess") for key in arrays.files)
        for split in SPLITS:
            packed = arrays[split]
            check_rows(path, split, packed, 98)
            pixels[split] = _checked(path, split, np.unpackbits(packed, axis=1, count=PIXELS))  # [N, 98] -> [N, 784]
            if guessed:
                rows = torch.from_numpy(arrays[f"{split}_mnist_index_guess"].astype(np.int64))
                if rows.shape != (len(packed),):
                    raise DataError(
                        f"{path}: guesses of {split!r} have shape {tuple(rows.shape)}, expected ({len(packed)},)"
                    )
                guess[split] = rows
    return Bits(pixels, guess if guessed else None)


def _checked(path: Path, split: str, bits: np.ndarray) -> torch.Tensor:
    check_sha256(path, split, bits, BITS_SHA256[split])
    return torch.from_numpy(bits).view(-1, 1, 28, 28)  # row by row


def _read_texts(tree: Tree, damage: list[str]) -> Bits | None:
    files = [path for path in tree.files if _is_text(path)]
    pixels, absent = {}, []
    for split in SPLITS:
        own = [path for path in files if _split(path) == split]
        found = first_good(own, lambda path, split=split: _checked(path, split, read_text(path)), damage)
        if found is not None:
            pixels[split] = found
        elif not own:
            absent.append(f"binarized_mnist_{split}.amat")
    if files and absent:
        raise DataError(
            f"{files[0].parent}: {', '.join(absent)} missing beside {files[0].name}: download from {ADDRESS} into it"
        )
    return Bits(pixels, None) if len(pixels) == len(SPLITS) else None


def _is_text(path: Path) -> bool:
    """A text of 784 bits a line; or, damaged, one that is named so."""
    if path.suffix.lower() == ".npz" or not _split(path):
        return False
    if NAMED.search(path.name):
        return True
    if ".amat" not in path.name.lower():  # .amat.gz too
        return False
    first = head(path, 4 * PIXELS).split(b"\n")[0].split()
    return len(first) == PIXELS and set(first) <= {b"0", b"1"}


def _split(path: Path) -> str | None:
    found = SPLIT.findall(path.name)
    return {"val": "valid"}.get(found[-1].lower(), found[-1].lower()) if found else None


def read_text(path: Path) -> np.ndarray:
    """Bits uint8 [N, 784] of a text file, packed or not: an image a line, 784 numbers 0 or 1 with blanks between.

    Raises DataError that names the first line which is something else.
    """
    rows = []
    for number, line in enumerate(contents(path).splitlines(), 1):
        digits = line.translate(None, b" \t")
        if len(digits) != PIXELS or digits.strip(b"01"):
            if not digits:
                continue
            found = "other characters" if digits.strip(b"01") else f"{len(digits)} of them"
            raise DataError(f"{path}: line {number} has {found}, expected {PIXELS} numbers 0 or 1")
        rows.append(digits)
    bits = np.frombuffer(b"".join(rows), np.uint8) - ord("0")
    return bits.reshape(-1, PIXELS)
