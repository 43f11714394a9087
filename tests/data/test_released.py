"""The released bits of MNIST: from the npz, and from the three text files as released."""

import gzip
import os
import re
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from tiny_data import grey_of

from kpp_lib.data.load import load_dataset
from kpp_lib.data.released import read_text
from kpp_lib.data.sources import DataError

REAL = os.environ.get("KPP_DATA")
pytestmark = pytest.mark.usefixtures("no_sources")
load = partial(load_dataset, "mnist", quiet=True)


def amat(bits, end="\n"):
    return "".join(" ".join(map(str, row)) + end for row in bits).encode()


def put_texts(folder, arrays, name="binarized_mnist_{}.amat", end="\n", packed=False):
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "valid", "test"):
        raw = amat(np.unpackbits(arrays[split], axis=1, count=784), end)
        (folder / name.format(split)).write_bytes(gzip.compress(raw) if packed else raw)


@pytest.mark.parametrize(
    ("folder", "how"),
    [
        ("binarized_mnist", {}), (".", {}), ("BinaryMNIST/raw", {"end": " \n"}), ("a", {"end": "\r\n"}),
        ("b", {"name": "mnist_{}.amat"}), ("c", {"name": "binarized_mnist_{}.amat.gz", "packed": True}),
        ("d", {"name": "Binarised-MNIST-{}"}),
    ],
)  # fmt: skip
def test_text_files_as_released_are_the_fixed_bits(released, root, folder, how):
    path, arrays = released
    from_npz = load("fixed", folder=root)
    path.unlink()
    put_texts(root / folder, arrays, **how)
    from_texts = load("fixed", folder=root)
    assert from_texts.digest == from_npz.digest and from_texts.bits == "released" and from_texts.note == "no labels"
    assert all(getattr(from_texts, split).labels is None for split in ("train", "valid", "test"))


def test_a_row_of_the_text_is_an_image_row_by_row(tmp_path):
    bits = np.random.default_rng(0).integers(0, 2, (3, 784), dtype=np.uint8)
    (tmp_path / "x").write_bytes(amat(bits))
    read = read_text(tmp_path / "x")
    assert np.array_equal(read, bits) and read.dtype == np.uint8


def test_dynamic_beside_text_files_trains_on_no_digit_of_valid_or_test(released, root, contents):
    path, arrays = released
    path.unlink()
    put_texts(root / "bits", arrays)
    dynamic, fixed = load("dynamic", folder=root), load("fixed", folder=root)
    assert torch.equal(dynamic.train.pixels, grey_of(contents)[:50]) and dynamic.train.redraw
    assert torch.equal(dynamic.test.pixels, fixed.test.pixels)
    valid = dynamic.valid.pixels  # of the last ten grey images, which are not trained on
    grey = grey_of(contents)[50:]
    assert not valid[grey == 0].any() and valid[grey == 255].all() and dynamic.valid.binary
    assert dynamic.bits == "released test; valid a seeded draw 0; train redrawn"


def test_the_npz_goes_first_for_its_labels(released, root):
    _, arrays = released
    put_texts(root / "texts", arrays)
    assert "guesses" in load("fixed", folder=root).note


def test_one_damaged_copy_does_not_hide_the_other(released, root):
    path, arrays = released
    put_texts(root / "texts", arrays)
    good, whole = load("fixed", folder=root).digest, path.read_bytes()
    path.write_bytes(whole[:-100])
    from_texts = load("fixed", folder=root)
    assert from_texts.digest == good and f"not used: {path}: truncated or damaged" in from_texts.describe()
    path.unlink()
    put_texts(root / "copy", arrays)
    (root / "copy" / "binarized_mnist_test.amat").write_bytes(b"0 1")  # comes before the good one, by its name
    mixed = load("fixed", folder=root)
    assert mixed.digest == good and "binarized_mnist_test.amat: line 1 has 2 of them" in mixed.note
    (root / "texts" / "binarized_mnist_test.amat").write_bytes(b"0 1 2")
    with pytest.raises(
        DataError, match="copy/binarized_mnist_test.amat: line 1.*texts/binarized_mnist_test.amat: line 1"
    ):
        load("fixed", folder=root)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw.replace(b"1", b"0", 1), "wrong checksum, SHA-256 of the pixels of 'valid'"),
        (lambda raw: raw[:-9], "line 10 has 780 of them, expected 784 numbers 0 or 1"),
        (lambda raw: raw.replace(b"1", b"0.5", 1), r"line 1 has other characters, expected 784 numbers 0 or 1"),
        (lambda raw: raw[: len(raw) // 2], "wrong checksum"),
        (lambda raw: b"", "wrong checksum"),
        (lambda raw: b"<html>404</html>", "line 1 has other characters"),
        (lambda raw: gzip.compress(raw)[:-20], "truncated or damaged gzip"),
    ],
)
def test_a_bad_text_is_named_and_no_draw_takes_its_place(released, root, change, message):
    path, arrays = released
    path.unlink()
    put_texts(root / "bits", arrays)
    bad = root / "bits" / "binarized_mnist_valid.amat"
    bad.write_bytes(change(bad.read_bytes()))
    for binarize in ("fixed", "dynamic"):
        with pytest.raises(DataError, match=re.escape(str(bad)) + ": " + message):
            load(binarize, folder=root)
    assert load("none", folder=root).bits == "grey"  # which needs no bits


def test_a_missing_third_is_named(released, root):
    path, arrays = released
    path.unlink()
    put_texts(root / "bits", arrays)
    (root / "bits" / "binarized_mnist_test.amat").unlink()
    with pytest.raises(
        DataError, match="binarized_mnist_test.amat missing beside binarized_mnist_train.amat: download"
    ):
        load("fixed", folder=root)


def test_text_files_of_other_sets_are_left_alone(root):
    row = " ".join(["0.25"] * 784 + ["7"])
    (root / "mnist_background_images_train.amat").write_text(f"{row}\n{row}\n")
    (root / "mnist_background_images_test.amat").write_text(f"{row}\n")
    assert load("fixed", folder=root).bits == "seeded draw 0"


def test_an_npz_of_another_name_is_known_by_its_arrays_and_others_are_left_alone(released, root):
    path, arrays = released
    good = load("fixed", folder=root).digest
    path.rename(root / "larochelle.npz")
    np.savez(root / "aaa.npz", **{split: np.zeros((3, 5)) for split in ("train", "valid", "test")})
    loaded = load("fixed", folder=root)
    assert loaded.digest == good and "aaa" not in loaded.note


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


def test_texts_alone_are_enough_for_fixed_bits_only(released, root):
    path, arrays = released
    path.unlink()
    shutil.rmtree(root / "mnist")
    put_texts(root, arrays)
    assert load(folder=root).test.labels is None
    with pytest.raises(DataError, match="missing files of mnist"):
        load("dynamic", folder=root)


@pytest.mark.skipif(not REAL, reason="KPP_DATA is unset: the released bits cannot be compared without them")
def test_the_release_as_text_is_the_release_as_npz(tmp_path):
    with np.load(os.path.join(REAL, "binarized_mnist", "binarized_mnist_fixed.npz")) as arrays:
        put_texts(tmp_path / "data", {split: arrays[split] for split in ("train", "valid", "test")})
    assert load("fixed", folder=tmp_path / "data").digest == load("fixed", folder=REAL).digest
