"""CIFAR-10 (Krizhevsky, 2009): the python or the binary batches, packed or not, or lossless WebP strips.

Whatever the form, a batch is held against the SHA-1 of its binary layout, label and 3,072 pixels a row, as MXNet
publishes it. A JPEG copy has other pixels: no likelihood of it compares, so none is read.
"""

from __future__ import annotations

import hashlib
import re
import tarfile
import zipfile
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import torch

from .finding import Tree, first_good
from .opening import BROKEN, contents, members, npz
from .pickled import plain
from .sources import DataError, Labelled, MissingError

SHA1 = {
    "data_batch_1": "aadd24acce27caa71bf4b10992e9e7b2d74c2540",
    "data_batch_2": "c0ba65cce70568cd57b4e03e9ac8d2a5367c1795",
    "data_batch_3": "1dd00a74ab1d17a6e7d73e185b69dbf31242f295",
    "data_batch_4": "aab85764eb3584312d3c7f65fd2fd016e36a258e",
    "data_batch_5": "26e2849e66a845b7f1e4614ae70f4889ae604628",
    "test_batch": "67eb016db431130d61cd03c7ad570b013799c88c",
}
FIRST_SHA1 = "2e6371e0380f60b13126d8fff0f99d5b181e1b06"  # of the first 1,000 test images, [1000, 32, 32, 3]
TRAIN = [name for name in SHA1 if name != "test_batch"]
ROW = 3073  # a label, then 32x32 pixels of red, green and blue
VALID = 5_000  # the last images of the training batches
ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
BATCH = re.compile(r"(?:.*/)?(data_batch_[1-5]|test_batch)(\.bin|\.pkl|\.pickle|\.p)?(\.gz)?", re.I)
ARCHIVE = re.compile(r"cifar[-_. ]?10(?!0).*\.(tar|tgz|tar\.gz|gz)", re.I)
STRIP = re.compile(r"(?:.*/)?(train|test1k)_\d+\.webp", re.I)

Rows = dict[str, np.ndarray]  # uint8 [N, 3073] by batch


def read_cifar10(tree: Tree) -> tuple[dict[str, Labelled], list[str], str]:
    """Images [N, 3, 32, 32] and labels of "train" (50,000) and "test"; what is wrong with other copies; and a note.

    Raises MissingError where a batch is not there, DataError where all its copies are damaged.
    """
    rows, damage = _plain_batches(tree)
    for path in _archives(tree):
        if len(rows) < len(SHA1):
            _from_archive(path, rows, damage)
    first = None if len(rows) == len(SHA1) else _from_strips(tree, rows, damage)
    absent = [name for name in SHA1 if name not in rows and not (name == "test_batch" and first)]
    if absent:
        missing = _missing(tree, absent)
        raise DataError("; ".join([*damage, str(missing)])) if damage else missing
    train = _labelled(np.concatenate([rows[name] for name in TRAIN]))
    if "test_batch" in rows:
        return {"train": train, "test": _labelled(rows["test_batch"])}, damage, ""
    there, lacking = len(first.pixels), 10_000 - len(first.pixels)
    note = f"only the first {there:,} of the 10,000 test images are there, {lacking:,} are missing"
    return {"train": train, "test": first}, damage, note


def _labelled(rows: np.ndarray) -> Labelled:
    pixels = torch.from_numpy(rows[:, 1:].copy()).view(-1, 3, 32, 32)  # [N, 3072] -> [N, 3, 32, 32]
    return Labelled(pixels, torch.from_numpy(rows[:, 0].astype(np.int64)))


def _missing(tree: Tree, absent: list[str]) -> MissingError:
    lossy = next((path for path in tree.files if _is_lossy(tree, path)), None)
    also = f"; {lossy} is a JPEG copy, whose pixels are others: no likelihood of it compares" if lossy else ""
    return MissingError(
        f"missing files of cifar10: expected {', '.join(absent)}, of the python or binary version, packed or not, "
        f"anywhere in {tree.root}: download {ADDRESS} into {tree.root / 'cifar10'}{also}{tree.said()}"
    )


def _is_lossy(tree: Tree, path: Path) -> bool:
    of_cifar = any("cifar" in part.lower() for part in (path.name, *tree.parts(path)))
    return of_cifar and re.search(r"jpe?g", path.name, re.I) is not None


def _checked(place: object, name: str, raw: bytes) -> np.ndarray:
    """Rows [N, 3073] of a batch, python's or binary, that are the official ones."""
    rows = _unpickled(place, raw) if raw[:1] == b"\x80" else raw
    if len(rows) % ROW:
        raise DataError(f"{place}: {len(rows)} bytes, expected rows of {ROW}")
    found = hashlib.sha1(rows, usedforsecurity=False).hexdigest()
    if found != SHA1[name]:
        raise DataError(f"{place}: wrong checksum, SHA-1 of the rows of {name} is {found}, expected {SHA1[name]}")
    return np.frombuffer(rows, np.uint8).reshape(-1, ROW)


