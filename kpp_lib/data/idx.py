"""MNIST and Fashion-MNIST: idx files, packed or not, under any of the names in use.

Both sets have files of the same names and shapes. Which one a file belongs to is said by its checksum; where that is
of neither, by the folders it lies in.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .finding import Tree
from .opening import contents, head
from .sources import DataError, Labelled, MissingError

Role = tuple[str, str]  # split and what is in the file
FILES: dict[Role, str] = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
DIMS = {"images": 3, "labels": 1}
# SHA-256 of the unpacked files: those whose gzip files have the published MD5.
CHECKSUMS = {
    "mnist": {
        "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
}
MIRRORS = {
    "mnist": "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "fashion_mnist": "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
}
NAME = re.compile(r"(train|t10k|test)[-_. ]?(images|labels)", re.I)
SUFFIXES = frozenset(("", ".gz", ".gzip", ".idx", ".bin", ".dat", ".ubyte", ".idx3", ".idx1"))
MARKED = frozenset("moving rotated colored coloured permuted binarized binarised corrupted".split())  # sets of others


@dataclass(frozen=True)
class IdxFile:
    """A file that could be of MNIST or Fashion-MNIST, as its header, its name and its folders say."""

    path: Path
    what: str  # "images" or "labels": by its name, else by its header
    header: str | None
    split: str | None
    family: str | None  # "mnist", "fashion_mnist", "other", or None where no folder says

    def named(self, role: Role) -> bool:
        """Whether the names say that it has this role: only then it is damaged where it is not the right one."""
        return (self.split, self.what) == role


@dataclass
class Search:
    """What was found of a data set: tensors by role, their files, and what is wrong with the rest."""

    tensors: dict[Role, torch.Tensor]
    paths: dict[Role, Path]
    damage: dict[Role, list[str]]
    unknown: dict[Role, list[tuple[IdxFile, torch.Tensor, str]]]  # of neither set, and no folder says

    @property
    def notes(self) -> list[str]:
        """What is wrong with files that were passed over."""
        used = tuple(f"{path}: " for path in self.paths.values())  # a file with another one's name is none of them
        return [said for role in self.tensors for said in self.damage[role] if not said.startswith(used)]


def read_grey(tree: Tree, name: str) -> tuple[dict[str, Labelled], list[str], str]:
    """Grey images and labels of splits "train" (60,000) and "test"; what is wrong with other copies; and a note.

    Raises MissingError for files that are not there, DataError for those of which each copy is damaged.
    """
    search = read(tree, name, FILES)
    grey = {}
    for split in ("train", "test"):
        pixels, labels = (search.tensors[split, what] for what in DIMS)
        if len(pixels) != len(labels):
            path = search.paths[split, "images"]
            raise DataError(f"{path}: {len(pixels)} images, expected as many as there are labels, {len(labels)}")
        grey[split] = Labelled(pixels[:, None], labels.long())  # [N, 28, 28] -> [N, 1, 28, 28]
    strangers = any(search.paths[role] == file.path for role, files in search.unknown.items() for file, _, _ in files)
    note = f"checksums of neither MNIST nor Fashion-MNIST: taken for {name}, the only files there" if strangers else ""
    return grey, search.notes, note


def read(tree: Tree, name: str, roles: dict[Role, str] | list[Role]) -> Search:
    """Tensors of `roles`, each from the first file that has the checksum of data set `name`: uint8 [N, 28, 28] or [N].

    Where no file has it, and no folder says what the files are, those of the one folder that has them all are taken.
    """
    search = Search({}, {}, {role: [] for role in roles}, {role: [] for role in roles})
    for named in (True, False):  # files of any other name are opened only where those do not suffice
        absent = [role for role in roles if role not in search.tensors]
        files = candidates(tree, named) if absent else []
        for role in absent:
            any(_tried(file, name, role, search) for file in _ranked(files, name, role))
    if not search.tensors:
        _take_unknown(search)
    for role, strangers in search.unknown.items():
        if role not in search.tensors:  # files beside it have decided, so it is damaged; or there are several
            search.damage[role] += [said for _, _, said in strangers]
    _require_all(tree, name, search)
    return search


def _tried(file: IdxFile, name: str, role: Role, search: Search) -> bool:
    """Whether the file is what is looked for; if not, why."""
    official = CHECKSUMS[name][FILES[role]]
    try:
        array, found = read_idx(file.path, DIMS[role[1]])
    except (DataError, OSError) as error:
        said = str(error) if isinstance(error, DataError) else f"{file.path}: cannot be read ({error.strerror})"
        if file.family in (name, None) and file.named(role):
            search.damage[role].append(said)
        return False
    if found == official:
        search.tensors[role], search.paths[role] = array, file.path
        return True
    if any(found == known for table in CHECKSUMS.values() for known in table.values()):
        return False  # the other data set's, or the other split's
    said = f"{file.path}: wrong checksum, SHA-256 of the unpacked contents is {found}, expected {official}"
    if file.family is None and file.named(role):
        search.unknown[role].append((file, array, said))
    elif file.family == name and file.named(role):
        search.damage[role].append(said)
    return False


def _take_unknown(search: Search) -> None:
    only = {role: files[0] for role, files in search.unknown.items() if len(files) == 1 and not search.damage[role]}
    if len(only) == len(search.unknown) and len({_home(file.path) for file, _, _ in only.values()}) == 1:
        for role, (file, array, _) in only.items():
            search.tensors[role], search.paths[role] = array, file.path


def _home(path: Path) -> Path:
    """The folder that a set's files have in common: above one of a file's own name, as in Kaggle's archive."""
    return path.parent.parent if NAME.search(path.parent.name) else path.parent


