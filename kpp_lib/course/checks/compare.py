"""Whether two answers are the same, and how they differ, in words that a reader can check by hand."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, NamedTuple

import torch
from torch import Tensor

SMALL = 12  # numbers that are shown one by one
DEEPEST = 5  # lists in lists that are shown


class Difference(NamedTuple):
    """Two answers that are not the same."""

    got: str
    expected: str
    pattern: str = ""  # what strikes the eye: a sign, a factor, a transpose


def difference(got: Any, expected: Any, tolerance: float) -> Difference | None:
    """None if `got` is `expected` up to rounding; else both in words. Numbers, tensors, lists and tuples, text."""
    if isinstance(expected, dict):
        return _named(got, expected, tolerance)
    if isinstance(expected, tuple | list):
        return _parts(got, expected, tolerance)
    if isinstance(expected, Tensor | float) or isinstance(expected, int) and not isinstance(expected, bool):
        return _numbers(got, expected, tolerance)
    if type(got) is type(expected) and got == expected:
        return None
    return Difference(show(got), show(expected))


def show(value: Any, depth: int = 0) -> str:
    """A value in one line: numbers rounded to four digits, a large tensor by its shape. Never raises.

    depth: how many lists and dicts the value lies in; below `DEEPEST` their kind is all that is said.
    """
    try:
        return _shown(value, depth)
    except Exception:  # a reader's own class may be unfinished
        return f"a {type(value).__name__}"


def _shown(value: Any, depth: int) -> str:
    if isinstance(value, Tensor):
        if not _plain(value) or value.numel() > SMALL:
            return f"a {'' if _plain(value) else 'sparse, quantised or meta '}tensor of shape {list(value.shape)}"
        return _list(value.detach().tolist())
    if isinstance(value, list | tuple | dict) and depth == DEEPEST:  # a list may hold itself
        return f"a {type(value).__name__}"
    if isinstance(value, list | tuple):
        if len(value) > SMALL or any(isinstance(v, Tensor) and v.numel() > SMALL for v in value):
            return f"a {type(value).__name__} of {len(value)}"
        return "[" + ", ".join(show(v, depth + 1) for v in value) + "]"
    if isinstance(value, dict) and len(value) <= SMALL:
        return ", ".join(f"{name}: {show(v, depth + 1)}" for name, v in value.items())
    if isinstance(value, float):
        return f"{value:.4g}"
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _plain(value: Tensor) -> bool:
    """Whether a tensor's numbers lie there to be read."""
    return not value.is_nested and value.layout == torch.strided and not value.is_meta and not value.is_quantized


def _list(value: Any) -> str:
    return "[" + ", ".join(_list(v) for v in value) + "]" if isinstance(value, list) else show(value)


def _named(got: Any, expected: dict, tolerance: float) -> Difference | None:
    names = ", ".join(expected)
    if not isinstance(got, dict) or set(got) != set(expected):
        keys = ", ".join(map(show, list(got)[:SMALL])).replace("'", "") if isinstance(got, dict) else ""
        came = f"a dict of {keys}{', ...' * (len(got) > SMALL)}" if isinstance(got, dict) else _kind(got)
        return Difference(came, f"a dict of {names}", f"Return a dict with these keys, as the task asks: {names}.")
    for name in expected:
        found = difference(got[name], expected[name], tolerance)
        if found:
            return Difference(f"{name}: {found.got}", f"{name}: {found.expected}", found.pattern)
    return None


def _parts(got: Any, expected: tuple | list, tolerance: float) -> Difference | None:
    if isinstance(got, Tensor) and _plain(got) and got.dim() > 0 and len(got) == len(expected):
        got = list(got)
    if not isinstance(got, tuple | list) or len(got) != len(expected):
        number = f" of {len(got)}" if isinstance(got, tuple | list) else ""
        return Difference(f"{_kind(got)}{number}", f"a {type(expected).__name__} of {len(expected)}")
    for n, (a, b) in enumerate(zip(got, expected, strict=True)):
        found = difference(a, b, tolerance)
        if found:
            where = f"part {n + 1} of {len(expected)}: "
            return Difference(where + found.got, where + found.expected, found.pattern)
    return None


def _numbers(got: Any, expected: Tensor | Real, tolerance: float) -> Difference | None:
    right = torch.as_tensor(expected).detach().double()
    if isinstance(got, bool) or not isinstance(got, Tensor | Real) and not hasattr(got, "__array__"):
        return Difference(_kind(got), show(expected))
    if isinstance(got, Tensor) and not _plain(got):
        return Difference(show(got), show(expected))
    try:
        left = torch.as_tensor(got).detach()
        left = left.double() if left.shape == right.shape else left  # a huge one is not copied to be refused
    except Exception:  # a reader's own type with an unfinished __array__, an array of objects
        return Difference(_kind(got), show(expected))
    if left.shape != right.shape:
        return Difference(f"shape {list(left.shape)}", f"shape {list(right.shape)}", _shapes(left, right))
    apart = ~torch.isclose(left, right, rtol=tolerance, atol=tolerance, equal_nan=False)
    apart &= ~(left.isnan() & right.isnan())
    if not apart.any():
        return None
    return _unequal(left, right, apart, tolerance)


def _unequal(left: Tensor, right: Tensor, apart: Tensor, tolerance: float) -> Difference:
    pattern = _pattern(left, right, tolerance)
    if right.numel() <= SMALL:
        return Difference(show(left), show(right), pattern)
    where = tuple(apart.nonzero()[0].tolist())
    count = f" ({int(apart.sum())} of {apart.numel()} numbers differ)"
    return Difference(f"{left[where]:.4g} at {list(where)}{count}", f"{right[where]:.4g} at {list(where)}", pattern)


def _kind(value: Any) -> str:
    if value is None:
        return "nothing (None): is there a `return` on every way through?"
    return f"{type(value).__name__} {show(value)}" if isinstance(value, bool | str) else f"a {type(value).__name__}"


def _shapes(left: Tensor, right: Tensor) -> str:
    if left.numel() == right.numel():
        return "The numbers are as many as they should be, in another shape: which dimension is which?"
    if left.dim() < right.dim():
        return "A dimension is gone: something was summed or averaged that should have been kept."
    if left.dim() > right.dim():
        return "A dimension too many: something was not summed (or is still in a batch of its own)."
    return ""


def _pattern(left: Tensor, right: Tensor, tolerance: float) -> str:
    """What strikes the eye when two tensors of one shape are compared."""
    if left.isnan().any() and not right.isnan().any():
        return "There are NaNs: a logarithm of something negative, or 0 / 0."

    def close(a: Tensor, b: Tensor) -> bool:
        return bool(torch.allclose(a, b, rtol=10 * tolerance, atol=tolerance))

    if close(left, -right):
        return "The sign is turned round."
    if right.dim() >= 2 and right.shape[-1] == right.shape[-2] and close(left.mT, right):
        return "It is the right answer transposed: rows and columns are swapped."
    if right.dim() >= 2 and close(left.flip(-2), right):
        return "It is the right answer upside down: y points down here, as rows do."
    factor = float(left.abs().sum() / right.abs().sum()) if right.abs().sum() > 0 else math.nan
    if math.isfinite(factor) and factor > 0 and close(left, factor * right):
        return f"Every number is {factor:.4g} times what it should be."
    offset = float((left - right).mean())
    if right.numel() > 1 and math.isfinite(offset) and close(left - offset, right):
        return f"Every number is off by the same {offset:.4g}."
    return ""