def _unpickled(place: object, raw: bytes) -> bytes:
    batch = plain(place, raw)
    pixels, labels = (batch.get(key) for key in ("data", "labels")) if isinstance(batch, dict) else (None, None)
    right = isinstance(pixels, np.ndarray) and pixels.dtype == np.uint8 and pixels.shape[1:] == (ROW - 1,)
    if not right or not isinstance(labels, list) or len(labels) != len(pixels):
        raise DataError(f"{place}: expected a dict of data, uint8 [N, {ROW - 1}], and as many labels")
    if not all(type(label) is int and 0 <= label <= 9 for label in labels):
        raise DataError(f"{place}: labels are not all whole numbers from 0 to 9")
    return _joined(np.array(labels), pixels)


def _joined(labels: np.ndarray, pixels: np.ndarray) -> bytes:
    """The binary layout: labels [N] and pixels [N, 3072] -> rows of 3,073 bytes."""
    return np.concatenate([labels.astype(np.uint8)[:, None], pixels], axis=1).tobytes()


def _plain_batches(tree: Tree) -> tuple[Rows, list[str]]:
    rows: Rows = {}
    damage: list[str] = []
    named = [(path, found[1].lower()) for path in tree.files if (found := BATCH.fullmatch(path.name))]
    for name in SHA1:
        own = sorted((path for path, batch in named if batch == name), key=lambda path: path.suffix.lower() != ".bin")
        found = first_good(own, lambda path, name=name: _checked(path, name, contents(path)), damage)
        if found is not None:
            rows[name] = found
    return rows, damage


# --- archives ---------------------------------------------------------------------------------------------------------


def _archives(tree: Tree) -> list[Path]:
    return [path for path in tree.files if ARCHIVE.fullmatch(path.name) and "jp" not in path.name.lower()]


def _from_archive(path: Path, rows: Rows, damage: list[str]) -> None:
    """Add the batches that are not there yet."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                found = BATCH.fullmatch(member.name)
                name = found[1].lower() if found and member.isfile() else None
                if name and name not in rows:
                    raw = archive.extractfile(member).read()
                    batch = first_good([f"{path}: {member.name}"], lambda p, n=name, r=raw: _checked(p, n, r), damage)
                    rows |= {} if batch is None else {name: batch}
    except (*BROKEN, OSError) as error:
        damage.append(f"{path}: truncated or damaged archive ({error})")


# --- lossless WebP ----------------------------------------------------------------------------------------------------


def _from_strips(tree: Tree, rows: Rows, damage: list[str]) -> Labelled | None:
    """Add the training batches of a zip of lossless strips, 500 images on top of each other; and the first test
    images, where they are there."""
    zips = [path for path in tree.files if path.suffix.lower() == ".zip" and _has_strips(path)]
    tables = [path for path in tree.files if path.suffix.lower() == ".npz" and _has_labels(path)]
    if zips and not tables:
        damage.append(f"{zips[0]}: no npz with the arrays train and test_first1000, its labels, was found")
    first = None
    for path in zips if tables else []:
        labels = first_good(tables, _labels, damage)
        if labels is None:
            break
        if any(name not in rows for name in TRAIN):
            found = first_good([path], partial(_train, labels["train"]), damage)
            rows |= {} if found is None else {name: batch for name, batch in found.items() if name not in rows}
        first = first or first_good([path], partial(_first, labels["test_first1000"]), damage)
    return first


def _has_strips(path: Path) -> bool:
    return any(map(STRIP.fullmatch, members(path) or ()))


def _has_labels(path: Path) -> bool:
    return {"train.npy", "test_first1000.npy"} <= (members(path) or set())


def _labels(path: Path) -> dict[str, np.ndarray]:
    with npz(path) as arrays:
        return {key: arrays[key] for key in ("train", "test_first1000")}


def _train(labels: np.ndarray, path: Path) -> Rows:
    images = _strips(path, "train")  # [N, 32, 32, 3]
    if labels.shape != (len(images),):
        raise DataError(f"{path}: {len(images)} training images, expected as many as there are labels, {len(labels)}")
    parts = zip(TRAIN, np.array_split(images, len(TRAIN)), np.array_split(labels, len(TRAIN)), strict=True)
    return {name: _checked(path, name, _joined(ours, _planes(part))) for name, part, ours in parts}


def _first(labels: np.ndarray, path: Path) -> Labelled:
    images = _strips(path, "test1k")
    found = hashlib.sha1(images.tobytes(), usedforsecurity=False).hexdigest()
    if found != FIRST_SHA1 or labels.shape != (len(images),):
        raise DataError(
            f"{path}: wrong checksum, SHA-1 of its {len(images):,} test images is {found}, expected {FIRST_SHA1}"
        )
    return _labelled(np.concatenate([labels.astype(np.uint8)[:, None], _planes(images)], axis=1))


def _planes(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 3, 1, 2).reshape(-1, ROW - 1)  # [N, 32, 32, 3] -> [N, 3072]


def _strips(path: Path, split: str) -> np.ndarray:
    from PIL import Image  # comes with torchvision

    strips = [np.zeros((0, 32, 32, 3), np.uint8)]
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if (found := STRIP.fullmatch(n)) and found[1].lower() == split]
            for name in sorted(names):
                with Image.open(BytesIO(archive.read(name))) as image:
                    strips.append(np.asarray(image.convert("RGB")).reshape(-1, 32, 32, 3))
    except (*BROKEN, OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: damaged ({error}), expected a zip of WebP strips") from error
    return np.concatenate(strips)