def _require_all(tree: Tree, name: str, search: Search) -> None:
    absent = [role for role in search.damage if role not in search.tensors]
    if broken := [said for role in absent for said in search.damage[role]]:
        raise DataError("; ".join(broken))
    if absent:
        also = ""
        if name == "mnist":
            also = "; for binarize='fixed', Larochelle's three binarized_mnist_{train,valid,test}.amat are enough"
        raise MissingError(
            f"missing files of {name}: expected {', '.join(FILES[role] for role in absent)}, packed or not, anywhere "
            f"in {tree.root}: download them from {MIRRORS[name]} into {tree.root / name}{also}{tree.said()}"
        )


def candidates(tree: Tree, named: bool) -> list[IdxFile]:
    """The files that could be idx files of images or labels: by their names, damaged or not; or by their first bytes
    alone."""
    return [file for path in tree.files if (file := _classified(tree, path, named))]


def _classified(tree: Tree, path: Path, named: bool) -> IdxFile | None:
    found = NAME.search(path.name)
    if bool(found) != named or not (named or path.suffix.lower() in SUFFIXES):
        return None
    header = {b"\0\0\x08\x03": "images", b"\0\0\x08\x01": "labels"}.get(head(path, 4))
    what = found[2].lower() if found else header
    if not what:
        return None
    parts = tree.parts(path)
    return IdxFile(path, what, header, _first(_split, (path.name, *parts)), _first(_family, parts))


def _first(say, parts: tuple[str, ...]) -> str | None:
    return next((said for part in parts if (said := say(part))), None)


def _split(part: str) -> str | None:
    found = re.match(r"(train|t10k|test)(?![a-z])", part.lower())
    return found and ("train" if found[1] == "train" else "test")


def _family(part: str) -> str | None:
    """The data set that a folder's name says: "mnist", "fashion_mnist", or "other", such as KMNIST."""
    words = re.findall("[a-z]+", part.lower())
    if any("fashion" in word or word == "fmnist" for word in words):
        return "fashion_mnist"
    if not any("mnist" in word for word in words):
        return None
    return "mnist" if "mnist" in words and not MARKED & set(words) else "other"


def _ranked(files: list[IdxFile], name: str, role: Role) -> list[IdxFile]:
    """The files that may have a role, likely ones first; unpacked ones first among equals, being quicker."""
    order, splits = {name: 0, None: 1}, {role[0]: 0, None: 1}
    fitting = [f for f in files if role[1] in (f.what, f.header)]
    return sorted(  # stable: nearest first
        fitting,
        key=lambda f: (order.get(f.family, 2), splits.get(f.split, 2), f.what != role[1], f.path.suffix == ".gz"),
    )


def read_idx(path: Path, dims: int) -> tuple[torch.Tensor, str]:
    """An idx file of bytes, packed or not: uint8 [N, 28, 28] for ``dims=3``, [N] for ``dims=1``; and its SHA-256.

    Raises DataError for a truncated or broken gzip, a wrong magic number, and a header that does not fit the length or
    the shape; each names the file.
    """
    raw = contents(path)
    start = 4 + 4 * dims
    if len(raw) < start:
        raise DataError(f"{path}: truncated, {len(raw)} bytes, expected at least a header of {start}")
    magic, *shape = struct.unpack(f">{1 + dims}I", raw[:start])
    if magic != 0x0800 + dims:  # 0x08: unsigned bytes; then the number of dimensions
        raise DataError(f"{path}: wrong magic number {magic}, expected {0x0800 + dims} (bytes in {dims} dimensions)")
    if dims == 3 and shape[1:] != [28, 28]:
        raise DataError(f"{path}: wrong shape, images of {shape[1]}x{shape[2]} pixels, expected 28x28")
    if len(raw) - start != math.prod(shape):
        raise DataError(
            f"{path}: header announces {shape}, {math.prod(shape)} bytes, expected as many, found {len(raw) - start}"
        )
    array = torch.from_numpy(np.frombuffer(raw, np.uint8, offset=start).reshape(shape).copy())
    return array, hashlib.sha256(raw).hexdigest()
