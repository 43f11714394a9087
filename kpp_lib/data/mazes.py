"""Mazes: views of first-person walks, in place of the paper's DeepMind Lab mazes. Our walks, our pictures.

The layouts are those of labmaze, DeepMind Lab's generator, where that is installed, else of a small one of ours; no
frame is DeepMind Lab's. Every view knows its pose: ``data.train.poses``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from ..inputs import check_choice, check_count, check_flag, check_seed, wrong
from .agent import walk
from .bits import SPLITS, binarized
from .cache import Arrays, kept
from .episodes import seeded
from .images import BINARIZE, Images, ImageSet
from .layouts import Layout, check_side, layout, source_of, version
from .raycast import render
from .sources import Labelled
from .textures import dressed

VERSION = 1  # of walks, textures and renderer: another one where any picture changes
COUNTS = (320, 16, 64)  # mazes of train, valid and test: 40,960, 2,048 and 8,192 views
FRAMES = 128  # of a walk: four episodes of T = 32
SIDE = 15  # cells, the border counted
STRIDE = 4  # ticks between two views, see `agent.walk`
LUMA = (299, 587, 114)  # thousandths of red, green and blue in grey, as ITU-R BT.601 has them
NOTES = {
    "ours": "our mazes, our renderer; not DeepMind Lab's frames",
    "labmaze": "labmaze layouts, our renderer; not DeepMind Lab's frames",
}


def mazes(
    size: int = 32,
    binarize: str = "none",
    *,
    seed: int = 0,
    grey: bool = False,
    counts: Sequence[int] = COUNTS,
    frames: int = FRAMES,
    stride: int = STRIDE,
    side: int = SIDE,
    layouts: str | None = None,
    quiet: bool = False,
) -> ImageSet:
    """Views of walks through mazes, ``size`` x ``size`` in three channels, or in one where ``grey``.

    ``counts``: mazes of train, valid and test; no maze is in two of them. In each, one walk of ``frames`` views, of
    which neighbours lie ``stride`` ticks apart (`agent.walk`). ``side``: cells along a maze, odd. ``layouts``:
    "labmaze", "ours", or None: labmaze where it is installed. ``binarize`` and ``seed`` as for `load_dataset`; the seed
    also draws the mazes. Labels are the mazes' numbers. An episode is a window of a walk (`Episodes`); for any views
    together, take ``data.train.shuffled()``.

    What was rendered is kept in the cache folder (157 MB at 32 pixels, 630 MB at 64) and found there by the next call.
    Raises ValueError for arguments of another kind.
    """
    size, binarize = check_count("size", size, least=8), check_choice("binarize", binarize, BINARIZE)
    if size % 2:
        raise wrong("size", size, "an even number")
    seed, grey, quiet = check_seed("seed", seed), check_flag("grey", grey), check_flag("quiet", quiet)
    if not isinstance(counts, list | tuple) or len(counts) != len(SPLITS):
        raise wrong("counts", counts, "three whole numbers of at least 1: mazes of train, valid and test")
    counts = [check_count("counts", n) for n in counts]
    frames, stride = check_count("frames", frames), check_count("stride", stride)
    side, layouts = check_side("side", side), source_of("layouts", layouts)
    key = (version(layouts), f"side{side}", *counts, f"{frames}frames", f"stride{stride}", f"seed{seed}", f"{size}px")
    name = "-".join(map(str, (f"mazes-v{VERSION}", *key)))
    whole = partial(_check, size=size, counts=counts, frames=frames)
    views = kept(name, whole, lambda: _made(size, seed, counts, frames, stride, side, layouts))
    data = _split({k: torch.from_numpy(v) for k, v in views.items()}, binarize, seed, grey, NOTES[layouts])
    if not quiet:
        print(data.describe(), file=sys.stderr)
    return data


def _check(views: Arrays, size: int, counts: Sequence[int], frames: int) -> None:
    """ValueError, or KeyError, unless the cache's arrays are of the shapes that `_made` gives."""
    for split, count in zip(SPLITS, counts, strict=True):
        for name, shape in {"pixels": (3, size, size), "poses": (3,), "mazes": ()}.items():
            if views[f"{split}.{name}"].shape != (count * frames, *shape):
                raise ValueError(f"{split}.{name}: an array of another shape")


def _made(size: int, seed: int, counts: list[int], frames: int, stride: int, side: int, layouts: str) -> Arrays:
    """ "train.pixels" uint8 [N, 3, S, S], "train.poses" float32 [N, 3], "train.mazes" int64 [N]; so for all splits."""
    views, plans = {}, _plans(sum(counts), side, seed, layouts)
    for split, count in zip(SPLITS, counts, strict=True):
        pixels = np.empty((count, frames, 3, size, size), np.uint8)
        poses, numbers = np.empty((count, frames, 3), np.float32), np.empty(count, np.int64)
        for i in range(count):
            numbers[i], plan = next(plans)
            poses[i] = walk(plan, frames, seeded(seed, numbers[i], 4), stride)
            pixels[i] = render(dressed(plan, _number(seed, numbers[i])), poses[i], size)
        views[f"{split}.pixels"] = pixels.reshape(-1, 3, size, size)
        views[f"{split}.poses"] = poses.reshape(-1, 3)
        views[f"{split}.mazes"] = numbers.repeat(frames)
    return views


def _plans(count: int, side: int, seed: int, layouts: str) -> Iterator[tuple[int, Layout]]:
    """Layouts that are all different, each with the number that its walk and its dress are drawn with too."""
    seen = set()
    for number in range(10 * count):
        plan = layout(side, _number(seed, number), layouts)
        if plan.walls.tobytes() not in seen:
            seen.add(plan.walls.tobytes())
            yield number, plan
    raise wrong("side", side, f"a larger one, for {count} mazes of which no two are alike")


def _number(seed: int, number: int) -> int:
    return seeded(seed, number).initial_seed()


def _split(views: dict[str, Tensor], binarize: str, seed: int, grey: bool, note: str) -> ImageSet:
    shown = {s: Labelled(_in_grey(views[f"{s}.pixels"], grey), views[f"{s}.mazes"]) for s in SPLITS}
    fields, bits = binarized(shown, binarize, seed)
    beside = {s: {"walks": views[f"{s}.mazes"], "poses": views[f"{s}.poses"]} for s in SPLITS}
    splits = {s: Images(**fields[s], **beside[s]) for s in SPLITS}
    return ImageSet("mazes", **splits, source="our renderer", binarize=binarize, bits=bits, note=note)


def _in_grey(pixels: Tensor, grey: bool) -> Tensor:
    if not grey:
        return pixels
    parts = (sum(w * c.int() for w, c in zip(LUMA, some.unbind(1), strict=True)) for some in pixels.split(1024))
    return torch.cat([((part + 500) // 1000).to(torch.uint8) for part in parts])[:, None]
