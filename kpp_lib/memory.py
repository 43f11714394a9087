"""The memory: f_mem writes it, a spatial transformer reads blocks of it (section 3.3, Appendix A).

A *window* is (s, x, y): half-width as a fraction of the memory's, and centre in [-1, 1] x [-1, 1] with (0, 0) the
centre of the memory, x to the right and y down. A read samples a g x g grid over the window; a placed write is its
inverse.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .bound import exact, full
from .config import Config
from .inputs import check_choice, check_count, check_flag, check_number, check_tensor, wrong
from .layers import EvoNormS0, UpStack


def window_grid(window: Tensor, size: int, align_corners: bool = False) -> Tensor:
    """Sampling points of each window: [N, 3] -> [N, size, size, 2], (x, y) coordinates in the frame of the memory.

    Equation 8 with theta = [[s, 0, x], [0, s, y]]. The paper calls the map source to target; what a sampler needs is
    the place in the memory for each pixel of the block, which is this. Raises ValueError for windows that are no finite
    numbers [N, 3], or a size below 1.
    """
    window = check_tensor("window", window, ("N", 3))
    return grid_unchecked(window, check_count("size", size), check_flag("align_corners", align_corners))


def grid_unchecked(window: Tensor, size: int, align_corners: bool) -> Tensor:
    """`window_grid` for the inside of a training step, where a look at the values would wait for a GPU."""
    s, x, y = window.unbind(-1)
    zero = torch.zeros_like(s)
    theta = torch.stack([torch.stack([s, zero, x], -1), torch.stack([zero, s, y], -1)], dim=1)  # [N, 2, 3]
    corners = align_corners and size > 1  # a single sample stands at the centre either way
    return F.affine_grid(theta, [window.shape[0], 1, size, size], align_corners=corners)


def read_blocks(
    memory: Tensor,
    window: Tensor,
    size: int,
    mode: str = "bilinear",
    padding: str = "zeros",
    align_corners: bool = False,
    products: bool | None = None,
) -> Tensor:
    """m_tk = f_ST(M, y_tk), equations 5 and 9: [B, C, S, S], [B, T, K, 3] -> [B, T, K, C, size, size].

    With `products` as two matrix products, else by `grid_sample`, all windows of an episode stacked into one tall grid,
    so that the memory is never copied T*K times. None: products on CUDA, where the gradient of `grid_sample` is a sum
    in no fixed order, so that no run could be repeated. On a CPU it can, and `grid_sample` does not care how large a
    memory is; the products cost in proportion to S^2, so they end at S = 128.

    Raises ValueError for other shapes, devices or modes, for and for NaN. A memory need not be square.
    """
    memory = check_tensor("memory", memory, ("B", "C", "H", "W"))
    window = check_tensor("window", window, (len(memory), "T", "K", 3), memory.device, memory.dtype)
    check_choice("mode", mode, ("bilinear", "nearest"))
    check_choice("padding", padding, ("zeros", "border", "reflection"))
    size, align_corners = check_count("size", size), check_flag("align_corners", align_corners)
    products = None if products is None else check_flag("products", products)
    return read_unchecked(memory, window, size, mode, padding, align_corners, products)


def read_unchecked(
    memory: Tensor,
    window: Tensor,
    size: int,
    mode: str,
    padding: str,
    align_corners: bool,
    products: bool | None = None,
) -> Tensor:
    """`read_blocks` for the inside of a training step, where a look at the values would wait for a GPU."""
    if memory.is_cuda and memory.shape[-1] <= 128 if products is None else products:
        return _multiplied(memory, window, size, mode, padding, align_corners)
    b, t, k, _ = window.shape
    grid = grid_unchecked(window.reshape(-1, 3), size, align_corners).view(b, t * k * size, size, 2)
    tall = F.grid_sample(memory, grid, mode=mode, padding_mode=padding, align_corners=align_corners)  # [B, C, TKg, g]
    return tall.view(b, -1, t, k, size, size).permute(0, 2, 3, 1, 4, 5).contiguous()  # [B, T, K, C, g, g]


def _multiplied(memory: Tensor, window: Tensor, size: int, mode: str, padding: str, align_corners: bool) -> Tensor:
    """`read_blocks` as (weights down) x memory x (weights across), for a window is axis-parallel."""
    (b, c, height, width), (_, t, k, _) = memory.shape, window.shape
    s, x, y = window.reshape(b, t * k, 3).unbind(-1)
    ticks = _ticks(size, align_corners, window)

    def weights(centre: Tensor, cells: int) -> Tensor:
        place = _in_cells(s[..., None] * ticks + centre[..., None], cells, align_corners)
        return tents(_padded(place, cells, padding, align_corners), cells, mode)

    across, down = weights(x, width), weights(y, height)  # [B, TK, g, S]
    rows = down.flatten(1, 2) @ memory.transpose(1, 2).reshape(b, height, c * width)  # [B, TKg, S] x [B, S, CS]
    rows = rows.view(b, t * k, size * c, width) @ across.mT  # [B, TK, gC, S] x [B, TK, S, g]
    return rows.view(b, t, k, size, c, size).transpose(3, 4).contiguous()  # [B, T, K, C, g, g]


def _ticks(size: int, align_corners: bool, like: Tensor) -> Tensor:
    """The pixels of a block or memory along one axis, in [-1, 1]: centres, or the two ends with `align_corners`."""
    number = torch.arange(size, device=like.device, dtype=like.dtype)
    return 2 * number / max(1, size - 1) - 1 if align_corners else (2 * number + 1) / size - 1


def _in_cells(place: Tensor, cells: int, align_corners: bool) -> Tensor:
    """A place in [-1, 1] in units of cells, 0 for the centre of the first one."""
    return (place + 1) / 2 * (cells - 1) if align_corners else ((place + 1) * cells - 1) / 2


def _padded(place: Tensor, cells: int, padding: str, align_corners: bool) -> Tensor:
    """Where a place outside the memory reads instead, in units of cells: nowhere (zeros), at its border, mirrored."""
    if padding == "reflection":
        low, span = (0.0, cells - 1) if align_corners else (-0.5, cells)
        place = (place - low).abs() % (2 * span)  # two mirrors repeat
        place = low + torch.minimum(place, 2 * span - place)
    return place if padding == "zeros" else place.clamp(0, cells - 1)


def tents(place: Tensor, cells: int, mode: str = "bilinear") -> Tensor:
    """Equation 9's weights along an axis: places [..., size] -> [..., size, cells], max(0, 1 - |place - n|) for cell n.

    A window is axis-parallel, so the bilinear weight of a pixel is such a factor along x times one along y. "nearest":
    1 for the nearest cell, the even one of two, and no gradient to the place.
    """
    cell = torch.arange(cells, device=place.device)
    if mode == "nearest":
        return (place.round()[..., None] == cell).to(place.dtype)
    return torch.clamp(1 - (place[..., None] - cell).abs(), min=0)


def place_blocks(blocks: Tensor, window: Tensor, size: int, floor: float = 0.1) -> Tensor:
    """Write each block at its window by the inverse of the read, overlaps averaged: -> memory [B, C, size, size].

    blocks: [B, T, K, C, g, g]; window: [B, T, K, 3] with s > 0. Not in the paper: ours, after its picture of a heap
    (Figure 1: write at a pointer, read at the same pointer). `floor` is added to the summed masks, so empty memory is
    0. Equal to `grid_sample` of each block over the inverse affine grid (align_corners=False, zeros), in two matrix
    products. Raises ValueError for other shapes or devices, NaN, a window without width, and a floor that is not
    above 0.
    """
    blocks = check_tensor("blocks", blocks, ("B", "T", "K", "C", "g", "g"))
    if blocks.shape[4] != blocks.shape[5]:
        raise wrong("blocks", list(blocks.shape), "square ones, [B, T, K, C, g, g]")
    window = check_tensor("window", window, (*blocks.shape[:3], 3), blocks.device, blocks.dtype)
    if not bool((window[..., 0] > 0).all()):
        raise wrong("window", float(window[..., 0].min()), "half-widths s above 0: no block fits into none")
    return place_unchecked(blocks, window, check_count("size", size), check_number("floor", floor, above=0))


def place_unchecked(blocks: Tensor, window: Tensor, size: int, floor: float) -> Tensor:
    """`place_blocks` for the inside of a training step, where a look at the values would wait for a GPU."""
    b, t, k, c, g, _ = blocks.shape
    s, x, y = window.reshape(b, t * k, 3).unbind(-1)
    ticks = _ticks(size, False, window)  # the memory's pixels, and below where they lie in each block, in its cells
    places = (_in_cells((ticks - v[..., None]) / s[..., None], g, align_corners=False) for v in (x, y))
    across, down = (tents(p, g) for p in places)  # [B, TK, S, g]
    rows = torch.einsum("bncij,bnxj->bncix", blocks.flatten(1, 2), across)  # [B, TK, C, g, S]
    summed = torch.einsum("bnyi,bncix->bcyx", down, rows)
    mask = torch.einsum("bny,bnx->byx", down.sum(-1), across.sum(-1))[:, None]  # what blocks of ones would leave
    return (summed / (mask + floor)).contiguous()


class PooledWriter(nn.Module):
    """The paper's write: M = f_mem(pool_t e_t), a conv-transpose network on the pooled embedding (Appendix E)."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.pool = Pool(config)
        self.up = UpStack(
            config.embed, config.writer_base, config.memory_channels, config.memory_size, config.writer_linear
        )

    def forward(self, e: Tensor, window: Tensor) -> Tensor:
        return full(self.up(self.pool(e))).contiguous()  # [B, T, F] -> [B, F] -> [B, C, S, S]


