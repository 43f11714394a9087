"""MNIST and Fashion-MNIST as people have them: every name and layout in use, and every way in which a file is bad."""

import hashlib
import os
import re
import struct
from functools import partial

import numpy as np
import pytest
import torch
from tiny_data import TRAIN_IMAGES, flip_last, grey_of, idx_bytes, put

from kpp_lib.data import idx
from kpp_lib.data.load import load_dataset
from kpp_lib.data.sources import DataError

REAL = os.environ.get("KPP_DATA")
pytestmark = pytest.mark.usefixtures("no_sources")
load = partial(load_dataset, "mnist", quiet=True)


def dotted(file):
    """train-images-idx3-ubyte -> train-images.idx3-ubyte, as some archives have it."""
    return file.replace("-idx", ".idx")


@pytest.fixture
def fashion(monkeypatch):
    """The four unpacked files of a Fashion-MNIST of the same names and shapes."""
    rng = np.random.default_rng(3)
    files = {}
    for (split, what), file in idx.FILES.items():
        n = 60 if split == "train" else 10
        shape, most = ((n, 28, 28), 256) if what == "images" else ((n,), 10)
        files[file] = idx_bytes(rng.integers(0, most, shape, dtype=np.uint8))
    table = {file: hashlib.sha256(raw).hexdigest() for file, raw in files.items()}
    monkeypatch.setitem(idx.CHECKSUMS, "fashion_mnist", table)
    return files


# Names and layouts


