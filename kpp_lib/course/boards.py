"""What widgets draw: one read, one write, one clean-up, each laid out by hand on a Figure without axes.

Such a picture is drawn again at every move of a slider, and axes take a third of the time. A board is measured in
inches from its lower left corner. Pure functions, tensors in, Figure out; conventions as in `plots.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.artist import Artist
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.image import BboxImage
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, Rectangle
from matplotlib.transforms import Bbox, TransformedBbox
from torch import Tensor

from ..inputs import check_count, check_named
from .plots import HEADS, memory_picture, picture, seen

WIDTH, HEIGHT = 8.4, 2.75  # inches


def board() -> Figure:
    """An empty Figure of the size of every board."""
    return Figure(figsize=(WIDTH, HEIGHT))


def _put(fig: Figure, artist: Artist) -> None:
    """Put an artist whose coordinates are inches on the board."""
    artist.set_transform(fig.dpi_scale_trans)
    fig.add_artist(artist)


def _line(fig: Figure, across: object, up: object, mark: str = "", **style: object) -> None:
    """A line, or points where `mark` names a marker."""
    line = Line2D(across, up, marker=mark, linestyle="" if mark else "-", transform=fig.dpi_scale_trans, **style)
    line.set_figure(fig)
    fig.lines.append(line)  # not add_artist: IPython does not show a Figure that has neither axes nor lines


def _text(fig: Figure, across: float, up: float, text: str, size: float = 9) -> None:
    """Centred on the place."""
    fig.text(across, up, text, fontsize=size, ha="center", va="center", transform=fig.dpi_scale_trans)


def _frame(fig: Figure, left: float, bottom: float, width: float, height: float, edge: str, linewidth: float) -> None:
    right, top = left + width, bottom + height
    corners = (left, right, right, left, left), (bottom, bottom, top, top, bottom)
    _line(fig, *corners, color=edge, linewidth=linewidth, solid_joinstyle="miter")


def key_view(
    memory: Tensor, window: Tensor, blocks: Tensor, mean: Tensor, std: Tensor, image: Tensor, title: str = ""
) -> Figure:
    """One read from end to end: memory [3, S, S] with K windows, K blocks [K, 3, g, g], the prior of z, [L] or maps
    [C, h, w], the picture. Raises ValueError for other shapes, and for NaN.
    """
    blocks, image = seen("blocks", blocks, "K", 3, "g", "g"), seen("image", image, "C", "H", "W")
    window, mean = seen("window", window, len(blocks), 3), seen("mean", mean, *"Chw" if np.ndim(mean) == 3 else "L")
    std = seen("std", std, *mean.shape)
    fig = board()
    _paste(fig, memory_picture(memory), 0.1, 0.1, 2.2)
    for i, place in enumerate(window.detach().cpu().tolist()):
        _outline(fig, place, 0.1, i)
    side = min(1.0, 2.2 / len(blocks) - 0.08)
    flat = memory_picture(blocks.permute(1, 0, 2, 3).flatten(1, 2)).reshape(len(blocks), blocks.shape[2], -1, 3)
    for i, block in enumerate(flat):
        bottom = 2.3 - (i + 1) * side - 0.16 * i
        _paste(fig, block, 2.5, bottom, side, HEADS[i % len(HEADS)])
    _paste(fig, picture(image), 6.1, 0.1, 2.2)
    one, maps = len(blocks) == 1, mean.ndim == 3
    captions = (
        (1.2, "memory, window read" if one else "memory, windows read"),
        (2.5 + side / 2, "block" if one else "blocks"),
        (4.82, "prior of z, maps" if maps else "prior of z: mean, one std"),
        (7.2, "decoded from the mean"),
    )
    _titles(fig, title, captions)
    draw = _maps if maps else _spread
    draw(fig, mean.numpy(), std.numpy(), 3.75, 0.3, 2.15, 2.0)
    return fig


def _paste(fig: Figure, array: np.ndarray, left: float, bottom: float, side: float, edge: str = "0.3") -> None:
    place = TransformedBbox(Bbox.from_bounds(left, bottom, side, side), fig.dpi_scale_trans)
    image = BboxImage(place, cmap="gray_r", interpolation="nearest")
    image.set(data=array, clim=(0, 1))
    fig.add_artist(image)
    _frame(fig, left, bottom, side, side, edge, 1.2)


def _spread(
    fig: Figure, mean: np.ndarray, std: np.ndarray, left: float, bottom: float, width: float, height: float
) -> None:
    """Each mean [L] with a bar of one standard deviation each way, values -5 to 5, in a box."""
    across = left + width * (np.arange(len(mean)) + 1) / (len(mean) + 1)
    low, middle, high = (bottom + height * (v.clip(-5, 5) + 5) / 10 for v in (mean - std, mean, mean + std))
    ends = np.stack([np.stack([across, low], -1), np.stack([across, high], -1)], 1)  # [L, 2 ends, 2]
    _put(fig, LineCollection(ends, colors="0.6", linewidths=1.2))
    _line(fig, across, middle, ".", color="black", markersize=2.5)
    _frame(fig, left, bottom, width, height, "0.3", 0.8)
    _line(fig, (left, left + width), (bottom + height / 2,) * 2, color="0.3", linewidth=0.6)
    _text(fig, left + width / 2, bottom - 0.13, f"latent 1 to {len(mean)}, from -5 to 5", 8)


def _maps(
    fig: Figure, mean: np.ndarray, std: np.ndarray, left: float, bottom: float, width: float, height: float
) -> None:
    """The maps [C, h, w] of means in a row, blue -15 to red 15, and under them those of standard deviations, white 0.05
    to black 2.7, on a logarithmic scale: e^-3 to e, the least and the most that a Config allows by default."""
    step = width / len(mean)
    side = min(step - 0.05, height / 2 - 0.3)
    colours = plt.get_cmap("coolwarm")(mean / 30 + 0.5)[..., :3]
    rows = (
        (colours, bottom + height / 2, "means, from -15 to 15"),
        ((np.log(std.clip(1e-9)) + 3) / 4, bottom, "standard deviations, 0.05 to 2.7 (log)"),
    )
    for maps, low, caption in rows:
        for i, one in enumerate(maps):
            _paste(fig, one, left + i * step + (step - side) / 2, low + 0.3, side)
        _text(fig, left + width / 2, low + 0.17, caption, 8)


def _titles(fig: Figure, title: str, places: Sequence[tuple[float, str]]) -> None:
    """`title` over the board and a caption over each panel, at (x of its middle, text)."""
    for at, text in places:
        _text(fig, at, 2.4, text)
    _text(fig, WIDTH / 2, 2.63, title)


def _outlines(fig: Figure, windows: Tensor, left: float) -> None:
    """Many thin outlines as one broken line: a patch for each would take longer than all the rest."""
    s, x, y = windows[..., None].unbind(1)  # [N, 1] each
    round_ = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1], [torch.nan, torch.nan]])  # corners, and a gap
    across, down = x + s * round_[:, 0], y + s * round_[:, 1]
    _line(fig, (left + 1.1 * (1 + across)).flatten(), (1.2 - 1.1 * down).flatten(), color="white", linewidth=0.5)


def _outline(fig: Figure, window: Sequence[float], left: float, k: int = 0) -> None:
    """The window (s, x, y) of key k over a memory of 2.2 inches whose left edge is at `left`: its frame is [-1, 1]^2, y
    down. All but the first are dashed: where two lie on each other both colours show.
    """
    s, x, y = window
    corner = (left + 1.1 * (1 + x - s), 1.2 - 1.1 * (y + s))
    style = {"edgecolor": HEADS[k % len(HEADS)], "linewidth": 1.8, "linestyle": (0, (2, 2)) if k else "-", "zorder": 3}
    patch = Rectangle(corner, 2.2 * s, 2.2 * s, fill=False, **style)
    _put(fig, patch)
    patch.set_clip_path(Rectangle((left - 0.05, 0.05), 2.3, 2.3, transform=fig.dpi_scale_trans))  # panels beside it


def read_view(
    memory: Tensor, window: Tensor, points: Tensor, block: Tensor, target: Tensor, way: Tensor, title: str = ""
) -> Figure:
    """A read and which way its window should go: memory [3, S, S] with the window [3] and its sampling points
    [g, g, 2], the block [3, g, g], the target [3, g, g], and `way` [3], minus the gradient of their mismatch.

    The arrow shows the direction of `way` in (x, y), not its length; the bars show all three numbers, one scale.
    Raises ValueError for other shapes, and for NaN.
    """
    window, way, points = seen("window", window, 3), seen("way", way, 3), seen("points", points, "...", 2)
    block = seen("block", block, 3, "g", "g")
    target = seen("target", target, *block.shape)
    fig = board()
    _paste(fig, memory_picture(memory), 0.1, 0.1, 2.2)
    _outline(fig, window.tolist(), 0.1)
    across, down = (points.reshape(-1, 2) * 1.1).unbind(-1)
    inside = (across.abs() <= 1.25) & (down.abs() <= 1.25)  # a little over the edge; beyond are other panels
    _line(fig, (1.2 + across)[inside], (1.2 - down)[inside], ".", color="white", markersize=1.6, alpha=0.8)
    _arrow(fig, window, way)
    both = torch.cat([block, target], dim=1)  # one scale for the two
    read, wanted = np.split(memory_picture(both), 2)
    _paste(fig, read, 2.75, 0.1, 2.2, HEADS[0])
    _paste(fig, wanted, 5.1, 0.1, 2.2)
    _bars(fig, dict(zip(("s", "x", "y"), way.tolist(), strict=True)), 7.5, 0.3, 0.8, 1.8)
    captions = ((1.2, "memory, window, samples"), (3.85, "block read"), (6.2, "target block"), (7.9, "-gradient"))
    _titles(fig, title, captions)
    return fig


def _arrow(fig: Figure, window: Tensor, way: Tensor) -> None:
    """From the window's centre, in the direction of `way`; none where there is no gradient."""
    step = way[1:] / way[1:].norm().clamp(min=1e-12)
    if float(way[1:].norm()) < 1e-6:
        return
    x, y = window[1:].tolist()
    start = (1.2 + 1.1 * x, 1.2 - 1.1 * y)
    end = (start[0] + 0.4 * float(step[0]), start[1] - 0.4 * float(step[1]))
    style = {"arrowstyle": "-|>", "mutation_scale": 10, "color": "yellow", "linewidth": 2, "zorder": 4}
    _put(fig, FancyArrowPatch(start, end, **style))


