"""The 28x28 Omniglot of Burda et al.: chardata.mat, its orientation, split and labels."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from scipy.io import savemat
from tiny_omniglot import NAME, put, write_zips

from kpp_lib.data.load import load_dataset
from kpp_lib.data.sources import DataError

pytestmark = pytest.mark.usefixtures("no_sources")
load = partial(load_dataset, "omniglot28", quiet=True)


@pytest.mark.parametrize("name", [NAME, "OMNIGLOT/chardata.mat", "CharData.MAT", "x/renamed.mat"])
@pytest.mark.parametrize("packed", [True, False])
def test_images_are_upright_and_the_split_is_the_authors(chardata, tmp_path, name, packed):
    arrays, images = chardata
    put(tmp_path, arrays, name, do_compression=packed)
    loaded = load("none", folder=tmp_path)
    assert (len(loaded.train), len(loaded.valid), len(loaded.test)) == (50, 10, 12)
    grey = torch.from_numpy((images["test"] * 255).round().astype(np.uint8))
    assert torch.equal(loaded.test.pixels[:, 0], grey) and "Burda et al., 2016" in loaded.note
    assert not loaded.train.pixels[:, :, :3].any() and loaded.train.pixels[:, :, :, :3].any()  # rows, not columns


def test_valid_is_drawn_from_train_by_the_seed_each_image_once(chardata, tmp_path):
    arrays, images = chardata
    put(tmp_path, arrays)
    first, again, other = load("none", folder=tmp_path), load("none", folder=tmp_path), load(
        "none", folder=tmp_path, seed=1
    )  # fmt: skip
    assert first.digest == again.digest != other.digest
    rows = torch.cat([first.train.pixels, first.valid.pixels]).numpy().reshape(60, -1)
    grey = (images["train"] * 255).round().astype(np.uint8).reshape(60, -1)
    assert sorted(map(bytes, rows)) == sorted(map(bytes, grey))


def test_labels_are_pairs_of_alphabet_and_character(chardata, tmp_path):
    arrays, _ = chardata
    put(tmp_path, arrays)
    loaded = load("none", folder=tmp_path)
    # alphabet i % 3 and character i % 4 + 1: twelve pairs, numbered in their order
    assert loaded.test.labels.tolist() == [4 * (i % 3) + i % 4 for i in range(12)]
    put(tmp_path, {key: arrays[key] for key in ("data", "testdata")})
    assert load("none", folder=tmp_path).test.labels is None


def test_bits_are_drawn_from_grey(chardata, tmp_path):
    put(tmp_path, chardata[0])
    fixed, dynamic = load(folder=tmp_path), load("dynamic", folder=tmp_path)
    assert fixed.bits == "seeded draw 0" and dynamic.bits == "seeded draw 0; train redrawn"
    assert torch.equal(dynamic.test.pixels, fixed.test.pixels) and dynamic.train.redraw
    assert dynamic.train.drawings is None and not dynamic.train.binary


def test_omniglot_is_the_105x105_one_where_both_are_there(chardata, drawings, tmp_path):
    put(tmp_path, chardata[0])
    alone = load_dataset("omniglot", folder=tmp_path, quiet=True)
    assert alone.name == "omniglot28" and alone.digest == load(folder=tmp_path).digest
    write_zips(tmp_path, drawings)
    both = load_dataset("omniglot", folder=tmp_path, quiet=True)
    assert both.name == "omniglot" and len(both.test) == 6
    assert load(folder=tmp_path).digest == alone.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"data": a["data"][:, :59]}, r"'data' has wrong shape \(784, 59\), expected .*\(784, 60\)"),
        (lambda a: a | {"testdata": a["testdata"].T}, r"'testdata' has wrong shape \(12, 784\)"),
        (lambda a: a | {"data": a["data"] * 255}, r"'data' has numbers from 0 to 25\d.*, expected \[0, 1\]"),
        (lambda a: a | {"data": a["data"] * np.nan}, "'data' has numbers from nan"),
        (lambda a: {"data": a["data"]}, "'testdata' has wrong shape none"),
        (lambda a: a | {"targetchar": a["targetchar"][:, :9]}, "labels of 'train' have shapes"),
        (lambda a: a | {"data": "words"}, "'data' has wrong shape"),
    ],
)
def test_bad_arrays_are_named(chardata, tmp_path, change, message):
    path = put(tmp_path, change(chardata[0]))
    with pytest.raises(DataError, match=re.escape(str(path)) + ": " + message):
        load(folder=tmp_path)


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:-900], lambda raw: raw[:200], lambda raw: b"", lambda raw: b"x" * 999]
)
def test_a_damaged_file_is_named_and_hides_no_good_one(chardata, tmp_path, damage):
    arrays, _ = chardata
    path = put(tmp_path, arrays, do_compression=True)
    good = load(folder=tmp_path).digest
    path.write_bytes(damage(path.read_bytes()))
    for name in ("omniglot", "omniglot28"):
        with pytest.raises(DataError, match=re.escape(str(path)) + ": truncated or damaged"):
            load_dataset(name, folder=tmp_path)
    put(tmp_path, arrays, "z/copy.mat")
    loaded = load(folder=tmp_path)
    assert loaded.digest == good and f"not used: {path}: truncated or damaged" in loaded.note


def test_other_mat_files_are_left_alone_and_what_is_missing_is_said(tmp_path):
    savemat(tmp_path / "other.mat", {"data": np.zeros((3, 4))})
    (tmp_path / "broken.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(
        DataError, match=f"expected chardata.mat .*download http.*chardata.mat into {tmp_path}/omniglot"
    ):
        load(folder=tmp_path)
