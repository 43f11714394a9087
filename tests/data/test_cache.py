"""What is kept in the cache: made once, given its name whole, made again where it is damaged."""

import os

import numpy as np
import pytest

from kpp_lib.data import cache
from kpp_lib.data.cache import kept

pytestmark = pytest.mark.usefixtures("no_sources")


@pytest.fixture
def counted():
    """A `make` that counts its calls, and the check that belongs to it."""
    calls = []

    def make():
        calls.append(1)
        return {"x": np.arange(5)}

    def check(arrays):
        if arrays["x"].tolist() != [0, 1, 2, 3, 4]:
            raise ValueError("others")

    return calls, make, check


def test_it_is_made_once(counted):
    calls, make, check = counted
    for _ in range(3):
        assert kept("a", check, make)["x"].tolist() == [0, 1, 2, 3, 4]
    assert len(calls) == 1
    kept("b", check, make)
    assert len(calls) == 2


@pytest.mark.parametrize(
    "damage", [lambda raw: b"", lambda raw: raw[:-9], lambda raw: b"PK" + raw[:50], "other", "lacks"]
)
def test_a_damaged_one_is_made_again(counted, damage):
    calls, make, check = counted
    kept("a", check, make)
    path = cache.cache_folder() / "decoded" / "a.npz"
    if damage in ("other", "lacks"):
        np.savez(path, **{"x" if damage == "other" else "y": np.zeros(5)})
    else:
        path.write_bytes(damage(path.read_bytes()))
    for _ in range(2):
        kept("a", check, make)
    assert len(calls) == 2


def test_one_that_cannot_be_moved_to_its_name_leaves_nothing(counted, monkeypatch):
    calls, make, check = counted

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    kept("a", check, make)
    assert list((cache.cache_folder() / "decoded").iterdir()) == [] and len(calls) == 1


def test_an_error_of_make_is_the_callers(counted):
    _, _, check = counted

    def bad():
        raise ValueError("bad drawings")

    with pytest.raises(ValueError, match="bad drawings"):
        kept("a", check, bad)
