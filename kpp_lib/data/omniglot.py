"""Omniglot, 105x105 (Lake et al., 2015): one packed npz, the two official zips, or the drawings as a tree of PNGs.

A drawing is named by its class and drawer, 0709_01.png: classes 1 to 964 are the background set, 965 to 1623 the
evaluation set. So one folder may have both, whatever it is called. Ink is black in the PNGs, and 1 here.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from .cache import Arrays, kept
from .drawing import PACKED, averaged
from .finding import Tree, first_good
from .opening import BROKEN, check_rows, members, npz
from .sources import DataError, Labelled, MissingError, check_sha256

SETS = ("background", "evaluation")
LAST = 964  # class of the background set
COUNTS = {"background": 19_280, "evaluation": 13_180}
# SHA-256 of the 105x105 drawings, one bit a pixel, rows padded to whole bytes, ordered by character class, then drawer.
OMNIGLOT_SHA256 = {
    "background": "0ab79f985d54d682c6b0648ec00ec1a97555a19777e32d86acce0e07da605341",
    "evaluation": "8b30138357c6f079e1a4a87405d5cda8999b6036890a8aa2fefafcd69824c707",
}
ADDRESS = "https://github.com/brendenlake/omniglot/raw/master/python/"
DRAWING = re.compile(r"(\d{4})_(\d{2})\.png", re.I)
NAMED = re.compile(r"omniglot|images_(background|evaluation)", re.I)


@dataclass(frozen=True)
class Pictures:
    """The PNGs of one set in a zip or a folder: where they are, and the name and size of each."""

    place: Path
    pictures: tuple[tuple[str, int], ...]  # path in the zip or folder, bytes
    zipped: bool

    def key(self) -> str:
        """A digest of names and sizes: what is decoded is kept under it."""
        return hashlib.sha256(repr(self.pictures).encode()).hexdigest()[:16]

    def read(self) -> Iterator[bytes]:
        """The files, in order."""
        if not self.zipped:
            yield from ((self.place / name).read_bytes() for name, _ in self.pictures)
            return
        with zipfile.ZipFile(self.place) as archive:
            yield from (archive.read(name) for name, _ in self.pictures)


def read_omniglot(tree: Tree, quiet: bool = True) -> tuple[dict[str, Labelled], list[str]]:
    """The ``background`` and ``evaluation`` sets at 28x28, ink 0..255, labels the 1,623 classes; and what is wrong
    with other copies.

    Raises MissingError where a set is not there, DataError where all its copies are damaged.
    """
    sets, damage, absent = {}, [], []
    pictures, shut = pictures_of(tree)
    for split in SETS:
        broken = [said for name, said in shut if f"images_{split}" in name.lower()]
        readers = [partial(_from_npz, path, split) for path in npz_files(tree, split)]
        readers += [partial(_decoded, own, split, quiet) for own in pictures[split]]
        found = first_good(readers, lambda reader: reader(), broken)
        if found is None and broken:
            raise DataError("; ".join(broken))
        if found is None:
            absent.append(split)
            continue
        packed, labels = (torch.from_numpy(array) for array in found)
        sets[split] = Labelled(averaged(packed), labels.long(), packed)
        damage += broken
    if absent:
        raise _missing(tree, absent)
    return sets, list(dict.fromkeys(damage))


def _missing(tree: Tree, absent: list[str]) -> MissingError:
    files = " and ".join(f"images_{split}.zip" for split in absent)
    return MissingError(
        f"missing files of omniglot: expected {files}, or the same unpacked, anywhere in {tree.root}: download from "
        f"{ADDRESS} into {tree.root / 'omniglot'}{tree.said()}"
    )


# --- packed -----------------------------------------------------------------------------------------------------------


def npz_files(tree: Tree, split: str) -> list[Path]:
    """The npz files that could hold a set: by the arrays in them, or, damaged, by name."""
    files = [path for path in tree.files if path.suffix.lower() == ".npz"]
    inside = {path: members(path) for path in files}
    return [
        path
        for path in files
        if f"{split}_ink.npy" in (inside[path] or ()) or (inside[path] is None and NAMED.search(path.name))
    ]


def _from_npz(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    with npz(path) as arrays:
        packed, labels, drawers = (arrays[f"{split}_{key}"] for key in ("ink", "class", "drawer"))
    check_rows(path, f"{split}_ink", packed, PACKED)
    if labels.shape != (len(packed),) or drawers.shape != (len(packed),):
        raise DataError(
            f"{path}: {split!r} has labels {labels.shape}, drawers {drawers.shape}, expected ({len(packed)},)"
        )
    order = np.lexsort((drawers, labels))
    _check(path, split, packed[order])
    return packed[order], labels[order].astype(np.int64)


def _check(place: Path, split: str, packed: np.ndarray) -> None:
    try:
        check_sha256(place, split, packed, OMNIGLOT_SHA256[split])
    except DataError as error:
        raise DataError(f"{error} ({len(packed):,} drawings; the whole set has {COUNTS[split]:,})") from error


# --- drawings as PNGs -------------------------------------------------------------------------------------------------


def pictures_of(tree: Tree) -> tuple[dict[str, list[Pictures]], list[tuple[str, str]]]:
    """The zips and folders that hold drawings of each set, those with the most first; and (name, what is wrong) of zips
    that cannot be opened."""
    found: dict[str, list[Pictures]] = {split: [] for split in SETS}
    broken = []
    for path in tree.files:
        if path.suffix.lower() == ".zip" and "small" not in path.name.lower():
            try:
                with zipfile.ZipFile(path) as archive:
                    sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
            except (*BROKEN, OSError) as error:
                broken.append((path.name, f"{path}: damaged ({error}), expected the official Omniglot archive"))
                continue
            _sort_in(found, path, sizes, zipped=True)
    for folder, characters in _trees(tree).items():
        _sort_in(found, folder, _sizes(characters), zipped=False)
    for split in SETS:
        found[split].sort(key=lambda pictures: -len(pictures.pictures))
    return found, broken


def _trees(tree: Tree) -> dict[Path, list[Path]]:
    """Folders of alphabets -> their folders of characters."""
    trees: dict[Path, list[Path]] = {}
    for character in tree.characters:
        trees.setdefault(character.parent.parent, []).append(character)
    return trees


def _sizes(characters: list[Path]) -> dict[str, int]:
    """Alphabet/character/drawing -> bytes. Names are put together as strings: 32,460 paths would take a second."""
    sizes = {}
    for character in characters:
        try:
            with os.scandir(character) as entries:
                drawings = [e for e in entries if DRAWING.fullmatch(e.name) and not e.is_symlink()]
                inside = [(e.name, e.stat().st_size) for e in drawings]
        except OSError:  # then the checksum says that drawings are missing
            continue
        sizes |= {f"{character.parent.name}/{character.name}/{name}": size for name, size in inside}
    return sizes


def _sort_in(found: dict[str, list[Pictures]], place: Path, sizes: dict[str, int], zipped: bool) -> None:
    """Add the drawings of a place to the sets that they are of, in order of class, then drawer."""
    numbers = {name: n for name in sizes if "__MACOSX" not in name and (n := _numbers(name))}
    for split in SETS:
        own = sorted((n for n in numbers if (numbers[n][0] <= LAST) == (split == "background")), key=numbers.get)
        if own:
            found[split].append(Pictures(place, tuple((name, sizes[name]) for name in own), zipped))


def _numbers(name: str) -> tuple[int, int] | None:
    """Class and drawer."""
    found = DRAWING.fullmatch(name.replace("\\", "/").rpartition("/")[2])
    return (int(found[1]), int(found[2])) if found else None


def _decoded(pictures: Pictures, split: str, quiet: bool) -> tuple[np.ndarray, np.ndarray]:
    """Packed drawings [N, 1379] and their classes [N], checked: from the cache, where they were decoded before."""

    def check(arrays: Arrays) -> None:
        _check(pictures.place, split, arrays["ink"])
        if arrays["class"].shape != (len(arrays["ink"]),):
            raise DataError(f"{pictures.place}: got {len(arrays['class'])} classes, expected {len(arrays['ink'])}")

    arrays = kept(f"drawings-{split}-{pictures.key()}", check, lambda: _decode(pictures, check, quiet))
    return arrays["ink"], arrays["class"].astype(np.int64)


def _decode(pictures: Pictures, check, quiet: bool) -> Arrays:
    names = [name for name, _ in pictures.pictures]
    bar = tqdm(names, "Omniglot's drawings, decoded once", disable=quiet, file=sys.stderr, leave=False)
    rows = []
    try:
        for name, raw in zip(bar, pictures.read(), strict=True):
            rows.append(_row(pictures.place, name, raw))
    except DataError:
        raise
    except BROKEN as error:
        raise DataError(f"{pictures.place}: damaged ({error}), expected the official Omniglot archive") from error
    arrays = {"ink": np.stack(rows), "class": np.array([_numbers(name)[0] for name in names], np.uint16)}
    check(arrays)
    return arrays


def _row(place: Path, name: str, raw: bytes) -> np.ndarray:
    from PIL import Image  # comes with torchvision

    where = f"{place}: {name}"
    try:
        with Image.open(BytesIO(raw)) as image:
            white = np.asarray(image.convert("1"))  # ink is black there: False
    except (*BROKEN, OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{where} is damaged ({error}), expected a drawing of 105x105 pixels") from error
    if white.shape != (105, 105):
        raise DataError(f"{where} has wrong shape {white.shape}, expected (105, 105)")
    return np.packbits(~white)  # [105, 105] -> [1379]
