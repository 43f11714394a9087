"""CIFAR-10: every form gives the same images in the same order; a JPEG copy, and what is damaged, is refused."""

import os
import pickle
import re
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from PIL import features
from tiny_cifar import FORMS, put, put_archive, put_strips

from kpp_lib.data import cifar
from kpp_lib.data.load import load_dataset
from kpp_lib.data.sources import DataError

REAL = os.environ.get("KPP_DATA")
pytestmark = pytest.mark.usefixtures("no_sources")
load = partial(load_dataset, "cifar10", quiet=True)
webp = pytest.mark.skipif(not features.check("webp"), reason="this Pillow reads no WebP")


def right(loaded, batches, test=10):
    labels = np.concatenate([batches[name][0] for name in cifar.TRAIN])
    pixels = torch.from_numpy(np.concatenate([batches[name][1] for name in cifar.TRAIN]))
    assert torch.equal(torch.cat([loaded.train.pixels, loaded.valid.pixels]), pixels) and len(loaded.valid) == 5
    assert loaded.train.labels.tolist() + loaded.valid.labels.tolist() == labels.tolist()
    assert torch.equal(loaded.test.pixels, torch.from_numpy(batches["test_batch"][1][:test]))
    assert loaded.test.labels.tolist() == batches["test_batch"][0][:test].tolist()
    return True


# Forms


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("folder", [".", "cifar10", "a/b"])
def test_batches_are_read_wherever_they_are(batches, tmp_path, form, folder):
    put(tmp_path / folder, batches, form)
    loaded = load(folder=tmp_path)
    assert right(loaded, batches) and loaded.note == "" and loaded.bits == "grey" and loaded.binarize == "none"
    assert load(folder=tmp_path / folder / FORMS[form][0]).digest == loaded.digest  # the folder of the batches itself


@pytest.mark.parametrize(
    ("form", "how"),
    [
        ("py", {}), ("bin", {}), ("py", {"name": "cifar-10-python.tar", "mode": "w"}),
        ("py", {"name": "CIFAR10.tgz"}), ("bin", {"name": "cifar-10-binary.tar.gz", "mode": "w"}),
    ],
)  # fmt: skip
def test_archives_are_read_as_they_are(batches, tmp_path, form, how):
    put_archive(tmp_path / "downloads", batches, form, **how)
    assert right(load(folder=tmp_path), batches)


def test_all_forms_give_one_digest(batches, tmp_path):
    digests = set()
    for form in FORMS:
        put(tmp_path / form, batches, form)
        put_archive(tmp_path / f"packed-{form}", batches, form)
        digests |= {load(folder=tmp_path / form).digest, load(folder=tmp_path / f"packed-{form}").digest}
    assert len(digests) == 1


@webp
def test_lossless_strips_are_read_and_say_which_test_images_are_missing(batches, tmp_path):
    put_strips(tmp_path / "cifar10", batches)
    loaded = load(folder=tmp_path)
    assert right(loaded, batches, test=4)
    assert loaded.note == "only the first 4 of the 10,000 test images are there, 9,996 are missing"
    put(tmp_path, {"test_batch": batches["test_batch"]}, "bin")
    assert right(load(folder=tmp_path), batches) and load(folder=tmp_path).note == ""


@webp
def test_strips_without_labels_or_with_other_pixels_are_named(batches, tmp_path):
    put_strips(tmp_path, batches)
    (tmp_path / "cifar10_labels.npz").unlink()
    with pytest.raises(DataError, match="webp.zip: no npz with the arrays train and test_first1000"):
        load(folder=tmp_path)
    other = {name: (labels, pixels ^ 1) for name, (labels, pixels) in batches.items()}
    put_strips(tmp_path, other)
    with pytest.raises(DataError, match="webp.zip: wrong checksum, SHA-1 of the rows of data_batch_1"):
        load(folder=tmp_path)


# What is taken for bits, and what is not


def test_colours_are_no_bits(batches, tmp_path):
    put(tmp_path, batches)
    assert load(folder=tmp_path).digest == load("none", folder=tmp_path).digest
    for binarize in ("fixed", "dynamic", "threshold"):
        with pytest.raises(ValueError, match=f"binarize: got '{binarize}', expected 'none' for cifar10"):
            load(binarize, folder=tmp_path)


