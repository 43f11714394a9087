"""A reader's own images: tensors, any PyTorch data set, or a folder of files -> grey splits, uint8 0 to 255.

What is missing of valid and test is taken from the training images by a seed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..inputs import Words, check_whole, wrong
from .bits import SPLITS, stream
from .sources import DataError, Labelled

PIXELS = "uint8 in 0 to 255, floats in [0, 1] or booleans, [N, H, W], [N, C, H, W] or [N, H, W, C] with C = 1 or 3"
NAMES = {"train": "train", "training": "train", "valid": "valid", "validation": "valid", "val": "valid", "test": "test"}
SAID = 3  # names of damaged files in a note
LEAST = 64  # two episodes of T = 32: as many images are held out, where that is a quarter at most


def labelled(name: str, given: Any) -> Labelled:
    """Images, or a pair (images, labels), as grey pixels uint8 [N, C, H, W]. Raises ValueError that names `name`."""
    pair = isinstance(given, tuple | list) and len(given) == 2 and not _number(given[0])
    images, labels = given if pair else (given, None)
    pixels = _grey(name, images)
    if labels is not None:
        labels = check_whole(f"{name} labels", labels, (len(pixels),))
    return Labelled(pixels, labels)


def _number(value: Any) -> bool:
    return isinstance(value, bool | int | float)


def _grey(name: str, given: Any) -> Tensor:
    plain = isinstance(given, np.ndarray) or (
        isinstance(given, Tensor) and given.layout == torch.strided and not (given.is_quantized or given.is_meta)
    )
    if not plain:
        raise wrong(name, given, f"a tensor or an array: {PIXELS}")
    try:
        x = torch.as_tensor(given).detach().cpu()
    except TypeError:  # a kind of number that torch has not
        raise wrong(name, Words(f"an array of {given.dtype}"), PIXELS) from None
    if x.ndim == 3:
        x = x[:, None]
    elif x.ndim == 4 and x.shape[1] not in (1, 3) and x.shape[3] in (1, 3):
        x = x.permute(0, 3, 1, 2)
    if x.ndim != 4 or x.shape[1] not in (1, 3) or not x.numel():
        raise wrong(name, Words(f"shape {tuple(given.shape)}"), PIXELS)
    return _bytes(name, x).contiguous()


def _bytes(name: str, x: Tensor) -> Tensor:
    """uint8 0 to 255. Booleans, and whole numbers that are 0 and 1 throughout, are bits: 0 and 255."""
    if x.dtype == torch.bool:
        return x.to(torch.uint8) * 255
    if x.is_floating_point():
        x = x.float()
        if not (torch.isfinite(x).all() and x.min() >= 0 and x.max() <= 1):
            raise wrong(name, Words(f"floats from {x.min():g} to {x.max():g}"), "floats in [0, 1], or uint8")
        return (x * 255).round().to(torch.uint8)
    if x.is_complex():
        raise wrong(name, Words(f"{x.dtype}"), PIXELS)
    x = x if x.dtype == torch.uint8 else x.long()
    if x.min() < 0 or x.max() > 255:
        raise wrong(name, Words(f"values from {int(x.min())} to {int(x.max())}"), PIXELS)
    return (x * 255 if x.max() <= 1 else x).to(torch.uint8)


def completed(given: Mapping[str, Labelled], seed: int) -> tuple[dict[str, Labelled], str]:
    """All three splits, and one line on those that `given` lacks: taken from its training images, drawn by `seed`.

    A tenth each, but `LEAST` where that is no more than a quarter. Raises DataError for too few images.
    """
    absent = [split for split in SPLITS if split not in given]
    if not absent:
        return {split: given[split] for split in SPLITS}, ""
    train = given["train"]
    n = len(train.pixels)
    count = max(1, n // 10, min(LEAST, n // 4))
    if n <= count * len(absent):
        raise DataError(f"train: got {n} images, expected more, to take {' and '.join(absent)} from them")
    order = torch.randperm(n, generator=stream(seed, 3))
    parts = order.split([n - count * len(absent)] + [count] * len(absent))
    taken = {split: take(train, part) for split, part in zip(["train", *absent], parts, strict=True)}
    splits = dict(given) | taken
    return {s: splits[s] for s in SPLITS}, f"{' and '.join(absent)}: {count} images each, drawn with seed {seed}"


def take(images: Labelled, which: slice | Tensor) -> Labelled:
    """Some of the images."""
    labels, drawings = (None if v is None else v[which] for v in (images.labels, images.drawings))
    return Labelled(images.pixels[which], labels, drawings)


# --- any data set -----------------------------------------------------------------------------------------------------


def stacked(name: str, dataset: Any) -> Labelled:
    """A PyTorch data set of images, or of (image, label, ...), read whole: PIL images, tensors or arrays.

    Raises ValueError where it has no length, is empty, or its images differ in shape.
    """
    try:
        count = len(dataset)
        dataset[0]
    except (TypeError, AttributeError, IndexError, KeyError):
        raise wrong(name, dataset, "a data set with a length and items, such as torchvision.datasets.MNIST") from None
    images, labels = [], []
    for i in range(count):
        item = dataset[i]
        image, label = (item[0], item[1] if len(item) > 1 else None) if isinstance(item, tuple | list) else (item, None)
        images.append(_item(name, i, image))
        labels.append(label)
        if images[i].shape != images[0].shape:
            shapes = Words(f"image {i} of {list(images[i].shape)} after {list(images[0].shape)}")
            raise wrong(name, shapes, "images of one size: give the data set a transform that resizes")
    whole = all(isinstance(n, int | np.integer) or isinstance(n, Tensor) and n.ndim == 0 for n in labels)
    return labelled(name, (torch.stack(images), torch.tensor([int(n) for n in labels]) if whole else None))


def _item(name: str, i: int, image: Any) -> Tensor:
    """[C, H, W] or [H, W], as it is stored."""
    if hasattr(image, "convert"):  # PIL
        image = np.asarray(_in_mode(image, "L" if image.mode == "1" or image.mode[0] in "LIF" else "RGB"))
    if not isinstance(image, Tensor | np.ndarray) or image.ndim not in (2, 3):
        raise wrong(name, Words(f"item {i}: {type(image).__name__}"), "PIL images, or arrays [H, W] or [C, H, W]")
    image = torch.as_tensor(np.array(image) if isinstance(image, np.ndarray) else image)
    return image.permute(2, 0, 1) if image.ndim == 3 and image.shape[0] not in (1, 3) else image


# --- a folder ---------------------------------------------------------------------------------------------------------


def read_folder(path: Path, size: int, grey: bool, invert: bool | None) -> tuple[dict[str, Labelled], str]:
    """The images below a folder, each turned upright, cut to its middle square, averaged to `size`; and what to know.

    Subfolders `train`, `valid` (or `val`, `validation`) and `test` are the splits; subfolders of those, or of the
    folder, give the labels, in order of their names. Damaged files are named and counted. invert: None, where most of
    the paper is light. Raises DataError for a folder without images.
    """
    _there(path)
    found = {NAMES[sub.name.lower()]: sub for sub in path.iterdir() if sub.is_dir() and sub.name.lower() in NAMES}
    return _read(path, found if "train" in found else {"train": path}, size, grey, invert)


def read_images(path: Path, size: int, grey: bool, invert: bool | None) -> tuple[Labelled, str]:
    """As `read_folder`, all images as one split."""
    _there(path)
    splits, note = _read(path, {"train": path}, size, grey, invert)
    return splits["train"], note


def _there(path: Path) -> None:
    if not path.is_dir():
        raise DataError(f"{path}: no such folder, expected one of image files")


def _read(
    path: Path, folders: Mapping[str, Path], size: int, grey: bool, invert: bool | None
) -> tuple[dict[str, Labelled], str]:
    damaged: list[Path] = []
    coloured: list[Path] = []
    splits = {split: _read_split(folder, size, grey, damaged, coloured) for split, folder in folders.items()}
    light = float(splits["train"].pixels.float().mean()) > 128
    if light if invert is None else invert:
        splits = {split: Labelled(255 - s.pixels, s.labels) for split, s in splits.items()}
    return splits, _about(path, damaged, coloured, light and invert is None)


def _read_split(folder: Path, size: int, grey: bool, damaged: list[Path], coloured: list[Path]) -> Labelled:
    files = sorted(f for f in folder.rglob("*") if f.is_file() and not _hidden(f.relative_to(folder)))
    kinds = sorted({f.relative_to(folder).parts[0] for f in files if f.parent != folder})
    pixels, labels = [], []
    for file in files:
        image = _decoded(file, size, grey, damaged, coloured)
        if image is not None:
            pixels.append(image)
            labels.append(kinds.index(file.relative_to(folder).parts[0]) if file.parent != folder else -1)
    if not pixels:
        also = f", {len(damaged)} damaged ones" if damaged else ""
        raise DataError(f"{folder}: no image in it ({len(files)} files{also}), expected PNG, JPEG or other pictures")
    use = len(kinds) > 1 and -1 not in labels
    return Labelled(torch.stack(pixels), torch.tensor(labels) if use else None)


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def _decoded(file: Path, size: int, grey: bool, damaged: list[Path], coloured: list[Path]) -> Tensor | None:
    """uint8 [C, size, size]; None for a file that is no image, or a damaged one, which is kept in mind, as are those
    whose colours are lost."""
    from PIL import Image, ImageOps, UnidentifiedImageError  # comes with torchvision

    try:
        with Image.open(file) as opened:
            image = ImageOps.exif_transpose(opened)
            if "A" in image.getbands():  # a transparent picture on white paper
                image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image.convert("RGBA"))
            if grey and _has_colour(image):
                coloured.append(file)
            image = ImageOps.fit(_in_mode(image, "L" if grey else "RGB"), (size, size), Image.Resampling.BOX)
    except UnidentifiedImageError:
        if file.suffix.lower() in Image.registered_extensions():
            damaged.append(file)
        return None
    except (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError):
        damaged.append(file)
        return None
    pixels = torch.from_numpy(np.array(image))
    return pixels[None] if grey else pixels.permute(2, 0, 1)


def _has_colour(image: Any) -> bool:
    """Whether some part of a picture, averaged to 8x8, is far from grey; a grey one may be stored as RGB."""
    if image.mode[0] in "1LIF":
        return False
    small = np.asarray(image.convert("RGB").resize((8, 8))).astype(int)
    return bool((small.max(-1) - small.min(-1)).max() > 32)


def _in_mode(image: Any, mode: str) -> Any:
    """PIL's own convert cuts 16 bits off at 255."""
    if image.mode.startswith("I"):
        from PIL import Image

        image = Image.fromarray((np.asarray(image) // 257).clip(0, 255).astype(np.uint8))
    return image.convert(mode)


def _about(path: Path, damaged: Sequence[Path], coloured: Sequence[Path], inverted: bool) -> str:
    said = []
    if damaged:
        names = ", ".join(str(f.relative_to(path)) for f in damaged[:SAID]) + ", ..." * (len(damaged) > SAID)
        said.append(f"{len(damaged)} file{'s' * (len(damaged) > 1)} could not be read: {names}")
    if coloured:
        said.append(
            f"{len(coloured)} picture{'s' * (len(coloured) > 1)} in colour, read as grey; colours stay with grey=False "
            "(kpp train: --set channels=3)"
        )
    if inverted:
        said.append("most of the paper is light: dark ink is made ones (invert=False: it is left)")
    return "; ".join(said)
