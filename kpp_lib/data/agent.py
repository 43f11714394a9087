"""Who walks a maze: from one random place to the next on shortest ways, round corners in arcs, looking about."""

from __future__ import annotations

import math

import numpy as np
import torch

from ..inputs import check_count, check_generator, check_kind
from .layouts import Layout, paths

TICKS = 16  # steps of time per cell: a cell's side, a quarter turn round a corner, or a quarter turn on the spot
ASIDE = 0.15  # cells that a walk strays from the middle of its way, at most
GLANCE = 0.3  # radians that it looks aside, at most
SLOW, FAST = 0.05, 0.3  # radians per tick of the waves that strays and glances are made of: slowly, and round 20 ticks
CLEAR = 0.3  # cells between a walk and the nearest wall, at least


def walk(layout: Layout, frames: int, generator: torch.Generator, stride: int = 4) -> np.ndarray:
    """One walk through a maze: poses float32 [frames, 3], x and y in cells, and the heading in radians, in [-pi, pi).

    x runs along the columns of ``layout.walls`` and y along its rows: the cell in row i and column j is the square from
    (j, i) to (j + 1, i + 1). Heading 0 looks along x, a quarter of a turn more along y. Between two poses lie
    ``stride`` ticks, 16 for a cell: 4 are a quarter of a cell or 22.5 degrees of a turn. A pose is `CLEAR` of every
    wall, and half a cell of a goal's middle. Raises ValueError for arguments of another kind.
    """
    check_kind("layout", layout, Layout, "a Layout")
    frames, stride = check_count("frames", frames), check_count("stride", stride)
    check_generator("generator", generator, needed=True)
    cells = _way(layout, -(-frames * stride // TICKS) + 2, generator)
    ticks = np.concatenate([_through(*cells[i : i + 3]) for i in range(len(cells) - 2)])
    x, y, heading = ticks[: frames * stride : stride].T
    aside, glance = (_waves(frames, stride, width, generator) for width in (ASIDE, GLANCE))
    straight = [(math.cos(h), math.sin(h)) for h in heading]  # math's are the same on more machines than NumPy's
    x, y = (v + aside * [s[axis] * sign for s in straight] for v, axis, sign in ((x, 1, -1), (y, 0, 1)))
    turned = (heading + glance + math.pi) % (2 * math.pi) - math.pi
    return np.stack([x, y, turned], 1).astype(np.float32)


def _way(layout: Layout, count: int, generator: torch.Generator) -> np.ndarray:
    """At least `count` cells, each beside the one before, as int64 [n, 2]: row and column."""
    cells, before = paths(layout, generator)
    way = [int(torch.randint(len(cells), (), generator=generator))]
    while len(way) < count:
        leg = [int(torch.randint(len(cells), (), generator=generator))]
        while leg[-1] != way[-1]:
            leg.append(int(before[way[-1], leg[-1]]))
        way += leg[-2::-1]
    return cells[way]


def _through(came: np.ndarray, here: np.ndarray, goes: np.ndarray) -> np.ndarray:
    """The ticks in cell `here`, float64 [ticks, 3], from the edge to `came` to the edge to `goes`: straight on, along a
    quarter of a circle, or to the middle, about face, and back."""
    middle, into, out = here[::-1] + 0.5, (here - came)[::-1], (goes - here)[::-1]  # (x, y) from here on
    at, heading = np.arange(TICKS)[:, None] / TICKS, math.atan2(into[1], into[0])
    if (into == out).all():
        return np.hstack([middle + (at - 0.5) * into, np.full_like(at, heading)])
    if (into == -out).all():
        half, turn = at[: TICKS // 2], np.concatenate([at, at + 1]) * math.pi / 2
        still = np.full_like(turn, 1) * middle
        legs = [
            (middle + (half - 0.5) * into, heading),
            (still, heading + turn),
            (middle + half * out, heading + math.pi),
        ]
        return np.concatenate([np.hstack([place, np.zeros((len(place), 1)) + angle]) for place, angle in legs])
    side = into[0] * out[1] - into[1] * out[0]  # 1 for a turn towards greater headings, else -1
    angle = at * math.pi / 2
    cos, sin = (np.array([[f(a)] for a in angle[:, 0]]) for f in (math.cos, math.sin))
    return np.hstack([middle + 0.5 * (out - into) - 0.5 * cos * out + 0.5 * sin * into, heading + side * angle])


def _waves(frames: int, stride: int, width: float, generator: torch.Generator) -> np.ndarray:
    """A smooth sequence in [-width, width], float64 [frames]: two waves of random pace and phase."""
    pace = SLOW + (FAST - SLOW) * torch.rand(2, generator=generator)
    phase = 2 * math.pi * torch.rand(2, generator=generator)
    return np.array([
        width / 2 * sum(math.sin(p * stride * t + f) for p, f in zip(pace.tolist(), phase.tolist(), strict=True))
        for t in range(frames)
    ])  # fmt: skip