LAYOUTS = {
    "in the folder itself, unpacked": lambda root, file, raw: put(root, file, raw, False),
    "in the folder itself, packed": lambda root, file, raw: put(root, file, raw),
    "torchvision's": lambda root, file, raw: put(root / "MNIST" / "raw", file, raw, False),
    "a dot for a dash": lambda root, file, raw: put(root / "mnist", dotted(file), raw, False),
    "Kaggle's, a folder of the file's name": lambda root, file, raw: put(root / "archive" / file, file, raw, False),
    "Kaggle's, in folders with dots": lambda root, file, raw: put(root / dotted(file), dotted(file), raw, False),
    "only named .gz": lambda root, file, raw: put(root / "mnist", file + ".gz", raw, False),
    "packed, without .gz": lambda root, file, raw: put(root / "x" / "y", file + ".gz", raw).rename(
        root / "x" / "y" / file
    ),
    "capitals": lambda root, file, raw: put(root, file.upper(), raw, False),
    "test for t10k": lambda root, file, raw: put(root, file.replace("t10k", "test"), raw, False),
    "splits as folders": lambda root, file, raw: put(
        root / ("train" if "train" in file else "test"), file.partition("-")[2], raw, False
    ),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_in_use_is_read(contents, tmp_path, layout):
    for file, raw in contents.items():
        LAYOUTS[layout](tmp_path / "data", file, raw)
    loaded = load("none", folder=tmp_path / "data")
    assert torch.equal(loaded.train.pixels, grey_of(contents)[:50]) and loaded.note == ""
    assert torch.equal(loaded.test.pixels, grey_of(contents, "test"))


def test_the_folder_of_the_set_itself_is_read_and_said(contents, tmp_path, monkeypatch, capsys):
    for file, raw in contents.items():
        put(tmp_path / "MNIST" / "raw", file, raw)
    for folder in (tmp_path / "MNIST", tmp_path / "MNIST" / "raw"):
        monkeypatch.setenv("KPP_DATA", str(folder))
        loaded = load_dataset("mnist", "none")
        assert torch.equal(loaded.train.pixels, grey_of(contents)[:50])
        assert capsys.readouterr().err == loaded.describe() + "\n"


def test_a_file_with_the_wrong_name_is_known_by_its_contents(contents, tmp_path):
    swapped, splits, plain = [*list(contents)[1::-1], "a.idx", "b.bin"], [*contents][2:] + [*contents][:2], "abcd"
    for folder, names in (("swapped", swapped), ("splits", splits), ("plain", plain)):
        for name, raw in zip(names, contents.values(), strict=True):
            put(tmp_path / folder, name, raw, packed=False)
        loaded = load("none", folder=tmp_path / folder)
        assert torch.equal(loaded.train.pixels, grey_of(contents)[:50]) and loaded.note == ""


# The two sets, of the same names and shapes


@pytest.mark.parametrize(
    ("mnist", "fashion_mnist"),
    [("mnist", "fashion_mnist"), ("MNIST/raw", "FashionMNIST/raw"), ("a/raw", "b/raw"), ("b", "a"), ("", "z")],
)
def test_the_two_sets_are_told_apart_by_their_contents(contents, fashion, tmp_path, mnist, fashion_mnist):
    for file in contents:
        put(tmp_path / "data" / mnist, file, contents[file])
        put(tmp_path / "data" / fashion_mnist, file, fashion[file])
    assert torch.equal(load("none", folder=tmp_path / "data").train.pixels, grey_of(contents)[:50])
    other = load_dataset("fashion_mnist", "none", folder=tmp_path / "data", quiet=True)
    assert torch.equal(other.train.pixels, grey_of(fashion)[:50]) and other.note == ""


def test_one_set_is_never_taken_for_the_other(fashion, contents, tmp_path):
    for file, raw in fashion.items():
        put(tmp_path / "data", file, raw)
    with pytest.raises(DataError, match="missing files of mnist: expected train-images"):
        load(folder=tmp_path / "data")


@pytest.mark.parametrize(
    ("folder", "family"),
    [
        ("mnist", "mnist"), ("MNIST", "mnist"), ("mnist_data", "mnist"), ("the-mnist", "mnist"),
        ("FashionMNIST", "fashion_mnist"), ("fashion-mnist", "fashion_mnist"), ("fmnist", "fashion_mnist"),
        ("KMNIST", "other"), ("emnist", "other"), ("moving_mnist", "other"), ("binarized_mnist", "other"),
        ("raw", None), ("data", None),
    ],
)  # fmt: skip
def test_a_folder_says_which_set_it_holds(folder, family):
    assert idx._family(folder) == family


@pytest.fixture
def unknown(fashion, contents):
    """Files of neither set: those of MNIST, one pixel or label changed in each."""
    return {file: flip_last(raw) for file, raw in contents.items()}


def test_files_of_neither_set_are_taken_where_they_are_the_only_ones_and_no_folder_says(unknown, tmp_path):
    for file, raw in unknown.items():
        put(tmp_path / "data" / "raw", file, raw)
    loaded = load("none", folder=tmp_path / "data")
    assert torch.equal(loaded.test.pixels, grey_of(unknown, "test"))
    assert "checksums of neither MNIST nor Fashion-MNIST: taken for mnist" in loaded.describe()


@pytest.mark.parametrize("folder", ["mnist", "KMNIST", "EMNIST/raw"])
def test_files_of_neither_set_are_an_error_where_a_folder_says_what_they_are(unknown, tmp_path, folder):
    for file, raw in unknown.items():
        put(tmp_path / "data" / folder, file, raw)
    with pytest.raises(DataError, match="wrong checksum" if folder == "mnist" else "missing files of mnist"):
        load(folder=tmp_path / "data")


def test_files_of_neither_set_are_an_error_where_there_are_two(unknown, contents, tmp_path):
    for file, raw in unknown.items():
        put(tmp_path / "data" / "a", file, raw)
        put(tmp_path / "data" / "b", file, raw)
    with pytest.raises(DataError, match="a/train-images.*wrong checksum.*b/train-images.*wrong checksum"):
        load(folder=tmp_path / "data")


def test_files_beside_it_decide_what_a_damaged_file_is(contents, tmp_path):
    for file, raw in contents.items():
        put(tmp_path / "data", file, flip_last(raw) if file == TRAIN_IMAGES else raw)
    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}.gz: wrong checksum"):
        load(folder=tmp_path / "data")


# Missing and bad files


def test_a_named_folder_without_the_set_is_an_error(tmp_path):
    (tmp_path / "data").mkdir()
    where = re.escape(str(tmp_path / "data"))
    with pytest.raises(
        DataError,
        match=f"{TRAIN_IMAGES}, .* in {where}: download them from http.* into {where}/mnist; .*valid,test}}.amat",
    ):
        load(folder=tmp_path / "data")
    with pytest.raises(DataError, match="nowhere: no such folder"):
        load(folder=tmp_path / "nowhere")


def test_one_missing_file_is_named(root):
    (root / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="missing files of mnist: expected t10k-labels-idx1-ubyte, packed"):
        load(folder=root)


