"""Figures: pure functions, tensors in, matplotlib Figure out. Widgets and notebooks show the same ones.

Pictures are [..., C, H, W] in [0, 1], ink dark; a memory is [3, S, S], of any range; a window is (s, x, y) as in
`memory.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse, Rectangle
from torch import Tensor

from ..inputs import (
    check_count,
    check_curve,
    check_flag,
    check_log,
    check_named,
    check_number,
    check_tensor,
    check_text,
    check_words,
    wrong,
)


def picture(x: Tensor) -> np.ndarray:
    """[C, H, W] -> [H, W] or [H, W, 3] for imshow, on the CPU. Raises ValueError for other shapes, and for NaN."""
    x = seen("x", x, "C", "H", "W")
    if x.shape[0] not in (1, 3):
        raise wrong("x", list(x.shape), "1 or 3 channels")
    return x[0].numpy() if x.shape[0] == 1 else x.permute(1, 2, 0).clamp(0, 1).numpy()


def seen(name: str, value: Tensor, *shape: int | str) -> Tensor:
    """Finite numbers of a shape as float32 on the CPU, from a tensor (booleans too) or an array, or ValueError."""
    value = value.float() if isinstance(value, Tensor) and value.dtype == torch.bool else value
    return check_tensor(name, value, shape).detach().float().cpu()


def show_picture(ax: Axes, x: Tensor, title: str = "") -> None:
    """One picture [C, H, W] in [0, 1] on `ax`, ink dark, no ticks."""
    ax.imshow(picture(x), cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
    ax.set_title(title, fontsize=8)
    ax.set_xticks([])
    ax.set_yticks([])


def grid(images: Tensor, columns: int = 8, titles: Sequence[str] = (), title: str = "", size: float = 0.9) -> Figure:
    """Images [N, C, H, W] in rows of `columns`; `titles` one per image. ValueError for other shapes and kinds."""
    images, columns = seen("images", images, "N", "C", "H", "W"), check_count("columns", columns)
    titles, size = check_words("titles", titles), check_number("size", size, above=0)
    check_text("title", title)
    rows = -(-len(images) // columns)
    fig, axes = _axes(rows, columns, size, bool(len(titles)), title)
    for i, ax in enumerate(axes.flat):
        if i < len(images):
            show_picture(ax, images[i], titles[i] if i < len(titles) else "")
        else:
            ax.set_axis_off()
    return fig


def rows(named: Mapping[str, Tensor], columns: int = 12, title: str = "", size: float = 0.9) -> Figure:
    """One labelled row of images per entry, e.g. {"x": [N, C, H, W], "reconstruction": [N, C, H, W]}.

    Raises ValueError for other shapes and kinds.
    """
    named = {name: seen(f"named[{name!r}]", v, "N", "C", "H", "W") for name, v in check_named("named", named).items()}
    columns, size = check_count("columns", columns), check_number("size", size, above=0)
    check_text("title", title)
    columns = min(columns, max(len(v) for v in named.values()))
    fig, axes = _axes(len(named), columns, size, False, title)
    for line, (name, images) in zip(axes, named.items(), strict=True):
        for i, ax in enumerate(line):
            if i < len(images):
                show_picture(ax, images[i])
            else:
                ax.set_axis_off()
        line[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
    return fig


def _axes(rows: int, columns: int, size: float, titled: bool, title: str) -> tuple[Figure, np.ndarray]:
    height = rows * (size + 0.22 * titled) + (0.4 if title else 0.1)
    fig, axes = plt.subplots(rows, columns, figsize=(columns * size + 0.3, height), squeeze=False, layout="constrained")
    fig.suptitle(title, fontsize=10)
    return fig, axes


def memory_picture(memory: Tensor) -> np.ndarray:
    """Memory [3, S, S] -> [S, S, 3] in [0, 1]: 0 is mid-grey, the 99th percentile of |M| is full colour.

    Raises ValueError for other shapes, and for NaN.
    """
    m = seen("memory", memory, 3, "S", "S")
    reach = torch.quantile(m.abs().flatten(), 0.99).clamp(min=1e-6)
    return (0.5 + 0.5 * m / reach).clamp(0, 1).permute(1, 2, 0).numpy()


def show_memory(
    ax: Axes, memory: Tensor, windows: Tensor | None = None, colours: Sequence = (), title: str = ""
) -> None:
    """A memory in its own frame, x right and y down in [-1, 1], with the outlines of windows [N, 3]."""
    windows = None if windows is None else seen("windows", windows, "N", 3)
    ax.imshow(memory_picture(memory), extent=(-1, 1, 1, -1), interpolation="nearest")
    for i, (s, x, y) in enumerate([] if windows is None else windows.tolist()):
        colour = colours[i % len(colours)] if len(colours) else "black"
        ax.add_patch(Rectangle((x - s, y - s), 2 * s, 2 * s, fill=False, edgecolor=colour, linewidth=1.2))
    ax.set_title(title, fontsize=9)
    ax.set_xlabel("x (fraction of the memory's half-width)", fontsize=8)
    ax.set_ylabel("y", fontsize=8)
    ax.tick_params(labelsize=7)


def memory(
    memory: Tensor, windows: Tensor | None = None, colours: Sequence = (), title: str = "The memory M"
) -> Figure:
    """One memory [3, S, S] with windows [N, 3] outlined. Raises ValueError for other shapes, and for NaN."""
    memory, windows = seen("memory", memory, 3, "S", "S"), None if windows is None else seen("windows", windows, "N", 3)
    check_text("title", title)
    fig, ax = plt.subplots(figsize=(4.2, 4.2), layout="constrained")
    show_memory(ax, memory, windows, colours, title)
    return fig


def blocks(blocks: Tensor, columns: int = 8, titles: Sequence[str] = (), title: str = "Blocks as read") -> Figure:
    """Blocks [N, 3, g, g] in the colours of `memory_picture`, one scale for all. ValueError for other shapes."""
    blocks = seen("blocks", blocks, "N", 3, "g", "g")
    if blocks.shape[2] != blocks.shape[3]:
        raise wrong("blocks", list(blocks.shape), "square ones, [N, 3, g, g]")
    side = blocks.shape[-1]
    flat = memory_picture(blocks.permute(1, 0, 2, 3).reshape(3, -1, side))  # [N*g, g, 3]
    tiles = torch.as_tensor(flat).view(len(blocks), side, side, 3).permute(0, 3, 1, 2)
    return grid(tiles, columns, titles, title)


def training(log: Sequence[Mapping[str, str]], title: str = "Training") -> Figure:
    """The three terms of the bound against steps, from the rows of a log.csv (`runlog.read_log`); dots are
    validation. Raises ValueError for rows without step, split and terms.
    """
    check_log("log", log)
    fig, axes = plt.subplots(1, 3, figsize=(9, 2.6), layout="constrained")
    names = {"recon": "recon", "kl_z": "KL$_Z$", "kl_y": "KL$_Y$"}
    for ax, (term, label) in zip(axes, names.items(), strict=True):
        for split, style in (("train", "-"), ("valid", "o")):
            points = [(int(r["step"]), float(r[term])) for r in log if r["split"] == split]
            if points:
                ax.plot(*zip(*points, strict=True), style, label=split, markersize=4)
        ax.set_title(label, fontsize=9)
        ax.set_xlabel("step")
        ax.set_ylabel("nats / image")
        ax.grid(alpha=0.3)
    if log:
        axes[0].legend(fontsize=8)
    fig.suptitle(title, fontsize=10)
    return fig


def curves(
    x: Sequence[float], named: Mapping[str, Sequence[float]], xlabel: str, ylabel: str, title: str = ""
) -> Figure:
    """Several curves over the same x, with a legend. Raises ValueError for curves of another length than x."""
    x = check_curve("x", x)
    named = {name: check_curve(f"named[{name!r}]", v, len(x)) for name, v in check_named("named", named).items()}
    fig, ax = plt.subplots(figsize=(5.4, 3.2), layout="constrained")
    for name, values in named.items():
        ax.plot(x, values, marker="o", markersize=3, label=name)
    ax.set(xlabel=xlabel, ylabel=ylabel, title=title)
    ax.title.set_fontsize(10)
    ax.grid(alpha=0.3)
    ax.legend(fontsize=8)
    return fig


def panels(count: int, width: float = 2.6, height: float | None = None) -> tuple[Figure, np.ndarray]:
    """A Figure and its `count` axes in one row, each `width` x `height` inches (square by default).

    Raises ValueError for no panel, and for a size that is not above 0.
    """
    count, width = check_count("count", count, most=100), check_number("width", width, above=0)
    height = None if height is None else check_number("height", height, above=0)
    fig, axes = plt.subplots(1, count, figsize=(count * width, height or width), squeeze=False, layout="constrained")
    return fig, axes[0]


def memory_maps(named: Mapping[str, Tensor], label: str, title: str = "", shared: bool = True) -> Figure:
    """Scalar maps [S, S] over the memory in a row with colour bars; `shared` puts all on one scale, from 0 up.

    Raises ValueError for other shapes, and for NaN.
    """
    named = {name: seen(f"named[{name!r}]", v, "S", "S") for name, v in check_named("named", named).items()}
    shared = check_flag("shared", shared)
    fig, axes = panels(len(named), 2.7, 2.6)
    top = max(float(m.max()) for m in named.values())
    for ax, (name, values) in zip(axes, named.items(), strict=True):
        limit = top if shared else max(float(values.max()), 1e-12)
        shown = ax.imshow(values.numpy(), extent=(-1, 1, 1, -1), vmin=0, vmax=limit, interpolation="nearest")
        ax.set_title(name, fontsize=9)
        ax.tick_params(labelsize=7)
        ax.set_xlabel("x", fontsize=8)
        if not shared or ax is axes[-1]:
            fig.colorbar(shown, ax=ax, shrink=0.7).set_label(label, fontsize=8)
    axes[0].set_ylabel("y", fontsize=8)
    fig.suptitle(title, fontsize=10)
    return fig


def key_map(ax: Axes, memory: Tensor, centres: Tensor, spread: Tensor, pictures: Tensor, title: str = "") -> None:
    """Window centres [N, 2] over a memory, each with its picture [N, C, H, W] and an ellipse of half-axes [N, 2].

    Raises ValueError for other shapes, and for NaN.
    """
    pictures = seen("pictures", pictures, "N", "C", "H", "W")
    centres, spread = (seen(k, v, len(pictures), 2) for k, v in (("centres", centres), ("spread", spread)))
    show_memory(ax, memory, title=title)
    for (x, y), (across, down), image in zip(centres.tolist(), spread.tolist(), pictures, strict=True):
        face = np.zeros((*image.shape[1:], 4))  # black ink on nothing, so that pictures can overlap
        face[..., 3] = image[0].clamp(0, 1).numpy()
        ax.imshow(face, extent=(x - 0.09, x + 0.09, y + 0.09, y - 0.09), zorder=3, interpolation="nearest")
        ax.add_patch(Ellipse((x, y), 2 * across, 2 * down, fill=False, edgecolor="crimson", linewidth=1, zorder=4))
    ax.set(xlim=(-1, 1), ylim=(1, -1))


HEADS = ("#d62728", "#1f4fd8", "#2ca02c", "#9467bd")  # outlines of the K reads


def sheet(pictures: Tensor, columns: int) -> np.ndarray:
    """Pictures [N, C, H, W] side by side as one array, rows of `columns`; what is left of the last row stays 0.

    Raises ValueError for other shapes, and for NaN.
    """
    pictures, columns = seen("pictures", pictures, "N", "C", "H", "W"), check_count("columns", columns)
    n, c, h, w = pictures.shape
    rows = -(-n // columns)
    tiles = torch.zeros(rows * columns, c, h, w)
    tiles[:n] = pictures.detach().float().cpu()
    return picture(tiles.view(rows, columns, c, h, w).permute(2, 0, 3, 1, 4).reshape(c, rows * h, columns * w))


def pictures(images: Tensor, columns: int = 8, title: str = "") -> Figure:
    """Images [N, C, H, W] as one contact sheet on a single axes; quicker than `grid`, no titles of their own.

    Raises ValueError for other shapes, and for NaN.
    """
    images, columns = seen("images", images, "N", "C", "H", "W"), check_count("columns", columns)
    array = sheet(images, columns)
    width = 0.9 * columns
    height = width * array.shape[0] / array.shape[1]
    fig = Figure(figsize=(width, height + 0.35))
    ax = fig.add_axes((0, 0, 1, height / (height + 0.35)))
    ax.imshow(array, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    ax.set_axis_off()
    ax.set_title(title, fontsize=10)
    return fig


def atlas(memory: Tensor, centres: Tensor, images: Tensor, tiles: Tensor, reach: float, title: str = "") -> Figure:
    """Left, which image [N, C, H, W] was written around which centre [N, 2]; right, what is read there: tiles [n*n, C,
    H, W].

    The tiles stand at the window centres of a square grid over [-reach, reach]^2, row by row; frames mark `centres`.
    Raises ValueError for other shapes, and for NaN.
    """
    tiles, images = (seen(k, v, "N", "C", "H", "W") for k, v in (("tiles", tiles), ("images", images)))
    n = round(len(tiles) ** 0.5)
    if n < 2 or n * n != len(tiles):
        raise ValueError(f"tiles: got {len(tiles)}, expected a square number of at least 4, row by row")
    centres, reach = seen("centres", centres, len(images), 2), check_number("reach", reach, above=0)
    fig, (left, right) = plt.subplots(1, 2, figsize=(11, 5.6), layout="constrained")
    key_map(left, memory, centres, torch.zeros_like(centres), images, "written: each image at its window's centre")
    left.images[0].set_alpha(0.4)  # the memory, or its colours would hide the digits
    edge = reach * n / (n - 1)  # half a tile beyond the outermost centre
    right.imshow(
        sheet(tiles, n), cmap="gray_r", vmin=0, vmax=1, extent=(-edge, edge, edge, -edge), interpolation="nearest"
    )
    # around the tile, or they would hide what is read there
    right.plot(*centres.T.cpu().numpy(), "s", color="crimson", fillstyle="none", markersize=330 / n, markeredgewidth=1)
    for ax in (left, right):
        ax.set(xlim=(-edge, edge), ylim=(edge, -edge))
        ax.set_xlabel("x of the window's centre (fraction of the memory's half-width)", fontsize=8)
    right.set_title("read: the picture decoded at each centre", fontsize=9)
    right.tick_params(labelsize=7)
    fig.suptitle(title, fontsize=10)
    return fig
