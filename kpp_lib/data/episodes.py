"""Episodes: shuffled, seeded batches [B, T, C, H, W] of a split; a batch depends on its number and the seed alone.

The images of a walk (`Images.walks`) stay together: an episode is a window of one walk, in its order. The paper does
not say what an episode of mazes is; the loader that its author published takes such windows at random places of walks
of 300 frames (github.com/jramapuram/datasets, dmlab_mazes.py), and so do we. `Images.shuffled` has it the other way.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from ..inputs import check_count, check_kind, check_seed
from . import windows
from .images import Images


class Batch(NamedTuple):
    """Episodes of images, and which of them count."""

    x: Tensor  # [B, T, C, H, W], float32 in [0, 1]
    scored: Tensor  # [B, T], bool; False for the fillers of the last episodes, which are written but not scored
    index: Tensor  # [B, T], int64: rows of the split


def seeded(*numbers: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator for these numbers, e.g. (seed, step): equal numbers give equal draws on one kind of device.

    Draws of a CPU generator are the same on any machine; those of a CUDA generator are others.
    """
    seed = 0
    for n in numbers:
        seed = (seed * 1_000_003 + check_seed("numbers", n) + 1) % (2**63 - 1)
    return torch.Generator(device).manual_seed(seed)


@lru_cache(maxsize=8)  # an epoch's order is asked for at each of its steps
def shuffled(images: int | tuple[int, ...], length: int, *numbers: int, device: torch.device) -> Tensor:
    """The order of so many images for these numbers, int64 [N]; of walks of these lengths, windows of `length` images.

    Drawn on the CPU: the same on every device.
    """
    generator = seeded(*numbers)
    if isinstance(images, tuple):
        order = windows.drawn(images, length, generator)
    else:
        order = torch.randperm(images, generator=generator)
    return order.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else order


@dataclass(frozen=True)
class Episodes:
    """A split cut into episodes of `length` images, `episodes` at a time, shuffled anew each epoch.

    Training (`batch`) drops the images that do not fill a batch; they differ from epoch to epoch. Scoring (`cover`)
    gives every image exactly once and fills the last batch up with images of the same split, marked in `scored`.
    Of walks an episode is a window; training cuts them anew each epoch, scoring from their start, and the ends that do
    not fill a window are scored last, in episodes of several walks.
    Raises ValueError for a length or batch that the split cannot fill.
    """

    images: Images
    length: int = 32  # T
    episodes: int = 4  # B
    seed: int = 0

    def __post_init__(self) -> None:
        check_kind("images", self.images, Images, "one split of a data set, such as data.train")
        for name, check in (("length", check_count), ("episodes", check_count), ("seed", check_seed)):
            object.__setattr__(self, name, check(name, getattr(self, name)))
        if self.length > len(self.images):
            raise ValueError(
                f"length: got T = {self.length} for a split of {len(self.images)} images, expected at most that"
            )
        if self.walks is not None:
            windows.check_length(self.walks, self.length)

    @cached_property
    def walks(self) -> tuple[int, ...] | None:
        """How many images each walk has; None for a split without walks."""
        return None if self.images.walks is None else windows.lengths_of(self.images.walks)

    def __len__(self) -> int:
        """Full batches in an epoch."""
        if self.walks is not None:
            return windows.count(self.walks, self.length) // self.episodes
        return len(self.images) // (self.length * self.episodes)

    def batch(self, step: int) -> Batch:
        """Training batch number `step`, from 0, counted through all epochs. Raises ValueError for another step."""
        step = check_seed("step", step)
        if len(self) == 0:
            raise ValueError(
                f"episodes: got {self.episodes} of {self.length} images for a split of {len(self.images)}, "
                "expected a batch that fits into the split"
            )
        epoch, place = divmod(step, len(self))
        size = self.length * self.episodes
        images = len(self.images) if self.walks is None else self.walks
        order = shuffled(images, self.length, self.seed, epoch, device=self.images.device)
        generator = seeded(self.seed, epoch, place, device=self.images.device)
        return self._cut(order[place * size : (place + 1) * size], size, generator)

    def cover(self, order: int = 0) -> Iterator[Batch]:
        """Every image of the split exactly once, in shuffled order number `order`, from 0."""
        return self._cover(check_seed("order", order))  # checked now, not when the first batch is asked for

    def _cover(self, order: int) -> Iterator[Batch]:
        generator = seeded(self.seed, order, 7)
        if self.walks is None:
            index = torch.randperm(len(self.images), generator=generator)
        else:
            index = windows.covering(self.walks, self.length, generator)
        index = index.to(self.images.device)
        if self.images.device.type == "cuda":
            generator = seeded(self.seed, order, 8, device=self.images.device)  # of bits that are redrawn
        fill = -len(index) % self.length  # fillers: the last episode only
        filled = torch.cat([index, index[:fill]])
        size = self.length * self.episodes
        for start in range(0, len(filled), size):
            yield self._cut(filled[start : start + size], len(index) - start, generator)

    def _cut(self, index: Tensor, scored: int, generator: torch.Generator) -> Batch:
        x = self.images.taken(index, generator)  # [B*T, C, H, W]
        counts = torch.arange(len(index), device=index.device) < scored
        return Batch(x.unflatten(0, (-1, self.length)), counts.view(-1, self.length), index.view(-1, self.length))


def episode(images: Images, length: int = 32, seed: int = 0) -> Tensor:
    """One episode [1, T, C, H, W] of `images`, drawn with `seed`. Raises ValueError as `Episodes` does."""
    return next(Episodes(images, length, episodes=1, seed=seed).cover()).x
