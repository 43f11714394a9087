"""Checks at the doors of public functions: what comes in is what a function is defined for, or a sentence says why not.

Each check names the argument, and returns the value in the one form that the inside works with, or raises ValueError:
"name: got X, expected Y". A check reads its tensor once or twice and, on a GPU, waits for the result: doors are for
calls by people. The training step (`KanervaPlusPlus.forward`) has none.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST = 2**63 - 1  # of a seed, as torch.Generator takes it
_TRUSTED: ContextVar[bool] = ContextVar("trusted", default=False)


@contextmanager
def trusted() -> Iterator[None]:
    """Inside, values of tensors are not looked at, only what they are: for what was checked at a door before.

    A look waits for a GPU; and a model that is no number any more has to show in its scores, not to stop them.
    """
    token = _TRUSTED.set(True)
    try:
        yield
    finally:
        _TRUSTED.reset(token)


# --- words ----------------------------------------------------------------------------------------------------------


def wrong(name: str, given: object, expected: str) -> ValueError:
    """The error of all doors: the argument, what was given, what is expected."""
    return ValueError(f"{name}: got {given if isinstance(given, Words) else shown(given)}, expected {expected}")


class Words(str):
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
    if value > MOST:  # no tensor and no loop counts that far
        raise wrong(name, value, f"{whole(least)} and at most 2**63 - 1")
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


def check_kind(name: str, value: Any, kind: type | tuple[type, ...], expected: str) -> Any:
    """An instance of a class; `expected` says which, and where one comes from."""
    if not isinstance(value, kind):
        plain = value is None or isinstance(value, bool | int | float | str)
        raise wrong(name, value if plain else Words(type(value).__name__), expected)
    return value


def check_device(name: str, value: Any) -> torch.device:
    """A device that this machine has, from its name."""
    expected = "cpu, or a cuda or mps device of this machine"
    if not isinstance(value, str | torch.device):
        raise wrong(name, value, expected)
    try:
        device = torch.device(value)
        if device.type != "meta":
            torch.empty(0, device=device)
            return device
    except (RuntimeError, AssertionError, NotImplementedError):  # unknown, not compiled in, or no such card
        pass
    raise wrong(name, str(value), expected) from None


def check_generator(name: str, value: Any, device: torch.device | str | None = None, needed: bool = False) -> Any:
    """A torch.Generator, on a device of that type where one is named; None too, unless it is needed."""
    expected = "a torch.Generator, such as kpp.seeded(0)" + ("" if needed else ", or None")
    if value is None and not needed:
        return None
    if not isinstance(value, torch.Generator):
        raise wrong(name, value, expected)
    if device is not None and value.device.type != torch.device(device).type:
        raise wrong(name, Words(f"a generator on {value.device}"), f"one on {torch.device(device).type}")
    return value


def check_words(name: str, value: Any) -> Sequence[str]:
    """A list of words; a single word is none."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or not all(isinstance(v, str) for v in value):
        raise wrong(name, value, "a list of words")
    return value


def check_named(name: str, value: Any) -> Mapping[str, Any]:
    """{name: something}, one entry at least."""
    if not isinstance(value, Mapping) or not value or not all(isinstance(key, str) for key in value):
        raise wrong(name, value, "a dict {name: value} with at least one entry")
    return value


def check_log(name: str, value: Any) -> Sequence[Mapping[str, str]]:
    """Rows of a log.csv, as `runlog.read_log` gives them."""
    expected = "rows of a log.csv, each with step, split, recon, kl_z and kl_y"
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise wrong(name, value, expected)
    try:
        for row in value:
            _ = row["split"], int(row["step"]), [float(row[term]) for term in ("recon", "kl_z", "kl_y")]
    except (KeyError, TypeError, ValueError, IndexError):
        raise wrong(name, value, expected) from None
    return value


def check_curve(name: str, value: Any, length: int | None = None) -> list[float]:
    """Numbers along one axis, one at least: a list, a tensor or an array; NaN leaves a gap in a curve."""
    expected = "a list of numbers" if length is None else f"a list of {length} numbers"
    if isinstance(value, Tensor | np.ndarray):
        value = _numeric(name, value, ("N",), None, "numbers").tolist()
    ok = isinstance(value, Sequence) and not isinstance(value, str | bytes) and len(value) == (length or len(value)) > 0
    try:
        return [float(v) if not isinstance(v, str | bytes) else float("x") for v in value] if ok else int("x")
    except (TypeError, ValueError, OverflowError, RuntimeError):
        raise wrong(name, value, expected) from None


# --- tensors --------------------------------------------------------------------------------------------------------

