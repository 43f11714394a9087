"""What widgets draw: one read, one write, one clean-up, each on a single axes and with no layout engine.

Such a picture is drawn again at every move of a slider, and axes are what takes time. A board is measured in inches, y
up. Pure functions, tensors in, Figure out; conventions as in `plots.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Rectangle
from torch import Tensor

from .plots import HEADS, memory_picture, picture

WIDTH, HEIGHT = 8.4, 2.75  # inches


def board() -> tuple[Figure, Axes]:
    """An empty Figure and its one axes, in inches."""
    fig = Figure(figsize=(WIDTH, HEIGHT))
    ax = fig.add_axes((0, 0, 1, 1), xlim=(0, WIDTH), ylim=(0, HEIGHT), xticks=[], yticks=[])
    ax.set_axis_off()
    return fig, ax


def key_view(
    memory: Tensor, window: Tensor, blocks: Tensor, mean: Tensor, std: Tensor, image: Tensor, title: str = ""
) -> Figure:
    """One read from end to end: memory [3, S, S] with K windows, K blocks [K, 3, g, g], the prior of z [L], the
    picture.
    """
    fig, ax = board()
    _paste(ax, memory_picture(memory), 0.1, 0.1, 2.2)
    for i, one in enumerate(window.detach().cpu().tolist()):
        _outline(ax, one, 0.1, HEADS[i % len(HEADS)])
    side = min(1.0, 2.2 / len(blocks) - 0.08)
    flat = memory_picture(blocks.permute(1, 0, 2, 3).flatten(1, 2)).reshape(len(blocks), blocks.shape[2], -1, 3)
    for i, block in enumerate(flat):
        bottom = 2.3 - (i + 1) * side - 0.16 * i
        _paste(ax, block, 2.5, bottom, side, HEADS[i % len(HEADS)])
    _paste(ax, picture(image), 6.1, 0.1, 2.2)
    captions = (
        (1.2, "memory, windows read"),
        (2.5 + side / 2, "blocks"),
        (4.82, "prior of z: mean, one std"),
        (7.2, "decoded from the mean"),
    )
    _titles(ax, title, captions)
    _spread(ax, mean.detach().cpu().numpy(), std.detach().cpu().numpy(), 3.75, 0.3, 2.15, 2.0)
    return fig


def _paste(ax: Axes, array: np.ndarray, left: float, bottom: float, side: float, edge: str = "0.3") -> None:
    image = AxesImage(ax, cmap="gray_r", extent=(left, left + side, bottom, bottom + side), interpolation="nearest")
    image.set(data=array, clim=(0, 1))
    ax.add_image(image)  # imshow would set limits and aspect of the axes again, each time
    ax.add_patch(Rectangle((left, bottom), side, side, fill=False, edgecolor=edge, linewidth=1.2, clip_on=False))


def _spread(
    ax: Axes, mean: np.ndarray, std: np.ndarray, left: float, bottom: float, width: float, height: float
) -> None:
    """Each mean [L] with a bar of one standard deviation each way, values -5 to 5, in a box on `ax`."""
    across = left + width * (np.arange(len(mean)) + 1) / (len(mean) + 1)
    low, middle, high = (bottom + height * (v.clip(-5, 5) + 5) / 10 for v in (mean - std, mean, mean + std))
    ax.vlines(across, low, high, color="0.6", linewidth=1.2)
    ax.plot(across, middle, ".", color="black", markersize=2.5)
    ax.add_patch(Rectangle((left, bottom), width, height, fill=False, edgecolor="0.3", linewidth=0.8))
    ax.plot((left, left + width), (bottom + height / 2,) * 2, color="0.3", linewidth=0.6)
    ax.text(
        left + width / 2, bottom - 0.13, f"latent 1 to {len(mean)}, from -5 to 5", fontsize=8, ha="center", va="center"
    )


def _titles(ax: Axes, title: str, places: Sequence[tuple[float, str]]) -> None:
    """`title` over the board and a caption over each panel, at (x of its middle, text)."""
    style = {"fontsize": 9, "ha": "center", "va": "center"}
    for at, text in places:
        ax.text(at, 2.4, text, **style)
    ax.text(WIDTH / 2, 2.63, title, **style)


def _outlines(ax: Axes, windows: Tensor, left: float) -> None:
    """Many thin outlines as one broken line: a patch for each would take longer than all the rest."""
    s, x, y = windows[..., None].unbind(1)  # [N, 1] each
    round_ = torch.tensor([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1], [torch.nan, torch.nan]])  # corners, and a gap
    across, down = x + s * round_[:, 0], y + s * round_[:, 1]
    ax.plot((left + 1.1 * (1 + across)).flatten(), (1.2 - 1.1 * down).flatten(), color="white", linewidth=0.5)


def _outline(ax: Axes, window: Sequence[float], left: float, colour: str) -> None:
    """A window (s, x, y) over a memory of 2.2 inches whose left edge is at `left`: its frame is [-1, 1]^2, y down."""
    s, x, y = window
    corner = (left + 1.1 * (1 + x - s), 1.2 - 1.1 * (y + s))
    patch = ax.add_patch(Rectangle(corner, 2.2 * s, 2.2 * s, fill=False, edgecolor=colour, linewidth=1.8))
    patch.set_clip_path(Rectangle((left - 0.05, 0.05), 2.3, 2.3, transform=ax.transData))  # other panels stand beside


def read_view(
    memory: Tensor, window: Tensor, points: Tensor, block: Tensor, target: Tensor, way: Tensor, title: str = ""
) -> Figure:
    """A read and which way its window should go: memory [3, S, S] with the window [3] and its sampling points
    [g, g, 2], the block [3, g, g], the target [3, g, g], and `way` [3], minus the gradient of their mismatch.

    The arrow shows the direction of `way` in (x, y), not its length; the bars show all three numbers, one scale.
    """
    fig, ax = board()
    _paste(ax, memory_picture(memory), 0.1, 0.1, 2.2)
    _outline(ax, window.tolist(), 0.1, HEADS[0])
    across, down = (points.reshape(-1, 2) * 1.1).unbind(-1)
    inside = (across.abs() <= 1.25) & (down.abs() <= 1.25)  # a little over the edge; beyond are other panels
    ax.plot((1.2 + across)[inside], (1.2 - down)[inside], ".", color="white", markersize=1.6, alpha=0.8)
    _arrow(ax, window, way)
    both = torch.cat([block, target], dim=1)  # one scale for the two
    read, wanted = np.split(memory_picture(both), 2)
    _paste(ax, read, 2.75, 0.1, 2.2, HEADS[0])
    _paste(ax, wanted, 5.1, 0.1, 2.2)
    _bars(ax, dict(zip(("s", "x", "y"), way.tolist(), strict=True)), 7.5, 0.3, 0.8, 1.8)
    captions = ((1.2, "memory, window, samples"), (3.85, "block read"), (6.2, "target block"), (7.9, "-gradient"))
    _titles(ax, title, captions)
    return fig


def _arrow(ax: Axes, window: Tensor, way: Tensor) -> None:
    """From the window's centre, in the direction of `way`; none where there is no gradient."""
    step = way[1:] / way[1:].norm().clamp(min=1e-12)
    if float(way[1:].norm()) < 1e-6:
        return
    x, y = window[1:].tolist()
    start = (1.2 + 1.1 * x, 1.2 - 1.1 * y)
    end = (start[0] + 0.4 * float(step[0]), start[1] - 0.4 * float(step[1]))
    ax.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": "yellow", "linewidth": 2}, annotation_clip=False
    )


