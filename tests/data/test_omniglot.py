"""Omniglot: the packed npz, the zips, the PNGs in folders; each gives the same, and what is bad is named."""

import os
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from tiny_omniglot import unpack, write_npz, write_zips

from kpp_lib.data import omniglot
from kpp_lib.data.load import load_dataset
from kpp_lib.data.sources import DataError

REAL = os.environ.get("KPP_DATA")
pytestmark = pytest.mark.usefixtures("no_sources")
load = partial(load_dataset, "omniglot", quiet=True)


@pytest.fixture
def reference(drawings, tmp_path):
    """What the packed npz gives, of a folder of its own."""
    write_npz(tmp_path / "reference", drawings)
    return load("none", folder=tmp_path / "reference")


def same(loaded, reference):
    labels = [torch.equal(getattr(loaded, s).labels, getattr(reference, s).labels) for s in ("train", "valid", "test")]
    return loaded.digest == reference.digest and all(labels)


def test_splits_by_character_and_thresholds_ink(drawings, tmp_path):
    write_npz(tmp_path, drawings)
    fixed = load(folder=tmp_path)
    assert (len(fixed.train), len(fixed.valid), len(fixed.test)) == (36, 4, 6)
    held_out = set(fixed.valid.labels.tolist())
    assert len(held_out) == 2 and not held_out & set(fixed.train.labels.tolist())
    assert fixed.test.labels.tolist() == [965, 965, 966, 966, 967, 967]
    other = load(folder=tmp_path, seed=1)
    assert set(other.valid.labels.tolist()) != held_out
    # Each 28x28 pixel averages the drawing's pixels which it touches: written out for one, ink = 1.
    ink, grey = drawings["evaluation"][0], load("none", folder=tmp_path)
    window = ink[2, int(9 * 3.75) : int(np.ceil(10 * 3.75)), int(13 * 3.75) : int(np.ceil(14 * 3.75))]
    assert grey.test.pixels[2, 0, 9, 13].item() == round(window.mean() * 255)
    assert torch.equal(fixed.test.pixels, (grey.test.pixels > 127).to(torch.uint8))
    dynamic = load("dynamic", folder=tmp_path)
    assert dynamic.train.redraw and torch.equal(dynamic.valid.pixels, fixed.valid.pixels)
    first, again = (dynamic.train.draw(range(36), torch.Generator().manual_seed(seed)) for seed in (0, 1))
    assert set(first.unique().tolist()) == {0, 1} and not torch.equal(first, again)
    few = dynamic.train.part(torch.tensor([7, 3]))  # takes the drawings along
    drawn, whole = (i.draw(p, torch.Generator().manual_seed(0)) for i, p in ((few, [0, 1]), (dynamic.train, [7, 3])))
    assert torch.equal(drawn, whole) and few.labels.tolist() == dynamic.train.labels[[7, 3]].tolist()


# Forms and layouts


@pytest.mark.parametrize("folder", [".", "omniglot", "omniglot-py", "omniglot-master/python"])
def test_zips_are_read_wherever_they_are(drawings, reference, tmp_path, folder):
    write_zips(tmp_path / "zips", drawings)
    (tmp_path / "data" / folder).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(tmp_path / "zips" / "omniglot-py", tmp_path / "data" / folder, dirs_exist_ok=True)
    assert same(load("none", folder=tmp_path / "data"), reference)


@pytest.mark.parametrize(
    ("folder", "rename"),
    [
        (".", str), ("omniglot-py", str), ("omniglot/python", str), ("x", str.upper),
        ("y", lambda name: name.removeprefix("images_")), ("z", lambda name: "all"),
    ],
)  # fmt: skip
def test_drawings_unpacked_are_read_wherever_they_are(drawings, reference, tmp_path, folder, rename):
    unpack(tmp_path / "data", drawings, folder, rename)
    assert same(load("none", folder=tmp_path / "data"), reference)


def test_torchvisions_layout_has_both_and_small_sets_beside_the_whole_do_no_harm(drawings, reference, tmp_path):
    folder = unpack(tmp_path / "data", drawings, "omniglot-py")
    shutil.copytree(folder / "images_background", folder / "images_background_small1")
    shutil.rmtree(folder / "images_background_small1" / "Angelic" / "character01")
    small = folder / "images_background_small1" / "Angelic" / "character02"
    small.mkdir()
    shutil.copy(folder / "images_background" / "Angelic" / "character01" / "0001_01.png", small)
    loaded = load("none", folder=tmp_path / "data")
    assert same(loaded, reference) and "not used" not in loaded.note


def test_one_set_as_zip_and_one_unpacked(drawings, reference, tmp_path):
    folder = unpack(tmp_path / "data", drawings, ".")
    shutil.rmtree(folder / "images_background")
    write_zips(tmp_path / "data", drawings)
    (tmp_path / "data" / "omniglot-py" / "images_evaluation.zip").unlink()
    assert same(load("none", folder=tmp_path / "data"), reference)


# Decoded once