Shape = tuple[int | str, ...]  # a letter is any length of at least 1; "..." at the front or end any dimensions
NUMBERS = (torch.float32, torch.float64, torch.float16, torch.bfloat16)
WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


def check_tensor(
    name: str,
    value: Any,
    shape: Shape,
    device: torch.device | None = None,
    dtype: torch.dtype | None = None,
    what: str = "finite numbers",
) -> Tensor:
    """Finite numbers of `shape`: a torch tensor on `device`, or a NumPy array, which goes there.

    Returns floats: whole numbers become float32, float16 and bfloat16 too; float64 stays unless a `dtype` is asked for.
    """
    tensor = _numeric(name, value, shape, device, what)
    if tensor.dtype == torch.bool:
        raise wrong(name, value, f"{what} of shape {_spell(shape)}")
    tensor = tensor.to(dtype or (torch.float64 if tensor.dtype == torch.float64 else torch.float32))
    if not _TRUSTED.get() and not bool(torch.isfinite(tensor).all()):
        bad = int((~torch.isfinite(tensor)).sum())
        raise wrong(name, Words(f"{bad} of {tensor.numel()} values that are NaN or infinite"), what)
    return tensor


def check_log_weights(name: str, value: Any) -> Tensor:
    """Logarithms of weights [S, ...], one sample at least: numbers below infinity, -inf for a weight of 0; no NaN."""
    tensor = _numeric(name, value, ("S", "..."), None, "log-weights")
    if tensor.dtype == torch.bool:
        raise wrong(name, value, "log-weights of shape [S, ...]")
    tensor = tensor.to(torch.float64 if tensor.dtype == torch.float64 else torch.float32)
    if not _TRUSTED.get() and not bool((tensor < math.inf).all()):
        raise wrong(name, Words("values that are NaN or infinite"), "numbers, or -inf for a weight of 0")
    return tensor


def check_images(
    name: str,
    value: Any,
    shape: Shape,
    device: torch.device | None = None,
    dtype: torch.dtype = torch.float32,
    values: str = "bits",
) -> Tensor:
    """Images of `shape`: all pixels 0 or 1 ("bits"); multiples of 1/255 in [0, 1] ("levels"); or any in [0, 1]
    ("grey"). Floats, whole numbers or bool.

    Grey targets would add their own entropy to a Bernoulli "likelihood", and one between two levels has no probability
    under a mixture over levels: they are refused where images are scored.
    """
    what, rest, right = VALUES[values]
    tensor = _numeric(name, value, shape, device, what)
    if _TRUSTED.get():
        return tensor.to(dtype)
    if not bool(right(tensor).all()):
        low, high = float(tensor.min()), float(tensor.max())
        raise wrong(name, Words(f"values in [{low:.3g}, {high:.3g}]{rest}"), f"{what}; {_advice(values, low, high)}")
    return tensor.to(dtype)


def _inside(x: Tensor) -> Tensor:
    return (x >= 0) & (x <= 1)


def _levels(x: Tensor) -> Tensor:
    scaled = 255 * x.to(torch.float64 if x.dtype == torch.float64 else torch.float32)
    return _inside(x) & ((scaled - scaled.round()).abs() < 1e-3)  # float32 is off by 1e-5; float16 is not near enough


def _advice(values: str, low: float, high: float) -> str:
    """What a caller does to images that are not as they should be."""
    if values == "bits":
        drawn = "load the data with binarize='fixed', 'dynamic' or 'threshold'"
        return "for scans of 0 to 255, (x > 127)" if high > 1 else drawn
    near = values == "levels" and 0 <= low and high <= 1
    return "(255 * x).round() / 255" if near else "divide scans of 0 to 255 by 255"


VALUES = {  # what images may be: in words, what is wrong with others, and the test of each value
    "bits": ("binary images", " that are not all 0 or 1", lambda x: (x == 0) | (x == 1)),
    "levels": ("images of multiples of 1/255 in [0, 1]", " that are not all grey / 255", _levels),
    "grey": ("images in [0, 1]", "", _inside),
}