BAD = [
    (lambda raw: b"\0\0\x08\x01" + raw[4:], "wrong magic number 2049, expected 2051"),
    (lambda raw: raw[:-5], r"header announces \[60, 28, 28\], 47040 bytes, expected as many, found 47035"),
    (lambda raw: raw + b"\0", "47040 bytes, expected as many, found 47041"),
    (lambda raw: raw[:8] + struct.pack(">2I", 14, 56) + raw[16:], "images of 14x56 pixels, expected 28x28"),
    (lambda raw: raw[:10], "truncated, 10 bytes, expected at least a header of 16"),
    (lambda raw: b"<html>not found, but served all the same</html>", "wrong magic number"),
    (flip_last, "wrong checksum, SHA-256 .* expected [0-9a-f]{64}"),
]


@pytest.mark.parametrize(("change", "message"), BAD)
@pytest.mark.parametrize("packed", [True, False])
def test_bad_contents_are_named(root, contents, change, message, packed):
    (root / "mnist" / f"{TRAIN_IMAGES}.gz").unlink()
    path = put(root / "mnist", TRAIN_IMAGES, change(contents[TRAIN_IMAGES]), packed)
    with pytest.raises(DataError, match=re.escape(str(path)) + ".*" + message):
        load(folder=root)


@pytest.mark.parametrize(("change", "message"), BAD)
@pytest.mark.parametrize("where", ["mnist", "MNIST/raw", "."])
def test_a_damaged_file_does_not_hide_a_good_one_and_is_named(root, contents, change, message, where):
    path = put(root / where, TRAIN_IMAGES, change(contents[TRAIN_IMAGES]), packed=False)
    loaded = load("none", folder=root)
    assert torch.equal(loaded.train.pixels, grey_of(contents)[:50])
    if where == "mnist":  # tried first: nearest to what is looked for, and not packed
        assert re.search("not used: " + re.escape(str(path)) + ".*" + message, loaded.describe())


@pytest.mark.parametrize("binarize", ["fixed", "dynamic"])
def test_damaged_labels_beside_the_released_bits_are_named_once(released, root, contents, binarize):
    file = idx.FILES["train", "labels"]
    path = put(root / "mnist", file, contents[file][:-1], packed=False)
    loaded = load(binarize, folder=root)
    assert loaded.note.count(f"{path}: header announces") == 1 and loaded.bits.startswith("released")


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[: len(raw) // 2], lambda raw: raw[:40] + b"\xff" * 40 + raw[80:], lambda raw: b""]
)
def test_broken_gzip_is_named(root, damage):
    path = root / "mnist" / f"{TRAIN_IMAGES}.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError, match=re.escape(str(path)) + ".*truncated"):
        load(folder=root)


def test_all_copies_damaged_are_all_named(root, contents):
    one = put(root / "mnist", TRAIN_IMAGES, flip_last(contents[TRAIN_IMAGES]))
    other = put(root / "MNIST" / "raw", TRAIN_IMAGES, contents[TRAIN_IMAGES][:-1])
    with pytest.raises(DataError) as error:
        load(folder=root)
    assert f"{one}: wrong checksum" in str(error.value) and f"{other}: header announces" in str(error.value)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="this user may read every file")
def test_a_file_that_may_not_be_read_is_named(root, contents):
    path = root / "mnist" / f"{TRAIN_IMAGES}.gz"
    path.chmod(0)
    with pytest.raises(DataError, match=re.escape(str(path)) + ": cannot be read"):
        load(folder=root)


def test_images_and_labels_must_agree(root, contents, monkeypatch):
    raw = idx_bytes(np.zeros(59, np.uint8))
    file = idx.FILES["train", "labels"]
    monkeypatch.setitem(idx.CHECKSUMS["mnist"], file, hashlib.sha256(raw).hexdigest())
    put(root / "mnist", file, raw)
    with pytest.raises(DataError, match=f"{TRAIN_IMAGES}.gz: 60 images, expected as many as there are labels, 59"):
        load(folder=root)


@pytest.mark.skipif(not REAL, reason="KPP_DATA is unset: the official files cannot be compared without them")
def test_the_official_files_have_the_checksums_of_both_tables(tmp_path):
    loaded = {name: load_dataset(name, "none", folder=REAL, quiet=True) for name in ("mnist", "fashion_mnist")}
    assert [len(data.train) for data in loaded.values()] == [50_000, 50_000]
    assert torch.bincount(loaded["mnist"].test.labels).tolist() == [
        980,
        1135,
        1032,
        1010,
        982,
        892,
        958,
        1028,
        974,
        1009,
    ]
    assert torch.bincount(loaded["fashion_mnist"].test.labels).tolist() == [1000] * 10
