"""Scores of one batch share what they have in common: it is computed once."""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

from ..model import KanervaPlusPlus

SHARED = ("_encode", "_write", "slot_pictures")  # deterministic, and most of the time of a score


def once(model: KanervaPlusPlus) -> KanervaPlusPlus:
    """The same weights in a model that encodes an episode, writes it and decodes its cells once, however often asked.

    For one batch: it keeps what it was given, tells tensors apart by identity, and trusts that they do not change.
    """
    shared = copy(model)
    for name in SHARED:
        setattr(shared, name, _remembered(getattr(model, name)))  # not of `shared`: a circle would keep them
    return shared


def _remembered(method: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[int, ...], tuple[tuple, Any]] = {}  # with the arguments, so that no id is given twice

    def call(*given: Any) -> Any:
        at = tuple(map(id, given))
        if at not in known:
            known[at] = given, method(*given)
        return known[at][1]

    return call