def check_positions(name: str, value: Any, count: int) -> Tensor:
    """Positions int64 [n] in a row of `count`: whole numbers from 0 on, or a mask of `count` booleans."""
    expected = f"one dimension of whole numbers from 0 to {count - 1}, or a mask of {count}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        ok = all(isinstance(v, Integral) for v in value) and len({isinstance(v, bool | np.bool_) for v in value}) < 2
        if not ok or any(abs(int(v)) > MOST for v in value):
            raise wrong(name, value, expected)
        value = torch.tensor(list(value)) if value else torch.zeros(0, dtype=torch.int64)
    tensor = _numeric(name, value, ("...",), None, expected)
    if tensor.dtype == torch.bool and tuple(tensor.shape) == (count,):
        return tensor.nonzero()[:, 0]
    if tensor.dim() != 1:
        raise wrong(name, Words(f"shape {tuple(tensor.shape)}"), expected)
    if tensor.dtype not in WHOLE:
        raise wrong(name, value, expected)
    if len(tensor) and (tensor.min() < 0 or tensor.max() >= count):
        raise wrong(name, Words(f"{int(tensor.min())} to {int(tensor.max())}"), expected)
    return tensor.long()


def check_whole(name: str, value: Any, shape: Shape) -> Tensor:
    """Whole numbers int64 of `shape`: a torch tensor, a NumPy array or, with one dimension, a list."""
    if isinstance(value, list | tuple) and all(isinstance(v, Integral) and abs(v) <= MOST for v in value):
        value = np.array(value, dtype=np.int64 if not any(isinstance(v, bool | np.bool_) for v in value) else None)
    tensor = _numeric(name, value, shape, None, "whole numbers")
    if tensor.dtype not in WHOLE:
        raise wrong(name, value, f"whole numbers of shape {_spell(shape)}")
    return tensor.long()


def check_bytes(name: str, value: Any, shape: Shape) -> Tensor:
    """Bytes uint8 of `shape`: a torch tensor or a NumPy array."""
    tensor = _numeric(name, value, shape, None, "uint8")
    if tensor.dtype != torch.uint8:
        raise wrong(name, value, f"uint8 of shape {_spell(shape)}")
    return tensor


def check_pixels(value: Any, binary: bool) -> Tensor:
    """Stored pixels uint8 [N, C, H, W]: 0 and 1 where `binary` (booleans are taken), else grey 0 to 255."""
    shape = ("N", "C", "H", "W")
    boolean = isinstance(value, np.ndarray | Tensor) and _dtype(value) == "bool"
    if boolean and binary:
        value = _numeric("pixels", value, shape, None, "uint8").to(torch.uint8)
    pixels = check_bytes("pixels", value, shape)
    if binary and int(pixels.max()) > 1:
        given = Words(f"values up to {int(pixels.max())} with binary=True")
        raise wrong(
            "pixels", given, "0 and 1; for scans of 0 to 255 give (pixels > 127), or binary=False with redraw=True"
        )
    return pixels


def _numeric(name: str, value: Any, shape: Shape, device: torch.device | None, what: str) -> Tensor:
    """`value` as a plain tensor of numbers or booleans, of the right shape, where it should be."""
    expected = what if shape == ("...",) else f"{what} of shape {_spell(shape)}"
    if isinstance(value, np.ndarray):
        tensor = _from_numpy(value)
        tensor = tensor if tensor is None or device is None else tensor.to(device)
    else:
        tensor = value if isinstance(value, Tensor) and not value.is_nested else None
    if tensor is None or tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise wrong(name, value, expected)
    if tensor.dtype not in (torch.bool, *NUMBERS, *WHOLE):
        raise wrong(name, value, expected)
    if not _fits(tuple(tensor.shape), shape):
        empty = "" if tensor.numel() else ", not empty"
        raise wrong(name, Words(f"shape {tuple(tensor.shape)}"), f"{expected}{empty}")
    if device is not None and tensor.device != device:
        raise wrong(name, Words(f"a tensor on {tensor.device}"), f"one on {device}: {name}.to('{device}')")
    return tensor


def _from_numpy(array: np.ndarray) -> Tensor | None:
    if array.dtype.kind not in "biuf" or isinstance(array, np.ma.MaskedArray):
        return None
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        array = array.astype(np.int64)
    native = array.astype(array.dtype.newbyteorder("="), copy=True)  # a copy: no answer of ours is tied to the array
    try:
        return torch.from_numpy(native)
    except TypeError:  # a float of 128 bits
        return torch.from_numpy(native.astype(np.float64))


def _fits(given: tuple[int, ...], shape: Shape) -> bool:
    if shape[-1:] == ("...",):
        return len(given) >= len(shape) - 1 and all(given)
    if shape[:1] == ("...",):
        shape = ("any",) * (len(given) - len(shape) + 1) + shape[1:]
    if len(given) != len(shape):
        return False
    return all(have >= 1 if isinstance(want, str) else have == want for have, want in zip(given, shape, strict=True))


def _spell(shape: Shape) -> str:
    return f"[{', '.join(map(str, shape))}]"