def test_drawings_are_decoded_once_with_progress_and_a_damaged_copy_is_made_again(
    drawings, reference, tmp_path, monkeypatch, capsys
):
    unpack(tmp_path / "data", drawings, "omniglot-py")
    assert same(load_dataset("omniglot", "none", folder=tmp_path / "data"), reference)
    assert "drawings, decoded once" in capsys.readouterr().err
    row = omniglot._row
    monkeypatch.setattr(omniglot, "_row", lambda *_: pytest.fail("decoded twice"))
    assert same(load("none", folder=tmp_path / "data"), reference)
    monkeypatch.setattr(omniglot, "_row", row)
    kept = sorted((tmp_path / "cache" / "kpp" / "decoded").iterdir())
    assert len(kept) == 2
    for path, damaged in zip(kept, (b"", kept[1].read_bytes()[:-50]), strict=True):
        path.write_bytes(damaged)
    assert same(load("none", folder=tmp_path / "data"), reference) and capsys.readouterr().err == ""  # quiet
    monkeypatch.setattr(omniglot, "_row", lambda *_: pytest.fail("not made again"))
    assert same(load("none", folder=tmp_path / "data"), reference)


def test_a_cache_that_cannot_be_written_costs_time_only(drawings, reference, tmp_path, monkeypatch):
    unpack(tmp_path / "data", drawings, ".")
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert same(load("none", folder=tmp_path / "data"), reference)


# What is bad, and what is missing


def test_a_broken_zip_is_named(drawings, tmp_path):
    write_zips(tmp_path, drawings)
    broken = tmp_path / "omniglot-py" / "images_background.zip"
    broken.write_bytes(broken.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"images_background.zip: damaged"):
        load(folder=tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "0007_01.png is damaged"),
        (lambda path: path.write_bytes(b""), "0007_01.png is damaged"),
        (lambda path: shutil.copy(path.parent / "0008_01.png", path), r"wrong checksum, .* \(40 drawings; .* 19,280\)"),
        (lambda path: path.unlink(), r"wrong checksum, .* \(39 drawings; the whole set has 19,280\)"),
    ],
)
def test_a_bad_drawing_is_named_and_hides_no_good_copy(drawings, reference, tmp_path, damage, message):
    folder = unpack(tmp_path / "data", drawings, "omniglot-py")
    damage(folder / "images_background" / "Angelic" / "character01" / "0007_01.png")
    with pytest.raises(DataError, match=f"omniglot-py/images_background: .*{message}"):
        load(folder=tmp_path / "data")
    write_zips(tmp_path / "good", drawings)
    shutil.move(tmp_path / "good" / "omniglot-py", tmp_path / "data" / "zips")
    assert same(load("none", folder=tmp_path / "data"), reference)


def test_a_damaged_copy_is_named_beside_the_good_one(drawings, reference, tmp_path):
    write_zips(tmp_path / "data", drawings)
    npz = write_npz(tmp_path / "data", drawings)
    npz.write_bytes(npz.read_bytes()[:-300])
    loaded = load("none", folder=tmp_path / "data")
    assert same(loaded, reference) and f"not used: {npz}: truncated or damaged" in loaded.describe()
    assert loaded.note.count(str(npz)) == 1


def test_all_copies_damaged_are_all_named(drawings, tmp_path):
    write_zips(tmp_path, drawings)
    npz = write_npz(tmp_path, drawings)
    for path in (npz, tmp_path / "omniglot-py" / "images_background.zip"):
        path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(DataError, match="images_background.zip: damaged.*omniglot_105_packed.npz: truncated"):
        load(folder=tmp_path)


def test_a_bad_npz_is_named(drawings, tmp_path):
    drawings["background"][1][0, 0] ^= 1
    write_npz(tmp_path, drawings)
    with pytest.raises(DataError, match=r"packed.npz: wrong checksum, SHA-256 of the pixels of 'background'"):
        load(folder=tmp_path)
    drawings["background"] = (drawings["background"][0], drawings["background"][1][:, :9], *drawings["background"][2:])
    write_npz(tmp_path, drawings)
    with pytest.raises(DataError, match=r"'background_ink' has wrong shape \(40, 9\) uint8, expected \(N, 1379\)"):
        load(folder=tmp_path)


def test_what_is_missing_is_said_with_where_to_put_it(drawings, tmp_path):
    both = f"expected images_background.zip and images_evaluation.zip, .*download from http.* into {tmp_path}/omniglot"
    with pytest.raises(DataError, match=both):
        load(folder=tmp_path)
    write_zips(tmp_path, drawings)
    (tmp_path / "omniglot-py" / "images_evaluation.zip").unlink()
    with pytest.raises(DataError, match="missing files of omniglot: expected images_evaluation.zip, or"):
        load(folder=tmp_path)


@pytest.mark.skipif(not REAL, reason="KPP_DATA is unset: the whole of Omniglot cannot be decoded without it")
def test_all_drawings_as_zips_give_what_the_npz_gives(tmp_path):
    with np.load(os.path.join(REAL, "omniglot", "omniglot_105_packed.npz")) as arrays:
        whole = {
            split: (
                np.unpackbits(arrays[f"{split}_ink"], axis=1, count=11025).reshape(-1, 105, 105),
                None,
                arrays[f"{split}_class"],
                arrays[f"{split}_drawer"],
            )
            for split in ("background", "evaluation")
        }
    write_zips(tmp_path, whole)
    assert load("none", folder=tmp_path).digest == load("none", folder=REAL).digest
