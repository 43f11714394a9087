"""How images are found in a memory of cells: at how many looks, and whether what is not stored is told apart.

Studies as in `studies`: rows that are JSON as they stand. For models with keys="allocated".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..data.episodes import Episodes, seeded
from ..data.images import Images
from ..data.noise import flipped
from ..inputs import Words, check_count, check_kind, check_number, wrong
from ..model import KanervaPlusPlus
from .evaluate import check_split
from .studies import several

FLIPS = (0.0, 0.1, 0.2)  # share of a cue's bits that are flipped; of grey values, see `data.noise.flipped`
LEVELS = (0.1, 0.2)  # p-values up to which an image is called stored
LENGTHS = (8, 32, 128)
NEAR = (4, 9, None)


@torch.no_grad()
def search(
    model: KanervaPlusPlus,
    images: Images,
    lengths: Sequence[int] = LENGTHS,
    near: Sequence[int | None] = NEAR,
    flips: Sequence[float] = FLIPS[:2],
    limit: int = 256,
) -> list[dict[str, Any]]:
    """The local search: what a look at the cells nearest to an image's code first costs, and what it misses, by T.

    A row per T, number of cells (None: all of them), and share of flipped bits: `found`, the share of cues that are
    found where they were written; `fell_back`, the share that had to look at all cells; `pictures`, how many are
    decoded on average for a cue that comes alone. One order of about `limit` images, two episodes at least.
    Raises ValueError for another kind of argument.
    """
    flips = [check_number("flips", f, least=0, most=1) for f in several("flips", flips)]
    near = [None if n is None else check_count("near", n) for n in several("near", near)]
    limit, rows = check_count("limit", limit), []
    for length in several("lengths", lengths):
        x = _cells(model, images, check_count("lengths", length), max(2, limit // length))
        small = model.holding(length)
        posterior = small.encode(x)
        memory = small.write(x, posterior)
        for flip in flips:
            rows += [
                {"T": length, "flip": flip} | _looked(small, flipped(x, flip, seeded(1)), posterior.place, memory, n)
                for n in near
            ]
    return rows


def _looked(model: KanervaPlusPlus, cue: Tensor, place: Tensor, memory: Tensor, near: int | None) -> dict[str, Any]:
    """One row of `search`: cues of images that were written at `place`, as if each came alone."""
    cells, cell, back = len(model.key_model.places), model._best(cue, memory, None), 0.0
    near = cells if near is None else min(near, cells)
    if near < cells:
        nearby, sure = model._best_near(cue, memory, near)
        cell, back = torch.where(sure, nearby, cell), 1 - float(sure.float().mean())
    hit = (model.key_model.at(cell).mean == place).flatten(2).all(-1)
    looked = "all" if near == cells else near
    return {"near": looked, "found": float(hit.float().mean()), "fell_back": back, "pictures": near + back * cells}


@torch.no_grad()
def stored(
    model: KanervaPlusPlus,
    images: Images,
    others: Mapping[str, Images] | None = None,
    flips: Sequence[float] = FLIPS,
    episodes: int = 32,
) -> list[dict[str, Any]]:
    """Is an image there at all? `locate` asked for images that are stored, and for others that never were.

    A row for each share of flipped bits and each kind of other: "the same" are images of `images` that no memory here
    has seen; `others` are splits of other data sets. `auroc` is the share of pairs, one stored and one not, in which
    the stored one has the larger margin. `found` and `false_alarms`: shares that are called stored at each level of the
    p-value, of those that are and of those that are not. Raises ValueError for another kind of argument.
    """
    others = {} if others is None else dict(check_kind("others", others, Mapping, "{name: a split}"))
    flips = [check_number("flips", f, least=0, most=1) for f in several("flips", flips)]
    x, same = _cells(model, images, None, 2 * check_count("episodes", episodes)).chunk(2)
    new = {"the same": same} | {name: _cells(model, split, None, len(x)) for name, split in others.items()}
    memory, rows = model.write(x), []
    for flip in flips:
        there = model.locate(flipped(x, flip, seeded(2)), memory)
        for name, images_of_it in new.items():
            absent = model.locate(flipped(images_of_it, flip, seeded(2)), memory[: len(images_of_it)])
            shares = {
                kind: {str(level): float((found.p_value <= level).float().mean()) for level in LEVELS}
                for kind, found in (("found", there), ("false_alarms", absent))
            }
            rows.append({"flip": flip, "others": name, "auroc": auroc(there.margin, absent.margin)} | shares)
    return rows


def auroc(high: Tensor, low: Tensor) -> float:
    """Share of pairs in which the number of `high` is the larger one; a tie counts half."""
    difference = high.flatten()[:, None] - low.flatten()
    return float((1 + difference.sign()).mean() / 2)


def _cells(model: KanervaPlusPlus, images: Images, length: int | None, episodes: int) -> Tensor:
    """Up to `episodes` episodes of `length` images (None: the model's T), in a fixed order: [B, T, C, H, W], B even."""
    check_kind("model", model, KanervaPlusPlus, "a model with a memory")
    if not model.searches:
        raise wrong("model", Words(f"keys={model.config.keys!r}"), "keys='allocated': others search no cells")
    check_split(images, model.config)
    length = model.config.length if length is None else length
    episodes = min(episodes, len(images) // length) // 2 * 2
    if not episodes:
        raise wrong("images", Words(f"{len(images)} images"), f"at least two episodes of T = {length}")
    x = next(Episodes(images, length, episodes, seed=0).cover()).x
    return x.to(next(model.parameters()).device)
