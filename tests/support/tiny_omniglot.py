"""A small Omniglot in every form that is read: 105x105 drawings, and the 28x28 release."""

import hashlib
import io
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from kpp_lib.data import load, omniglot, omniglot28

NAME = "omniglot/chardata.mat"


@pytest.fixture
def drawings(monkeypatch):
    """Two small sets of 105x105 drawings, characters x 2 drawers, ordered by class then drawer."""
    rng, sets = np.random.default_rng(2), {}
    for split, first, n in (("background", 1, 20), ("evaluation", 965, 3)):
        ink = np.kron(rng.integers(0, 2, (2 * n, 15, 15), dtype=np.uint8), np.ones((7, 7), np.uint8))
        packed = np.packbits(ink.reshape(2 * n, -1), axis=1)
        monkeypatch.setitem(omniglot.OMNIGLOT_SHA256, split, hashlib.sha256(packed.tobytes()).hexdigest())
        sets[split] = ink, packed, np.repeat(np.arange(first, first + n), 2), np.tile([1, 2], n)
    return sets


def write_zips(root, drawings):
    (root / "omniglot-py").mkdir(parents=True)
    for split, (ink, _, classes, drawers) in drawings.items():
        with zipfile.ZipFile(root / "omniglot-py" / f"images_{split}.zip", "w") as archive:
            for picture, number, drawer in zip(ink, classes, drawers, strict=True):
                file = io.BytesIO()
                Image.fromarray(picture == 0).save(file, "png")  # black ink on white, one bit, as in the release
                archive.writestr(f"images_{split}/Angelic/character01/{number:04}_{drawer:02}.png", file.getvalue())


def write_npz(root, drawings, order=slice(None, None, -1), name="omniglot/omniglot_105_packed.npz"):
    arrays = {}
    for split, (_, packed, classes, drawers) in drawings.items():
        named = {"ink": packed, "class": classes, "drawer": drawers}
        arrays |= {f"{split}_{key}": array[order] for key, array in named.items()}
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    np.savez(root / name, **arrays)
    return root / name


def unpack(root, drawings, folder, rename=str):
    """The PNG trees of the zips in `folder`, the zips themselves gone; `rename` changes the two top folders' names."""
    write_zips(root / "zips", drawings)
    for path in (root / "zips" / "omniglot-py").iterdir():
        with zipfile.ZipFile(path) as archive:
            archive.extractall(root / "unpacked")
    for tree in (root / "unpacked").iterdir():
        (root / folder).mkdir(parents=True, exist_ok=True)
        shutil.copytree(tree, root / folder / rename(tree.name), dirs_exist_ok=True)
    shutil.rmtree(root / "zips")
    shutil.rmtree(root / "unpacked")
    return root / folder


@pytest.fixture
def chardata(monkeypatch):
    """The arrays of a chardata.mat of 60 + 12 images, column by column as MATLAB stores them, and the images."""
    monkeypatch.setattr(omniglot28, "COUNTS", {"train": 60, "test": 12})
    monkeypatch.setattr(load, "VALID28", 10)
    rng, arrays, images = np.random.default_rng(4), {}, {}
    for split, key, n in (("train", "", 60), ("test", "test", 12)):
        images[split] = rng.random((n, 28, 28))  # [N, row, column]
        images[split][:, :3] = 0
        arrays[f"{key}data"] = np.stack([image.ravel(order="F") for image in images[split]], axis=1)  # [784, N]
        alphabets, characters = np.arange(n) % 3, np.arange(n) % 4 + 1
        arrays[f"{key}target"] = np.eye(50)[:, alphabets]  # one-hot [50, N]
        arrays[f"{key}targetchar"] = characters[None].astype(float)
    return arrays, images


def put(root, arrays, name=NAME, **how):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    savemat(root / name, arrays, **how)
    return root / name