def test_draws_are_in_zero_to_one_with_three_channels(batches, tmp_path):
    put(tmp_path, batches)
    x = load(folder=tmp_path).test.draw([0, 1])
    assert x.shape == (2, 3, 32, 32)
    assert torch.equal(x[0], torch.from_numpy(batches["test_batch"][1][0]).float() / 255)


# What is missing, lossy or damaged


def test_what_is_missing_is_said_with_where_to_put_it(batches, tmp_path):
    with pytest.raises(
        DataError, match=f"data_batch_1, .*test_batch, .* download http.*tar.gz into {tmp_path}/cifar10"
    ):
        load(folder=tmp_path)
    folder = put(tmp_path, batches)
    (folder / "data_batch_3").unlink()
    with pytest.raises(DataError, match="missing files of cifar10: expected data_batch_3, of the python"):
        load(folder=tmp_path)


@pytest.mark.parametrize("name", ["cifar10/airplane/1.jpg", "cifar10_test_jpeg_lossy.tar.xz", "CIFAR-10-images/a.JPEG"])
def test_a_jpeg_copy_is_refused_in_a_sentence(tmp_path, name):
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_bytes(b"\xff\xd8\xff")
    with pytest.raises(DataError, match=re.escape(name) + " is a JPEG copy, .*no likelihood"):
        load(folder=tmp_path)


def test_cifar_100_is_not_taken_for_it(batches, tmp_path):
    put_archive(tmp_path, batches, "py", name="cifar-100-python.tar.gz")
    with pytest.raises(DataError, match="missing files of cifar10"):
        load(folder=tmp_path)


def _flip(raw):
    return raw[:-1] + bytes([raw[-1] ^ 1])


@pytest.mark.parametrize(
    ("form", "change", "message"),
    [
        ("bin", _flip, "wrong checksum, SHA-1 of the rows of data_batch_2"),
        ("bin", lambda raw: raw[:-1], "30729 bytes, expected rows of 3073"),
        ("bin", lambda raw: b"", "wrong checksum"),
        ("py", lambda raw: raw[:-100], "truncated or damaged pickle|refused"),
        ("py", lambda raw: pickle.dumps([1, 2], 2), "expected a dict of data"),
        ("py", lambda raw: pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, 2), "expected a dict"),
        ("py", lambda raw: pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [77]}, 2), "from 0 to 9"),
        ("py", lambda raw: pickle.dumps({"data": os.system, "labels": [1]}, 2), r"refused, .*it asks for \w+\.system"),
    ],
)
def test_a_bad_batch_is_named_and_hides_no_good_one(batches, tmp_path, form, change, message):
    folder = put(tmp_path, batches, form)
    bad = folder / ("data_batch_2" + FORMS[form][1])
    bad.write_bytes(change(bad.read_bytes()))
    with pytest.raises(DataError, match=re.escape(str(bad)) + f".*({message})"):
        load(folder=tmp_path)
    put_archive(tmp_path, batches)
    loaded = load(folder=tmp_path)
    assert right(loaded, batches) and re.search(f"not used: {re.escape(str(bad))}.*({message})", loaded.note)


def test_a_broken_archive_is_named_and_hides_no_good_batches(batches, tmp_path):
    path = put_archive(tmp_path, batches)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(DataError, match=re.escape(str(path)) + ": truncated or damaged archive"):
        load(folder=tmp_path)
    put(tmp_path, batches)
    assert right(load(folder=tmp_path), batches)


def test_a_batch_under_another_batchs_name_is_refused(batches, tmp_path):
    folder = put(tmp_path, batches, "bin")
    shutil.copy(folder / "data_batch_1.bin", folder / "data_batch_2.bin")
    with pytest.raises(DataError, match="data_batch_2.bin: wrong checksum"):
        load(folder=tmp_path)


@webp
@pytest.mark.skipif(not REAL, reason="KPP_DATA is unset: the official batches cannot be compared without them")
def test_the_strips_of_the_data_folder_are_the_official_training_batches():
    loaded = load(folder=REAL)
    assert (len(loaded.train), len(loaded.valid)) == (45_000, 5_000)  # each batch was held against MXNet's SHA-1
    train = torch.cat([loaded.train.pixels, loaded.valid.pixels]).float()
    assert torch.allclose(train.mean((0, 2, 3)), torch.tensor([125.30692, 122.95039, 113.86538]), atol=1e-3)
