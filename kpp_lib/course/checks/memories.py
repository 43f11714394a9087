"""Notebook 03: finding an image in a table of pictures, the gap of a memory swap, retrieval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .check import Case, Check, Mistake

# --- 03: a table ----------------------------------------------------------------------------------------------------


def _in_use(table_memory: Any) -> Callable[..., Any]:
    """A reader's class as a function: write, then find."""

    def find(pictures: Tensor, cue: Tensor, flip: float) -> Any:
        memory = table_memory(flip)
        memory.write(pictures)
        return _number(memory.find(cue))

    return find


def _number(found: Any) -> Any:
    return int(found) if isinstance(found, Tensor) and found.numel() == 1 else found


def _match(pictures: Tensor, cue: Tensor, flip: float) -> Tensor:
    ink = pictures * (1 - flip) + (1 - pictures) * flip
    return (cue * ink.log() + (1 - cue) * (1 - ink).log()).sum(-1)


def _best(score: Tensor) -> int:
    return int(score.argmax())


def _ink_only(pictures: Tensor, cue: Tensor, flip: float) -> int:
    ink = pictures * (1 - flip) + (1 - pictures) * flip
    return _best((cue * ink.log()).sum(-1))


TABLE = torch.tensor(
    [
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0],  # nearly black: contains every cue
        [1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0],
        [0.9, 0.9, 0.45, 0.45, 0.45, 0.45, 0.0, 0.0],  # grey: unsure of four pixels
    ]
)


def _table_cases() -> list[Case]:
    def cue(*ink: int) -> Tensor:
        return torch.tensor([float(i in ink) for i in range(8)])

    g = torch.Generator().manual_seed(4)
    soft = torch.rand(6, 12, generator=g)  # no picture is sure of anything
    return [
        Case("a cue with ink in pixels 0, 1, of a table of four; flip 0.1", (TABLE, cue(0, 1), 0.1)),
        Case("the same table, ink in pixels 6, 7; flip 0.1", (TABLE, cue(6, 7), 0.1)),
        Case("ink in pixels 0, 1, 2, 4: the grey one explains it best; flip 0.05", (TABLE, cue(0, 1, 2, 4), 0.05)),
        Case(
            "the same cue where every bit is wrong half the time but a little; flip 0.45",
            (TABLE, cue(0, 1, 2, 4), 0.45),
        ),
        Case("a cue with a bit that no picture explains, 5 and 7; flip 0.02", (TABLE[1:], cue(1, 7), 0.02)),
        *(Case(f"six grey pictures, cue {n}; flip 0.2", (soft, (soft[n] > 0.5).float(), 0.2)) for n in (1, 4, 5)),
    ]


TableMemory = Check(
    "TableMemory(flip), then .write(pictures), .find(cue)",
    lambda pictures, cue, flip: _best(_match(pictures, cue, flip)),
    _table_cases,
    [
        Mistake(
            "Only the ink was counted. Blank pixels say something too: (1 - cue) ln(1 - ink). Without them the "
            "blackest picture always wins.",
            _ink_only,
        ),
        Mistake(
            "The worst slot was taken: argmax of the log-probability, not argmin.",
            lambda p, c, f: _best(-_match(p, c, f)),
        ),
        Mistake(
            "The largest overlap (a dot product) favours pictures with much ink: it never counts ink that the cue "
            "lacks.",
            lambda p, c, f: _best(p @ c),
        ),
        Mistake(
            "This is the nearest picture by squared distance. It is not the most probable one: a grey pixel says that "
            "it is unsure, and a flipped bit has a price that depends on `flip`.",
            lambda p, c, f: _best(-(p - c).square().sum(-1)),
        ),
        Mistake(
            "`flip` was left out: a picture that is sure of a pixel (0 or 1) gives ln 0 where the cue is damaged.",
            lambda p, c, f: _best(_match(p, c, 0.0)),
        ),
    ],
    adapt=_in_use,
    kind="class",
)

# --- 03: is it used? ------------------------------------------------------------------------------------------------


def _toy_total(x: Tensor, memory: Tensor) -> Tensor:
    """A score that knows whose memory it was given: 70 nats with one's own, 100 with a stranger's, 80 with an empty."""
    own = x.flatten(2)[..., 0]  # [B, T]: the number of the episode
    given = memory.flatten(1)[:, :1].expand_as(own)
    return torch.where(given == own, 70.0, torch.where(given == 0, 80.0, 100.0))


