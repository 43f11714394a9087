"""Files opened by what they are; damage that zipfile and NumPy report in odd ways is a DataError, too."""

import gzip
import io
import zipfile

import numpy as np
import pytest

from kpp_lib.data.opening import BROKEN, check_rows, contents, head, members, npz
from kpp_lib.data.sources import DataError


def test_a_gzip_file_is_known_by_its_first_bytes_not_by_its_name(tmp_path):
    for name, raw in (("a.gz", b"plain words"), ("b", gzip.compress(b"plain words"))):
        (tmp_path / name).write_bytes(raw)
        assert contents(tmp_path / name) == b"plain words" and head(tmp_path / name, 5) == b"plain"
    (tmp_path / "b").write_bytes(gzip.compress(b"plain words")[:-4])
    with pytest.raises(DataError, match="b: truncated or damaged gzip file"):
        contents(tmp_path / "b")
    assert head(tmp_path / "nowhere", 5) == b""


def test_members_of_a_damaged_archive_are_none(tmp_path):
    np.savez(tmp_path / "a.npz", x=1, y=2)
    assert members(tmp_path / "a.npz") == {"x.npy", "y.npy"}
    (tmp_path / "a.npz").write_bytes(b"PK")
    assert members(tmp_path / "a.npz") is None


def with_bytes(path, old, new):
    raw = path.read_bytes()
    assert old in raw
    path.write_bytes(raw.replace(old, new, 1))


def test_odd_reports_of_damage_name_the_file(tmp_path):
    path = tmp_path / "a.npz"
    cases = [
        (b"{'descr'", b"{'descr\n"),  # TokenError, SyntaxError or ValueError, by the version
        (b"'shape': (3,)", b"'shape': (3j)"),
        (b"'shape': (3,)", b"'shape': 3333"),
    ]
    for old, new in cases:
        np.savez(path, x=np.arange(3))
        with_bytes(path, old, new)
        with pytest.raises(DataError, match="a.npz: truncated or damaged"), npz(path) as arrays:
            arrays["x"]


def test_a_zip_that_asks_for_a_password_is_broken():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x", b"words")
    raw = bytearray(file.getvalue())
    for signature, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the flags, beside the file and in the directory
        raw[raw.index(signature) + place] |= 1
    with pytest.raises(BROKEN), zipfile.ZipFile(io.BytesIO(bytes(raw))) as archive:
        archive.read("x")


def test_rows_of_packed_bits_are_checked(tmp_path):
    check_rows(tmp_path, "x", np.zeros((2, 5), np.uint8), 5)
    for wrong in (np.zeros((2, 4), np.uint8), np.zeros(5, np.uint8), np.zeros((2, 5))):
        with pytest.raises(DataError, match=r"'x' has wrong shape .*, expected \(N, 5\) uint8"):
            check_rows(tmp_path, "x", wrong, 5)
