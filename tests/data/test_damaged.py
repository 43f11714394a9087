"""Random damage to every kind of file: it is named, or what is read is what was there; no other error, ever."""

import numpy as np
import pytest
import tiny_cifar
import tiny_omniglot
from tiny_data import put

from kpp_lib.data.load import load_dataset
from kpp_lib.data.sources import DataError

pytestmark = pytest.mark.usefixtures("no_sources")


def idx_files(root, made):
    for number, (file, raw) in enumerate(made("contents").items()):
        put(root, file, raw, packed=number % 2 == 0)
    return "mnist"


def bits(root, made):
    _, arrays = made("released")
    for split in ("train", "valid", "test"):
        rows = np.unpackbits(arrays[split], axis=1, count=784)
        (root / f"binarized_mnist_{split}.amat").write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    return "mnist"


def packed_bits(root, made):
    path, _ = made("released")
    path.rename(root / path.name)
    return "mnist"


def zips(root, made):
    tiny_omniglot.write_zips(root, made("drawings"))
    return "omniglot"


def npz(root, made):
    tiny_omniglot.write_npz(root, made("drawings"))
    return "omniglot"


def tree(root, made):
    tiny_omniglot.unpack(root, made("drawings"), "omniglot")
    return "omniglot"


def mat(root, made):
    tiny_omniglot.put(root, made("chardata")[0], do_compression=True)
    return "omniglot28"


def python_batches(root, made):
    tiny_cifar.put(root, made("batches"))
    return "cifar10"


def archive(root, made):
    tiny_cifar.put_archive(root, made("batches"), "bin")
    return "cifar10"


def strips(root, made):
    tiny_cifar.put_strips(root, made("batches"))
    return "cifar10"


FORMS = [idx_files, bits, packed_bits, zips, npz, tree, mat, python_batches, archive, strips]


def damaged(raw, rng):
    """Cut, overwritten, lengthened or emptied."""
    at, kind = int(rng.integers(0, max(1, len(raw)))), rng.integers(0, 4)
    noise = rng.integers(0, 256, int(rng.integers(1, 40)), dtype=np.uint8).tobytes()
    return [raw[:at], raw[:at] + noise + raw[at + len(noise) :], raw + noise, raw[:at] + raw[at + len(noise) :]][kind]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_damage_is_named_or_does_no_harm(form, request, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))  # nothing is kept: each copy is decoded
    (tmp_path / "file").write_text("")
    root = tmp_path / "here"
    root.mkdir()
    name, rng, named = form(root, request.getfixturevalue), np.random.default_rng(0), 0
    good = load_dataset(name, folder=root, quiet=True)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for _ in range(25):
        path = files[rng.integers(len(files))]
        raw = path.read_bytes()
        path.write_bytes(damaged(raw, rng))
        try:
            loaded = load_dataset(name, folder=root, quiet=True)
            assert loaded.digest == good.digest and loaded.bits == good.bits
        except DataError as error:
            named += 1
            assert str(root) in str(error)
        path.write_bytes(raw)
    assert named > 5
