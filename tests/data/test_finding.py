"""The walk through a data folder: what it sees, and what it leaves alone and says."""

import os

import pytest

from kpp_lib.data import finding
from kpp_lib.data.finding import first_good, walk
from kpp_lib.data.load import load_dataset
from kpp_lib.data.sources import DataError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def seen(root):
    return [path.relative_to(root).as_posix() for path in walk(root).files]


def test_nearest_files_first_then_by_name_without_what_cannot_matter(tmp_path):
    touch(tmp_path, "b/z", "a/deep/y", "x.npz", "notes.txt", ".hidden/q", "__MACOSX/q", "a/.DS_Store", "b/0001.png")
    assert seen(tmp_path) == ["x.npz", "b/z", "a/deep/y"]
    assert walk(tmp_path).parts(tmp_path / "a" / "deep" / "y") == ("deep", "a", tmp_path.name)


def test_omniglots_folders_of_drawings_are_named_not_opened(tmp_path, monkeypatch):
    touch(tmp_path, "images_background/Latin/character01/0001_01.png", "images_background/Latin/character02/x.npz")
    tree = walk(tmp_path)
    assert [path.name for path in tree.characters] == ["character01", "character02"] and tree.files == ()


def test_a_folder_of_pictures_costs_one_name(tmp_path):
    touch(tmp_path, *(f"cifar/{i}.jpg" for i in range(9)), *(f"cifar/{i}.png" for i in range(9)))
    assert seen(tmp_path) == ["cifar/0.jpg"]


def test_what_is_very_much_is_not_looked_at_and_said(tmp_path, monkeypatch):
    touch(tmp_path, *(f"{folder}/{i}" for folder in "abcd" for i in range(5)))
    monkeypatch.setattr(finding, "ENTRIES", 3)
    tree = walk(tmp_path)
    assert len(tree.files) == 4 * 3 - 3 and "what comes after 3 files in" in tree.said()  # three of the four folders
    monkeypatch.setattr(finding, "FOLDERS", 2)
    assert len(walk(tmp_path).files) == 3 and "the first 2 folders" in walk(tmp_path).unseen[-1]
    monkeypatch.setattr(finding, "DEPTH", 1)
    assert walk(tmp_path).files == ()


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_out_of_the_folder_are_not_followed_and_said(tmp_path):
    touch(tmp_path, "outside/file", "data/inside/file")
    data = tmp_path / "data"
    (data / "out").symlink_to(tmp_path / "outside")
    (data / "one").symlink_to(tmp_path / "outside" / "file")
    (data / "loop").symlink_to(data)
    (data / "again").symlink_to(data / "inside" / "file")
    (data / "broken").symlink_to(data / "nothing")
    assert seen(data) == ["again", "inside/file"]
    with pytest.raises(DataError, match="not looked at: .*/data/on?e?u?t?, a link that leads out of the folder"):
        load_dataset("fashion_mnist", folder=data)


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_a_data_folder_that_is_a_link_itself_is_followed(tmp_path):
    touch(tmp_path, "real/file")
    (tmp_path / "data").symlink_to(tmp_path / "real")
    assert seen(tmp_path / "data") == ["file"]


def test_the_first_good_one_is_taken_and_the_bad_before_it_named():
    def read(name):
        if name == "bad":
            raise DataError("bad: damaged")
        if name == "shut":
            raise PermissionError(13, "Permission denied", "shut")
        return name.upper()

    damage = []
    assert first_good(["bad", "shut", "good", "bad"], read, damage) == "GOOD"
    assert damage == ["bad: damaged", "shut: cannot be read (Permission denied)"]
    assert first_good(["bad"], read, damage) is None and len(damage) == 3