def _bars(ax: Axes, named: dict[str, float], left: float, bottom: float, width: float, height: float) -> None:
    """A bar up or down for each number, the largest filling half of the box."""
    most, each, middle = max(map(abs, named.values())), width / len(named), bottom + height / 2
    for i, (name, value) in enumerate(named.items()):
        size = height / 2 * value / most if most > 1e-6 else 0.0
        ax.add_patch(Rectangle((left + (i + 0.2) * each, middle), 0.6 * each, size, color="0.4"))
        ax.text(left + (i + 0.5) * each, bottom - 0.12, name, fontsize=8, ha="center", va="center")
    ax.add_patch(Rectangle((left, bottom), width, height, fill=False, edgecolor="0.3", linewidth=0.8))
    ax.plot((left, left + width), (middle, middle), color="0.3", linewidth=0.6)


def write_view(
    image: Tensor, memory: Tensor, windows: Tensor, which: int, change: Tensor, read: Tensor, title: str = ""
) -> Figure:
    """Where image `which` (from 0) was written: itself [C, H, W], the memory [3, S, S] with all windows [T, K, 3] and
    its own in colour, how much M changes where that image is another one, [S, S], and the picture read at its keys.
    """
    fig, ax = board()
    _paste(ax, picture(image), 0.1, 0.35, 1.7)
    _paste(ax, memory_picture(memory), 1.95, 0.1, 2.2)
    _outlines(ax, windows.flatten(0, 1), 1.95)
    for k, window in enumerate(windows[which].tolist()):
        _outline(ax, window, 1.95, HEADS[k % len(HEADS)])
    shade = change / change.max().clamp(min=1e-12)
    _paste(ax, plt.get_cmap("viridis")(shade.numpy())[..., :3], 4.3, 0.1, 2.2)
    _paste(ax, picture(read), 6.65, 0.35, 1.7)
    captions = (
        (0.95, f"image {which}"),
        (3.05, "memory, its windows"),
        (5.4, "|change| if replaced"),
        (7.5, "read there"),
    )
    _titles(ax, title, captions)
    return fig


def clean_view(clean: Tensor, named: Mapping[str, Tensor], title: str = "") -> Figure:
    """A clean-up: the clean picture [C, H, W], then others by name, with the share of wrong bits under each."""
    fig, ax = board()
    _paste(ax, picture(clean), 0.1, 0.35, 1.9)
    for i, x in enumerate(named.values(), start=1):
        left = 0.1 + i * (WIDTH - 0.1) / (len(named) + 1)
        wrong = 100 * ((x > 0.5) != (clean > 0.5)).float().mean()
        _paste(ax, picture(x), left, 0.35, 1.9)
        ax.text(left + 0.95, 0.17, f"{wrong:.1f} % of the bits wrong", fontsize=9, ha="center", va="center")
    middles = [1.05 + i * (WIDTH - 0.1) / (len(named) + 1) for i in range(len(named) + 1)]
    _titles(ax, title, list(zip(middles, ["clean", *named], strict=True)))
    return fig