def _swap_case(episodes: int, length: int) -> Case:
    number = torch.arange(1.0, episodes + 1)
    x = number.view(-1, 1, 1, 1, 1).expand(episodes, length, 1, 2, 2).clone()
    memory = number.view(-1, 1, 1, 1).expand(episodes, 3, 4, 4).clone()
    return Case(
        f"{episodes} episodes of {length}; 70 nats with their own memory, 100 with another's", (_toy_total, x, memory)
    )


def _gap(total: Callable[..., Tensor], x: Tensor, other: Tensor, memory: Tensor) -> Tensor:
    return total(x, other).mean() - total(x, memory).mean()


swap_gap = Check(
    "swap_gap(total, x, memory)",
    lambda total, x, memory: _gap(total, x, memory.roll(1, 0), memory),
    lambda: [_swap_case(2, 4), _swap_case(3, 2), _swap_case(5, 1)],
    [
        Mistake(
            "flip(0) leaves the middle episode of an odd number with its own memory. roll(1, dims=0) leaves none.",
            lambda total, x, memory: _gap(total, x, memory.flip(0), memory),
        ),
        Mistake(
            "The sign: a memory that is read makes the swapped total larger, and the gap positive.",
            lambda total, x, memory: -_gap(total, x, memory.roll(1, 0), memory),
        ),
        Mistake(
            "That is an empty memory, which is another control. A swap gives a memory that somebody else has written.",
            lambda total, x, memory: _gap(total, x, torch.zeros_like(memory), memory),
        ),
        Mistake(
            "The images were rolled along with the memories: everybody has their own again.",
            lambda total, x, memory: total(x.roll(1, 0), memory.roll(1, 0)).mean() - total(x, memory).mean(),
        ),
        Mistake(
            "That is the swapped total. The gap is what it costs *more* than one's own memory.",
            lambda total, x, memory: total(x, memory.roll(1, 0)).mean(),
        ),
        Mistake(
            "The sum over images: nats per image is a mean.",
            lambda total, x, memory: total(x, memory.roll(1, 0)).sum() - total(x, memory).sum(),
        ),
    ],
)


def _retrieval_cases() -> list[Case]:
    g = torch.Generator().manual_seed(1)
    images = (torch.rand(6, 1, 4, 4, generator=g) < 0.5).float()
    noisy = (images + 0.4 * torch.randn(images.shape, generator=g)).clamp(0, 1)
    collapsed = images[[0, 0, 0, 3, 4, 5]].clone()  # three answers are image 0, the first of them a pale one
    collapsed[0] = 0.3 + 0.4 * collapsed[0]
    mixed = 0.5 * images + 0.5 * images[[1, 1, 1, 3, 4, 4]] + 0.05 * torch.rand(images.shape, generator=g)
    return [
        Case("pictures equal to the images", (images, images)),
        Case("pictures of the next image each", (images.roll(-1, 0), images)),
        Case("grey and noisy pictures", (noisy, images)),
        Case("one picture for all", (images[:1].expand(6, -1, -1, -1).clone(), images)),
        Case("three of six pictures are of image 0", (collapsed, images)),
        Case("blends of two images", (mixed, images)),
    ]


def _share(nearest: Tensor) -> Tensor:
    return (nearest == torch.arange(len(nearest))).float().mean()


def _distances(pictures: Tensor, images: Tensor) -> Tensor:
    return torch.cdist(pictures.flatten(1), images.flatten(1))  # [T pictures, T images]


retrieval_top1 = Check(
    "retrieval_top1(pictures, images)",
    lambda pictures, images: _share(_distances(pictures, images).argmin(1)),
    _retrieval_cases,
    [
        Mistake(
            "The wrong way round: you asked each image for its nearest picture. A model that answers everybody with "
            "one picture would then look better than it is.",
            lambda pictures, images: _share(_distances(pictures, images).argmin(0)),
        ),
        Mistake("argmax: that is the image farthest away.", lambda p, x: _share(_distances(p, x).argmax(1))),
        Mistake(
            "That is a number of images. The share is the mean: divide by T.",
            lambda p, x: len(x) * _share(_distances(p, x).argmin(1)),
        ),
        Mistake(
            "In percent. Here it is a share, between 0 and 1.",
            lambda p, x: 100 * _share(_distances(p, x).argmin(1)),
        ),
        Mistake(
            "That asks for equal pictures. A grey, blurred picture can still be nearest to its own image.",
            lambda p, x: (p == x).flatten(1).all(1).float().mean(),
        ),
        Mistake(
            "That is a share of pixels. Retrieval asks one question per picture: is the nearest of the T images its "
            "own?",
            lambda p, x: ((p > 0.5) == (x > 0.5)).float().mean(),
        ),
    ],
)
