"""Fields of a frozen dataclass that know what they may be: default, check, and how to read it from a command line.

>>> length: int = count(32)                  # a whole number of at least 1; True is none
>>> write: str = choice("pooled", "placed")  # the first is the default

The check and its words are the field's `metadata`; `checked` applies them, `parsed` reads text.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

from .inputs import check_choice, check_count, check_flag, check_number, check_seed, check_text, interval, whole, wrong

Check = Callable[[str, Any], Any]  # (name, value) -> the value as it is kept, or ValueError


def may(default: Any, check: Check, expected: str, plain: bool = False) -> Any:
    """A field with a check, and its words; `plain` text of the command line is a word, not JSON."""
    return dataclasses.field(default=default, metadata={"check": check, "expected": expected, "plain": plain})


def count(default: int, least: int = 1) -> Any:
    """A whole number of at least `least`."""
    return may(default, lambda name, v: check_count(name, v, least), whole(least))


def random_seed(default: int) -> Any:
    """A whole number from 0 to 2**63 - 1."""
    return may(default, check_seed, "a whole number from 0 to 2**63 - 1")


def power_of_two(default: int, least: int) -> Any:
    """A side in pixels that halves without a rest."""
    expected = f"a power of two of at least {least} (pixels)"

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or value < least or value & (value - 1):
            raise wrong(name, value, expected)
        return value

    return may(default, check, expected)


def number(
    default: float, least: float = -math.inf, most: float = math.inf, above: float = -math.inf, below: float = math.inf
) -> Any:
    """A finite number inside the limits."""
    limits = (least, most, above, below)
    return may(default, lambda name, v: check_number(name, v, *limits), interval(*limits))


def fraction(default: float) -> Any:
    """A number in [0, 1]."""
    return number(default, least=0, most=1)


def flag(default: bool) -> Any:
    """True or False, never a word."""
    return may(default, check_flag, "True or False")


def choice(default: str, *others: str) -> Any:
    """One of some words."""
    words = (default, *others)
    return may(default, lambda name, v: check_choice(name, v, words), f"one of {', '.join(words)}", plain=True)


def text(default: str) -> Any:
    """Any words."""
    return may(default, check_text, "a string", plain=True)


def row(default: tuple, check: Check, expected: str) -> Any:
    """A tuple as long as `default` whose items pass `check`; JSON gives lists."""

    def each(name: str, value: Any) -> tuple:
        if not isinstance(value, list | tuple) or len(value) != len(default):
            raise wrong(name, value, expected)
        try:
            return tuple(check(name, v) for v in value)
        except ValueError:
            raise wrong(name, value, expected) from None

    return may(default, each, expected)


def counts(*default: int) -> Any:
    """As many whole numbers of at least 1 as there are defaults."""
    return row(default, check_count, f"{len(default)} whole numbers of at least 1")


def span(low: float, high: float) -> Any:
    """(low, high), two finite numbers with low < high."""
    field = row((low, high), check_number, expected := "(low, high) with low < high, two finite numbers")
    pair = field.metadata["check"]

    def check(name: str, value: Any) -> tuple[float, float]:
        low, high = pair(name, value)
        if not low < high:
            raise wrong(name, value, expected)
        return low, high

    return may((low, high), check, expected)


def checked(instance: Any) -> None:
    """Hold every field of a frozen dataclass against its check, and keep what the check gives. For `__post_init__`."""
    for f in dataclasses.fields(instance):
        object.__setattr__(instance, f.name, f.metadata["check"](f.name, getattr(instance, f.name)))


def parsed(field: dataclasses.Field, words: str) -> Any:
    """The value of a field as the command line writes it: 500, 1e-3, [8,8,16,16] or 8,8,16,16, False, placed.

    Raises ValueError for text that is no value of this field: "False" is the flag and never a word that counts as true.
    """
    meta, value = field.metadata, words.strip()
    if not meta["plain"]:
        listed = isinstance(field.default, tuple) and not value.startswith("[")
        value = {"True": "true", "False": "false"}.get(value, f"[{value}]" if listed else value)
    if not meta["plain"] or value.startswith('"'):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise wrong(field.name, words, meta["expected"]) from None
    return meta["check"](field.name, value)
