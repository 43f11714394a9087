"""Pickles of plain data are read, from Python 2 and 3; all others are refused, and nothing in them is called."""

import codecs
import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest

from kpp_lib.data.pickled import plain
from kpp_lib.data.sources import DataError

PLAIN = {
    "data": np.arange(12, dtype=np.uint8).reshape(3, 4),
    "labels": [1, 2, 3],
    "name": b"a\xff",
    "rest": (None, 0.5),
}


@pytest.mark.parametrize("protocol", range(2, 5))
def test_plain_data_is_read(protocol):
    read = plain("x", pickle.dumps(PLAIN, protocol))
    assert np.array_equal(read.pop("data"), PLAIN["data"])
    assert read == {key: value for key, value in PLAIN.items() if key != "data"}


def test_a_pickle_of_python_2_is_read():
    raw = pickle.dumps({"data": PLAIN["data"]}, 2).replace(b"numpy._core", b"numpy.core")
    assert b"numpy.core.multiarray" in raw
    # as Python 2 wrote it: strings of bytes, SHORT_BINSTRING, in place of unicode
    raw = raw.replace(b"X\x04\x00\x00\x00data", b"U\x04data")
    assert np.array_equal(plain("x", raw)["data"], PLAIN["data"])


class Calls:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_nothing_else_is_called(tmp_path):
    made = tmp_path / "made"
    for bad in (
        Calls(os.mkdir, str(made)),
        Calls(exec, f"open({str(made)!r}, 'w')"),
        Calls(eval, "1"),
        OrderedDict(a=1),
    ):
        with pytest.raises(DataError, match=r"x: refused, not a pickle of plain data: it asks for \S+\.\S+, which no"):
            plain("x", pickle.dumps({"data": bad}, 2))
    assert not made.exists()


def test_codecs_and_arrays_of_other_kinds_are_refused():
    with pytest.raises(DataError, match="refused.*bytes encoded as 'zip'"):
        plain("x", pickle.dumps(Calls(codecs.encode, "a", "zip"), 2))
    with pytest.raises(DataError, match="refused.*an array of another kind"):  # of a terabyte
        plain("x", pickle.dumps(Calls(_reconstruct(), np.ndarray, (10**12,), b"b"), 2))


def _reconstruct():
    return np.zeros(1).__reduce__()[0]


@pytest.mark.parametrize("cut", [1, 10, 40, -1])
def test_a_damaged_pickle_is_named(cut):
    with pytest.raises(DataError, match="x: (truncated or damaged|refused)"):
        plain("x", pickle.dumps(PLAIN, 2)[:cut])
