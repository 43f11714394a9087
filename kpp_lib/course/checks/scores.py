"""Notebook 00: a damaged cue, and how to read a score."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .check import Case, Check, Mistake

# --- 00: a cue ------------------------------------------------------------------------------------------------------


def _flipped(flip_bits: Callable[..., Any]) -> Callable[..., Any]:
    """What one can say of a random answer: its values, its shares, and whether the generator decides."""

    def facts(share: float, seed: int) -> dict[str, Any] | None:
        x = (torch.rand(40, 1, 28, 28, generator=torch.Generator().manual_seed(9)) < 0.3).float()
        before = x.clone()
        first = flip_bits(x, share, torch.Generator().manual_seed(seed))
        if first is None or first is ...:
            return None
        again = flip_bits(before.clone(), share, torch.Generator().manual_seed(seed))
        other = flip_bits(before.clone(), share, torch.Generator().manual_seed(seed + 1))
        return {
            "shape": list(first.shape),
            "values": first.unique().tolist(),
            "share of the zeros turned over": (first != before)[before == 0].float().mean(),
            "share of the ones turned over": (first != before)[before == 1].float().mean(),
            "every image turned over alike": bool((first != before).eq((first != before)[:1]).all()),
            "the same from the same generator": bool(torch.equal(first, again)),
            "the same from another generator": bool(torch.equal(first, other)),
            "x is left as it was": bool(torch.equal(x, before)),
        }

    return facts


def _draw(x: Tensor, share: float, generator: torch.Generator | None) -> Tensor:
    return torch.rand(x.shape, generator=generator) < share


def _turned(x: Tensor, flip: Tensor) -> Tensor:
    return torch.where(flip, 1 - x, x)


flip_bits = Check(
    "flip_bits(x, share, generator)",
    _flipped(lambda x, share, generator: _turned(x, _draw(x, share, generator))),
    lambda: [Case("40 images, share 0.1", (0.1, 0)), Case("40 images, share 0.4", (0.4, 3))],
    [
        Mistake(
            "x was changed in place, and the clean image is gone. Work on a copy: torch.where makes one.",
            _flipped(lambda x, share, g: x.copy_(_turned(x, _draw(x, share, g)))),
        ),
        Mistake(
            "The noise was added: 1 + 1 is no bit. Where a bit is turned over, it becomes 1 - x.",
            _flipped(lambda x, share, g: x + _draw(x, share, g)),
        ),
        Mistake(
            "Only blank pixels turn into ink here. Ink has to vanish with the same probability.",
            _flipped(lambda x, share, g: torch.maximum(x, _draw(x, share, g).float())),
        ),
        Mistake(
            "The chosen pixels were replaced by random bits, and half of those are right by luck: only half the share "
            "is turned over.",
            _flipped(
                lambda x, share, g: torch.where(_draw(x, share, g), (torch.rand(x.shape, generator=g) < 0.5).float(), x)
            ),
        ),
        Mistake(
            "The other pixels were turned over: `rand < share` is true for a fraction `share` of them.",
            _flipped(lambda x, share, g: _turned(x, ~_draw(x, share, g))),
        ),
        Mistake(
            "The generator was not used: torch.rand(x.shape, generator=generator). Without it nobody can draw this "
            "cue a second time.",
            _flipped(lambda x, share, g: _turned(x, _draw(x, share, None))),
        ),
        Mistake(
            "One draw for all images: torch.rand wants the shape of x, the episode included.",
            _flipped(lambda x, share, g: _turned(x, _draw(x[:1], share, g).expand_as(x))),
        ),
    ],
    adapt=_flipped,
    tolerance=0.02,
)

# --- 00: a score ----------------------------------------------------------------------------------------------------


def _read_score(total: float, swap: float, length: int, floor: Callable[[float], float] = math.log) -> str:
    if total < floor(length):
        return "impossible"
    return "read" if swap - total > 1 else "not read"


SCORES = {
    "total 68.0, with another memory 1284.9, T = 32": (68.0, 1284.9, 32),
    "total 91.5, with another memory 91.6, T = 32": (91.5, 91.6, 32),
    "total 3.2, with another memory 900, T = 32": (3.2, 900.0, 32),
    "total 3.6, with another memory 900, T = 32": (3.6, 900.0, 32),
    "total 3.2, with another memory 3.3, T = 8": (3.2, 3.3, 8),
    "total 92.2, with another memory 96.8, T = 32": (92.2, 96.8, 32),
}
read_score = Check(
    "read_score(total, swap, length)",
    _read_score,
    lambda: [Case(name, values) for name, values in SCORES.items()],
    [
        Mistake(
            "The floor is ln T, in nats: math.log. With log2 it would be in bits, and higher.",
            lambda total, swap, length: _read_score(total, swap, length, math.log2),
        ),
        Mistake(
            "The floor is ln T, not T: to say which of T images is meant takes ln T nats.",
            lambda total, swap, length: _read_score(total, swap, length, float),
        ),
        Mistake(
            "The floor was not looked at. A mean below ln T is no bound, however good the memory looks.",
            lambda total, swap, length: _read_score(total, swap, 1),
        ),
        Mistake(
            "The gap was taken the wrong way round: another memory makes the total *larger* if the right one is read.",
            lambda total, swap, length: _read_score(total, 2 * total - swap, length),
        ),
        Mistake(
            "The gap is a difference in nats, not a ratio: 4.6 nats are small beside 92 and still show that it is "
            "read.",
            lambda total, swap, length: _read_score(total, total + 2 * (swap > 1.2 * total), length),
        ),
    ],
)
