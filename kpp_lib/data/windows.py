"""Episodes out of walks: windows of consecutive images of one walk, as many as there are, and what is left over."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from ..inputs import Words, wrong


def lengths_of(walks: Tensor) -> tuple[int, ...]:
    """How many images each walk has, for `walks` int64 [N] as in `Images`: a walk is a run of equal numbers."""
    return tuple(walks.unique_consecutive(return_counts=True)[1].tolist())


def check_length(walks: tuple[int, ...], length: int) -> None:
    """ValueError where no walk has `length` images."""
    if max(walks) < length:
        raise wrong("length", Words(f"T = {length} for walks of {max(walks)} images"), "at most that")


@lru_cache(maxsize=64)
def count(walks: tuple[int, ...], length: int) -> int:
    """Windows that an epoch of training takes from walks of these lengths."""
    return sum(_per_walk(walks, length))


def _per_walk(walks: tuple[int, ...], length: int) -> list[int]:
    # One window less than there is room for, where there are two at least: then the first may begin anywhere.
    return [max((n + 1) // length - 1, 1) if n >= length else 0 for n in walks]


def drawn(walks: tuple[int, ...], length: int, generator: torch.Generator) -> Tensor:
    """Windows for an epoch of training, in random order: rows of the split, int64 [count * length].

    Each walk is cut anew at a random place: windows of one walk are neighbours, and differ from epoch to epoch.
    """
    each, walk = torch.tensor(_per_walk(walks, length)), torch.tensor(walks)
    slack = walk - each * length  # of a walk that is too short it is no matter
    offset = (torch.rand(len(walks), generator=generator) * (slack + 1)).long().minimum(slack)
    return _rows(walks, each, offset, length)[torch.randperm(int(each.sum()), generator=generator)].flatten()


def covering(walks: tuple[int, ...], length: int, generator: torch.Generator) -> Tensor:
    """All rows of the split once, int64 [N]: windows from the start of each walk, in random order, then what is left
    over at the walks' ends, shuffled."""
    each = torch.tensor(walks) // length
    windows = _rows(walks, each, torch.zeros_like(each), length)
    left = torch.ones(sum(walks), dtype=torch.bool)
    left[windows.flatten()] = False
    rest = left.nonzero()[:, 0]
    windows = windows[torch.randperm(len(windows), generator=generator)]
    return torch.cat([windows.flatten(), rest[torch.randperm(len(rest), generator=generator)]])


def _rows(walks: tuple[int, ...], each: Tensor, offset: Tensor, length: int) -> Tensor:
    """Rows [windows, length] of `each` windows per walk, one after the other from `offset` on."""
    begins = torch.tensor(walks).cumsum(0) - torch.tensor(walks) + offset
    number = torch.arange(int(each.sum())) - (each.cumsum(0) - each).repeat_interleave(each)  # of a window in its walk
    return (begins.repeat_interleave(each) + length * number)[:, None] + torch.arange(length)


def whole_walks(walks: Tensor, generator: torch.Generator) -> Tensor:
    """All rows of a split, int64 [N], in random order of its walks; each walk stays as it is."""
    _, number = walks.cpu().unique_consecutive(return_inverse=True)
    order = torch.randperm(int(number[-1]) + 1, generator=generator)
    return order[number].argsort(stable=True)
