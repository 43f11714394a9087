"""Notebook 06: the density of a key, a walk between two keys, and the key of a window (squash="centre")."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ...keys import squash
from ..keyspace import key_at
from .check import Case, Check, Mistake

HALF_LN_2PI = 0.5 * math.log(2 * math.pi)
S = 0.125  # half-width in the cases


def _log_p(y: Tensor) -> Tensor:
    return (-0.5 * y**2 - HALF_LN_2PI).sum((-2, -1))


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


log_p_key = Check(
    "log_p_key(y)",
    _log_p,
    lambda: [
        Case("one image, K = 1, y = (0, 0, 0)", (torch.zeros(1, 1, 3),)),
        Case("one image, K = 1, y = (1, 0, 2)", (torch.tensor([[[1.0, 0, 2]]]),)),
        Case("T = 4 images, K = 2 keys", (_random(4, 2, 3),)),
    ],
    [
        Mistake(
            "The constant is missing: -(1/2) ln(2 pi) for each of the 3 K numbers. Without it, it is no density.",
            lambda y: (-0.5 * y**2).sum((-2, -1)),
        ),
        Mistake(
            "The constant was taken once. There are 3 K numbers, and each brings its own.",
            lambda y: (-0.5 * y**2).sum((-2, -1)) - HALF_LN_2PI,
        ),
        Mistake("The half in front of the square is missing.", lambda y: (-(y**2) - HALF_LN_2PI).sum((-2, -1))),
        Mistake(
            "One number per key. The K keys of an image are independent: their logarithms add up, too.",
            lambda y: (-0.5 * y**2 - HALF_LN_2PI).sum(-1),
        ),
        Mistake("Averaged. Independent numbers: a sum.", lambda y: (-0.5 * y**2 - HALF_LN_2PI).mean((-2, -1))),
        Mistake(
            "Everything was summed, the images too. Each image has a density of its own: sum the last two dimensions.",
            lambda y: (-0.5 * y**2 - HALF_LN_2PI).sum(),
        ),
        Mistake(
            "That is the density itself: the logarithm is missing.",
            lambda y: _log_p(y).exp(),
        ),
        Mistake(
            "The windows were measured. p(Y) is a Gaussian of keys, before the squash.",
            lambda y: _log_p(squash(y, "centre", S)),
        ),
    ],
)


def _walk(start: Tensor, end: Tensor, n: int) -> Tensor:
    return torch.lerp(start, end, torch.linspace(0, 1, n).view(-1, 1, 1))


def _in_windows(start: Tensor, end: Tensor, n: int) -> Tensor:
    return key_at(_walk(squash(start, "centre", S), squash(end, "centre", S), n), "centre")


walk = Check(
    "walk(start, end, n)",
    _walk,
    lambda: [
        Case("from 0 to 1, n = 3, K = 1", (torch.zeros(1, 3), torch.ones(1, 3), 3)),
        Case(
            "from (0, -1, 2) to (0, 2, -1), n = 5, K = 1",
            (torch.tensor([[0.0, -1, 2]]), torch.tensor([[0.0, 2, -1]]), 5),
        ),
        Case("two keys at once, n = 4, K = 2", (_random(2, 3), 1 + 2 * _random(2, 3).flip(0), 4)),
    ],
    [
        Mistake(
            "The end is missing: n places from 0 to 1, both included, is torch.linspace(0, 1, n); n / n is not "
            "reached by arange(n) / n.",
            lambda a, b, n: torch.lerp(a, b, (torch.arange(n) / n).view(-1, 1, 1)),
        ),
        Mistake("It walks backwards: the first place is `start`.", lambda a, b, n: _walk(b, a, n)),
        Mistake(
            "Start is never left behind: start + f * end. It is start + f * (end - start).",
            lambda a, b, n: a + torch.linspace(0, 1, n).view(-1, 1, 1) * b,
        ),
        Mistake(
            "This walks in the memory's frame, with steps of equal length for the *window*. A straight line of keys is "
            "bent by the squash; here it is the keys that go straight.",
            _in_windows,
        ),
        Mistake(
            "One key at a time: the K keys of an image walk together, [n, K, 3].",
            lambda a, b, n: _walk(a, b, n)[:, 0],
        ),
    ],
)


def _key(window: Tensor) -> Tensor:
    return key_at(window, "centre")


def _windows() -> list[Case]:
    several = torch.tensor([[S, -0.6, 0.3], [S, 0.0, 0.95], [0.5, 0.4, -0.1]])
    return [
        Case("the middle of the memory, (0.125, 0, 0)", (torch.tensor([S, 0.0, 0.0]),)),
        Case("to the left and down, (0.125, -0.6, 0.3)", (torch.tensor([S, -0.6, 0.3]),)),
        Case("three windows of two sizes", (several,)),
    ]


def _with(window: Tensor, centre: Tensor, first: Tensor | None = None) -> Tensor:
    return torch.cat([torch.zeros_like(window[..., :1]) if first is None else first, centre], -1)


key_of = Check(
    "key_of(window)",
    _key,
    _windows,
    [
        Mistake(
            "The centre was divided by 1 - s. That undoes the squash `fixed`, which keeps the whole window inside; "
            "under `centre` only the centre lies in the memory.",
            lambda w: _with(w, torch.atanh((w[..., 1:] / (1 - w[..., :1])).clamp(-0.999, 0.999))),
        ),
        Mistake(
            "tanh squashes once more. Its inverse is atanh.",
            lambda w: _with(w, torch.tanh(w[..., 1:])),
        ),
        Mistake(
            "The centre is still squashed: it is tanh of the key, so undo the tanh.",
            lambda w: _with(w, w[..., 1:]),
        ),
        Mistake(
            "One over tanh is not its inverse: that is atanh.",
            lambda w: _with(w, 1 / torch.tanh(w[..., 1:])),
        ),
        Mistake(
            "Twice too far: atanh(x) is one half of ln((1 + x) / (1 - x)).",
            lambda w: _with(w, 2 * torch.atanh(w[..., 1:])),
        ),
        Mistake(
            "The first number of the key: this squash does not use it, so no window determines it. Return 0, the "
            "likeliest under p(Y).",
            lambda w: _with(w, _key(w)[..., 1:], w[..., :1]),
        ),
        Mistake(
            "The first number of the key: the atanh of s is what the squash `tanh` would need. This one does not use "
            "the number: return 0, the likeliest under p(Y).",
            torch.atanh,
        ),
    ],
)
