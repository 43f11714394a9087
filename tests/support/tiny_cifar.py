"""A CIFAR-10 of six batches of ten images, written in every form that is read."""

import hashlib
import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from kpp_lib.data import cifar


@pytest.fixture
def batches(monkeypatch):
    """Six batches of ten images, labels and pixels [N, 3, 32, 32], known to the table of checksums."""
    rng, made = np.random.default_rng(5), {}
    monkeypatch.setattr(cifar, "VALID", 5)
    for name in cifar.SHA1:
        labels, pixels = rng.integers(0, 10, 10), rng.integers(0, 256, (10, 3, 32, 32), dtype=np.uint8)
        made[name] = labels, pixels
        monkeypatch.setitem(cifar.SHA1, name, hashlib.sha1(binary(labels, pixels)).hexdigest())
    first = made["test_batch"][1][:4].transpose(0, 2, 3, 1)
    monkeypatch.setattr(cifar, "FIRST_SHA1", hashlib.sha1(first.tobytes()).hexdigest())
    return made


def binary(labels, pixels):
    """The binary layout, written out: label, red, green, blue."""
    return b"".join(bytes([label]) + image.tobytes() for label, image in zip(labels, pixels, strict=True))


def pickled(labels, pixels):
    batch = {"batch_label": "x", "labels": labels.tolist(), "data": pixels.reshape(-1, 3072), "filenames": ["a.png"]}
    return pickle.dumps(batch, 2)


FORMS = {"py": ("cifar-10-batches-py", "", pickled), "bin": ("cifar-10-batches-bin", ".bin", binary)}


def files_of(batches, form):
    folder, end, write = FORMS[form]
    return {f"{folder}/{name}{end}": write(*batch) for name, batch in batches.items()}


def put(root, batches, form="py"):
    for name, raw in files_of(batches, form).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(raw)
    return root / FORMS[form][0]


def put_archive(root, batches, form="py", name=None, mode="w:gz", extra=()):
    root.mkdir(parents=True, exist_ok=True)
    path = root / (name or {"py": "cifar-10-python.tar.gz", "bin": "cifar-10-binary.tar.gz"}[form])
    with tarfile.open(path, mode) as archive:
        files = files_of(batches, form) | {f"{FORMS[form][0]}/{name}": raw for name, raw in dict(extra).items()}
        for name, raw in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(raw)
            archive.addfile(info, io.BytesIO(raw))
    return path


def put_strips(root, batches, images=5):
    """Lossless strips of so many images each, the first four test images, and the npz of labels."""
    root.mkdir(parents=True, exist_ok=True)
    labels = np.concatenate([batches[name][0] for name in cifar.TRAIN]).astype(np.uint8)
    pixels = np.concatenate([batches[name][1] for name in cifar.TRAIN]).transpose(0, 2, 3, 1)
    first = batches["test_batch"][1][:4].transpose(0, 2, 3, 1)
    with zipfile.ZipFile(root / "cifar10_lossless_webp.zip", "w") as archive:
        for split, x in (("train", pixels), ("test1k", first)):
            for number, start in enumerate(range(0, len(x), images)):
                file = io.BytesIO()
                Image.fromarray(x[start : start + images].reshape(-1, 32, 3)).save(
                    file, "webp", lossless=True, exact=True
                )
                archive.writestr(f"cifar10/{split}_{number:03}.webp", file.getvalue())
    np.savez(root / "cifar10_labels.npz", train=labels, test_first1000=batches["test_batch"][0][:4].astype(np.uint8))
