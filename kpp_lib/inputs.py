"""Checks at the doors of public functions: what comes in is what a function is defined for, or a sentence says why not.

Each check names the argument, and returns the value in the one form that the inside works with, or raises ValueError:
"name: got X, expected Y". A check reads its tensor once or twice and, on a GPU, waits for the result: doors are for
calls by people. The training step (`KanervaPlusPlus.forward`) has none.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor

MOST = 2**63 - 1  # of a seed, as torch.Generator takes it

# --- words ----------------------------------------------------------------------------------------------------------


def wrong(name: str, given: object, expected: str) -> ValueError:
    """The error of all doors: the argument, what was given, what is expected."""
    return ValueError(f"{name}: got {given if isinstance(given, _Words) else shown(given)}, expected {expected}")


class _Words(str):
    """What was given, already in words."""


def shown(value: object) -> str:
    """A value in one short line: numbers and words as they are, a tensor or array by its type and shape."""
    if isinstance(value, Tensor | np.ndarray) and value.ndim:
        return f"{_library(value)} {_dtype(value)} of shape {tuple(value.shape)}"
    try:
        text = repr(value) if isinstance(value, int | float | str | tuple) else _SHORT.repr(value)
    except Exception:  # an int of 5,000 digits, a class whose __repr__ fails
        text = f"a {type(value).__name__}"
    return text if len(text) <= 200 else text[:197] + "..."


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80


def _library(value: Tensor | np.ndarray) -> str:
    return "torch" if isinstance(value, Tensor) else "numpy"


def _dtype(value: Tensor | np.ndarray) -> str:
    return str(value.dtype).removeprefix("torch.")


# --- numbers and words ----------------------------------------------------------------------------------------------


def check_count(name: str, value: Any, least: int = 1, most: int | None = None) -> int:
    """A whole number in [least, most]: Python's or NumPy's; True is none, and neither is 3.0."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least or most is not None and value > most:
        raise wrong(name, value, whole(least, most))
    return int(value)


def whole(least: int, most: int | None = None) -> str:
    """What `check_count` expects, in words."""
    return f"a whole number of at least {least}" if most is None else f"a whole number from {least} to {most}"


def check_seed(name: str, value: Any) -> int:
    """A whole number from 0 to 2**63 - 1."""
    if isinstance(value, bool) or not isinstance(value, Integral) or not 0 <= value <= MOST:
        raise wrong(name, value, "a whole number from 0 to 2**63 - 1")
    return int(value)


def check_number(
    name: str,
    value: Any,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> float:
    """A finite number with least <= value <= most and above < value < below; True is none. Tensors are none either."""
    try:
        number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number beyond what a float holds
        number = math.inf
    if not (math.isfinite(number) and least <= number <= most and above < number < below):
        raise wrong(name, value, interval(least, most, above, below))
    return number


def interval(least: float, most: float, above: float, below: float) -> str:
    """What `check_number` expects, in words."""
    low, high = max(least, above), min(most, below)
    if low > -math.inf and high < math.inf:
        return f"a number in {'(' if low == above else '['}{low:g}, {high:g}{')' if high == below else ']'}"
    if low > -math.inf:
        return f"a finite number {'above' if low == above else 'of at least'} {low:g}"
    return (
        "a finite number"
        if high == math.inf
        else f"a finite number {'below' if high == below else 'of at most'} {high:g}"
    )


def check_flag(name: str, value: Any) -> bool:
    """True or False; no word and no number stands for one."""
    if not isinstance(value, bool | np.bool_):
        raise wrong(name, value, "True or False")
    return bool(value)


def check_choice(name: str, value: Any, choices: Collection[str]) -> str:
    """One of some words."""
    if not isinstance(value, str) or value not in choices:
        raise wrong(name, value, f"one of {', '.join(choices)}")
    return value


def check_text(name: str, value: Any) -> str:
    """Any words."""
    if not isinstance(value, str):
        raise wrong(name, value, "a string")
    return value


def check_row(name: str, value: Any, count: int) -> Sequence[Any]:
    """A list or tuple of `count` items; what they are is for the caller to check."""
    if not isinstance(value, list | tuple) or len(value) != count:
        raise wrong(name, value, f"a list of {count}")
    return value