def _bars(fig: Figure, named: dict[str, float], left: float, bottom: float, width: float, height: float) -> None:
    """A bar up or down for each number, the largest filling half of the box."""
    most, each, middle = max(map(abs, named.values())), width / len(named), bottom + height / 2
    for i, (name, value) in enumerate(named.items()):
        size = height / 2 * value / most if most > 1e-6 else 0.0
        _put(fig, Rectangle((left + (i + 0.2) * each, middle), 0.6 * each, size, color="0.4"))
        _text(fig, left + (i + 0.5) * each, bottom - 0.12, name, 8)
    _frame(fig, left, bottom, width, height, "0.3", 0.8)
    _line(fig, (left, left + width), (middle, middle), color="0.3", linewidth=0.6)


def write_view(
    image: Tensor, memory: Tensor, windows: Tensor, which: int, change: Tensor, read: Tensor, title: str = ""
) -> Figure:
    """Where image `which` (from 0) was written: itself [C, H, W], the memory [3, S, S] with all windows [T, K, 3] and
    its own in colour, how much M changes where that image is another one, [S, S], and the picture read at its keys.
    Raises ValueError for other shapes, and for NaN.
    """
    windows, change = seen("windows", windows, "T", "K", 3), seen("change", change, "S", "S")
    image, read = seen("image", image, "C", "H", "W"), seen("read", read, "C", "H", "W")
    which = check_count("which", which, least=0, most=len(windows) - 1)
    fig = board()
    _paste(fig, picture(image), 0.1, 0.35, 1.7)
    _paste(fig, memory_picture(memory), 1.95, 0.1, 2.2)
    _outlines(fig, windows.flatten(0, 1), 1.95)
    for k, window in enumerate(windows[which].tolist()):
        _outline(fig, window, 1.95, k)
    shade = change / change.max().clamp(min=1e-12)
    _paste(fig, plt.get_cmap("viridis")(shade.numpy())[..., :3], 4.3, 0.1, 2.2)
    _paste(fig, picture(read), 6.65, 0.35, 1.7)
    captions = (
        (0.95, f"image {which}"),
        (3.05, "memory, its windows"),
        (5.4, "|change| if replaced"),
        (7.5, "read there"),
    )
    _titles(fig, title, captions)
    return fig


def clean_view(clean: Tensor, named: Mapping[str, Tensor], title: str = "") -> Figure:
    """A clean-up: the clean picture [C, H, W], then others by name, with the share of wrong bits under each.

    Raises ValueError for pictures of other shapes than the clean one, and for NaN.
    """
    clean = seen("clean", clean, "C", "H", "W")
    named = {name: seen(f"named[{name!r}]", x, *clean.shape) for name, x in check_named("named", named).items()}
    fig = board()
    _paste(fig, picture(clean), 0.1, 0.35, 1.9)
    for i, x in enumerate(named.values(), start=1):
        left = 0.1 + i * (WIDTH - 0.1) / (len(named) + 1)
        wrong = 100 * ((x > 0.5) != (clean > 0.5)).float().mean()
        _paste(fig, picture(x), left, 0.35, 1.9)
        _text(fig, left + 0.95, 0.17, f"{wrong:.1f} % of the bits wrong")
    middles = [1.05 + i * (WIDTH - 0.1) / (len(named) + 1) for i in range(len(named) + 1)]
    _titles(fig, title, list(zip(middles, ["clean", *named], strict=True)))
    return fig
