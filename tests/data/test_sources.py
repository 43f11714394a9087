"""Raw files: every way in which one can be missing or bad is an error that names it; Omniglot's two forms agree."""

import hashlib
import re
import struct
from functools import partial

import numpy as np
import pytest
import torch
from tiny_data import TRAIN_IMAGES, flip_last, grey_of, idx_bytes, put, write_zips

from kpp_lib.data import sources
from kpp_lib.data.load import load_dataset
from kpp_lib.data.sources import DataError

pytestmark = pytest.mark.usefixtures("no_sources")
load = partial(load_dataset, "mnist", quiet=True)


# Folders and bad files


@pytest.mark.parametrize("packed", [True, False])
def test_layout_of_torchvision_is_accepted(contents, tmp_path, packed, monkeypatch, capsys):
    for file, raw in contents.items():
        put(tmp_path / "tv" / "MNIST" / "raw", file, raw, packed)
    monkeypatch.setenv("KPP_DATA", str(tmp_path / "tv"))
    loaded = load_dataset("mnist", "none")
    assert torch.equal(loaded.train.pixels, grey_of(contents)[:50])
    assert capsys.readouterr().err == loaded.describe() + "\n"


def test_a_named_folder_without_the_set_is_an_error(tmp_path):
    with pytest.raises(
        DataError,
        match=f"{TRAIN_IMAGES}.* in {re.escape(str(tmp_path))}/mnist or .*MNIST/raw.*binarized_mnist_fixed.npz",
    ):
        load(folder=tmp_path)
    with pytest.raises(DataError, match="images_background.zip.*omniglot_105_packed.npz"):
        load_dataset("omniglot", folder=tmp_path)
    with pytest.raises(DataError, match="nowhere: no such folder"):
        load(folder=tmp_path / "nowhere")


def test_one_missing_file_is_named(root):
    (root / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="missing files of mnist: expected t10k-labels-idx1-ubyte in"):
        load(folder=root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: b"\0\0\x08\x01" + raw[4:], "wrong magic number 2049, expected 2051"),
        (lambda raw: raw[:-5], r"header announces \[60, 28, 28\], 47040 bytes, expected as many, found 47035"),
        (lambda raw: raw + b"\0", "47040 bytes, expected as many, found 47041"),
        (lambda raw: raw[:8] + struct.pack(">2I", 14, 56) + raw[16:], "images of 14x56 pixels, expected 28x28"),
        (lambda raw: raw[:10], "truncated, 10 bytes, expected at least a header of 16"),
        (flip_last, "wrong checksum, MD5 .* expected [0-9a-f]{32}"),
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_bad_contents_are_named(root, contents, change, message, packed):
    path = put(root / "mnist", TRAIN_IMAGES, change(contents[TRAIN_IMAGES]), packed)
    with pytest.raises(DataError, match=re.escape(str(path)) + ".*" + message):
        load(folder=root)


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[: len(raw) // 2], lambda raw: b"<html>not found</html>", lambda raw: b""]
)
def test_broken_gzip_is_named(root, damage):
    path = root / "mnist" / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=re.escape(str(path)) + ".*truncated"):
        load(folder=root)


def test_images_and_labels_must_agree(root, contents, monkeypatch):
    raw = idx_bytes(np.zeros(59, np.uint8))
    file = sources.FILES["train", "labels"]
    monkeypatch.setitem(sources.CHECKSUMS["mnist"], file, hashlib.md5(raw).hexdigest())
    put(root / "mnist", file, raw)
    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}.gz: 60 images, expected as many as there are labels, 59"):
        load(folder=root)


def test_bad_released_bits_are_named(released, root):
    path, arrays = released
    flipped = arrays["test"].copy()
    flipped[0, 0] ^= 1
    cases = [
        ({k: v for k, v in arrays.items() if k != "valid"}, "missing split or array, valid"),
        (arrays | {"train": arrays["train"][:, :97]}, r"'train' has wrong shape \(50, 97\) uint8, expected \(N, 98\)"),
        (arrays | {"test": flipped}, "wrong checksum, SHA-256 of the pixels of 'test'"),
        (arrays | {"test_mnist_index_guess": np.arange(3)}, r"guesses of 'test' have shape \(3,\), expected \(10,\)"),
    ]
    for content, message in cases:
        np.savez(path, **content)
        with pytest.raises(DataError, match=re.escape(str(path)) + ".*" + message):
            load("fixed", folder=root)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=re.escape(str(path)) + ".*truncated or damaged"):
        load("fixed", folder=root)


# Omniglot