class Pool(nn.Module):
    """The embeddings of an episode as one: [B, T, F] -> [B, F]. The paper does not name its pooling.

    mean, sum, max do not depend on the order of the episode. attention: four learned queries, each with its own part of
    the values; it does not either. recurrent: the last state of a GRU.
    """

    heads = 4

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.kind, width = config.pooling, config.embed
        if self.kind == "attention":
            self.scores, self.values = nn.Linear(width, self.heads), nn.Linear(width, width)
        elif self.kind == "recurrent":
            self.gru = nn.GRU(width, width, batch_first=True)

    def forward(self, e: Tensor) -> Tensor:
        if self.kind == "attention":
            weights = self.scores(e).softmax(dim=1)  # [B, T, heads]
            parts = self.values(e).tensor_split(self.heads, dim=-1)  # heads of [B, T, F / heads]
            return torch.cat([(w[..., None] * v).sum(1) for w, v in zip(weights.unbind(-1), parts, strict=True)], -1)
        if self.kind == "recurrent":
            return self.gru(e)[1][0]
        return {"mean": e.mean, "sum": e.sum, "max": e.amax}[self.kind](dim=1)


class PlacedWriter(nn.Module):
    """Ours: each image writes its own K blocks from e_t, placed at its key means by the inverse of the read."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.up = UpStack(
            config.embed,
            config.writer_base,
            config.reads * config.memory_channels,
            config.block_size,
            config.writer_linear,
        )

    def forward(self, e: Tensor, window: Tensor) -> Tensor:
        c = self.config
        blocks = self.up(e.flatten(0, 1))  # [B*T, K*C, g, g]
        blocks = full(blocks).view(*e.shape[:2], c.reads, c.memory_channels, c.block_size, c.block_size)
        with exact(e.device):
            return place_unchecked(blocks, window, c.memory_size, c.place_floor)


class PriorNet(nn.Module):
    """The convolutional encoder of p(Z | M_hat, Y): K blocks stacked on channels -> mean and log-variance (Appendix E).

    [B, T, K, C, g, g] -> ([B, T, L], [B, T, L]). It sees the keys only through what they read.
    """

    def __init__(self, config: Config) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width, side = config.reads * config.memory_channels, config.block_size
        for i in range(max(1, min(3, side.bit_length() - 2))):  # halve down to 2x2, at most three times
            layers += [
                nn.Conv2d(width, config.prior_base * 2**i, 4, stride=2, padding=1),
                EvoNormS0(config.prior_base * 2**i),
            ]
            width, side = config.prior_base * 2**i, side // 2
        self.layers = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * side * side, 2 * config.latent))

    def forward(self, blocks: Tensor) -> tuple[Tensor, Tensor]:
        b, t = blocks.shape[:2]
        maps = self.layers[:-1](blocks.flatten(0, 1).flatten(1, 2))
        with exact(blocks.device):
            mean, log_var = self.layers[-1](full(maps)).view(b, t, -1).chunk(2, dim=-1)
        return mean, log_var
