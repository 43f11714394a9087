"""Notebook 02: the places that a block looks at (equation 8), the read (equation 9), and its inverse, the placed write.

Windows are (s, x, y), half-width and centre in the frame of the memory; x to the right, y down (Appendix A).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...memory import read_blocks, window_grid
from .check import Case, Check, Mistake

WINDOWS = {
    "the whole memory, window (1, 0, 0)": (1.0, 0.0, 0.0),
    "the window of Figure 11, (0.5, 0.3, 0.5)": (0.5, 0.3, 0.5),
    "a window across the edge, (0.6, 0.9, -0.8)": (0.6, 0.9, -0.8),
    "a negative s, (-0.4, 0.2, 0.1)": (-0.4, 0.2, 0.1),
}


def _places(window: Tensor, g: int) -> Tensor:
    return window_grid(window[None], g)[0]


def _axes(window: Tensor, g: int, steps: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """x of each column and y of each row, [g] each."""
    s, x, y = window
    steps = (2 * torch.arange(g) + 1) / g - 1 if steps is None else steps
    return s * steps + x, s * steps + y


def _mesh(across: Tensor, down: Tensor) -> Tensor:
    g = len(across)
    return torch.stack([across.expand(g, g), down[:, None].expand(g, g)], -1)


def _shifted(window: Tensor, g: int) -> Tensor:
    s, x, y = window
    return _places(torch.stack([s, s * x, s * y]), g)


def _upside_down(window: Tensor, g: int) -> Tensor:
    across, down = _axes(window, g)
    return _mesh(across, 2 * window[2] - down)


sample_places = Check(
    "sample_places(window, g)",
    _places,
    lambda: [Case(f"{name}, g = 4", (torch.tensor(w), 4)) for name, w in WINDOWS.items()],
    [
        Mistake(
            "These are the edges of the window (linspace from -1 to 1). A block looks at the centres of its pixels, "
            "half a pixel inside: align_corners=False. Start from (2 n + 1) / g - 1.",
            lambda w, g: _mesh(*_axes(w, g, torch.linspace(-1, 1, g))),
        ),
        Mistake(
            "The last dimension holds (y, x). grid_sample, and equation 8, want x first: the column, then the row.",
            lambda w, g: _places(w, g).flip(-1),
        ),
        Mistake(
            "x runs along the rows here. x counts columns, so it changes along the second dimension of the grid: "
            "meshgrid needs indexing='xy'.",
            lambda w, g: _places(w, g).transpose(0, 1),
        ),
        Mistake("The y axis points up here. In the memory it points down, as rows do: no minus sign.", _upside_down),
        Mistake(
            "The centre was scaled too: s (u + x). Equation 8 scales the block's own place and then adds the centre: "
            "s u + x.",
            _shifted,
        ),
        Mistake(
            "s was taken for the whole width. It is the half-width: a block from -1 to 1 is two wide already.",
            lambda w, g: _places(torch.stack([w[0] / 2, w[1], w[2]]), g),
        ),
    ],
)


def _read(memory: Tensor, window: Tensor, g: int, **how: object) -> Tensor:
    return read_blocks(memory[None], window.view(1, 1, 1, 3), g, **how)[0, 0, 0]


def _tent(place: Tensor, size: int) -> Tensor:
    return torch.clamp(1 - (place[..., None] - torch.arange(size)).abs(), min=0)  # [g, size]


def _by_tents(memory: Tensor, window: Tensor, g: int, to_pixels) -> Tensor:
    across, down = _axes(window, g)
    columns, rows = (_tent(to_pixels(v, n), n) for v, n in ((across, memory.shape[2]), (down, memory.shape[1])))
    return torch.einsum("cnr,in,jr->cij", memory, rows, columns)


READS = {name: w for name, w in WINDOWS.items() if "whole" not in name} | {"outside, (0.2, 2, 0)": (0.2, 2.0, 0.0)}


def _read_cases() -> list[Case]:
    generator = torch.Generator().manual_seed(0)
    memory = torch.randn(2, 6, 8, generator=generator)  # not square, so that rows and columns cannot be mixed up
    whole = [Case("the whole of a memory [1, 2, 2] of 0, 1, 2, 3, g = 2", (torch.arange(4.0).view(1, 2, 2), _W, 2))]
    return whole + [Case(f"a memory [2, 6, 8], {n}, g = 4", (memory, torch.tensor(w), 4)) for n, w in READS.items()]


_W = torch.tensor([1.0, 0.0, 0.0])

read_block = Check(
    "read_block(memory, window, g)",
    _read,
    _read_cases,
    [
        Mistake(
            "The places in [-1, 1] were taken for pixel numbers: equation 9 at its word. Bring them to pixels first: "
            "((i + 1) W - 1) / 2.",
            lambda m, w, g: _by_tents(m, w, g, lambda v, n: v),
        ),
        Mistake(
            "Everything is half a pixel off: (i + 1) W / 2 is the distance from the edge; the centre of pixel 0 lies "
            "half a pixel from it. ((i + 1) W - 1) / 2.",
            lambda m, w, g: _by_tents(m, w, g, lambda v, n: (v + 1) * n / 2),
        ),
        Mistake(
            "The two conventions are mixed: the block's centres are those of align_corners=False, the pixel numbers "
            "(i + 1) (W - 1) / 2 those of align_corners=True.",
            lambda m, w, g: _by_tents(m, w, g, lambda v, n: (v + 1) / 2 * (n - 1)),
        ),
        Mistake(
            "This is align_corners=True: linspace from -1 to 1. Here the edges of the outer pixels are -1 and 1, so "
            "the first centre is (2 * 0 + 1) / g - 1.",
            lambda m, w, g: _read(m, w, g, align_corners=True),
        ),
        Mistake(
            "x and y of the window are swapped: x moves along columns (the last dimension), y along rows.",
            lambda m, w, g: _read(m, w[[0, 2, 1]], g),
        ),
        Mistake(
            "x and y are swapped in the grid: its last dimension has to hold (x, y), the column first.",
            lambda m, w, g: F.grid_sample(m[None], _places(w, g)[None].flip(-1), align_corners=False)[0],
        ),
        Mistake(
            "What lies outside the memory was filled with its border (a clamped index). It counts as zero: no pixel, "
            "no term in the sum.",
            lambda m, w, g: _read(m, w, g, padding="border"),
        ),
        Mistake(
            "Each point took its nearest pixel. Equation 9 mixes the neighbours, weighted by tents; a nearest pixel "
            "has no gradient to the key.",
            lambda m, w, g: _read(m, w, g, mode="nearest"),
        ),
        Mistake("The block lies on its side: rows first, then columns.", lambda m, w, g: _read(m, w, g).mT),
    ],
)


def _place(block: Tensor, window: Tensor, size: int, align_corners: bool = False) -> Tensor:
    s, x, y = window
    return _sampled(block, torch.stack([1 / s, -x / s, -y / s]), size, align_corners)


def _sampled(block: Tensor, theta: Tensor, size: int, align_corners: bool = False) -> Tensor:
    """The block at a grid over the memory: theta = (scale, shift along x, shift along y)."""
    grid = window_grid(theta[None], size, align_corners)
    return F.grid_sample(block[None], grid, align_corners=align_corners)[0]


PLACES = {
    "a window that is the whole memory": (1.0, 0.0, 0.0),
    "window (0.5, 0, 0), in the middle": (0.5, 0.0, 0.0),
    "window (0.5, -0.5, 0.25)": (0.5, -0.5, 0.25),
    "window (0.3, -0.41, 0.22), between pixels": (0.3, -0.41, 0.22),
}


def _place_cases() -> list[Case]:
    block = 1 + torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(0))
    return [Case(f"a block [2, 4, 4], {name}, size 8", (block, torch.tensor(w), 8)) for name, w in PLACES.items()]


place_block = Check(
    "place_block(block, window, size)",
    _place,
    _place_cases,
    [
        Mistake(
            "This reads with theta, it does not invert it. For each pixel of the memory you need its place in the "
            "block: u = (i - x) / s.",
            lambda b, w, size: _sampled(b, w, size),
        ),
        Mistake(
            "The scale is inverted, the shift is not: solve i = s u + x for u, and the shift becomes -x / s, not -x.",
            lambda b, w, size: _sampled(b, torch.stack([1 / w[0], -w[1], -w[2]]), size),
        ),
        Mistake(
            "The block went to the other side: the shift has the wrong sign. u = (i - x) / s, so it is -x / s.",
            lambda b, w, size: _place(b, w * torch.tensor([1, -1, -1]), size),
        ),
        Mistake("x and y of the window are swapped.", lambda b, w, size: _place(b, w[[0, 2, 1]], size)),
        Mistake(
            "This is align_corners=True: the outer pixel centres at -1 and 1. The read has the outer edges there, and "
            "a write must be its inverse.",
            lambda b, w, size: _place(b, w, size, align_corners=True),
        ),
    ],
)