def write_npz(root, drawings, order=slice(None, None, -1)):
    arrays = {}
    for split, (_, packed, classes, drawers) in drawings.items():
        named = {"ink": packed, "class": classes, "drawer": drawers}
        arrays |= {f"{split}_{key}": array[order] for key, array in named.items()}
    (root / "omniglot").mkdir(parents=True, exist_ok=True)
    np.savez(root / sources.OMNIGLOT_FILE, **arrays)


def test_omniglot_splits_by_character_and_thresholds_ink(drawings, tmp_path):
    write_npz(tmp_path, drawings)
    fixed = load_dataset("omniglot", folder=tmp_path, quiet=True)
    assert (len(fixed.train), len(fixed.valid), len(fixed.test)) == (36, 4, 6)
    held_out = set(fixed.valid.labels.tolist())
    assert len(held_out) == 2 and not held_out & set(fixed.train.labels.tolist())
    assert fixed.test.labels.tolist() == [965, 965, 966, 966, 967, 967]
    other = load_dataset("omniglot", folder=tmp_path, quiet=True, seed=1)
    assert set(other.valid.labels.tolist()) != held_out
    # Each 28x28 pixel averages the drawing's pixels which it touches: written out for one, ink = 1.
    ink, grey = drawings["evaluation"][0], load_dataset("omniglot", "none", folder=tmp_path, quiet=True)
    window = ink[2, int(9 * 3.75) : int(np.ceil(10 * 3.75)), int(13 * 3.75) : int(np.ceil(14 * 3.75))]
    assert grey.test.pixels[2, 0, 9, 13].item() == round(window.mean() * 255)
    assert torch.equal(fixed.test.pixels, (grey.test.pixels > 127).to(torch.uint8))
    dynamic = load_dataset("omniglot", "dynamic", folder=tmp_path, quiet=True)
    assert dynamic.train.redraw and torch.equal(dynamic.valid.pixels, fixed.valid.pixels)
    first, again = (dynamic.train.draw(range(36), torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert set(first.unique().tolist()) == {0, 1} and not torch.equal(first, again)
    few = dynamic.train.part(torch.tensor([7, 3]))  # takes the drawings along
    drawn, whole = (i.draw(p, torch.Generator().manual_seed(0)) for i, p in ((few, [0, 1]), (dynamic.train, [7, 3])))
    assert torch.equal(drawn, whole) and few.labels.tolist() == dynamic.train.labels[[7, 3]].tolist()


def test_moved_drawings_stay_near_and_keep_their_ink():
    ink = np.zeros((64, 105, 105), np.uint8)
    ink[:, 30:75, 45:60] = 1  # a bar, 45 x 15 pixels
    packed = torch.from_numpy(np.packbits(ink.reshape(64, -1), axis=1))
    still = sources._average(sources._unpacked_ink(packed)).float() / 255
    grey = sources.moved(packed, torch.Generator().manual_seed(0)).float() / 255
    assert grey.std(dim=0).max() > 0.2  # all 64 moved differently
    assert abs(grey.sum(dim=(1, 2, 3)).mean() / still[0].sum() - 1) < 0.03  # neither thinned nor thickened
    for axis in (2, 3):  # the centre moves by up to 6/3.75 pixels and what the turn adds, and on average not at all
        profile = grey.sum(dim=(1, axis))  # [n, 28]
        centre = (profile * (torch.arange(28) + 0.5)).sum(-1) / profile.sum(-1)
        assert abs(centre.mean() - 14) < 0.5 and 1 < (centre - 14).abs().max() < 3


def test_omniglot_zips_and_npz_agree(drawings, tmp_path):
    write_npz(tmp_path / "a", drawings)
    write_zips(tmp_path / "b", drawings)
    packed, zipped = (load_dataset("omniglot", "none", folder=tmp_path / name, quiet=True) for name in "ab")
    assert packed.digest == zipped.digest and torch.equal(packed.train.labels, zipped.train.labels)
    broken = tmp_path / "b" / "omniglot-py" / "images_background.zip"
    broken.write_bytes(broken.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"images_background.zip: damaged"):
        load_dataset("omniglot", folder=tmp_path / "b")


def test_bad_omniglot_is_named(drawings, tmp_path):
    drawings["background"][1][0, 0] ^= 1
    write_npz(tmp_path, drawings)
    with pytest.raises(
        DataError, match=r"omniglot_105_packed.npz: wrong checksum, SHA-256 of the pixels of 'background'"
    ):
        load_dataset("omniglot", folder=tmp_path)
    drawings["background"] = (drawings["background"][0], drawings["background"][1][:, :9], *drawings["background"][2:])
    write_npz(tmp_path, drawings)
    with pytest.raises(DataError, match=r"'background_ink' has wrong shape \(40, 9\) uint8, expected \(N, 1379\)"):
        load_dataset("omniglot", folder=tmp_path)
